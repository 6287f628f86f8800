//! Servers that lose acknowledged writes in a crash, or fail over to a replica.

use crate::process::{RunLog, dead, wait_for};
use crate::test_queue::{Job, Run, job, number, on_each, quick, until};
use bourn::EntryId;
use bourn::queue::{Fail, Flat, Queue, QueueEvent};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Runs jobs and logs them; some fail the first time, one in fifty each time.
fn work(queue: &Queue<Job>, run_log: &RunLog) -> Run {
    let run_log = run_log.clone();
    Run::new(queue.worker().concurrency(16), move |job| {
        let run_log = run_log.clone();
        async move {
            run_log.begin(&job);
            sleep(Duration::from_millis(number(&job) % 7)).await;
            match number(&job) {
                n if n % 50 == 7 => return Err(Fail::retry("always fails")),
                n if n % 10 == 3 && job.attempt() == 1 => return Err(Fail::retry("not yet")),
                _ => run_log.done(&job),
            }
            Ok(())
        }
    })
}

#[test]
fn server_restored_from_an_old_copy_is_reported_and_used() {
    on_each(async |test| {
        let queue = test.queue().await;
        let run_log = RunLog::default();
        let run = work(&queue, &run_log);
        test.enqueue(&queue, 40).await;
        until("every job is settled", || async { test.left() == (0, 0) }).await;
        run.stop().await;
        for n in 40..60 {
            queue.producer().enqueue(&job(n)).await.unwrap();
        }
        // The server will be restored to this copy, which has twenty jobs that were never delivered.
        test.server.sync();
        let run = work(&queue, &run_log);
        for n in 60..100 {
            queue.producer().enqueue(&job(n)).await.unwrap();
        }
        until("every job is settled", || async { test.left() == (0, 0) }).await;
        assert_eq!(dead(&queue).await, [7, 57]);

        let mut events = queue.events();
        test.server.crash();
        wait_for(
            &mut events,
            "the rollback",
            |event| matches!(event, QueueEvent::RolledBack { seen, last } if seen > last),
        )
        .await;
        for n in 100..120 {
            queue.producer().enqueue(&job(n)).await.unwrap();
        }
        until("every job is settled", || async { test.left() == (0, 0) }).await;
        run.stop().await;
        assert_eq!(dead(&queue).await, [7, 57, 107], "the lost job was dead-lettered again");
        for n in (0..120).filter(|n| n % 50 != 7) {
            let done = run_log.job(n, |log| log.done);
            // Twice only if the server lost the acknowledgement.
            let most = if (40..60).contains(&n) { 2 } else { 1 };
            assert!((1..=most).contains(&done), "job {n} was done {done} times");
        }
    });
}

/// The connections stay with the old master, which refuses all writes, also those of batches.
#[test]
fn planned_failover_loses_nothing() {
    const JOBS: u64 = 600;
    on_each(async |test| {
        let queue = test.builder().retry(quick(5)).open(Flat).await.unwrap();
        let run_log = RunLog::default();
        test.enqueue(&queue, JOBS).await;
        // A younger connection is not taken for that of an old master.
        sleep(Duration::from_secs(10)).await;
        let lost = lost_leases(&queue);
        let run = work(&queue, &run_log);
        until("some are done", || async { run_log.all_done() >= 100 }).await;
        // As an operator does it: the replica has every write.
        test.server.replicate();
        test.server.fail_over();
        until("every job is settled", || async { test.left() == (0, 0) }).await;
        run.stop().await;
        let dead_letters = queue.dead_letters().list(None, 10_000).await.unwrap();
        let dead = dead(&queue).await;
        for n in 0..JOBS {
            let log = run_log.job(n, |log| log.clone());
            assert_eq!(dead.contains(&n), n % 50 == 7, "job {n}: {log:?}");
            assert_eq!(log.done > 0, n % 50 != 7, "job {n}: {log:?}");
            assert!(log.attempts.iter().all(|attempt| *attempt <= 6), "job {n}: {log:?}");
            assert!(dead.contains(&n) || !log.attempts.contains(&6), "job {n}: {log:?}");
        }
        // The old master refused the dead letter of the last attempt until the lease was lost: the
        // new one does not know how that attempt ended. Only such a job has one more, alone.
        let lost = lost.lock().unwrap().clone();
        for letter in dead_letters {
            let n = number(letter.payload.as_ref().unwrap());
            let log = run_log.job(n, |log| log.clone());
            let more = log.attempts.ends_with(&[5, 6]);
            assert_eq!(letter.attempts, 5 + u32::from(more), "job {n}: {log:?}, {letter:?}");
            let lost = lost.get(&letter.original);
            let is_lost = lost.is_some_and(|at| log.fifth.is_some_and(|began| *at >= began));
            assert!(is_lost || !more, "job {n}: {log:?}, lease lost: {lost:?}");
        }
    });
}

/// Returns the jobs whose leases are lost from now on, and when that was last.
fn lost_leases(queue: &Queue<Job>) -> Arc<Mutex<BTreeMap<EntryId, Instant>>> {
    let mut events = queue.events();
    let lost: Arc<Mutex<BTreeMap<EntryId, Instant>>> = Arc::default();
    let jobs = Arc::clone(&lost);
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let QueueEvent::LeaseLost { id } = event {
                jobs.lock().unwrap().insert(id, Instant::now());
            }
        }
    });
    lost
}
