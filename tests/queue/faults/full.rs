//! A server without memory, and dead letters that have no place to go.

use super::{Diary, dead, told};
use crate::office::{Office, Run, number, quick, until};
use bourn::Code;
use bourn::queue::{Fail, Flat, Queue, QueueError, QueueEvent, SettingsError};

const DLQ: &str = "{jobs}:dlq";

#[tokio::test]
async fn without_memory_jobs_are_drained_and_dead_letters_wait() {
    const JOBS: u64 = 60;
    let office = Office::new().await;
    let queue = office.queue().await;
    office.enqueue(&queue, JOBS).await;
    let mut events = queue.events();
    office.server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = queue.producer().enqueue(&crate::office::job(99)).await.unwrap_err();
    assert_eq!(refused.code(), Some(&Code::Oom), "{refused:?}");
    assert!(!refused.may_have_run());

    let diary = Diary::default();
    let run = Run::new(queue.worker(), {
        let diary = diary.clone();
        move |job| {
            let diary = diary.clone();
            async move {
                diary.begin(&job);
                match number(&job) {
                    n if n % 20 == 0 => return Err(Fail::dead("it is wrong")),
                    n if n % 20 == 1 => return Err(Fail::retry("it never does")),
                    _ => diary.done(&job),
                }
                Ok(())
            }
        }
    });
    told(&mut events, "that they cannot be moved", |event| {
        matches!(event, QueueEvent::DeadLetterBlocked { error, .. }
            if matches!(error.code(), Some(Code::Oom | Code::ExecAbort)))
    })
    .await;
    // For longer than a lease: then they are given back, and come again.
    until("all but the dead are done", || async { office.left().0 == 6 }).await;
    until("they wait", || async {
        let pending = office.server.command(&["XPENDING", "jobs", "workers", "-", "+", "9"]);
        pending.contains("~retry")
    })
    .await;
    assert_eq!(office.server.command(&["XLEN", DLQ]), "0");

    office.server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    until("the dead have arrived", || async { office.left() == (0, 0) }).await;
    let (report, _) = run.stop().await;
    assert_eq!(dead(&queue).await, [0, 1, 20, 21, 40, 41]);
    assert_eq!((report.done, report.dead), (54, 6), "{report}");
    assert!(diary.pages().values().all(|page| page.done <= 1));
}

#[tokio::test]
async fn dead_letters_that_are_no_stream_are_refused_when_a_queue_is_opened() {
    let office = Office::new().await;
    office.server.command(&["SET", DLQ, "x"]);
    let refused = office.builder().open::<crate::office::Job, _>(Flat).await.unwrap_err();
    let expected = SettingsError::DeadLettersNotAStream(DLQ.into());
    assert!(matches!(&refused, QueueError::Settings(error) if *error == expected), "{refused:?}");
    // Elsewhere they have room.
    let _: Queue<crate::office::Job> =
        office.builder().dead_letter("{jobs}:others").open(Flat).await.unwrap();
}

#[tokio::test]
async fn a_job_that_cannot_die_is_put_back_until_it_can() {
    let office = Office::new().await;
    let queue = office.builder().retry(quick(2)).open(Flat).await.unwrap();
    let mut events = queue.events();
    office.server.command(&["SET", DLQ, "x"]);
    office.enqueue(&queue, 5).await;
    let run = Run::new(queue.worker(), |job| async move {
        if number(&job) == 3 { Err(Fail::retry("it never does")) } else { Ok(()) }
    });
    told(&mut events, "that it cannot be moved", |event| {
        matches!(event, QueueEvent::DeadLetterBlocked { error, .. }
            if error.code() == Some(&Code::WrongType))
    })
    .await;
    until("the others are done", || async { office.left().0 == 1 }).await;
    // It dies again and again, and is still there.
    for _ in 0..2 {
        told(&mut events, "that it cannot be moved", |event| {
            matches!(event, QueueEvent::DeadLetterBlocked { .. })
        })
        .await;
    }
    assert_eq!(office.left().0, 1);
    office.server.command(&["DEL", DLQ]);
    until("it is dead", || async { office.left() == (0, 0) }).await;
    run.stop().await;
    assert_eq!(dead(&queue).await, [3]);
}
