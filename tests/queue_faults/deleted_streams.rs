//! Streams and groups that are deleted while jobs are added and done.

use crate::process::{RunLog, wait_for};
use crate::test_queue::{GROUP, Job, LEASE, Run, STREAM, TestQueue, job, on_each, until};
use bourn::queue::{Flat, Queue, QueueEvent};
use bourn::testing::Fault;
use futures_util::FutureExt;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The limit for recovery.
const RECOVERY: Duration = Duration::from_secs(3);

/// Adds a job, and waits until it is done.
async fn once(queue: &Queue<Job>, run_log: &RunLog, n: u64) {
    queue.producer().enqueue(&job(n)).await.expect("the server answers");
    until("it is done", || async { run_log.job(n, |log| log.done > 0) }).await;
}

/// Two workers under load whose stream is wiped by this command.
async fn wiped_by(test: &TestQueue, wipe: &str) {
    let queue = test.builder().lease(LEASE * 5).open(Flat).await.unwrap();
    let mut events = queue.events();
    let run_log = RunLog::default();
    let runs = [(); 2].map(|()| Run::new(queue.worker(), run_log.handler()));
    let mut n = 0;
    for _ in 0..3 {
        let before = test.errors();
        let jobs: Vec<Job> = (0..50).map(|more| job(n + more)).collect();
        n += 50;
        let adding = queue.producer();
        let added = tokio::spawn(async move { adding.enqueue_all(&jobs).await });
        test.command(wipe);
        assert!(added.await.unwrap().iter().all(Result::is_ok));
        let start = Instant::now();
        once(&queue, &run_log, n).await;
        assert!(start.elapsed() < RECOVERY, "{wipe:?}: {:?}", start.elapsed());
        wait_for(&mut events, "the creation", |e| matches!(e, QueueEvent::Created { .. })).await;
        while start.elapsed() < Duration::from_secs(1) {
            n += 1;
            once(&queue, &run_log, n).await;
            sleep(Duration::from_millis(10)).await;
        }
        n += 1;
        // In a second, by two consumers; the rest is for commands in flight at the wipe.
        let errors = test.errors() - before;
        assert!(errors <= 10, "{wipe:?}: {errors} errors in {:?}", start.elapsed());
    }
    until("every job is done", || async { test.left() == (0, 0) }).await;
    for run in runs {
        run.stop().await;
    }
}

#[test]
fn queue_recovers_from_flushall() {
    on_each(async |test| {
        wiped_by(&test, "FLUSHALL").await;
    });
}

#[test]
fn deleted_stream_is_recreated() {
    on_each(async |test| {
        wiped_by(&test, "DEL jobs").await;
    });
}

#[test]
fn destroyed_group_is_recreated() {
    on_each(async |test| {
        wiped_by(&test, "XGROUP DESTROY jobs workers").await;
    });
}

#[test]
fn in_flight_jobs_are_cancelled_when_their_stream_is_deleted() {
    on_each(async |test| {
        let queue = test.queue().await;
        let mut events = queue.events();
        test.enqueue(&queue, 4).await;
        let run = Run::new(queue.worker(), |_| std::future::pending());
        until("the jobs are in flight", || async { test.left() == (4, 4) }).await;
        let before = test.errors();
        test.command(&format!("DEL {STREAM}"));
        for _ in 0..4 {
            // A heartbeat sees that the entry is gone, or is refused until the lease is lost.
            let is_seen = |event: &QueueEvent| {
                matches!(event, QueueEvent::NoLongerPending { .. } | QueueEvent::LeaseLost { .. })
            };
            wait_for(&mut events, "a job that ends", is_seen).await;
        }
        let (report, _) = run.stop().await;
        assert_eq!(report.lease_lost + report.already_gone, 4, "{report}");
        // Refused heartbeats are retried every 24th of a lease, while the lease can still be kept.
        let errors = test.errors() - before;
        assert!(errors < 20, "{errors} errors");
    });
}

#[test]
fn in_flight_jobs_run_once_when_their_group_is_destroyed() {
    on_each(async |test| {
        let queue = test.queue().await;
        let mut events = queue.events();
        test.enqueue(&queue, 4).await;
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let (gone, run_log) = (gone.map(drop).shared(), RunLog::default());
        let run = Run::new(queue.worker(), {
            let run_log = run_log.clone();
            move |job| {
                let (gone, run_log) = (gone.clone(), run_log.clone());
                async move {
                    run_log.begin(&job);
                    gone.await;
                    run_log.done(&job);
                    Ok(())
                }
            }
        });
        until("the jobs are in flight", || async { test.left() == (4, 4) }).await;
        test.command(&format!("XGROUP DESTROY {STREAM} {GROUP}"));
        wait_for(&mut events, "the creation", |e| matches!(e, QueueEvent::Created { .. })).await;
        until("the jobs are in flight again", || async { test.left() == (4, 4) }).await;
        go.send(()).unwrap();
        until("every job is done", || async { test.left() == (0, 0) }).await;
        let (report, _) = run.stop().await;
        assert_eq!(report.done, 4, "{report}");
        assert!(run_log.jobs().values().all(|log| log.attempts == [1]));
    });
}

#[test]
fn idle_worker_notices_a_deleted_stream() {
    on_each(async |test| {
        for at_most_once in [false, true] {
            let mut queue = test.builder().lease(Duration::from_secs(30));
            if at_most_once {
                queue = queue.at_most_once();
            }
            let queue = queue.open(Flat).await.unwrap();
            let run_log = RunLog::default();
            let run = Run::new(queue.worker(), run_log.handler());
            until("the worker blocks", || async {
                test.command("CLIENT LIST").contains("cmd=xreadgroup")
            })
            .await;
            test.command(&format!("DEL {STREAM}"));
            let start = Instant::now();
            once(&queue, &run_log, 1).await;
            assert!(
                start.elapsed() < RECOVERY,
                "at most once {at_most_once}: {:?}",
                start.elapsed()
            );
            run.stop().await;
        }
    });
}

#[test]
fn group_creation_is_retried_slowly_until_it_succeeds() {
    on_each(async |test| {
        let queue = test.queue().await;
        let mut events = queue.events();
        let run_log = RunLog::default();
        let run = Run::new(queue.worker(), run_log.handler());
        once(&queue, &run_log, 1).await;
        let full = "OOM command not allowed when used memory > 'maxmemory'.";
        test.server.inject(Fault::error(full).times(u64::MAX));
        let before = test.errors();
        test.command(&format!("DEL {STREAM}"));
        let start = Instant::now();
        let mut interrupted = 0;
        while interrupted < 5 {
            wait_for(&mut events, "the interruption", |e| {
                matches!(e, QueueEvent::Interrupted { .. })
            })
            .await;
            interrupted += 1;
        }
        let (errors, seconds) = (test.errors() - before, start.elapsed().as_secs_f64());
        assert!(seconds > 0.5, "five times in {seconds} s");
        assert!(errors as f64 <= 5.0 + 5.0 * seconds, "{errors} errors in {seconds} s");
        test.server.clear_faults();
        let start = Instant::now();
        once(&queue, &run_log, 2).await;
        assert!(start.elapsed() < RECOVERY, "{:?}", start.elapsed());
        run.stop().await;
    });
}
