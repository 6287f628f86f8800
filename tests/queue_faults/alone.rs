//! Jobs that lost their workers in all attempts: they are run once more, alone.

use crate::process::{Process, RunLog, dead};
use crate::test_queue::{LEASE, Run, TestQueue, number, on_each, quick, until};
use bourn::queue::{Flat, Queue};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

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
