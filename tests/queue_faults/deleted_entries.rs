//! Entries that are deleted, trimmed or taken away while they are pending.

use crate::process::{Process, RunLog, wait_for};
use crate::test_queue::{
    GROUP, HandlerJob, LEASE, Run, STREAM, TestQueue, number, on_each, quick, until,
};
use bourn::queue::{Flat, QueueBuilder, QueueEvent, Report, Retention};
use futures_util::FutureExt;
use tokio::sync::mpsc;

/// Deletes three in four entries after their worker crashed; the others must be done.
async fn after_a_crash(test: &TestQueue, retention: Retention) -> Report {
    let crashed = Process::new(test, |queue| queue.retention(retention)).await;
    test.enqueue(&crashed.queue, 8).await;
    let work = Run::new(crashed.queue.worker().concurrency(8), |_| std::future::pending());
    until("the jobs are in flight", || async { test.left() == (8, 8) }).await;
    crashed.crash([work]);
    let ids = test.ids();
    // Four are trimmed, one is deleted at the end and one in the middle.
    test.command(&format!("XTRIM {STREAM} MAXLEN 4"));
    test.command(&format!("XDEL {STREAM} {} {}", ids[7], ids[5]));

    let process = Process::new(test, |queue| queue.retention(retention)).await;
    let run = Run::new(process.queue.worker(), |_| async { Ok(()) });
    until("two are done", || async { run.jobs() == 2 }).await;
    until("nothing is pending", || async { test.left().1 == 0 }).await;
    let (report, seen) = run.stop().await;
    assert_eq!(report.done, 2, "{report}");
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(4, vec![2]), (6, vec![2])]);
    report
}

#[test]
fn entries_gone_after_a_worker_crash_are_counted_and_do_not_block() {
    on_each(async |test| {
        assert_eq!(after_a_crash(&test, Retention::LossyMaxLen(100)).await.lost, 6);
    });
}

#[test]
fn entries_deleted_after_a_worker_crash_do_not_block() {
    on_each(async |test| {
        after_a_crash(&test, Retention::DeleteOnAck).await;
    });
}

#[test]
fn running_job_whose_entry_is_deleted_ends() {
    on_each(async |test| {
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
        let two = test.ids()[..2].join(" ");
        test.command(&format!("XDEL {STREAM} {two}"));
        let sees = test.redis_at_least(7, 0);
        if sees {
            let mut events = queue.events();
            for _ in 0..2 {
                wait_for(&mut events, "the lost lease", |e| {
                    matches!(e, QueueEvent::NoLongerPending { .. })
                })
                .await;
            }
            until("they are dropped", || async { test.left() == (2, 2) }).await;
        } else {
            test.command(&format!("XACK {STREAM} {GROUP} {two}"));
        }
        go.send(()).unwrap();
        until("nothing is left", || async { test.left() == (0, 0) }).await;
        let (report, _) = run.stop().await;
        assert_eq!((report.done, report.already_gone, report.lease_lost), (2, 2, 0), "{report}");
    });
}

#[test]
fn finished_job_whose_entry_was_deleted_leaves_nothing_pending() {
    on_each(async |test| {
        let queue = test.builder().lease(LEASE * 100).open(Flat).await.unwrap();
        test.enqueue(&queue, 2).await;
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let gone = gone.map(drop).shared();
        let run = Run::new(queue.worker(), move |_| gone.clone().map(Ok));
        until("the jobs are in flight", || async { test.left() == (2, 2) }).await;
        test.command(&format!("XTRIM {STREAM} MAXLEN 0"));
        go.send(()).unwrap();
        until("nothing is left", || async { test.left() == (0, 0) }).await;
        let (report, _) = run.stop().await;
        assert_eq!(report.done + report.already_gone, 2, "{report}");
    });
}

/// Simulates a jump of the server's clock: entries look idle that are not.
#[test]
fn job_claimed_too_early_is_done_at_most_twice() {
    on_each(async |test| {
        // Each jump may cost an attempt: a consumer's own jobs look idle to itself as well.
        let often = |queue: QueueBuilder| queue.retry(quick(1_000));
        let first = Process::new(&test, often).await;
        test.enqueue(&first.queue, 3).await;
        let run_log = RunLog::default();
        let (begun, mut begins) = mpsc::unbounded_channel();
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let gone = gone.map(drop).shared();
        let handler = |who: &'static str| {
            let (run_log, begun, gone) = (run_log.clone(), begun.clone(), gone.clone());
            move |job: HandlerJob| {
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
        let one = Run::new(first.queue.worker(), handler("the first"));
        for _ in 0..3 {
            assert_eq!(begins.recv().await, Some("the first"));
        }
        let second = Process::new(&test, often).await;
        let two = Run::new(second.queue.worker(), handler("the second"));
        until("both workers run one job", || {
            let pending = test.command(&format!("XPENDING {STREAM} {GROUP} - + 9"));
            for entry in pending.lines().collect::<Vec<_>>().chunks(4) {
                let (id, owner) = (entry[0], entry[1]);
                test.command(&format!("XCLAIM {STREAM} {GROUP} {owner} 0 {id} IDLE 600000 JUSTID"));
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
    });
}
