//! Jobs that lost their workers in all attempts: they are run once more, alone.

use crate::process::{Process, RunLog, dead};
use crate::test_queue::{Job, LEASE, Run, TestQueue, job, number, on_each, quick, until};
use bourn::queue::{Consumer, Delivery, Flat, Queue};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

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

/// The worker is alive, so the job has not ended it.
#[test]
fn job_whose_acknowledgement_the_server_lost_after_it_ran_alone_is_run_alone_again() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 1).await;
        lose_attempts(&test).await;
        let server = test.server.clone();
        let run = Run::new(queue.worker(), move |_| {
            server.sync();
            async { Ok(()) }
        });
        until("it is done", || async { test.left() == (0, 0) }).await;
        test.server.crash();
        assert_eq!(test.left(), (1, 1), "the server has lost the acknowledgement");
        until("it is done", || async { test.left() == (0, 0) }).await;
        let (report, seen) = run.stop().await;
        assert_eq!((report.done, report.dead), (2, 0), "{report}");
        assert_eq!(seen.get(&0), Some(&vec![4, 4]));
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

/// It may end the process: no other job loses an attempt then.
#[test]
fn worker_holds_no_other_job_while_one_runs_alone() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 1).await;
        lose_attempts(&test).await;
        enqueue_more(&queue, 1..=200).await;
        let (begun, mut begins) = mpsc::unbounded_channel();
        let (process, run_log) = (Process::new(&test, |queue| queue).await, RunLog::default());
        let run = Run::new(process.queue.worker().concurrency(2).prefetch(4), {
            let run_log = run_log.clone();
            move |job| {
                let (run_log, begun) = (run_log.clone(), begun.clone());
                async move {
                    run_log.begin(&job);
                    if number(&job) == 0 {
                        begun.send(()).expect("the receiver is alive");
                        std::future::pending::<()>().await;
                    }
                    sleep(LEASE / 8).await;
                    Ok(())
                }
            }
        });
        begins.recv().await.expect("it runs");
        let before = run_log.jobs().len();
        assert!((2..190).contains(&before), "{before} jobs have begun");
        sleep(3 * LEASE).await;
        assert_eq!(run_log.jobs().len(), before, "no other begins");
        process.crash([run]);
        let run = Run::new(queue.worker(), run_log.handler());
        until("every job is settled", || async { test.left() == (0, 0) }).await;
        assert_eq!(run.stop().await.0.dead, 1);
        assert_eq!(dead(&queue).await, [0]);
        for (n, log) in run_log.jobs() {
            assert_eq!(log.attempts, [if n == 0 { 4 } else { 1 }], "job {n}");
        }
    });
}

/// Returns the number and the attempt of the next job, and how to settle it; `None` if none comes.
async fn next(consumer: &mut Consumer<Job>, within: Duration) -> Option<(u64, u32, Delivery<Job>)> {
    let delivery = timeout(within, consumer.next()).await.ok()?;
    let delivery = delivery.expect("the consumer is open").expect("a job");
    Some((number(delivery.payload()), delivery.attempt(), delivery))
}

#[test]
fn consumer_returns_a_job_alone_whose_workers_died() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 1).await;
        lose_attempts(&test).await;
        enqueue_more(&queue, 1..=300).await;
        let mut consumer = queue.consumer().prefetch(4).start().await.unwrap();
        let held = consumer.next().await.unwrap().unwrap();
        let mut others = 1;
        while let Some((n, attempt, delivery)) = next(&mut consumer, LEASE / 8).await {
            assert_eq!((n != 0, attempt), (true, 1), "job {n} while another is not settled");
            delivery.ack().await.unwrap();
            others += 1;
            sleep(LEASE / 50).await;
        }
        assert!(others < 290, "{others} others were returned before");
        held.ack().await.unwrap();
        let (n, attempt, alone) = next(&mut consumer, LEASE / 8).await.expect("its turn");
        assert_eq!((n, attempt), (0, 4));
        assert!(next(&mut consumer, LEASE / 2).await.is_none(), "it has no other beside it");
        let name = consumer.name();
        let name = std::str::from_utf8(&name).expect("a name");
        let owned = test.server.command(&format!("XPENDING jobs workers - + 100 {name}"));
        assert_eq!(owned.as_list().map(|all| all.len()), Some(1), "the others are given back");
        alone.ack().await.unwrap();
        while others < 300 {
            let (n, attempt, delivery) = next(&mut consumer, 3 * LEASE).await.expect("a job");
            assert_eq!(attempt, 1, "job {n}");
            delivery.ack().await.unwrap();
            others += 1;
        }
        assert_eq!(test.left(), (0, 0));
    });
}

/// A caller may settle its jobs only when it has enough of them.
#[test]
fn consumer_waits_a_lease_at_most_for_jobs_beside_one_that_runs_alone() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 1).await;
        lose_attempts(&test).await;
        enqueue_more(&queue, 1..=60).await;
        let mut consumer = queue.consumer().prefetch(1).start().await.unwrap();
        let (mut held, mut waits) = (Vec::new(), Vec::new());
        while held.len() < 61 {
            let asked = Instant::now();
            let next = next(&mut consumer, 2 * LEASE).await;
            let (n, attempt, delivery) = next.unwrap_or_else(|| panic!("one after {waits:?}"));
            assert_eq!(attempt, if n == 0 { 4 } else { 1 }, "job {n}");
            held.push(delivery);
            if asked.elapsed() > LEASE / 2 {
                waits.push((n, asked.elapsed()));
            }
            // The lease of the first job ends meanwhile.
            sleep(LEASE / 10).await;
        }
        let [(0, turn), (1.., end)] = waits[..] else { panic!("{waits:?}") };
        assert!(turn > LEASE / 2 && turn < LEASE * 3 / 2 && end < LEASE * 3 / 2, "{waits:?}");
        for delivery in held {
            delivery.ack().await.unwrap();
        }
        assert_eq!(test.left(), (0, 0));
    });
}

async fn enqueue_more(queue: &Queue<Job>, numbers: RangeInclusive<u64>) {
    let jobs: Vec<_> = numbers.map(job).collect();
    for result in queue.producer().enqueue_all(&jobs).await {
        result.expect("an id");
    }
}
