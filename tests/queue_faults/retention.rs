//! Retentions that keep entries or lose them: ages by the server's clock, lost groups, unread
//! entries that are trimmed.

use crate::steps::{requests, run, stall, until};
use crate::support::{Email, VERSIONS, in_paused_time};
use bourn::queue::{Fail, Flat, Job, Queue, QueueEvent, Report, Retention};
use bourn::testing::{Fault, Server};
use std::future::Future;
use std::time::{Duration, SystemTime};
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

async fn open(server: &Server, retention: Retention) -> Queue<Email> {
    let client = server.client().await.unwrap();
    Queue::builder(&client, "email").retention(retention).open(Flat).await.unwrap()
}

async fn enqueue(queue: &Queue<Email>, jobs: usize) {
    for added in queue.producer().enqueue_all(&vec![Email::new(); jobs]).await {
        added.unwrap();
    }
}

/// Runs a test on each version that reports how many entries were ever added.
fn on_each_counting(test: impl AsyncFn(&str, Server)) {
    for version in VERSIONS.into_iter().filter(|version| *version != "redis-6.2") {
        in_paused_time(test(version, Server::builder().version(version).build()));
    }
}

async fn work(queue: &Queue<Email>, shutdown: impl Future<Output = ()>) -> Report {
    let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
    queue.worker().run(shutdown, done).await.unwrap()
}

#[test]
fn age_of_a_job_is_measured_by_the_servers_clock() {
    for version in VERSIONS {
        for server_is_ahead in [false, true] {
            in_paused_time(async {
                let now = SystemTime::now();
                let time = if server_is_ahead { now + 2 * HOUR } else { now - 2 * HOUR };
                let server = Server::builder().version(version).time(time).build();
                let queue = open(&server, Retention::LossyMaxAge(HOUR)).await;
                enqueue(&queue, 300).await;
                enqueue(&queue, 1).await;
                assert_eq!(server.command("XLEN email").as_integer(), Some(301), "{version}");
                assert_eq!(work(&queue, sleep(30 * SECOND)).await.done, 301, "{version}");
                assert_eq!(server.command("XLEN email").as_integer(), Some(301), "{version}");
                // Those that are really older than an hour are trimmed, by a producer or a worker.
                sleep(2 * HOUR).await;
                if server_is_ahead {
                    enqueue(&queue, 1).await;
                } else {
                    work(&queue, sleep(30 * SECOND)).await;
                }
                let len = server.command("XLEN email").as_integer().unwrap();
                assert!(len < 100, "{version}: {len}");
            });
        }
    }
}

#[test]
fn lost_group_starts_again_after_the_jobs_that_are_known_to_be_done() {
    for version in VERSIONS {
        let retentions = [Retention::LossyMaxLen(1_000), Retention::KeepUntilAllAcked];
        let cases = retentions.map(|retention| [2, 30].map(|seconds| (retention, seconds)));
        for (retention, seconds) in cases.into_iter().flatten() {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let queue = open(&server, retention).await;
                // Another group keeps the entries.
                let created = server.command("XGROUP CREATE email other 0");
                assert_eq!(created.as_str(), Some("OK"));
                let mut events = queue.events();
                enqueue(&queue, 50).await;
                let last = queue.producer().enqueue(&Email::new()).await.unwrap();
                let report = work(&queue, async {
                    sleep(seconds * SECOND).await;
                    let destroyed = server.command("XGROUP DESTROY email workers");
                    assert_eq!(destroyed.as_integer(), Some(1));
                    sleep(SECOND).await;
                    enqueue(&queue, 1).await;
                    sleep(30 * SECOND).await;
                })
                .await;
                assert_eq!(report.done, 52, "{version}: {report}");
                let after = loop {
                    if let QueueEvent::Created { after } = events.next().await.unwrap() {
                        break after;
                    }
                };
                assert_eq!(after, last, "{version}");
            });
        }
    }
}

/// Several gaps, two workers, and a third one later, which has nothing more to count.
#[test]
fn unread_jobs_that_are_trimmed_are_counted_once() {
    on_each_counting(async |version, server| {
        let queue = open(&server, Retention::LossyMaxLen(200)).await;
        enqueue(&queue, 1_000).await;
        let other = open(&server, Retention::LossyMaxLen(200)).await;
        // The workers have no time for all of what is added later.
        let slow = |_: Job<Email>| async {
            sleep(SECOND / 2).await;
            Ok::<_, Fail>(())
        };
        let adding = async {
            for _ in 0..5 {
                sleep(20 * SECOND).await;
                enqueue(&queue, 600).await;
            }
            sleep(120 * SECOND).await;
        };
        let (first, second) = tokio::join!(
            queue.worker().concurrency(2).run(adding, slow),
            other.worker().concurrency(2).run(sleep(220 * SECOND), slow),
        );
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(
            first.done + second.done + first.lost + second.lost,
            4_000,
            "{version}: {first}; {second}"
        );
        assert!(first.lost + second.lost > 2_000, "{version}: {first}; {second}");
        let stats = queue.stats().await.unwrap();
        assert!(stats.consumers.is_empty(), "{version}: {stats:?}");
        assert!(stats.skipped.is_none_or(|skipped| skipped == 0), "{version}: {stats:?}");
        // The next gap is reported until a worker counts it.
        enqueue(&queue, 10).await;
        run(&server, "XTRIM email MAXLEN = 4");
        let stats = queue.stats().await.unwrap();
        assert_eq!((stats.ready, stats.skipped), (Some(4), Some(6)), "{version}: {stats:?}");
        assert_eq!(work(&queue, sleep(30 * SECOND)).await.lost, 6, "{version}");
    });
}

/// The workers wait in a read that blocks, with nothing left of what they have missed.
#[test]
fn unread_jobs_are_counted_once_where_the_whole_stream_was_trimmed() {
    on_each_counting(async |version, server| {
        let queue = open(&server, Retention::LossyMaxLen(1_000)).await;
        enqueue(&queue, 10).await;
        assert_eq!(server.command("XTRIM email MAXLEN = 0").as_integer(), Some(10));
        let other = open(&server, Retention::LossyMaxLen(1_000)).await;
        let adding = async {
            for _ in 0..3 {
                sleep(20 * SECOND).await;
                enqueue(&queue, 1).await;
            }
            sleep(20 * SECOND).await;
        };
        let (first, second) = tokio::join!(work(&queue, adding), work(&other, sleep(70 * SECOND)));
        let (done, lost) = (first.done + second.done, first.lost + second.lost);
        assert_eq!((done, lost), (3, 10), "{version}: {first}; {second}");
    });
}

#[test]
fn unread_jobs_are_counted_once_although_a_command_is_refused() {
    on_each_counting(async |version, server| {
        let queue = open(&server, Retention::LossyMaxLen(1_000)).await;
        enqueue(&queue, 12).await;
        assert_eq!(server.command("XTRIM email MAXLEN = 2").as_integer(), Some(10));
        let other = open(&server, Retention::LossyMaxLen(1_000)).await;
        server.inject(Fault::error("ERR refused").on_command("XGROUP CREATECONSUMER").times(1));
        let adding = async {
            sleep(20 * SECOND).await;
            enqueue(&queue, 1).await;
            sleep(20 * SECOND).await;
        };
        let (first, second) = tokio::join!(work(&queue, adding), work(&other, sleep(30 * SECOND)));
        let (done, lost) = (first.done + second.done, first.lost + second.lost);
        assert_eq!((done, lost), (3, 10), "{version}: {first}; {second}");
    });
}

#[test]
fn lossy_queue_is_read_where_its_counts_are_refused_or_too_large() {
    for version in VERSIONS {
        for bytes in [1, 600_000] {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let client = server.connect(server.config().reply_bytes(1 << 20)).await.unwrap();
                let queue = Queue::builder(&client, "email").retention(Retention::LossyMaxLen(9));
                let queue: Queue<Email> = queue.open(Flat).await.unwrap();
                let email: Email = vec![("body".into(), "x".repeat(bytes))];
                for added in queue.producer().enqueue_all(&[email.clone(), email]).await {
                    added.unwrap();
                }
                if bytes == 1 {
                    let denied = Fault::error("NOPERM no permission").on_command("XINFO GROUPS");
                    server.inject(denied.times(u64::MAX));
                }
                let mut events = queue.events();
                let report = work(&queue, sleep(60 * SECOND)).await;
                assert_eq!(report.done, 2, "{version}, {bytes} bytes: {report}");
                let mut interrupted = 0;
                while let Ok(Some(event)) = timeout(SECOND, events.next()).await {
                    interrupted += u32::from(matches!(event, QueueEvent::Interrupted { .. }));
                }
                assert!(interrupted <= 3, "{version}, {bytes} bytes: {interrupted}");
            });
        }
    }
}

/// A read that found nothing is followed by one that blocks.
#[test]
fn unread_jobs_are_counted_that_are_trimmed_between_two_reads() {
    on_each_counting(async |version, server| {
        let queue = open(&server, Retention::LossyMaxLen(1_000)).await;
        server.set_latency(Duration::from_millis(5));
        let adding = async {
            sleep(20 * SECOND).await;
            let reads = || requests(&server, &["XREADGROUP"]).len();
            let before = reads();
            until("it is read", || reads() > before).await;
            for _ in 0..12 {
                run(&server, "XADD email * user 7");
            }
            run(&server, "XTRIM email MAXLEN = 2");
            sleep(20 * SECOND).await;
        };
        let report = work(&queue, adding).await;
        assert_eq!((report.done, report.lost), (2, 10), "{version}: {report}");
    });
}

/// What the first consumer counts reaches the server after what the second one counts.
#[test]
fn unread_jobs_are_counted_although_a_later_gap_was_counted_before() {
    on_each_counting(async |version, server| {
        let other = open(&server, Retention::LossyMaxLen(1_000)).await;
        let client = server.client().await.unwrap();
        let queue = Queue::builder(&client, "email").retention(Retention::LossyMaxLen(1_000));
        let queue: Queue<Email> = queue.open(Flat).await.unwrap();
        let add_and_trim = || {
            for _ in 0..12 {
                run(&server, "XADD email * user 7");
            }
            run(&server, "XTRIM email MAXLEN = 2");
        };
        let adding = async {
            sleep(20 * SECOND).await;
            stall(&server, &client, 4 * SECOND);
            // Each consumer waits, and gets one of the first two. The first one then gets the 11th.
            add_and_trim();
            sleep(SECOND).await;
            add_and_trim();
            sleep(120 * SECOND).await;
        };
        let slow = |_: Job<Email>| async {
            sleep(2 * SECOND).await;
            Ok::<_, Fail>(())
        };
        let (first, second) = tokio::join!(work(&queue, adding), async {
            sleep(SECOND).await;
            other.worker().concurrency(1).run(sleep(150 * SECOND), slow).await.unwrap()
        });
        let done = first.done + second.done;
        let all = done + first.already_gone + second.already_gone + first.lost + second.lost;
        assert!(done >= 2, "{version}: {first}; {second}");
        // Those in flight that were trimmed may be counted twice.
        assert!((24..=28).contains(&all), "{version}: {first}; {second}");
    });
}

/// The numbers of the second stream are lower than those of the first.
#[test]
fn unread_jobs_of_a_stream_that_was_deleted_and_added_again_are_counted() {
    on_each_counting(async |version, server| {
        let queue = open(&server, Retention::LossyMaxLen(1_000)).await;
        enqueue(&queue, 10).await;
        assert_eq!(server.command("XTRIM email MAXLEN = 0").as_integer(), Some(10));
        let adding = async {
            sleep(20 * SECOND).await;
            assert_eq!(server.command("DEL email").as_integer(), Some(1));
            sleep(20 * SECOND).await;
            // While the first one runs, the others are trimmed.
            enqueue(&queue, 1).await;
            sleep(SECOND).await;
            enqueue(&queue, 5).await;
            assert!(server.command("XTRIM email MAXLEN = 0").as_integer() >= Some(5));
            sleep(20 * SECOND).await;
        };
        let slow = |_: Job<Email>| async {
            sleep(5 * SECOND).await;
            Ok::<_, Fail>(())
        };
        let report = queue.worker().concurrency(1).run(adding, slow).await.unwrap();
        // The one that ran was trimmed too. Its heartbeat or the maintenance has found that.
        assert!((15..=16).contains(&report.lost), "{version}: {report}");
    });
}

#[test]
fn unread_jobs_of_a_group_that_a_worker_has_created_are_counted() {
    on_each_counting(async |version, server| {
        let queue = open(&server, Retention::LossyMaxLen(1_000)).await;
        run(&server, "XGROUP DESTROY email workers");
        assert_eq!(work(&queue, sleep(10 * SECOND)).await.done, 0, "{version}");
        enqueue(&queue, 12).await;
        run(&server, "XTRIM email MAXLEN = 2");
        let report = work(&queue, sleep(30 * SECOND)).await;
        assert_eq!((report.done, report.lost), (2, 10), "{version}: {report}");
    });
}

/// Its worker died between the copy and the removal, and the entry was trimmed meanwhile.
#[test]
fn job_in_the_wheel_is_not_lost_with_its_entry() {
    for version in VERSIONS {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let queue = open(&server, Retention::LossyMaxLen(1_000)).await;
            enqueue(&queue, 2).await;
            run(&server, "XREADGROUP GROUP workers bourn-dead STREAMS email >");
            let first = run(&server, "XPENDING email workers");
            let first = first.as_list().and_then(|summary| summary.get(1)?.as_str());
            let first = first.expect("the least id");
            run(&server, &format!("XCLAIM email workers a 0 {first} RETRYCOUNT 2000000001"));
            run(&server, "XTRIM email MAXLEN = 0");
            let report = work(&queue, sleep(120 * SECOND)).await;
            assert_eq!((report.done, report.lost), (0, 1), "{version}: {report}");
        });
    }
}

/// Their copies in the wheel are not trimmed, and their entries are removed and added again.
#[test]
fn delayed_jobs_of_a_lossy_queue_are_done_or_counted_once() {
    on_each_counting(async |version, server| {
        let queue = open(&server, Retention::LossyMaxLen(100)).await;
        let other = open(&server, Retention::LossyMaxLen(100)).await;
        // Every second job needs another attempt, and waits for it in the wheel.
        let slow = |job: Job<Email>| async move {
            sleep(SECOND / 10).await;
            if job.attempt() == 1 && job.id().seq() % 2 == 0 {
                return Err(Fail::retry_after(10 * SECOND, "later"));
            }
            Ok(())
        };
        let adding = async {
            for _ in 0..5 {
                enqueue(&queue, 300).await;
                sleep(20 * SECOND).await;
            }
            sleep(120 * SECOND).await;
        };
        let (first, second) = tokio::join!(
            queue.worker().concurrency(2).run(adding, slow),
            other.worker().concurrency(2).run(sleep(220 * SECOND), slow),
        );
        let (first, second) = (first.unwrap(), second.unwrap());
        let (done, lost) = (first.done + second.done, first.lost + second.lost);
        let retried = first.retried + second.retried;
        // Jobs that were trimmed while they ran are lost, or only already gone.
        let gone = first.already_gone + second.already_gone;
        let is_exact = (1_500 - gone..=1_500).contains(&(done + lost));
        assert!(is_exact && gone <= 20, "{version}: {first}; {second}");
        assert!(retried > 100 && lost > 500, "{version}: {first}; {second}");
    });
}

#[test]
fn entries_that_were_trimmed_before_the_group_was_created_are_not_lost() {
    for version in VERSIONS {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            for _ in 0..2_000 {
                assert!(server.command("XADD email MAXLEN = 500 * a 1").as_str().is_some());
            }
            let queue = open(&server, Retention::LossyMaxLen(1_000)).await;
            let report = work(&queue, sleep(30 * SECOND)).await;
            assert_eq!((report.done, report.lost), (500, 0), "{version}: {report}");
        });
    }
}

#[test]
fn group_of_a_new_stream_with_lower_ids_starts_at_its_beginning() {
    in_paused_time(async {
        let server = Server::new();
        let queue = open(&server, Retention::LossyMaxLen(1_000)).await;
        enqueue(&queue, 5).await;
        let report = work(&queue, async {
            sleep(30 * SECOND).await;
            server.rewind_clock(HOUR);
            assert_eq!(server.command("DEL email").as_integer(), Some(1));
            sleep(SECOND).await;
            enqueue(&queue, 5).await;
            sleep(30 * SECOND).await;
        })
        .await;
        assert_eq!(report.done, 10, "{report}");
    });
}

/// Its clock was set back and forth, and the worker saw only the end.
#[test]
fn group_of_a_new_stream_with_higher_ids_starts_at_its_beginning_too() {
    for version in VERSIONS {
        for retention in [Retention::LossyMaxLen(1_000), Retention::KeepUntilAllAcked] {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let queue = open(&server, retention).await;
                enqueue(&queue, 5).await;
                let report = work(&queue, async {
                    sleep(30 * SECOND).await;
                    run(&server, "DEL email");
                    run(&server, "XADD email 1000-0 user 7");
                    run(&server, "XADD email * user 8");
                    sleep(30 * SECOND).await;
                })
                .await;
                assert_eq!(report.done, 7, "{version}: {report}");
            });
        }
    }
}
