//! A server without memory, and dead letters that cannot be added.

use crate::process::{RunLog, dead, wait_for};
use crate::test_queue::{Job, Run, job, number, on_each, quick, until};
use bourn::Code;
use bourn::queue::{Fail, Flat, Queue, QueueError, QueueEvent, SettingsError};
use bourn::testing::Fault;

const DLQ: &str = "{jobs}:dlq";

#[test]
fn full_server_drains_jobs_and_delays_dead_letters() {
    const JOBS: u64 = 60;
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, JOBS).await;
        let mut events = queue.events();
        let full = "OOM command not allowed when used memory > 'maxmemory'.";
        test.server.inject(Fault::error(full).times(u64::MAX));
        let refused = queue.producer().enqueue(&job(99)).await.unwrap_err();
        assert_eq!(refused.code(), Some(&Code::Oom), "{refused:?}");
        assert!(!refused.may_have_run());

        let run_log = RunLog::default();
        let run = Run::new(queue.worker(), {
            let run_log = run_log.clone();
            move |job| {
                let run_log = run_log.clone();
                async move {
                    run_log.begin(&job);
                    match number(&job) {
                        n if n % 20 == 0 => return Err(Fail::dead("invalid")),
                        n if n % 20 == 1 => return Err(Fail::retry("always fails")),
                        _ => run_log.done(&job),
                    }
                    Ok(())
                }
            }
        });
        wait_for(&mut events, "the blocked move", |event| {
            matches!(event, QueueEvent::DeadLetterBlocked { error, .. }
                if matches!(error.code(), Some(Code::Oom | Code::ExecAbort)))
        })
        .await;
        // This takes longer than a lease: the jobs are released and delivered again.
        until("all other jobs are done", || async { test.left().0 == 6 }).await;
        assert_eq!(test.left(), (6, 6));
        assert_eq!(test.command(&format!("XLEN {DLQ}")), "0");

        test.server.clear_faults();
        until("the dead letters are added", || async { test.left() == (0, 0) }).await;
        let (report, _) = run.stop().await;
        assert_eq!(dead(&queue).await, [0, 1, 20, 21, 40, 41]);
        assert_eq!((report.done, report.dead), (54, 6), "{report}");
        assert!(run_log.jobs().values().all(|log| log.done <= 1));
    });
}

#[test]
fn open_rejects_a_dead_letter_key_that_is_not_a_stream() {
    on_each(async |test| {
        test.command(&format!("SET {DLQ} x"));
        let refused = test.builder().open::<Job, _>(Flat).await.unwrap_err();
        let expected = SettingsError::DeadLettersNotAStream(DLQ.into());
        assert!(
            matches!(&refused, QueueError::Settings(error) if *error == expected),
            "{refused:?}"
        );
        // Another key works.
        let _: Queue<Job> = test.builder().dead_letter("{jobs}:others").open(Flat).await.unwrap();
    });
}

#[test]
fn job_that_cannot_be_dead_lettered_is_retried_until_it_can() {
    on_each(async |test| {
        let queue = test.builder().retry(quick(2)).open(Flat).await.unwrap();
        let mut events = queue.events();
        test.command(&format!("SET {DLQ} x"));
        test.enqueue(&queue, 5).await;
        let run = Run::new(queue.worker(), |job| async move {
            if number(&job) == 3 { Err(Fail::retry("always fails")) } else { Ok(()) }
        });
        wait_for(&mut events, "the blocked move", |event| {
            matches!(event, QueueEvent::DeadLetterBlocked { error, .. }
                if error.code() == Some(&Code::WrongType))
        })
        .await;
        until("the others are done", || async { test.left().0 == 1 }).await;
        // The move fails repeatedly, and the job is still there.
        for _ in 0..2 {
            wait_for(&mut events, "the blocked move", |event| {
                matches!(event, QueueEvent::DeadLetterBlocked { .. })
            })
            .await;
        }
        assert_eq!(test.left().0, 1);
        test.command(&format!("DEL {DLQ}"));
        until("it is dead-lettered", || async { test.left() == (0, 0) }).await;
        run.stop().await;
        assert_eq!(dead(&queue).await, [3]);
    });
}
