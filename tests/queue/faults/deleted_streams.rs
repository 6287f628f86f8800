//! Streams and groups that are deleted while jobs are added and done.

use super::{HandlerJob, RunLog, wait_for};
use crate::support::Server;
use crate::test_queue::{GROUP, Job, LEASE, Run, STREAM, TestQueue, job, until};
use bourn::queue::{Fail, Flat, Queue, QueueEvent};
use futures_util::FutureExt;
use std::future::Ready;
use std::time::{Duration, Instant};

/// The limit for recovery.
const RECOVERY: Duration = Duration::from_secs(3);

/// Returns how many errors the server has answered with.
fn errors(server: &Server) -> u64 {
    let stats = server.command(&["INFO", "errorstats"]);
    let count = |line: &str| line.split_once("count=")?.1.trim().parse::<u64>().ok();
    stats.lines().filter_map(count).sum()
}

/// A handler that succeeds and logs each job.
fn note(run_log: &RunLog) -> impl Fn(HandlerJob) -> Ready<Result<(), Fail>> + use<> {
    let run_log = run_log.clone();
    move |job| {
        run_log.begin(&job);
        run_log.done(&job);
        std::future::ready(Ok(()))
    }
}

/// Adds a job, and waits until it is done.
async fn once(queue: &Queue<Job>, run_log: &RunLog, n: u64) {
    queue.producer().enqueue(&job(n)).await.expect("the server answers");
    until("it is done", || async { run_log.job(n, |log| log.done > 0) }).await;
}

/// Two workers under load whose stream is wiped by this command.
async fn wiped_by(wipe: &[&str]) {
    let test = TestQueue::new().await;
    let queue = test.builder().lease(LEASE * 5).open(Flat).await.unwrap();
    let mut events = queue.events();
    let run_log = RunLog::default();
    let runs = [(); 2].map(|()| Run::new(queue.worker(), note(&run_log)));
    let mut n = 0;
    for _ in 0..3 {
        let before = errors(&test.server);
        let jobs: Vec<Job> = (0..50).map(|more| job(n + more)).collect();
        n += 50;
        let adding = queue.producer();
        let added = tokio::spawn(async move { adding.enqueue_all(&jobs).await });
        test.server.command(wipe);
        assert!(added.await.unwrap().iter().all(Result::is_ok));
        let start = Instant::now();
        once(&queue, &run_log, n).await;
        assert!(start.elapsed() < RECOVERY, "{wipe:?}: {:?}", start.elapsed());
        wait_for(&mut events, "the creation", |e| matches!(e, QueueEvent::Created { .. })).await;
        while start.elapsed() < Duration::from_secs(1) {
            n += 1;
            once(&queue, &run_log, n).await;
        }
        n += 1;
        // In a second, by two consumers; the rest is for commands in flight at the wipe.
        let errors = errors(&test.server) - before;
        assert!(errors <= 10, "{wipe:?}: {errors} errors in {:?}", start.elapsed());
    }
    until("every job is done", || async { test.left() == (0, 0) }).await;
    for run in runs {
        run.stop().await;
    }
}

#[tokio::test]
async fn queue_recovers_from_flushall() {
    wiped_by(&["FLUSHALL"]).await;
}

#[tokio::test]
async fn deleted_stream_is_recreated() {
    wiped_by(&["DEL", STREAM]).await;
}

#[tokio::test]
async fn destroyed_group_is_recreated() {
    wiped_by(&["XGROUP", "DESTROY", STREAM, GROUP]).await;
}

#[tokio::test]
async fn in_flight_jobs_are_cancelled_when_their_stream_is_deleted() {
    let test = TestQueue::new().await;
    let queue = test.queue().await;
    let mut events = queue.events();
    test.enqueue(&queue, 4).await;
    let run = Run::new(queue.worker(), |_| std::future::pending());
    until("the jobs are in flight", || async { test.left() == (4, 4) }).await;
    let before = errors(&test.server);
    test.server.command(&["DEL", STREAM]);
    for _ in 0..4 {
        wait_for(&mut events, "a lost lease", |e| matches!(e, QueueEvent::LeaseLost { .. })).await;
    }
    let (report, _) = run.stop().await;
    assert_eq!(report.lease_lost, 4, "{report}");
    // Refused heartbeats are retried every 24th of a lease, while the lease can still be kept.
    let errors = errors(&test.server) - before;
    assert!(errors < 20, "{errors} errors");
}

#[tokio::test]
async fn in_flight_jobs_run_once_when_their_group_is_destroyed() {
    let test = TestQueue::new().await;
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
    test.server.command(&["XGROUP", "DESTROY", STREAM, GROUP]);
    wait_for(&mut events, "the creation", |e| matches!(e, QueueEvent::Created { .. })).await;
    until("the jobs are in flight again", || async { test.left() == (4, 4) }).await;
    go.send(()).unwrap();
    until("every job is done", || async { test.left() == (0, 0) }).await;
    let (report, _) = run.stop().await;
    assert_eq!(report.done, 4, "{report}");
    assert!(run_log.jobs().values().all(|log| log.attempts == [1]));
}

#[tokio::test]
async fn idle_worker_notices_a_deleted_stream() {
    let test = TestQueue::new().await;
    for at_most_once in [false, true] {
        let mut queue = test.builder().lease(Duration::from_secs(30));
        if at_most_once {
            queue = queue.at_most_once();
        }
        let queue = queue.open(Flat).await.unwrap();
        let run_log = RunLog::default();
        let run = Run::new(queue.worker(), note(&run_log));
        until("the worker blocks", || async {
            test.server.command(&["CLIENT", "LIST"]).contains("cmd=xreadgroup")
        })
        .await;
        test.server.command(&["DEL", STREAM]);
        let start = Instant::now();
        once(&queue, &run_log, 1).await;
        assert!(start.elapsed() < RECOVERY, "at most once {at_most_once}: {:?}", start.elapsed());
        run.stop().await;
    }
}

#[tokio::test]
async fn group_creation_is_retried_slowly_until_it_succeeds() {
    let test = TestQueue::new().await;
    let queue = test.queue().await;
    let mut events = queue.events();
    let run_log = RunLog::default();
    let run = Run::new(queue.worker(), note(&run_log));
    once(&queue, &run_log, 1).await;
    test.server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let before = errors(&test.server);
    test.server.command(&["DEL", STREAM]);
    let start = Instant::now();
    let mut interrupted = 0;
    while interrupted < 5 {
        wait_for(&mut events, "the interruption", |e| matches!(e, QueueEvent::Interrupted { .. }))
            .await;
        interrupted += 1;
    }
    let (errors, seconds) = (errors(&test.server) - before, start.elapsed().as_secs_f64());
    assert!(seconds > 0.5, "five times in {seconds} s");
    assert!(errors as f64 <= 5.0 + 5.0 * seconds, "{errors} errors in {seconds} s");
    test.server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    let start = Instant::now();
    once(&queue, &run_log, 2).await;
    assert!(start.elapsed() < RECOVERY, "{:?}", start.elapsed());
    run.stop().await;
}
