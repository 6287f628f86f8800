//! Workers that crash with jobs in flight, and jobs that crash their workers.

use crate::process::{Process, RunLog, dead, wait_for};
use crate::test_queue::{LEASE, Run, number, on_each, quick, until};
use bourn::queue::{Fail, Flat, Queue, QueueEvent};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

#[test]
fn jobs_of_a_crashed_worker_run_elsewhere_after_the_lease() {
    on_each(async |test| {
        let process = Process::new(&test, |queue| queue).await;
        test.enqueue(&process.queue, 10).await;
        let worker = process.queue.worker().concurrency(4).prefetch(4);
        let run = Run::new(worker, |_| std::future::pending());
        until("eight jobs are in flight", || async { test.left() == (10, 8) }).await;
        process.crash([run]);
        let crashed_at = Instant::now();

        let (queue, run_log) = (test.queue().await, RunLog::default());
        let run = Run::new(queue.worker(), run_log.handler());
        until("the others are done", || async { test.left().0 == 8 }).await;
        until("every job is done", || async { test.left() == (0, 0) }).await;
        // The last heartbeat may be as recent as the crash, or a third of a lease older.
        assert!(crashed_at.elapsed() > LEASE / 2, "{:?}", crashed_at.elapsed());
        assert!(
            crashed_at.elapsed() < LEASE + Duration::from_secs(2),
            "{:?}",
            crashed_at.elapsed()
        );
        assert_eq!(run.stop().await.0.done, 10);
        for (n, log) in run_log.jobs() {
            assert_eq!(log.attempts, [if n < 8 { 2 } else { 1 }], "job {n}");
        }
        assert!(dead(&queue).await.is_empty());
    });
}

#[test]
fn job_that_crashes_every_worker_is_dead_lettered_after_max_attempts() {
    on_each(async |test| {
        let queue = test.queue().await;
        let mut events = queue.events();
        let (begun, mut begins) = mpsc::unbounded_channel();
        test.enqueue(&queue, 1).await;
        // The last one runs alone.
        for attempt in 1..=4 {
            let process = Process::new(&test, |queue| queue).await;
            let begun = begun.clone();
            let run = Run::new(process.queue.worker(), move |job| {
                begun.send((number(&job), job.attempt())).expect("the receiver is alive");
                std::future::pending()
            });
            assert_eq!(begins.recv().await, Some((0, attempt)));
            process.crash([run]);
        }
        let run = Run::new(queue.worker(), move |job| {
            begun.send((number(&job), job.attempt())).expect("the receiver is alive");
            async { Ok::<(), Fail>(()) }
        });
        until("the job is dead-lettered", || async { test.left() == (0, 0) }).await;
        let (report, seen) = run.stop().await;
        assert_eq!((report.dead, report.done, seen.len()), (1, 0, 0), "{report}");
        assert_eq!(begins.recv().await, None, "it was not run again");
        let dead = queue.dead_letters().list(None, 9).await.unwrap();
        assert_eq!(dead.len(), 1);
        assert_eq!(dead[0].reason, "delivered 4 times and never finished");
        assert_eq!(dead[0].attempts, 4, "one per delivery");
        wait_for(&mut events, "the dead letter", |event| {
            matches!(event, QueueEvent::DeadLettered { attempts: 4, .. })
        })
        .await;
    });
}

#[test]
fn jobs_next_to_a_crashing_job_are_done() {
    on_each(async |test| {
        let queue = test.builder().retry(quick(5)).open(Flat);
        let queue: Queue<_> = queue.await.unwrap();
        test.enqueue(&queue, 4).await;
        let run_log = RunLog::default();
        while test.left() != (0, 0) {
            let process = Process::new(&test, |queue| queue.retry(quick(5))).await;
            let (kill, mut killed) = mpsc::unbounded_channel();
            let run = Run::new(process.queue.worker().concurrency(2), {
                let run_log = run_log.clone();
                move |job| {
                    let (kill, run_log) = (kill.clone(), run_log.clone());
                    async move {
                        run_log.begin(&job);
                        if number(&job) == 1 {
                            let _ = kill.send(());
                            std::future::pending().await
                        }
                        run_log.done(&job);
                        Ok(())
                    }
                }
            });
            let empty =
                async { until("every job is settled", || async { test.left() == (0, 0) }).await };
            tokio::select! { _ = killed.recv() => {}, () = empty => {} }
            process.crash([run]);
        }
        assert_eq!(run_log.job(1, |log| log.attempts.clone()), [1, 2, 3, 4, 5, 6]);
        assert_eq!(dead(&queue).await, [1]);
        assert_eq!(run_log.all_done(), 3);
    });
}
