//! Decisions that cannot be carried out: reported, counted, and never followed by more work.

use crate::support::{Email, in_paused_time, on_each_version, queue};
use bourn::Code;
use bourn::queue::{Fail, Flat, Job, Queue, QueueEvent, QueueEvents, RetryPolicy};
use bourn::testing::{Fault, Server};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

/// Adds this many jobs.
async fn add(queue: &Queue<Email>, jobs: usize) {
    let jobs = vec![Email::new(); jobs];
    for added in queue.producer().enqueue_all(&jobs).await {
        added.unwrap();
    }
}

/// Returns the number of pending entries.
fn pending(server: &Server, stream: &str) -> i64 {
    let pending = server.command(&format!("XPENDING {stream} workers"));
    pending.as_list().and_then(|fields| fields.first()?.as_integer()).expect("a number")
}

fn length(server: &Server, stream: &str) -> i64 {
    server.command(&format!("XLEN {stream}")).as_integer().expect("a number")
}

fn allow(server: &Server, rules: &str) {
    let reply = server.command(&format!("ACL SETUSER default {rules}"));
    assert_eq!(reply.as_str(), Some("OK"), "{reply:?}");
}

/// Returns the failed settlements among the events so far.
async fn failures(events: &mut QueueEvents) -> usize {
    let mut count = 0;
    while let Ok(Some(event)) = timeout(Duration::ZERO, events.next()).await {
        count += usize::from(matches!(event, QueueEvent::SettlementFailed { .. }));
    }
    count
}

/// A handler that succeeds after a tenth of a second, and counts its runs.
macro_rules! counting {
    ($ran:expr, $result:expr) => {{
        let ran = Arc::clone($ran);
        move |_: Job<Email>| {
            let ran = Arc::clone(&ran);
            async move {
                sleep(SECOND / 10).await;
                ran.fetch_add(1, Ordering::Relaxed);
                $result
            }
        }
    }};
}

#[test]
fn closed_client_ends_the_worker_with_the_error_and_runs_no_more_jobs() {
    on_each_version(|server| async move {
        let queue = queue(&server, "email").await;
        add(&queue, 200).await;
        let mut events = queue.events();
        let ran = Arc::new(AtomicUsize::new(0));
        let worker = queue
            .worker()
            .concurrency(4)
            .run(sleep(3_600 * SECOND), counting!(&ran, Ok::<_, Fail>(())));
        let closing = async {
            sleep(SECOND).await;
            queue.client().close().await;
        };
        let (ended, ()) = tokio::join!(timeout(60 * SECOND, worker), closing);
        let error = ended.expect("the worker ends").expect_err("the client is closed");
        assert!(error.to_string().contains("closed"), "{error}");
        let ran = ran.load(Ordering::Relaxed);
        let done = 200 - usize::try_from(length(&server, "email")).unwrap();
        // The consumer's own connection acknowledges what was done.
        assert_eq!((ran, failures(&mut events).await), (done, 0));
    });
}

#[test]
fn denied_acknowledgement_ends_the_worker_with_the_error() {
    on_each_version(|server| async move {
        let queue = queue(&server, "email").await;
        add(&queue, 50).await;
        allow(&server, "-xack -xackdel");
        let mut events = queue.events();
        let ran = Arc::new(AtomicUsize::new(0));
        let worker = queue
            .worker()
            .concurrency(4)
            .run(sleep(3_600 * SECOND), counting!(&ran, Ok::<_, Fail>(())));
        let ended = timeout(60 * SECOND, worker).await.expect("the worker ends");
        let error = ended.expect_err("XACK is denied");
        assert_eq!(error.code(), Some(&Code::NoPerm), "{error}");
        assert!(ran.load(Ordering::Relaxed) <= 8, "{ran:?}");
        assert!(failures(&mut events).await > 0);
    });
}

#[test]
fn denied_or_unknown_newer_commands_are_replaced_by_older_ones() {
    for denied in ["acl", "renamed"] {
        for version in ["redis-8.2", "redis-8.6", "redis-8.10"] {
            println!("{denied} on {version}");
            in_paused_time(async {
                let mut server = Server::builder().version(version);
                if denied == "renamed" {
                    for command in ["XACKDEL", "XNACK"] {
                        server = server.setting("rename-command", command);
                    }
                }
                let server = server.build();
                if denied == "acl" {
                    let nack = if version == "redis-8.10" { "-xnack" } else { "" };
                    allow(&server, &format!("-xackdel {nack}"));
                }
                let queue = queue(&server, "email").await;
                add(&queue, 20).await;
                let handler = |job: Job<Email>| async move {
                    if job.attempt() == 1 {
                        Err(Fail::retry_after(Duration::ZERO, "no"))
                    } else {
                        Ok(())
                    }
                };
                let report = queue.worker().run(sleep(60 * SECOND), handler).await.unwrap();
                assert_eq!((report.retried, report.done, report.dead), (20, 20, 0), "{report}");
                assert_eq!((length(&server, "email"), pending(&server, "email")), (0, 0));
            });
        }
    }
}

#[test]
fn blocked_dead_letters_occupy_the_places_of_the_worker() {
    on_each_version(|server| async move {
        let queue = queue(&server, "email").await;
        add(&queue, 2_000).await;
        let _ = server.command("SET {email}:dlq x");
        let ran = Arc::new(AtomicUsize::new(0));
        let most = async {
            let mut most = 0;
            for _ in 0..6_000 {
                sleep(SECOND / 50).await;
                most = most.max(pending(&server, "email"));
            }
            most
        };
        let (report, most) = tokio::join!(
            queue
                .worker()
                .concurrency(4)
                .run(sleep(120 * SECOND), counting!(&ran, Err::<(), _>(Fail::dead("no")))),
            most
        );
        assert!(most <= 4, "{most} jobs were pending, {ran:?} handlers ran");
        let report = report.unwrap();
        assert_eq!(report.dead, 0, "{report}");
    });
}

#[test]
fn jobs_whose_retry_cannot_be_sent_occupy_the_places_of_the_worker() {
    on_each_version(|server| async move {
        let queue = queue(&server, "email").await;
        add(&queue, 2_000).await;
        let memory = "OOM command not allowed when used memory > 'maxmemory'.";
        for command in ["XCLAIM", "XNACK"] {
            server.inject(Fault::error(memory).on_command(command).times(u64::MAX));
        }
        let ran = Arc::new(AtomicUsize::new(0));
        let most = async {
            let mut most = 0;
            for _ in 0..500 {
                sleep(SECOND / 50).await;
                most = most.max(pending(&server, "email"));
            }
            most
        };
        let failing = {
            let ran = Arc::clone(&ran);
            move |_: Job<Email>| {
                ran.fetch_add(1, Ordering::Relaxed);
                async {
                    sleep(SECOND / 50).await;
                    Err::<(), _>(Fail::retry_after(SECOND / 100, "no"))
                }
            }
        };
        let (report, most) =
            tokio::join!(queue.worker().concurrency(4).run(sleep(10 * SECOND), failing), most);
        // Four more fail until the first retries are refused.
        assert!(most <= 8, "{most} jobs were pending, {ran:?} handlers ran");
        report.unwrap();
    });
}

#[test]
fn job_done_and_not_acknowledged_is_reported_and_counted() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let retry = RetryPolicy::exponential(SECOND, SECOND);
        let queue = Queue::builder(&client, "email").lease(2 * SECOND).retry(retry);
        let queue: Queue<Email> = queue.open(Flat).await.unwrap();
        add(&queue, 1).await;
        let mut events = queue.events();
        for command in ["XACK", "XACKDEL"] {
            let loading = "LOADING Redis is loading the dataset in memory";
            server.inject(Fault::error(loading).on_command(command).times(u64::MAX));
        }
        let ran = Arc::new(AtomicUsize::new(0));
        let report = queue.worker().run(sleep(60 * SECOND), counting!(&ran, Ok::<_, Fail>(())));
        let report = report.await.unwrap();
        let ran = ran.load(Ordering::Relaxed);
        assert_eq!((ran, report.done, report.dead), (1, 0, 0), "{report}");
        assert!(report.unacknowledged > 0 && report.to_string().contains("not acknowledged"));
        assert_eq!(failures(&mut events).await as u64, report.unacknowledged);
    });
}

#[test]
fn job_done_and_not_acknowledged_is_acknowledged_when_it_is_delivered_again() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let queue = Queue::builder(&client, "email").lease(2 * SECOND);
        let queue: Queue<Email> = queue.open(Flat).await.unwrap();
        add(&queue, 1).await;
        for command in ["XACK", "XACKDEL"] {
            let loading = "LOADING Redis is loading the dataset in memory";
            server.inject(Fault::error(loading).on_command(command).times(u64::MAX));
        }
        let mut jobs = queue.consumer().start().await.unwrap();
        let refused = jobs.next().await.unwrap().unwrap().ack().await.unwrap_err();
        assert!(refused.is_transient(), "{refused}");
        server.clear_faults();
        let again = timeout(60 * SECOND, jobs.next()).await;
        assert!(again.is_err(), "delivered again: {again:?}");
        let report = jobs.close().await;
        assert_eq!(report.unacknowledged, 1, "{report}");
        assert_eq!((pending(&server, "email"), length(&server, "email")), (0, 0), "{report}");
    });
}

#[test]
fn ack_and_close_end_in_time_when_the_server_is_gone() {
    for silent in [false, true] {
        on_each_version(|server| async move {
            let lease = 10 * SECOND;
            let client = server.client().await.unwrap();
            let queue = Queue::builder(&client, "email").lease(lease);
            let queue: Queue<Email> = queue.open(Flat).await.unwrap();
            add(&queue, 6).await;
            let mut jobs = queue.consumer().prefetch(8).start().await.unwrap();
            let mut deliveries = Vec::new();
            for _ in 0..6 {
                deliveries.push(jobs.next().await.unwrap().unwrap());
            }
            if silent {
                server.inject(Fault::stall_requests(Duration::MAX));
            } else {
                server.stop();
            }
            let acks = deliveries.into_iter().enumerate().map(|(nth, delivery)| {
                tokio::spawn(async move {
                    sleep(SECOND * u32::try_from(nth).unwrap()).await;
                    let start = Instant::now();
                    (delivery.ack().await, start.elapsed())
                })
            });
            for (nth, ack) in acks.collect::<Vec<_>>().into_iter().enumerate() {
                let (result, took) = ack.await.unwrap();
                assert!(result.is_err() && took <= lease + SECOND, "{nth}: {result:?}, {took:?}");
            }
            let start = Instant::now();
            let report = jobs.close().await;
            assert!(start.elapsed() <= lease, "{:?}", start.elapsed());
            assert_eq!((report.done, report.unacknowledged), (0, 6), "{report}");
        });
    }
}

#[test]
fn jobs_whose_acknowledgement_is_refused_occupy_the_places_of_the_worker() {
    on_each_version(|server| async move {
        let queue = queue(&server, "email").await;
        add(&queue, 2_000).await;
        for command in ["XACK", "XACKDEL"] {
            server.inject(Fault::error("ERR no upstream").on_command(command).times(u64::MAX));
        }
        let ran = Arc::new(AtomicUsize::new(0));
        let worker = queue.worker().concurrency(4);
        let report = worker.run(sleep(20 * SECOND), counting!(&ran, Ok::<_, Fail>(())));
        let report = report.await.unwrap();
        assert!(ran.load(Ordering::Relaxed) <= 8, "{ran:?} handlers ran: {report}");
    });
}
