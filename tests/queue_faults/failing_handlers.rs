//! Handlers that fail in every way: each job is done, or dead-lettered after its attempts.

use crate::process::{RunLog, dead};
use crate::test_queue::{Run, number, on_each, until};
use bourn::queue::Fail;
use std::time::Duration;

/// Selects the result of an attempt: deterministic, so it can be recomputed.
fn draw(n: u64, attempt: u32) -> u64 {
    let mixed = (n * 31 + u64::from(attempt)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 33) % 6
}

#[test]
fn each_job_is_done_or_dead_lettered_never_both() {
    const JOBS: u64 = 300;
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, JOBS).await;
        let run_log = RunLog::default();
        let worker = queue.worker().concurrency(32).job_timeout(Duration::from_millis(40));
        let run = Run::new(worker, {
            let run_log = run_log.clone();
            move |job| {
                let run_log = run_log.clone();
                async move {
                    run_log.begin(&job);
                    match draw(number(&job), job.attempt()) {
                        0 => panic!("by draw"),
                        1 => return Err(Fail::retry("by draw")),
                        2 => std::future::pending().await,
                        3 => return Err(Fail::dead("by draw")),
                        _ => run_log.done(&job),
                    }
                    Ok(())
                }
            }
        });
        until("every job is settled", || async { test.left() == (0, 0) }).await;
        let (report, _) = run.stop().await;
        let dead = dead(&queue).await;
        assert_eq!(report.done + report.dead, JOBS, "{report}");
        assert!(report.panicked > 0 && report.timed_out > 0 && report.retried > 0, "{report}");
        for (n, log) in run_log.jobs() {
            let ends = |attempt: &u32| draw(n, *attempt) >= 3;
            let last = (1..=3).find(ends).unwrap_or(3);
            assert_eq!(log.attempts, (1..=last).collect::<Vec<_>>(), "job {n}");
            assert_eq!(log.done, usize::from(draw(n, last) > 3), "job {n}");
            assert_eq!(dead.contains(&n), log.done == 0, "job {n}");
        }
    });
}
