//! Servers that lose acknowledged writes in a crash.

use crate::process::{RunLog, dead, wait_for};
use crate::test_queue::{Job, Run, job, number, on_each, until};
use bourn::queue::{Fail, Queue, QueueEvent};
use std::time::Duration;
use tokio::time::sleep;

/// Runs jobs and logs them; some fail the first time, one in fifty each time.
fn work(queue: &Queue<Job>, run_log: &RunLog) -> Run {
    let run_log = run_log.clone();
    Run::new(queue.worker().concurrency(16), move |job| {
        let run_log = run_log.clone();
        async move {
            run_log.begin(&job);
            sleep(Duration::from_millis(number(&job) % 7)).await;
            match number(&job) {
                n if n % 50 == 7 => return Err(Fail::retry("always fails")),
                n if n % 10 == 3 && job.attempt() == 1 => return Err(Fail::retry("not yet")),
                _ => run_log.done(&job),
            }
            Ok(())
        }
    })
}

#[test]
fn server_restored_from_an_old_copy_is_reported_and_used() {
    on_each(async |test| {
        let queue = test.queue().await;
        let run_log = RunLog::default();
        let run = work(&queue, &run_log);
        test.enqueue(&queue, 40).await;
        until("every job is settled", || async { test.left() == (0, 0) }).await;
        run.stop().await;
        for n in 40..60 {
            queue.producer().enqueue(&job(n)).await.unwrap();
        }
        // The server will be restored to this copy, which has twenty jobs that were never delivered.
        test.server.sync();
        let run = work(&queue, &run_log);
        for n in 60..100 {
            queue.producer().enqueue(&job(n)).await.unwrap();
        }
        until("every job is settled", || async { test.left() == (0, 0) }).await;
        assert_eq!(dead(&queue).await, [7, 57]);

        let mut events = queue.events();
        test.server.crash();
        wait_for(
            &mut events,
            "the rollback",
            |event| matches!(event, QueueEvent::RolledBack { seen, last } if seen > last),
        )
        .await;
        for n in 100..120 {
            queue.producer().enqueue(&job(n)).await.unwrap();
        }
        until("every job is settled", || async { test.left() == (0, 0) }).await;
        run.stop().await;
        assert_eq!(dead(&queue).await, [7, 57, 107], "the lost job was dead-lettered again");
        for n in (0..120).filter(|n| n % 50 != 7) {
            let done = run_log.job(n, |log| log.done);
            // Twice only if the server lost the acknowledgement.
            let most = if (40..60).contains(&n) { 2 } else { 1 };
            assert!((1..=most).contains(&done), "job {n} was done {done} times");
        }
    });
}
