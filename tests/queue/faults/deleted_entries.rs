//! Entries that are deleted, trimmed or taken away while they are pending.

use super::{Process, RunLog, wait_for};
use crate::test_queue::{GROUP, LEASE, Run, STREAM, TestQueue, config, number, quick, until};
use bourn::queue::{Flat, QueueBuilder, QueueEvent, Report, Retention};
use futures_util::FutureExt;

use tokio::sync::mpsc;

/// Deletes three in four entries after their worker crashed; the others must be done.
async fn after_a_crash(retention: Retention) -> Report {
    let test = TestQueue::new().await;
    let crashed = Process::new(config(&test.server), move |queue| queue.retention(retention)).await;
    test.enqueue(&crashed.queue, 8).await;
    let work = crashed.work(crashed.queue.worker().concurrency(8), |_| std::future::pending());
    until("the jobs are in flight", || async { test.left() == (8, 8) }).await;
    crashed.die();
    drop(work);
    let ids = test.server.command(&["XRANGE", STREAM, "-", "+"]);
    let ids: Vec<&str> = ids.lines().filter(|line| line.contains('-')).collect();
    // Four are trimmed, one is deleted at the end and one in the middle.
    test.server.command(&["XTRIM", STREAM, "MAXLEN", "4"]);
    test.server.command(&["XDEL", STREAM, ids[7]]);
    test.server.command(&["XDEL", STREAM, ids[5]]);

    let process = Process::patient(&test, move |queue| queue.retention(retention));
    let process = process.await;
    let (ran, mut runs) = mpsc::unbounded_channel();
    let run = process.work(process.queue.worker(), move |_| {
        let _ = ran.send(());
        async { Ok(()) }
    });
    // Time leaps only after that: a lease would expire between a read and its reply.
    for _ in 0..2 {
        runs.recv().await.expect("the worker runs");
    }
    process.until_tidy("nothing is pending", || async { test.left().1 == 0 }).await;
    let (report, seen) = run.stop().await;
    assert_eq!(report.done, 2, "{report}");
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(4, vec![2]), (6, vec![2])]);
    process.die();
    report
}

#[tokio::test]
async fn entries_gone_after_a_worker_crash_are_counted_and_do_not_block() {
    assert_eq!(after_a_crash(Retention::LossyMaxLen(100)).await.lost, 6);
}

#[tokio::test]
async fn entries_deleted_after_a_worker_crash_do_not_block() {
    after_a_crash(Retention::DeleteOnAck).await;
}

#[tokio::test]
async fn running_job_whose_entry_is_deleted_ends() {
    let test = TestQueue::new().await;
    let queue = test.queue().await;
    test.enqueue(&queue, 4).await;
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = gone.map(drop).shared();
    let run = Run::new(queue.worker(), move |job| {
        let gone = gone.clone();
        async move {
            if number(&job) < 2 {
                job.lease().lost().await;
                // Before Redis 7.0 heartbeats do not notice the deletion.
            }
            gone.await;
            Ok(())
        }
    });
    until("the jobs are in flight", || async { test.left() == (4, 4) }).await;
    let ids = test.server.command(&["XRANGE", STREAM, "-", "+"]);
    let ids: Vec<&str> = ids.lines().filter(|line| line.contains('-')).collect();
    test.server.command(&["XDEL", STREAM, ids[0], ids[1]]);
    let sees = test.server.redis_at_least(7, 0);
    if sees {
        let mut events = queue.events();
        for _ in 0..2 {
            wait_for(&mut events, "the lost lease", |e| matches!(e, QueueEvent::LeaseLost { .. }))
                .await;
        }
        until("they are dropped", || async { test.left() == (2, 2) }).await;
    } else {
        test.server.command(&["XACK", STREAM, GROUP, ids[0], ids[1]]);
    }
    go.send(()).unwrap();
    until("nothing is left", || async { test.left() == (0, 0) }).await;
    let (report, _) = run.stop().await;
    assert_eq!((report.done, report.lease_lost), (2, 2), "{report}");
}

#[tokio::test]
async fn finished_job_whose_entry_was_deleted_leaves_nothing_pending() {
    let test = TestQueue::new().await;
    let queue = test.builder().lease(LEASE * 100).open(Flat).await.unwrap();
    test.enqueue(&queue, 2).await;
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = gone.map(drop).shared();
    let run = Run::new(queue.worker(), move |_| gone.clone().map(Ok));
    until("the jobs are in flight", || async { test.left() == (2, 2) }).await;
    test.server.command(&["XTRIM", STREAM, "MAXLEN", "0"]);
    go.send(()).unwrap();
    until("nothing is left", || async { test.left() == (0, 0) }).await;
    let (report, _) = run.stop().await;
    assert_eq!(report.done + report.already_gone, 2, "{report}");
}

/// Simulates a jump of the server's clock: entries look idle that are not.
#[tokio::test]
async fn job_claimed_too_early_is_done_at_most_twice() {
    let test = TestQueue::new().await;
    // Each jump may cost an attempt: a consumer's own jobs look idle to itself as well.
    let often = |queue: QueueBuilder| queue.retry(quick(1_000));
    let first = Process::new(config(&test.server), often).await;
    test.enqueue(&first.queue, 3).await;
    let run_log = RunLog::default();
    let (begun, mut begins) = mpsc::unbounded_channel();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = gone.map(drop).shared();
    let handler = |who: &'static str| {
        let (run_log, begun, gone) = (run_log.clone(), begun.clone(), gone.clone());
        move |job: super::HandlerJob| {
            let (run_log, begun, gone) = (run_log.clone(), begun.clone(), gone.clone());
            async move {
                run_log.begin(&job);
                begun.send(who).expect("the receiver is alive");
                gone.await;
                run_log.done(&job);
                Ok(())
            }
        }
    };
    let one = first.work(first.queue.worker(), handler("the first"));
    for _ in 0..3 {
        assert_eq!(begins.recv().await, Some("the first"));
    }
    let second = Process::new(config(&test.server), often).await;
    let two = second.work(second.queue.worker(), handler("the second"));
    until("both workers run one job", || {
        let pending = test.server.command(&["XPENDING", STREAM, GROUP, "-", "+", "9"]);
        for entry in pending.lines().collect::<Vec<_>>().chunks(4) {
            let jump = ["XCLAIM", STREAM, GROUP, entry[1], "0", entry[0], "IDLE", "600000"];
            test.server.command(&[&jump[..], &["JUSTID"]].concat());
        }
        let has_begun = begins.try_recv().is_ok();
        async move { has_begun }
    })
    .await;
    go.send(()).unwrap();
    until("every job is done", || async { test.left() == (0, 0) }).await;
    let ((one, _), (two, _)) = (one.stop().await, two.stop().await);
    // Before Redis 8.2, a batch of acknowledgements shares one reply.
    assert!(one.done + two.done <= 3 && one.dead + two.dead == 0, "{one}; {two}");
    for (n, log) in run_log.jobs() {
        assert!((1..=2).contains(&log.done), "job {n}: {log:?}");
        assert!(log.attempts.windows(2).all(|two| two[0] < two[1]), "job {n}: {log:?}");
    }
    first.die();
    second.die();
}
