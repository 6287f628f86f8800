//! A worker: success, failure, panics, time limits, the handler's decisions, shutdown.

use crate::test_queue::{GROUP, HandlerJob, LEASE, Run, STREAM, number, on_each, quick, until};
use bourn::XAdd;
use bourn::queue::{BoxError, Fail, Flat, QueueEvent, Redrive, Undecodable, Verdict};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[test]
fn every_job_is_done_once_and_the_stream_is_empty() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 2_000).await;
        let run = Run::new(queue.worker().concurrency(64), |_| async { Ok(()) });
        until("every job is done", || async { test.left() == (0, 0) }).await;
        let (report, seen) = run.stop().await;
        assert_eq!(report.done, 2_000, "{report}");
        assert_eq!(seen.len(), 2_000);
        assert!(seen.values().all(|attempts| *attempts == [1]));
    });
}

#[test]
fn failed_job_is_retried_then_dead_lettered() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 4).await;
        let mut events = queue.events();
        let run = Run::new(queue.worker(), |job| async move {
            match (number(&job), job.attempt()) {
                (0, _) => Err(Fail::retry("always fails")),
                (1, 1) => Err("not the first time".parse::<u8>().unwrap_err().into()),
                (2, 1..=2) => panic!("twice"),
                (3, _) => Err(Fail::dead("no such user")),
                _ => Ok(()),
            }
        });
        until("every job is settled", || async { test.left() == (0, 0) }).await;
        let (report, seen) = run.stop().await;
        assert_eq!(seen[&0], [1, 2, 3]);
        assert_eq!(seen[&1], [1, 2]);
        assert_eq!(seen[&2], [1, 2, 3]);
        assert_eq!(seen[&3], [1]);
        assert_eq!((report.done, report.retried, report.dead, report.panicked), (2, 5, 2, 2));

        let dead = queue.dead_letters().list(None, 10).await.unwrap();
        let mut letters: Vec<_> = dead
            .iter()
            .map(|dead| (number(dead.payload.as_ref().unwrap()), dead.attempts, &*dead.reason))
            .collect();
        letters.sort_unstable();
        assert_eq!(letters, [(0, 3, "always fails"), (3, 1, "no such user")]);
        assert!(dead.iter().all(|dead| dead.entry().get("_group") == Some(GROUP.as_bytes())));
        assert!(dead.iter().all(|dead| dead.original.ms() <= dead.id.ms()));
        let mut dead_lettered = 0;
        while dead_lettered < 2 {
            if let Some(QueueEvent::DeadLettered { .. }) = events.next().await {
                dead_lettered += 1;
            }
        }
    });
}

#[test]
fn handler_and_classifier_choose_the_outcome() {
    on_each(async |test| {
        let retry = quick(3).classify(|error: &BoxError| {
            if error.to_string().contains("gone") { Verdict::Discard } else { Verdict::Retry }
        });
        let queue = test.builder().retry(retry).open(Flat).await.unwrap();
        test.enqueue(&queue, 4).await;
        let run = Run::new(queue.worker(), |job| async move {
            match (number(&job), job.attempt()) {
                (0, _) => Err(Fail::retry("the user is gone")),
                (1, _) => Err(Fail::discard("not today")),
                (2, 1) => Err(Fail::retry_after(Duration::from_millis(200), "busy")),
                _ => Ok(()),
            }
        });
        until("every job is settled", || async { test.left() == (0, 0) }).await;
        let (report, seen) = run.stop().await;
        assert_eq!((report.done, report.discarded, report.retried, report.dead), (2, 2, 1, 0));
        assert_eq!(seen[&2], [1, 2]);
    });
}

#[test]
fn job_over_its_time_limit_is_cancelled_and_counts_as_failed() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 1).await;
        let worker = queue.worker().job_timeout(Duration::from_millis(50));
        let run = Run::new(worker, |_| std::future::pending());
        until("the job is dead-lettered", || async { test.left() == (0, 0) }).await;
        let (report, seen) = run.stop().await;
        assert_eq!((report.timed_out, report.retried, report.dead), (3, 2, 1));
        assert_eq!(seen[&0], [1, 2, 3]);
        let dead = queue.dead_letters().list(None, 1).await.unwrap();
        assert_eq!(dead[0].reason, "took longer than 50ms");
    });
}

#[test]
fn job_longer_than_the_lease_runs_once() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 3).await;
        let slow = |_| async {
            sleep(LEASE * 3).await;
            Ok(())
        };
        let (one, two) = (Run::new(queue.worker(), slow), Run::new(queue.worker(), slow));
        until("every job is done", || async { test.left() == (0, 0) }).await;
        let (mut seen, (first, second)) = (HashMap::new(), (one.stop().await, two.stop().await));
        for (n, attempts) in first.1.into_iter().chain(second.1) {
            assert_eq!(attempts, [1]);
            assert_eq!(seen.insert(n, ()), None, "job {n} was done twice");
        }
        assert_eq!(first.0.done + second.0.done, 3);
        assert_eq!(first.0.lease_lost + second.0.lease_lost, 0);
    });
}

#[test]
fn shutdown_finishes_running_jobs_and_releases_the_others() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 30).await;
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let go = Arc::new(tokio::sync::Notify::new());
        let worker = queue.worker().concurrency(2).prefetch(10).grace(Duration::from_secs(20));
        let run = Run::new(worker, {
            let go = Arc::clone(&go);
            move |job: HandlerJob| {
                let (begun, go) = (begun.clone(), Arc::clone(&go));
                async move {
                    begun.send(number(&job)).unwrap();
                    go.notified().await;
                    Ok(())
                }
            }
        });
        for _ in 0..2 {
            begins.recv().await.unwrap();
        }
        let stopping = tokio::spawn(run.stop());
        // Jobs that were not started are available at once, and count as never delivered.
        let other = Arc::new(Mutex::new(Vec::new()));
        let second = Run::new(queue.worker(), {
            let other = Arc::clone(&other);
            move |job: HandlerJob| {
                other.lock().unwrap().push((number(&job), job.attempt()));
                async { Ok(()) }
            }
        });
        until("the others are done", || async { other.lock().unwrap().len() == 28 }).await;
        assert!(other.lock().unwrap().iter().all(|(_, attempt)| *attempt == 1));
        assert_eq!(test.left(), (2, 2));
        go.notify_waiters();
        let (report, _) = stopping.await.unwrap();
        assert_eq!(report.done, 2, "{report}");
        second.stop().await;
        assert_eq!(test.left(), (0, 0));
        let stats = queue.stats().await.unwrap();
        assert_eq!(stats.consumers, [], "the consumers are removed");
    });
}

#[test]
fn job_still_running_after_the_grace_period_is_released() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 1).await;
        let worker = queue.worker().grace(Duration::from_millis(10));
        let run = Run::new(worker, |_| std::future::pending());
        until("the job runs", || async { test.left() == (1, 1) }).await;
        let (report, _) = run.stop().await;
        assert_eq!((report.released, report.retried, report.dropped), (1, 0, 0), "{report}");
        let second = Run::new(queue.worker(), |_| async { Ok(()) });
        until("it is done", || async { test.left() == (0, 0) }).await;
        assert_eq!(second.stop().await.1[&0], [1], "it counts as never delivered");
    });
}

#[test]
fn idle_worker_stops_at_once() {
    on_each(async |test| {
        let queue = test.builder().lease(Duration::from_secs(30)).open(Flat).await.unwrap();
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        until("the worker blocks", || async {
            test.command("CLIENT LIST").contains("cmd=xreadgroup")
        })
        .await;
        let start = Instant::now();
        run.stop().await;
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    });
}

#[test]
fn dead_letters_are_redriven_by_reason_and_only_once() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 20).await;
        let run = Run::new(queue.worker(), |job| async move {
            let why =
                if number(&job) % 2 == 0 { "timeout of the mail server" } else { "no such user" };
            Err(Fail::dead(why))
        });
        until("all are dead-lettered", || async { test.left() == (0, 0) }).await;
        run.stop().await;
        let dead = queue.dead_letters();
        assert_eq!(dead.count().await.unwrap(), 20);
        // Two operators at the same time.
        let (one, two) = (queue.dead_letters(), queue.dead_letters());
        let (one, two) = tokio::join!(
            one.redrive(Redrive::reason("timeout").since(Duration::from_secs(600))),
            two.redrive(Redrive::reason("timeout").rate(500.0))
        );
        assert_eq!(one.unwrap() + two.unwrap(), 10);
        assert_eq!(dead.count().await.unwrap(), 10);
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        until("every job is done", || async { test.left() == (0, 0) }).await;
        let (report, seen) = run.stop().await;
        assert_eq!(report.done, 10);
        assert!(seen.iter().all(|(n, attempts)| n % 2 == 0 && *attempts == [1]), "{seen:?}");
        let first = dead.list(None, 3).await.unwrap();
        assert_eq!(dead.redrive(Redrive::ids([first[1].id])).await.unwrap(), 1);
        assert_eq!(dead.redrive(Redrive::all().at_most(2)).await.unwrap(), 2);
        assert_eq!(dead.list(Some(first[2].id), 100).await.unwrap().len(), 7);
        assert_eq!(dead.purge(Duration::from_secs(600)).await.unwrap(), 0);
        assert_eq!(dead.purge(Duration::ZERO).await.unwrap(), 7);
        assert_eq!(dead.redrive(Redrive::all()).await.unwrap(), 0);
        assert_eq!(test.left().0, 3);
    });
}

#[test]
fn undecodable_payload_is_dead_lettered_at_once_if_set() {
    on_each(async |test| {
        let builder = test.builder().undecodable(Undecodable::DeadLetter);
        let queue = builder.open(Flat).await.unwrap();
        test.client.send(XAdd::new(STREAM).field("n", b"\xff")).await.unwrap();
        test.enqueue(&queue, 1).await;
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        until("both jobs are settled", || async { test.left() == (0, 0) }).await;
        let (report, _) = run.stop().await;
        assert_eq!((report.done, report.dead), (1, 1));
        let dead = queue.dead_letters().list(None, 9).await.unwrap();
        assert!(dead[0].reason.starts_with("the payload cannot be read"), "{}", dead[0].reason);
        assert!(dead[0].payload.is_err());
    });
}
