//! Workers that crash with jobs in flight, and jobs that crash their workers.

use crate::process::{Process, RunLog, dead, wait_for};
use crate::test_queue::{LEASE, Run, TestQueue, number, on_each, quick, until};
use bourn::queue::{Fail, Flat, Queue, QueueEvent};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

#[test]
fn jobs_of_a_crashed_worker_run_elsewhere_after_the_lease() {
    on_each(async |test| {
        let process = Process::new(&test, |queue| queue).await;
        test.enqueue(&process.queue, 10).await;
        let worker = process.queue.worker().concurrency(4).prefetch(4);
        let run = Run::new(worker, |_| std::future::pending());
        until("eight jobs are in flight", || async { test.left() == (10, 8) }).await;
        process.crash([run]);
        let crashed_at = Instant::now();

        let (queue, run_log) = (test.queue().await, RunLog::default());
        let run = Run::new(queue.worker(), run_log.handler());
        until("the others are done", || async { test.left().0 == 8 }).await;
        until("every job is done", || async { test.left() == (0, 0) }).await;
        // The last heartbeat may be as recent as the crash, or a third of a lease older.
        assert!(crashed_at.elapsed() > LEASE / 2, "{:?}", crashed_at.elapsed());
        assert!(
            crashed_at.elapsed() < LEASE + Duration::from_secs(2),
            "{:?}",
            crashed_at.elapsed()
        );
        assert_eq!(run.stop().await.0.done, 10);
        for (n, log) in run_log.jobs() {
            assert_eq!(log.attempts, [if n < 8 { 2 } else { 1 }], "job {n}");
        }
        assert!(dead(&queue).await.is_empty());
    });
}

#[test]
fn job_that_crashes_every_worker_is_dead_lettered_after_max_attempts() {
    on_each(async |test| {
        let queue = test.queue().await;
        let mut events = queue.events();
        let (begun, mut begins) = mpsc::unbounded_channel();
        test.enqueue(&queue, 1).await;
        // The last one runs alone.
        for attempt in 1..=4 {
            let process = Process::new(&test, |queue| queue).await;
            let begun = begun.clone();
            let run = Run::new(process.queue.worker(), move |job| {
                begun.send((number(&job), job.attempt())).expect("the receiver is alive");
                std::future::pending()
            });
            assert_eq!(begins.recv().await, Some((0, attempt)));
            process.crash([run]);
        }
        let run = Run::new(queue.worker(), move |job| {
            begun.send((number(&job), job.attempt())).expect("the receiver is alive");
            async { Ok::<(), Fail>(()) }
        });
        until("the job is dead-lettered", || async { test.left() == (0, 0) }).await;
        let (report, seen) = run.stop().await;
        assert_eq!((report.dead, report.done, seen.len()), (1, 0, 0), "{report}");
        assert_eq!(begins.recv().await, None, "it was not run again");
        let dead = queue.dead_letters().list(None, 9).await.unwrap();
        assert_eq!(dead.len(), 1);
        assert_eq!(dead[0].reason, "delivered 4 times and never finished");
        assert_eq!(dead[0].attempts, 4, "one per delivery");
        wait_for(&mut events, "the dead letter", |event| {
            matches!(event, QueueEvent::DeadLettered { attempts: 4, .. })
        })
        .await;
    });
}

#[test]
fn jobs_next_to_a_crashing_job_are_done() {
    on_each(async |test| {
        let queue = test.builder().retry(quick(5)).open(Flat);
        let queue: Queue<_> = queue.await.unwrap();
        test.enqueue(&queue, 4).await;
        let run_log = RunLog::default();
        while test.left() != (0, 0) {
            let process = Process::new(&test, |queue| queue.retry(quick(5))).await;
            let (kill, mut killed) = mpsc::unbounded_channel();
            let run = Run::new(process.queue.worker().concurrency(2), {
                let run_log = run_log.clone();
                move |job| {
                    let (kill, run_log) = (kill.clone(), run_log.clone());
                    async move {
                        run_log.begin(&job);
                        if number(&job) == 1 {
                            let _ = kill.send(());
                            std::future::pending().await
                        }
                        run_log.done(&job);
                        Ok(())
                    }
                }
            });
            let empty =
                async { until("every job is settled", || async { test.left() == (0, 0) }).await };
            tokio::select! { _ = killed.recv() => {}, () = empty => {} }
            process.crash([run]);
        }
        assert_eq!(run_log.job(1, |log| log.attempts.clone()), [1, 2, 3, 4, 5, 6]);
        assert_eq!(dead(&queue).await, [1]);
        assert_eq!(run_log.all_done(), 3);
    });
}

/// The other jobs take longer than the crashing one lets them: they lose each attempt, until they
/// run alone.
#[test]
fn jobs_that_lose_all_attempts_beside_a_crashing_job_are_run_alone() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 4).await;
        let run_log = RunLog::default();
        let running = Arc::new(AtomicU64::new(0));
        for crashes in 1.. {
            let process = Process::new(&test, |queue| queue).await;
            let (kill, mut killed) = mpsc::unbounded_channel();
            running.store(0, Ordering::Relaxed);
            let run = Run::new(process.queue.worker().concurrency(4), {
                let (run_log, running) = (run_log.clone(), Arc::clone(&running));
                move |job| {
                    let (kill, run_log) = (kill.clone(), run_log.clone());
                    let running = Arc::clone(&running);
                    async move {
                        let others = running.fetch_add(1, Ordering::Relaxed);
                        assert!(job.attempt() < 4 || others == 0, "{others} run beside it");
                        run_log.begin(&job);
                        if number(&job) == 1 {
                            sleep(LEASE / 6).await;
                            let _ = kill.send(());
                        }
                        sleep(2 * LEASE).await;
                        running.fetch_sub(1, Ordering::Relaxed);
                        run_log.done(&job);
                        Ok(())
                    }
                }
            });
            let empty =
                async { until("every job is settled", || async { test.left() == (0, 0) }).await };
            let is_killed =
                tokio::select! { killed = killed.recv() => killed.is_some(), () = empty => false };
            process.crash([run]);
            if !is_killed {
                assert_eq!(crashes, 5, "three beside the others, and one alone");
                break;
            }
        }
        for n in 0..4 {
            assert_eq!(run_log.job(n, |log| log.attempts.clone()), [1, 2, 3, 4], "job {n}");
        }
        assert_eq!(dead(&queue).await, [1]);
        assert_eq!(run_log.all_done(), 3);
    });
}

/// Loses the job in three workers.
async fn lose_attempts(test: &TestQueue) {
    for _ in 0..3 {
        let process = Process::new(test, |queue| queue).await;
        let run = Run::new(process.queue.worker(), |_| std::future::pending());
        until("it runs", || async { run.jobs() == 1 }).await;
        process.crash([run]);
    }
}

/// A worker that is stopped gives the job back with its mark removed.
#[test]
fn job_that_is_released_while_it_runs_alone_is_run_alone_again() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 1).await;
        lose_attempts(&test).await;
        for _ in 0..3 {
            let worker = queue.worker().grace(Duration::from_secs(2));
            let run = Run::new(worker, |_| std::future::pending());
            until("it runs", || async { run.jobs() == 1 }).await;
            let (report, seen) = run.stop().await;
            assert_eq!((report.released, report.dead), (1, 0), "{report}");
            assert_eq!(seen.get(&0), Some(&vec![4]));
        }
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        until("it is done", || async { test.left() == (0, 0) }).await;
        let (report, seen) = run.stop().await;
        assert_eq!((report.done, report.dead), (1, 0), "{report}");
        assert_eq!(seen.get(&0), Some(&vec![4]));
    });
}

/// It is not the one that killed the worker: it had not begun.
#[test]
fn job_whose_worker_dies_while_it_waits_to_run_alone_is_run_alone_later() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 1).await;
        lose_attempts(&test).await;
        for _ in 0..3 {
            let process = Process::new(&test, |queue| queue).await;
            test.enqueue(&process.queue, 1).await;
            let run = Run::new(process.queue.worker().concurrency(2), |_| std::future::pending());
            until("another job runs, and it waits", || async {
                run.jobs() == 1 && test.left().1 == 2
            })
            .await;
            sleep(3 * LEASE).await;
            process.crash([run]);
            for id in test.ids().iter().skip(1) {
                test.command(&format!("XACK jobs workers {id}"));
                test.command(&format!("XDEL jobs {id}"));
            }
        }
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        until("it is done", || async { test.left() == (0, 0) }).await;
        let (report, seen) = run.stop().await;
        assert_eq!((report.done, report.dead), (1, 0), "{report}");
        assert_eq!(seen.get(&0), Some(&vec![4]));
    });
}

#[test]
fn job_with_one_attempt_has_no_further_one() {
    on_each(async |test| {
        let process = Process::new(&test, |queue| queue.retry(quick(1))).await;
        test.enqueue(&process.queue, 1).await;
        let run = Run::new(process.queue.worker(), |_| std::future::pending());
        until("it runs", || async { run.jobs() == 1 }).await;
        process.crash([run]);
        let queue: Queue<_> = test.builder().retry(quick(1)).open(Flat).await.unwrap();
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        until("it is dead-lettered", || async { test.left() == (0, 0) }).await;
        let (report, seen) = run.stop().await;
        assert_eq!((report.dead, report.done, seen.len()), (1, 0, 0), "{report}");
        assert_eq!(queue.dead_letters().list(None, 9).await.unwrap()[0].attempts, 1);
    });
}
