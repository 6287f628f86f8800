//! Faults of reading: replies that are too large, the order of jobs, the server's clock.

use crate::steps::requests;
use crate::support::{Email, VERSIONS, in_paused_time};
use bourn::queue::{Fail, Flat, Job, Queue, Retention};
use bourn::testing::Server;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

const MIB: usize = 1 << 20;

/// A job with this many bytes of payload.
fn email(bytes: usize) -> Email {
    vec![("body".into(), "x".repeat(bytes))]
}

/// Opens a queue whose client takes replies of a mebibyte at most.
async fn queue_with_small_replies(server: &Server) -> Queue<Email> {
    let client = server.connect(server.config().reply_bytes(MIB)).await.unwrap();
    Queue::builder(&client, "email").open(Flat).await.unwrap()
}

#[test]
fn jobs_whose_reply_exceeds_reply_bytes_are_read_in_smaller_replies() {
    for version in VERSIONS {
        // The second row begins with small jobs: nothing says that large ones follow.
        for sizes in [vec![100_000; 16], [vec![1_000; 16], vec![100_000; 32]].concat()] {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let queue = queue_with_small_replies(&server).await;
                let all: Vec<Email> = sizes.iter().map(|bytes| email(*bytes)).collect();
                for added in queue.producer().enqueue_all(&all).await {
                    added.unwrap();
                }
                let attempts = Arc::new(Mutex::new(Vec::new()));
                let seen = Arc::clone(&attempts);
                let done = move |job: Job<Email>| {
                    seen.lock().unwrap().push(job.attempt());
                    async {
                        sleep(Duration::from_millis(100)).await;
                        Ok::<_, Fail>(())
                    }
                };
                let worker = queue.worker().concurrency(64);
                let report = worker.run(sleep(Duration::from_secs(20)), done).await.unwrap();
                assert_eq!(report.done, sizes.len() as u64, "{version}: {report}");
                let attempts = attempts.lock().unwrap();
                assert!(attempts.iter().all(|attempt| *attempt == 1), "{version}: {attempts:?}");
            });
        }
    }
}

#[test]
fn job_larger_than_reply_bytes_is_dead_lettered_by_id_and_the_others_are_done() {
    for version in VERSIONS {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let producer = crate::support::queue(&server, "email").await.producer();
            for bytes in [10, 2 * MIB, 20, 30] {
                producer.enqueue(&email(bytes)).await.unwrap();
            }
            let queue = queue_with_small_replies(&server).await;
            let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
            let worker = queue.worker().concurrency(4);
            let report = worker.run(sleep(Duration::from_secs(20)), done).await.unwrap();
            assert_eq!((report.done, report.dead), (3, 1), "{version}: {report}");
            let letters = queue.dead_letters().list(None, 10).await.unwrap();
            assert_eq!(letters.len(), 1, "{version}");
            let reason = &letters[0].reason;
            assert!(reason.contains("reply_bytes") && letters[0].attempts == 0, "{letters:?}");
            // The entry is kept: nothing else has its payload.
            let id = letters[0].original;
            let kept = server.command(&format!("XRANGE email {id} {id}"));
            assert_eq!(kept.as_list().unwrap().len(), 1, "{version}");
            let stats = queue.stats().await.unwrap();
            assert_eq!((stats.in_flight, stats.waiting_retry), (0, 0), "{version}");
        });
    }
}

#[test]
fn jobs_in_flight_take_max_bytes_and_one_job_at_most() {
    const MOST: usize = 64 * 1024;
    for version in VERSIONS {
        for bytes in [1_000, 10_000, 40_000, 100_000] {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let queue = crate::support::queue(&server, "email").await;
                let all = vec![email(bytes); 100];
                for added in queue.producer().enqueue_all(&all).await {
                    added.unwrap();
                }
                let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
                let peak = Arc::clone(&most);
                let done = move |job: Job<Email>| {
                    let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                    async move {
                        let size: usize = job.payload().iter().map(|(_, value)| value.len()).sum();
                        let held = now.fetch_add(size, Ordering::Relaxed) + size;
                        most.fetch_max(held, Ordering::Relaxed);
                        sleep(Duration::from_millis(500)).await;
                        now.fetch_sub(size, Ordering::Relaxed);
                        Ok::<_, Fail>(())
                    }
                };
                let worker = queue.worker().concurrency(64).max_bytes(MOST);
                let report = worker.run(sleep(Duration::from_secs(60)), done).await.unwrap();
                assert_eq!(report.done, 100, "{version}, {bytes} bytes: {report}");
                let peak = peak.load(Ordering::Relaxed);
                assert!(peak <= MOST + bytes, "{version}, {bytes} bytes: {peak}");
            });
        }
    }
}

#[test]
fn jobs_of_a_lost_worker_are_run_although_the_servers_clock_was_set_back() {
    for version in VERSIONS {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let queue = crate::support::queue(&server, "email").await;
            for _ in 0..3 {
                queue.producer().enqueue(&email(1)).await.unwrap();
            }
            // They are pending for a consumer that is gone.
            let read = server.command("XREADGROUP GROUP workers lost COUNT 3 STREAMS email >");
            assert!(read.as_integer().is_none());
            server.rewind_clock(Duration::from_secs(3_600));
            let start = tokio::time::Instant::now();
            let ended = Arc::new(Mutex::new(Vec::new()));
            let note = Arc::clone(&ended);
            let done = move |job: Job<Email>| {
                note.lock().unwrap().push((job.attempt(), start.elapsed().as_secs()));
                async { Ok::<_, Fail>(()) }
            };
            let report = queue.worker().run(sleep(Duration::from_secs(300)), done).await.unwrap();
            let ended = ended.lock().unwrap();
            assert_eq!(report.done, 3, "{version}: {report}");
            let in_time = |(attempt, seconds): &(u32, u64)| *attempt == 2 && *seconds < 90;
            assert!(ended.iter().all(in_time), "{version}: {ended:?}");
        });
    }
}

#[test]
fn running_job_is_not_run_again_when_the_servers_clock_is_set_back() {
    for version in VERSIONS {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let queue = crate::support::queue(&server, "email").await;
            queue.producer().enqueue(&email(1)).await.unwrap();
            let runs = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&runs);
            let long = move |_: Job<Email>| {
                count.fetch_add(1, Ordering::Relaxed);
                async {
                    sleep(Duration::from_secs(200)).await;
                    Ok::<_, Fail>(())
                }
            };
            let (first, second) = (queue.worker(), queue.worker());
            let back = async {
                sleep(Duration::from_secs(5)).await;
                server.rewind_clock(Duration::from_secs(3_600));
                sleep(Duration::from_secs(295)).await;
            };
            let until = sleep(Duration::from_secs(300));
            let (first, second) =
                tokio::join!(first.run(back, long.clone()), second.run(until, long));
            let done = first.unwrap().done + second.unwrap().done;
            assert_eq!((done, runs.load(Ordering::Relaxed)), (1, 1), "{version}");
        });
    }
}

/// If nothing is pending, there is nothing to claim, and the wheel has no job of a pending entry.
/// Only a lossy queue looks at its counts.
#[test]
fn idle_worker_sends_one_command_for_each_sweep() {
    let keep = Retention::KeepUntilAllAcked;
    for (version, retention) in VERSIONS.into_iter().flat_map(|version| {
        [Retention::DeleteOnAck, keep, Retention::LossyMaxLen(1_000)].map(|it| (version, it))
    }) {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let client = server.client().await.unwrap();
            let queue = Queue::builder(&client, "email").retention(retention);
            let queue: Queue<Email> = queue.open(Flat).await.unwrap();
            let consumer = queue.consumer().start().await.unwrap();
            sleep(Duration::from_secs(30)).await;
            let sweeps = || {
                let listed = requests(&server, &["XPENDING", "0-0"]).len();
                listed + requests(&server, &["XAUTOCLAIM", "0-0"]).len()
            };
            let looks = || requests(&server, &["XINFO", "GROUPS"]).len();
            let before = (sweeps(), looks());
            sleep(Duration::from_secs(100)).await;
            let (sweeps, looks) = (sweeps() - before.0, looks() - before.1);
            let row = format!("{version}, {retention:?}: {sweeps} sweeps, {looks} looks");
            // The maintenance has one each ten seconds.
            let claims_as_it_reads = matches!(version, "redis-8.6" | "redis-8.10");
            let expected = if claims_as_it_reads { 8..=12 } else { 90..=125 };
            assert!(expected.contains(&sweeps), "{row}");
            let is_counted =
                matches!(retention, Retention::LossyMaxLen(_)) && version != "redis-6.2";
            assert_eq!(looks > 25, is_counted, "{row}");
            consumer.close().await;
        });
    }
}
