//! Shutdown, at any point.

use super::{Diary, Process};
use crate::office::{LEASE, Office, Run, STREAM, until};
use bourn::queue::Flat;
use futures_util::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// By when others have been given what was not begun.
const SOON: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_come_and_go_lose_nothing_and_do_nothing_twice() {
    const JOBS: u64 = 1_500;
    let office = Office::new().await;
    let queue = office.builder().lease(LEASE * 50).open(Flat).await.unwrap();
    office.enqueue(&queue, JOBS).await;
    let diary = Diary::default();
    let work = || {
        let diary = diary.clone();
        Run::new(queue.worker().concurrency(8).prefetch(100), move |job| {
            let diary = diary.clone();
            async move {
                diary.begin(&job);
                tokio::time::sleep(Duration::from_millis(2)).await;
                diary.done(&job);
                Ok(())
            }
        })
    };
    let mut run = work();
    // Each goes at another point: after so many jobs.
    for more in [1, 0, 17, 60, 130, 8, 99, 250] {
        let enough = diary.all_done() + more;
        until("some are done", || async { diary.all_done() >= enough }).await;
        let next = work();
        let (report, _) = std::mem::replace(&mut run, next).stop().await;
        let at = (diary.all_done(), Instant::now());
        assert_eq!((report.lease_lost, report.dropped, report.retried), (0, 0, 0), "{report}");
        until("others have them", || async { diary.all_done() > at.0 }).await;
        assert!(at.1.elapsed() < SOON, "{:?}", at.1.elapsed());
    }
    until("all are done", || async { office.left() == (0, 0) }).await;
    run.stop().await;
    let pages = diary.pages();
    assert_eq!(pages.len() as u64, JOBS);
    for (n, page) in pages {
        // What is given back was never delivered, and no lease was over.
        assert_eq!((&*page.attempts, page.done), (&[1][..], 1), "job {n}");
    }
}

#[tokio::test]
async fn what_was_not_begun_can_be_taken_at_once() {
    let office = Office::new().await;
    let queue = office.builder().lease(LEASE * 50).open(Flat).await.unwrap();
    office.enqueue(&queue, 20).await;
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = gone.map(drop).shared();
    let worker = queue.worker().concurrency(1).prefetch(19);
    let begun = Arc::new(AtomicBool::new(false));
    let run = Run::new(worker, {
        let begun = Arc::clone(&begun);
        move |_| {
            begun.store(true, Ordering::Relaxed);
            gone.clone().map(Ok)
        }
    });
    let other = Process::new(crate::office::config(&office.server), |q| q.lease(LEASE * 50)).await;
    until("one has begun, and all are in its hands", || async {
        begun.load(Ordering::Relaxed) && office.left() == (20, 20)
    })
    .await;
    let diary = Diary::default();
    let second = other.work(other.queue.worker(), {
        let diary = diary.clone();
        move |job| {
            diary.begin(&job);
            diary.done(&job);
            async { Ok(()) }
        }
    });
    let start = Instant::now();
    let stopping = tokio::spawn(run.stop());
    until("the others are done", || async { diary.all_done() == 19 }).await;
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert!(diary.pages().values().all(|page| page.attempts == [1]));
    go.send(()).unwrap();
    assert_eq!(stopping.await.unwrap().0.done, 1);
    second.stop().await;
    assert_eq!(office.left(), (0, 0));
    other.die();
}

/// Waits until a worker waits for jobs.
async fn waits(office: &Office) {
    until("it waits", || async {
        office.server.command(&["CLIENT", "LIST"]).contains("cmd=xreadgroup")
    })
    .await;
}

#[tokio::test]
async fn an_idle_worker_whose_connection_was_just_lost_ends_at_once() {
    let office = Office::new().await;
    let queue = office.builder().lease(Duration::from_secs(60)).open(Flat).await.unwrap();
    let run = Run::new(queue.worker(), |_| async { Ok(()) });
    waits(&office).await;
    office.server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    waits(&office).await;
    let start = Instant::now();
    run.stop().await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_worker_whose_server_does_not_answer_ends_soon() {
    let office = Office::new().await;
    let queue = office.queue().await;
    office.enqueue(&queue, 2).await;
    let worker = queue.worker().concurrency(1).prefetch(1).grace(Duration::from_millis(100));
    let run = Run::new(worker, |_| std::future::pending());
    until("both are in its hands", || async { office.left() == (2, 2) }).await;
    office.server.pause();
    let start = Instant::now();
    let (report, _) = run.stop().await;
    let took = start.elapsed();
    office.server.resume();
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_eq!(report.done, 0, "{report}");
    // And nothing is lost.
    let second = Run::new(queue.worker(), |_| async { Ok(()) });
    until("both are done", || async { office.left() == (0, 0) }).await;
    assert_eq!(second.stop().await.0.done, 2);
    assert_eq!(office.server.command(&["XLEN", STREAM]), "0");
}
