//! Workers that crash with jobs in flight.

use crate::process::{Process, RunLog, dead};
use crate::test_queue::{LEASE, Run, TestQueue, limited, until};
use std::time::Instant;

#[test]
fn jobs_of_a_crashed_worker_run_elsewhere_after_the_lease() {
    limited(async || {
        let test = TestQueue::new().await;
        let process = Process::of(&test).await;
        test.enqueue(&process.queue, 10).await;
        let worker = process.queue.worker().concurrency(4).prefetch(4);
        let _run = process.work(worker, |_| std::future::pending());
        until("eight jobs are in flight", || async { test.left() == (10, 8) }).await;
        process.die();
        let crashed_at = Instant::now();

        let (queue, run_log) = (test.queue().await, RunLog::default());
        let run = Run::new(queue.worker(), {
            let run_log = run_log.clone();
            move |job| {
                run_log.begin(&job);
                run_log.done(&job);
                async { Ok(()) }
            }
        });
        until("the others are done", || async { test.left().0 == 8 }).await;
        until("every job is done", || async { test.left() == (0, 0) }).await;
        // The last heartbeat may be as recent as the crash, or a third of a lease older.
        assert!(crashed_at.elapsed() > LEASE / 2, "{:?}", crashed_at.elapsed());
        assert!(crashed_at.elapsed() < LEASE * 10, "{:?}", crashed_at.elapsed());
        assert_eq!(run.stop().await.0.done, 10);
        for (n, log) in run_log.jobs() {
            assert_eq!(log.attempts, [if n < 8 { 2 } else { 1 }], "job {n}");
        }
        assert!(dead(&queue).await.is_empty());
    });
}
