//! Handlers that block every thread of their runtime for longer than a lease.

use crate::process::{HandlerJob, Process, RunLog};
use crate::test_queue::{LEASE, Run, TestQueue, limited, number, until};
use bourn::queue::Fail;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

#[test]
fn handlers_that_block_every_thread_keep_their_leases() {
    limited(async || {
        let test = TestQueue::new().await;
        let queue = test.queue().await;
        test.enqueue(&queue, 2).await;
        let run_log = RunLog::default();
        let begun = run_log.clone();
        let run = Run::new(queue.worker(), move |job| {
            let log = begun.clone();
            async move {
                log.begin(&job);
                thread::sleep(LEASE * 2);
                log.done(&job);
                Ok(())
            }
        });
        // The runtime's timers stand still as well.
        while run_log.jobs().len() < 2 {
            thread::sleep(Duration::from_millis(5));
        }
        // Another process takes each job whose lease expires.
        let other = Process::of(&test).await;
        let log = run_log.clone();
        let taken = other.work(other.queue.worker(), move |job| {
            log.begin(&job);
            async { Ok(()) }
        });
        until("both jobs are done", || async { test.left() == (0, 0) }).await;
        let (report, _) = run.stop().await;
        assert_eq!((report.done, report.already_gone, report.lease_lost), (2, 0, 0), "{report}");
        assert_eq!(taken.stop().await.1.len(), 0, "no job was run twice");
        assert!(run_log.jobs().values().all(|log| log.attempts == [1] && log.done == 1));
        other.die();
    });
}

#[test]
fn run_ends_within_the_grace_while_handlers_block_every_thread() {
    limited(async || {
        let test = TestQueue::new().await;
        let queue = test.queue().await;
        test.enqueue(&queue, 2).await;
        let (stop, stopped) = oneshot::channel::<()>();
        let run_log = RunLog::default();
        let (log, begun) = (run_log.clone(), run_log.clone());
        let may_end = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&may_end);
        let handler = move |job: HandlerJob| {
            let (log, ends) = (log.clone(), Arc::clone(&ends));
            async move {
                log.begin(&job);
                while !ends.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(5));
                }
                log.done(&job);
                Ok::<(), Fail>(())
            }
        };
        let worker = queue.worker().grace(Duration::from_millis(500)).run(stopped, handler);
        let stopping = thread::spawn(move || {
            while begun.jobs().len() < 2 {
                thread::sleep(Duration::from_millis(5));
            }
            stop.send(()).expect("it runs");
            Instant::now()
        });
        let report = worker.await.expect("it stops");
        let took = stopping.join().expect("no panic").elapsed();
        assert_eq!((report.done, report.released, run_log.all_done()), (0, 0, 0), "{report}");
        assert!(took < LEASE * 2, "{took:?}");
        // The jobs keep their leases, and are acknowledged when they are done.
        thread::sleep(LEASE * 2);
        may_end.store(true, Ordering::SeqCst);
        until("both jobs are done", || async { test.left() == (0, 0) }).await;
        assert!(run_log.jobs().values().all(|log| log.attempts == [1] && log.done == 1));
    });
}

#[test]
fn blocking_handlers_run_at_the_same_time_and_do_not_delay_shutdown() {
    limited(async || {
        let test = TestQueue::new().await;
        let queue = test.queue().await;
        test.enqueue(&queue, 3).await;
        let ((stop, stopped), run_log) = (oneshot::channel::<()>(), RunLog::default());
        let log = run_log.clone();
        let worker = queue.worker().grace(Duration::from_millis(500));
        let worker = tokio::spawn(worker.run_blocking(stopped, move |job: HandlerJob| {
            log.begin(&job);
            if number(&job) == 0 && job.attempt() == 1 {
                panic!("on a thread of the pool");
            }
            thread::sleep(LEASE * 4);
            log.done(&job);
            Ok::<(), Fail>(())
        }));
        let attempts = |n| run_log.job(n, |log| log.attempts.clone());
        until("all run", || async { attempts(0) == [1, 2] && run_log.jobs().len() == 3 }).await;
        stop.send(()).expect("it runs");
        let shutdown = Instant::now();
        let report = worker.await.expect("no panic").expect("it stops");
        assert!(shutdown.elapsed() < LEASE * 2, "{:?}", shutdown.elapsed());
        let counts = (report.done, report.retried, report.panicked, report.released);
        assert_eq!(counts, (0, 1, 1, 0), "{report}");
        // The jobs keep their leases, and are acknowledged when they are done.
        until("the others are done", || async { test.left() == (0, 0) }).await;
        assert_eq!((run_log.all_done(), attempts(1), attempts(2)), (3, vec![1], vec![1]));
    });
}
