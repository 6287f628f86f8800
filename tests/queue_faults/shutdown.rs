//! Shutdown at any point.

use crate::process::RunLog;
use crate::support::in_paused_time;
use crate::test_queue::{LEASE, Run, STREAM, TestQueue, job, on_each, until};
use bourn::queue::{Flat, Nack, Queue};
use bourn::testing::{Fault, Server};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The time within which other workers get jobs that were not started.
const SOON: Duration = Duration::from_millis(1_500);

#[test]
fn worker_restarts_lose_no_job_and_repeat_none() {
    const JOBS: u64 = 1_500;
    on_each(async |test| {
        let queue = test.builder().lease(LEASE * 50).open(Flat).await.unwrap();
        test.enqueue(&queue, JOBS).await;
        let run_log = RunLog::default();
        let work = || {
            let run_log = run_log.clone();
            Run::new(queue.worker().concurrency(8).prefetch(100), move |job| {
                let run_log = run_log.clone();
                async move {
                    run_log.begin(&job);
                    sleep(Duration::from_millis(2)).await;
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
    });
}

/// Waits until a worker blocks in XREADGROUP.
async fn waits(test: &TestQueue) {
    until("the worker blocks", || async { test.command("CLIENT LIST").contains("cmd=xreadgroup") })
        .await;
}

#[test]
fn idle_worker_with_a_lost_connection_stops_at_once() {
    on_each(async |test| {
        let queue = test.builder().lease(Duration::from_secs(60)).open(Flat).await.unwrap();
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        waits(&test).await;
        test.command("CLIENT KILL TYPE normal");
        waits(&test).await;
        let start = Instant::now();
        run.stop().await;
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    });
}

#[test]
fn worker_of_an_unresponsive_server_stops_soon() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 2).await;
        let worker = queue.worker().concurrency(1).prefetch(1).grace(Duration::from_millis(100));
        let run = Run::new(worker, |_| std::future::pending());
        until("both jobs are in flight", || async { test.left() == (2, 2) }).await;
        test.server.inject(Fault::stall_requests(Duration::MAX));
        let start = Instant::now();
        let (report, _) = run.stop().await;
        let took = start.elapsed();
        test.server.clear_faults();
        assert!(took < Duration::from_secs(8), "{took:?}");
        assert_eq!(report.done, 0, "{report}");
        // No job is lost.
        let second = Run::new(queue.worker(), |_| async { Ok(()) });
        until("both are done", || async { test.left() == (0, 0) }).await;
        assert_eq!(second.stop().await.0.done, 2);
        assert_eq!(test.command(&format!("XLEN {STREAM}")), "0");
    });
}

/// A task that never yields would block the only thread.
#[test]
fn consumer_that_ends_while_a_retry_is_unanswered_does_not_block_its_runtime() {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        in_paused_time(async {
            // The retry is unanswered for longer than the consumer waits for it.
            let server = Server::new();
            let config = server.config().command_timeout(Duration::from_secs(20));
            let client = server.connect(config).await.unwrap();
            let queue: Queue<_> = Queue::builder(&client, STREAM).open(Flat).await.unwrap();
            queue.producer().enqueue(&job(1)).await.unwrap();
            let mut consumer = queue.consumer().start().await.unwrap();
            let delivery = consumer.next().await.unwrap().unwrap();
            server.inject(Fault::stall_requests(Duration::MAX));
            let nack = tokio::spawn(delivery.nack(Nack::now()));
            sleep(Duration::from_millis(50)).await;
            consumer.close().await;
            // The consumer's tasks end some seconds after the last reply that they waited for.
            sleep(Duration::from_secs(60)).await;
            nack.abort();
        });
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(120)).expect("the runtime is not blocked");
}
