//! Handlers that fail in every way, by lot: each job is done, or dead after its attempts, and never both.

use super::{Diary, dead};
use crate::office::{Office, Run, number, until};
use bourn::queue::Fail;
use std::time::Duration;

/// What becomes of an attempt: the same each time that it is asked.
fn lot(n: u64, attempt: u32) -> u64 {
    let mixed = (n * 31 + u64::from(attempt)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 33) % 6
}

#[tokio::test]
async fn each_job_is_done_or_dead_and_never_both() {
    const JOBS: u64 = 300;
    let office = Office::new().await;
    let queue = office.queue().await;
    office.enqueue(&queue, JOBS).await;
    let diary = Diary::default();
    let worker = queue.worker().concurrency(32).job_timeout(Duration::from_millis(40));
    let run = Run::new(worker, {
        let diary = diary.clone();
        move |job| {
            let diary = diary.clone();
            async move {
                diary.begin(&job);
                match lot(number(&job), job.attempt()) {
                    0 => panic!("by lot"),
                    1 => return Err(Fail::retry("by lot")),
                    2 => std::future::pending().await,
                    3 => return Err(Fail::dead("by lot")),
                    _ => diary.done(&job),
                }
                Ok(())
            }
        }
    });
    until("all are decided", || async { office.left() == (0, 0) }).await;
    let (report, _) = run.stop().await;
    let dead = dead(&queue).await;
    assert_eq!(report.done + report.dead, JOBS, "{report}");
    assert!(report.panicked > 0 && report.timed_out > 0 && report.retried > 0, "{report}");
    for (n, page) in diary.pages() {
        let ends = |attempt: &u32| lot(n, *attempt) >= 3;
        let last = (1..=3).find(ends).unwrap_or(3);
        assert_eq!(page.attempts, (1..=last).collect::<Vec<_>>(), "job {n}");
        assert_eq!(page.done, usize::from(lot(n, last) > 3), "job {n}");
        assert_eq!(dead.contains(&n), page.done == 0, "job {n}");
    }
}
