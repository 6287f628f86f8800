//! Shutdown at any point.

use super::{Process, RunLog};
use crate::support::Server;
use crate::test_queue::{LEASE, Run, STREAM, TestQueue, job, until};
use bourn::queue::{Flat, Nack, Queue};
use bourn::{Client, Config};
use futures_util::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The time within which other workers get jobs that were not started.
const SOON: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_restarts_lose_no_job_and_repeat_none() {
    const JOBS: u64 = 1_500;
    let test = TestQueue::new().await;
    let queue = test.builder().lease(LEASE * 50).open(Flat).await.unwrap();
    test.enqueue(&queue, JOBS).await;
    let run_log = RunLog::default();
    let work = || {
        let run_log = run_log.clone();
        Run::new(queue.worker().concurrency(8).prefetch(100), move |job| {
            let run_log = run_log.clone();
            async move {
                run_log.begin(&job);
                tokio::time::sleep(Duration::from_millis(2)).await;
                run_log.done(&job);
                Ok(())
            }
        })
    };
    let mut run = work();
    // Each worker stops at another point: after this many more jobs.
    for more in [1, 0, 17, 60, 130, 8, 99, 250] {
        let enough = run_log.all_done() + more;
        until("some jobs are done", || async { run_log.all_done() >= enough }).await;
        let next = work();
        let (report, _) = std::mem::replace(&mut run, next).stop().await;
        let at = (run_log.all_done(), Instant::now());
        assert_eq!((report.lease_lost, report.dropped, report.retried), (0, 0, 0), "{report}");
        until("other workers run more jobs", || async { run_log.all_done() > at.0 }).await;
        assert!(at.1.elapsed() < SOON, "{:?}", at.1.elapsed());
    }
    until("every job is done", || async { test.left() == (0, 0) }).await;
    run.stop().await;
    let logs = run_log.jobs();
    assert_eq!(logs.len() as u64, JOBS);
    for (n, log) in logs {
        // A released job counts as never delivered, and no lease expired.
        assert_eq!((&*log.attempts, log.done), (&[1][..], 1), "job {n}");
    }
}

#[tokio::test]
async fn unstarted_jobs_are_available_at_once_after_shutdown() {
    let test = TestQueue::new().await;
    let queue = test.builder().lease(LEASE * 50).open(Flat).await.unwrap();
    test.enqueue(&queue, 20).await;
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = gone.map(drop).shared();
    let worker = queue.worker().concurrency(1).prefetch(19);
    let begun = Arc::new(AtomicBool::new(false));
    let run = Run::new(worker, {
        let begun = Arc::clone(&begun);
        move |_| {
            begun.store(true, Ordering::Relaxed);
            gone.clone().map(Ok)
        }
    });
    let other =
        Process::new(crate::test_queue::config(&test.server), |q| q.lease(LEASE * 50)).await;
    until("one job runs, and all are in flight", || async {
        begun.load(Ordering::Relaxed) && test.left() == (20, 20)
    })
    .await;
    let run_log = RunLog::default();
    let second = other.work(other.queue.worker(), {
        let run_log = run_log.clone();
        move |job| {
            run_log.begin(&job);
            run_log.done(&job);
            async { Ok(()) }
        }
    });
    let start = Instant::now();
    let stopping = tokio::spawn(run.stop());
    until("the others are done", || async { run_log.all_done() == 19 }).await;
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert!(run_log.jobs().values().all(|log| log.attempts == [1]));
    go.send(()).unwrap();
    assert_eq!(stopping.await.unwrap().0.done, 1);
    second.stop().await;
    assert_eq!(test.left(), (0, 0));
    other.die();
}

/// Waits until a worker blocks in XREADGROUP.
async fn waits(test: &TestQueue) {
    until("the worker blocks", || async {
        test.server.command(&["CLIENT", "LIST"]).contains("cmd=xreadgroup")
    })
    .await;
}

#[tokio::test]
async fn idle_worker_with_a_lost_connection_stops_at_once() {
    let test = TestQueue::new().await;
    let queue = test.builder().lease(Duration::from_secs(60)).open(Flat).await.unwrap();
    let run = Run::new(queue.worker(), |_| async { Ok(()) });
    waits(&test).await;
    test.server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    waits(&test).await;
    let start = Instant::now();
    run.stop().await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn worker_of_an_unresponsive_server_stops_soon() {
    let test = TestQueue::new().await;
    let queue = test.queue().await;
    test.enqueue(&queue, 2).await;
    let worker = queue.worker().concurrency(1).prefetch(1).grace(Duration::from_millis(100));
    let run = Run::new(worker, |_| std::future::pending());
    until("both jobs are in flight", || async { test.left() == (2, 2) }).await;
    test.server.pause();
    let start = Instant::now();
    let (report, _) = run.stop().await;
    let took = start.elapsed();
    test.server.resume();
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_eq!(report.done, 0, "{report}");
    // No job is lost.
    let second = Run::new(queue.worker(), |_| async { Ok(()) });
    until("both are done", || async { test.left() == (0, 0) }).await;
    assert_eq!(second.stop().await.0.done, 2);
    assert_eq!(test.server.command(&["XLEN", STREAM]), "0");
}

#[test]
fn consumer_that_ends_while_a_retry_is_unanswered_does_not_block_its_runtime() {
    let server = Server::start();
    let url = server.url();
    let (halt, halted) = mpsc::channel();
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            // The retry is unanswered for longer than the consumer waits for it.
            let config: Config = url.parse().unwrap();
            let config = config.command_timeout(Duration::from_secs(20));
            let client = Client::connect(config).await.unwrap();
            let queue: Queue<_> = Queue::builder(&client, STREAM).open(Flat).await.unwrap();
            queue.producer().enqueue(&job(1)).await.unwrap();
            let mut consumer = queue.consumer().start().await.unwrap();
            let delivery = consumer.next().await.unwrap().unwrap();
            halt.send(()).unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
            let nack = tokio::spawn(delivery.nack(Nack::now()));
            tokio::time::sleep(Duration::from_millis(50)).await;
            consumer.close().await;
            // The consumer's tasks end some seconds after the last reply that they waited for.
            tokio::time::sleep(Duration::from_secs(2)).await;
            nack.abort();
            done.send(()).unwrap();
        });
    });
    halted.recv().unwrap();
    server.pause();
    let ended = ended.recv_timeout(Duration::from_secs(40));
    server.resume();
    ended.expect("the runtime is not blocked");
}
