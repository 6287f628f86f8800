//! Entries that are deleted, trimmed or taken away while they are pending.

use super::{Diary, Process, told};
use crate::office::{GROUP, LEASE, Office, Run, STREAM, config, number, quick, until};
use bourn::queue::{Flat, QueueBuilder, QueueEvent, Report, Retention};
use futures_util::FutureExt;

use tokio::sync::mpsc;

/// What becomes of entries that vanish after their worker died: these commands take them away, but for one in four.
async fn left_by_the_dead(retention: Retention) -> Report {
    let office = Office::new().await;
    let died = Process::new(config(&office.server), move |queue| queue.retention(retention)).await;
    office.enqueue(&died.queue, 8).await;
    let work = died.work(died.queue.worker().concurrency(8), |_| std::future::pending());
    until("they are in hand", || async { office.left() == (8, 8) }).await;
    died.die();
    drop(work);
    let ids = office.server.command(&["XRANGE", STREAM, "-", "+"]);
    let ids: Vec<&str> = ids.lines().filter(|line| line.contains('-')).collect();
    // Four are trimmed, one is deleted, and one in their midst.
    office.server.command(&["XTRIM", STREAM, "MAXLEN", "4"]);
    office.server.command(&["XDEL", STREAM, ids[7]]);
    office.server.command(&["XDEL", STREAM, ids[5]]);

    let process = Process::patient(&office, move |queue| queue.retention(retention));
    let process = process.await;
    let run = process.work(process.queue.worker(), |_| async { Ok(()) });
    process.until_tidy("nothing is pending", || async { office.left().1 == 0 }).await;
    let (report, seen) = run.stop().await;
    assert_eq!(report.done, 2, "{report}");
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(4, vec![2]), (6, vec![2])]);
    process.die();
    report
}

#[tokio::test]
async fn what_vanished_after_its_worker_died_is_counted_and_holds_nothing_up() {
    assert_eq!(left_by_the_dead(Retention::LossyMaxLen(100)).await.lost, 6);
}

#[tokio::test]
async fn what_others_deleted_after_its_worker_died_holds_nothing_up() {
    left_by_the_dead(Retention::DeleteOnAck).await;
}

#[tokio::test]
async fn what_is_deleted_while_it_runs_comes_to_its_end() {
    let office = Office::new().await;
    let queue = office.queue().await;
    office.enqueue(&queue, 4).await;
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = gone.map(drop).shared();
    let run = Run::new(queue.worker(), move |job| {
        let gone = gone.clone();
        async move {
            if number(&job) < 2 {
                job.lease().lost().await;
                // Before Redis 7.0 heartbeats do not see that it is deleted.
            }
            gone.await;
            Ok(())
        }
    });
    until("they are in hand", || async { office.left() == (4, 4) }).await;
    let ids = office.server.command(&["XRANGE", STREAM, "-", "+"]);
    let ids: Vec<&str> = ids.lines().filter(|line| line.contains('-')).collect();
    office.server.command(&["XDEL", STREAM, ids[0], ids[1]]);
    let sees = office.server.redis_at_least(7, 0);
    if sees {
        let mut events = queue.events();
        for _ in 0..2 {
            told(&mut events, "the end", |e| matches!(e, QueueEvent::LeaseLost { .. })).await;
        }
        until("they are let go", || async { office.left() == (2, 2) }).await;
    } else {
        office.server.command(&["XACK", STREAM, GROUP, ids[0], ids[1]]);
    }
    go.send(()).unwrap();
    until("nothing is left", || async { office.left() == (0, 0) }).await;
    let (report, _) = run.stop().await;
    assert_eq!((report.done, report.lease_lost), (2, 2), "{report}");
}

#[tokio::test]
async fn what_is_deleted_while_it_runs_and_done_all_the_same_is_let_go() {
    let office = Office::new().await;
    let queue = office.builder().lease(LEASE * 100).open(Flat).await.unwrap();
    office.enqueue(&queue, 2).await;
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = gone.map(drop).shared();
    let run = Run::new(queue.worker(), move |_| gone.clone().map(Ok));
    until("they are in hand", || async { office.left() == (2, 2) }).await;
    office.server.command(&["XTRIM", STREAM, "MAXLEN", "0"]);
    go.send(()).unwrap();
    until("nothing is left", || async { office.left() == (0, 0) }).await;
    let (report, _) = run.stop().await;
    assert_eq!(report.done + report.already_gone, 2, "{report}");
}

/// As when the server's clock jumps: entries look idle that are not.
#[tokio::test]
async fn what_is_claimed_too_early_is_done_twice_at_most() {
    let office = Office::new().await;
    // Each jump may cost an attempt: a consumer's own jobs look idle to itself as well.
    let often = |queue: QueueBuilder| queue.retry(quick(1_000));
    let first = Process::new(config(&office.server), often).await;
    office.enqueue(&first.queue, 3).await;
    let diary = Diary::default();
    let (begun, mut begins) = mpsc::unbounded_channel();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = gone.map(drop).shared();
    let handler = |who: &'static str| {
        let (diary, begun, gone) = (diary.clone(), begun.clone(), gone.clone());
        move |job: super::Given| {
            let (diary, begun, gone) = (diary.clone(), begun.clone(), gone.clone());
            async move {
                diary.begin(&job);
                begun.send(who).expect("it is listened to");
                gone.await;
                diary.done(&job);
                Ok(())
            }
        }
    };
    let one = first.work(first.queue.worker(), handler("the first"));
    for _ in 0..3 {
        assert_eq!(begins.recv().await, Some("the first"));
    }
    let second = Process::new(config(&office.server), often).await;
    let two = second.work(second.queue.worker(), handler("the second"));
    until("both are at one of them", || {
        let pending = office.server.command(&["XPENDING", STREAM, GROUP, "-", "+", "9"]);
        for entry in pending.lines().collect::<Vec<_>>().chunks(4) {
            let jump = ["XCLAIM", STREAM, GROUP, entry[1], "0", entry[0], "IDLE", "600000"];
            office.server.command(&[&jump[..], &["JUSTID"]].concat());
        }
        let has_begun = begins.try_recv().is_ok();
        async move { has_begun }
    })
    .await;
    go.send(()).unwrap();
    until("all are done", || async { office.left() == (0, 0) }).await;
    let ((one, _), (two, _)) = (one.stop().await, two.stop().await);
    // Before Redis 8.2 those who acknowledge together are told together.
    assert!(one.done + two.done <= 3 && one.dead + two.dead == 0, "{one}; {two}");
    for (n, page) in diary.pages() {
        assert!((1..=2).contains(&page.done), "job {n}: {page:?}");
        assert!(page.attempts.windows(2).all(|two| two[0] < two[1]), "job {n}: {page:?}");
    }
    first.die();
    second.die();
}
