//! Workers that die with jobs in hand, and jobs that kill their workers.

use super::{Diary, Process, SLACK, dead};
use crate::office::{LEASE, Office, Run, number, until};
use bourn::queue::{Fail, QueueEvent};
use std::time::Instant;
use tokio::sync::mpsc;

#[tokio::test]
async fn what_a_dead_worker_had_in_hand_is_done_by_another_after_the_lease() {
    let office = Office::new().await;
    let process = Process::of(&office).await;
    office.enqueue(&process.queue, 10).await;
    let worker = process.queue.worker().concurrency(4).prefetch(4);
    let _died = process.work(worker, |_| std::future::pending());
    until("eight are in its hands", || async { office.left() == (10, 8) }).await;
    process.die();
    let died = Instant::now();

    let (queue, diary) = (office.queue().await, Diary::default());
    let run = Run::new(queue.worker(), {
        let diary = diary.clone();
        move |job| {
            diary.begin(&job);
            diary.done(&job);
            async { Ok(()) }
        }
    });
    until("the others are done", || async { office.left().0 == 8 }).await;
    until("all are done", || async { office.left() == (0, 0) }).await;
    // A heartbeat may have come just before the end, and not for a third of a lease.
    assert!(died.elapsed() > LEASE / 2, "{:?}", died.elapsed());
    assert!(died.elapsed() < LEASE + SLACK, "{:?}", died.elapsed());
    assert_eq!(run.stop().await.0.done, 10);
    for (n, page) in diary.pages() {
        assert_eq!(page.attempts, [if n < 8 { 2 } else { 1 }], "job {n}");
    }
    assert!(dead(&queue).await.is_empty());
}

#[tokio::test]
async fn poison_that_kills_every_worker_is_dead_without_being_run_again() {
    let office = Office::new().await;
    let queue = office.queue().await;
    let mut events = queue.events();
    let (begun, mut begins) = mpsc::unbounded_channel();
    office.enqueue(&queue, 1).await;
    for attempt in 1..=3 {
        let process = Process::of(&office).await;
        let begun = begun.clone();
        let _dies = process.work(process.queue.worker(), move |job| {
            begun.send((number(&job), job.attempt())).expect("it is listened to");
            std::future::pending()
        });
        assert_eq!(begins.recv().await, Some((0, attempt)));
        process.die();
    }
    let run = Run::new(queue.worker(), move |job| {
        begun.send((number(&job), job.attempt())).expect("it is listened to");
        async { Ok::<(), Fail>(()) }
    });
    until("it is dead", || async { office.left() == (0, 0) }).await;
    let (report, seen) = run.stop().await;
    assert_eq!((report.dead, report.done, seen.len()), (1, 0, 0), "{report}");
    assert_eq!(begins.recv().await, None, "it was not run again");
    let dead = queue.dead_letters().list(None, 9).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].reason, "delivered 3 times and never finished");
    assert_eq!(dead[0].attempts, 3, "how often it was tried");
    super::told(&mut events, "its death", |event| {
        matches!(event, QueueEvent::DeadLettered { attempts: 3, .. })
    })
    .await;
}

#[tokio::test]
async fn a_job_beside_a_poisonous_one_is_done() {
    let office = Office::new().await;
    let queue = office.builder().retry(crate::office::quick(5)).open(bourn::queue::Flat);
    let queue: bourn::queue::Queue<_> = queue.await.unwrap();
    office.enqueue(&queue, 4).await;
    let diary = Diary::default();
    while office.left() != (0, 0) {
        let process = Process::new(crate::office::config(&office.server), |queue| {
            queue.retry(crate::office::quick(5))
        })
        .await;
        let (kill, mut killed) = mpsc::unbounded_channel();
        let _dies = process.work(process.queue.worker().concurrency(2), {
            let diary = diary.clone();
            move |job| {
                let (kill, diary) = (kill.clone(), diary.clone());
                async move {
                    diary.begin(&job);
                    if number(&job) == 1 {
                        let _ = kill.send(());
                        std::future::pending().await
                    }
                    diary.done(&job);
                    Ok(())
                }
            }
        });
        let empty = async { until("all are decided", || async { office.left() == (0, 0) }).await };
        tokio::select! { _ = killed.recv() => {}, () = empty => {} }
        process.die();
    }
    assert_eq!(diary.attempts(1), [1, 2, 3, 4, 5]);
    assert_eq!(dead(&queue).await, [1]);
    assert_eq!(diary.all_done(), 3);
}
