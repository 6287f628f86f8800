//! A worker in several threads: each outcome of a job, and a job that outlasts its lease.

use crate::test_queue::{LEASE, Run, TestQueue, limited, number, until};
use bourn::queue::{Fail, Redrive};

#[test]
fn jobs_are_done_retried_dead_lettered_and_redriven() {
    const JOBS: u64 = 2_000;
    limited(async || {
        let test = TestQueue::new().await;
        let queue = test.queue().await;
        test.enqueue(&queue, JOBS).await;
        let run = Run::new(queue.worker().concurrency(64), |job| async move {
            match (number(&job) % 100, job.attempt()) {
                (0, _) => Err(Fail::retry("always fails")),
                (1, 1) => Err(Fail::retry("not yet")),
                _ => Ok(()),
            }
        });
        until("every job is settled", || async { test.left() == (0, 0) }).await;
        let (report, seen) = run.stop().await;
        let counts = (report.done, report.retried, report.dead, report.lease_lost);
        assert_eq!(counts, (1_980, 60, 20, 0), "{report}");
        assert_eq!(seen.len() as u64, JOBS);
        for (n, attempts) in seen {
            let most = [3, 2, 1][usize::try_from((n % 100).min(2)).unwrap()];
            assert_eq!(attempts, (1..=most).collect::<Vec<_>>(), "job {n}");
        }
        assert_eq!(queue.dead_letters().redrive(Redrive::all()).await.unwrap(), 20);
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        until("every job is done", || async { test.left() == (0, 0) }).await;
        assert_eq!(run.stop().await.0.done, 20);
    });
}

#[test]
fn job_longer_than_the_lease_runs_once() {
    limited(async || {
        let test = TestQueue::new().await;
        let queue = test.queue().await;
        test.enqueue(&queue, 3).await;
        let slow = |_| async {
            tokio::time::sleep(LEASE * 3).await;
            Ok(())
        };
        let (one, two) = (Run::new(queue.worker(), slow), Run::new(queue.worker(), slow));
        until("every job is done", || async { test.left() == (0, 0) }).await;
        let (first, second) = (one.stop().await, two.stop().await);
        assert_eq!(first.0.done + second.0.done, 3);
        assert_eq!(first.0.lease_lost + second.0.lease_lost, 0);
        let attempts = first.1.values().chain(second.1.values());
        assert!(attempts.clone().count() == 3 && attempts.clone().all(|own| *own == [1]));
    });
}
