//! A worker: success, failure, panics, time-outs, what is decided by the handler, shutdown.

use crate::office::{Job, Office, Run, number, until};
use bourn::queue::{BoxError, Fail, Flat, QueueEvent, Redrive, Verdict};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_job_is_done_once_and_nothing_is_left() {
    let office = Office::new().await;
    let queue = office.queue().await;
    office.enqueue(&queue, 2_000).await;
    let run = Run::new(queue.worker().concurrency(64), |_| async { Ok(()) });
    until("all are done", || async { office.left() == (0, 0) }).await;
    let (report, seen) = run.stop().await;
    assert_eq!(report.done, 2_000, "{report}");
    assert_eq!(seen.len(), 2_000);
    assert!(seen.values().all(|attempts| *attempts == [1]));
}

#[tokio::test]
async fn what_fails_is_tried_again_and_then_dead() {
    let office = Office::new().await;
    let queue = office.queue().await;
    office.enqueue(&queue, 4).await;
    let mut events = queue.events();
    let run = Run::new(queue.worker(), |job| async move {
        match (number(&job), job.attempt()) {
            (0, _) => Err(Fail::retry("it never does")),
            (1, 1) => Err("not the first time".parse::<u8>().unwrap_err().into()),
            (2, 1..=2) => panic!("twice"),
            (3, _) => Err(Fail::dead("no such user")),
            _ => Ok(()),
        }
    });
    until("all are decided", || async { office.left() == (0, 0) }).await;
    let (report, seen) = run.stop().await;
    assert_eq!(seen[&0], [1, 2, 3]);
    assert_eq!(seen[&1], [1, 2]);
    assert_eq!(seen[&2], [1, 2, 3]);
    assert_eq!(seen[&3], [1]);
    assert_eq!((report.done, report.retried, report.dead, report.panicked), (2, 5, 2, 2));

    let dead = queue.dead_letters().list(None, 10).await.unwrap();
    let mut told: Vec<_> = dead
        .iter()
        .map(|dead| (number(dead.payload.as_ref().unwrap()), dead.attempts, &*dead.reason))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [(0, 3, "it never does"), (3, 1, "no such user")]);
    assert!(dead.iter().all(|dead| dead.group == crate::office::GROUP.as_bytes()));
    assert!(dead.iter().all(|dead| dead.original.is_some_and(|id| id < dead.id)));
    let mut buried = 0;
    while buried < 2 {
        if let Some(QueueEvent::DeadLettered { .. }) = events.next().await {
            buried += 1;
        }
    }
}

#[tokio::test]
async fn a_handler_and_a_classifier_decide() {
    let office = Office::new().await;
    let retry = crate::office::quick(3).classify(|error: &BoxError| {
        if error.to_string().contains("gone") { Verdict::Discard } else { Verdict::Retry }
    });
    let queue = office.builder().retry(retry).open(Flat).await.unwrap();
    office.enqueue(&queue, 4).await;
    let run = Run::new(queue.worker(), |job| async move {
        match (number(&job), job.attempt()) {
            (0, _) => Err(Fail::retry("the user is gone")),
            (1, _) => Err(Fail::discard("not today")),
            (2, 1) => Err(Fail::retry_after(Duration::from_millis(200), "busy")),
            _ => Ok(()),
        }
    });
    until("all are decided", || async { office.left() == (0, 0) }).await;
    let (report, seen) = run.stop().await;
    assert_eq!((report.done, report.discarded, report.retried, report.dead), (2, 2, 1, 0));
    assert_eq!(seen[&2], [1, 2]);
}

#[tokio::test]
async fn what_takes_too_long_is_cancelled_and_has_failed() {
    let office = Office::new().await;
    let queue = office.queue().await;
    office.enqueue(&queue, 1).await;
    let worker = queue.worker().job_timeout(Duration::from_millis(50));
    let run = Run::new(worker, |_| std::future::pending());
    until("it is dead", || async { office.left() == (0, 0) }).await;
    let (report, seen) = run.stop().await;
    assert_eq!((report.timed_out, report.retried, report.dead), (3, 2, 1));
    assert_eq!(seen[&0], [1, 2, 3]);
    let dead = queue.dead_letters().list(None, 1).await.unwrap();
    assert_eq!(dead[0].reason, "took longer than 50ms");
}

#[tokio::test]
async fn a_job_that_takes_longer_than_the_lease_is_done_once() {
    let office = Office::new().await;
    let queue = office.queue().await;
    office.enqueue(&queue, 3).await;
    let slow = |_| async {
        tokio::time::sleep(crate::office::LEASE * 3).await;
        Ok(())
    };
    let (one, two) = (Run::new(queue.worker(), slow), Run::new(queue.worker(), slow));
    until("all are done", || async { office.left() == (0, 0) }).await;
    let (mut seen, (first, second)) = (HashMap::new(), (one.stop().await, two.stop().await));
    for (n, attempts) in first.1.into_iter().chain(second.1) {
        assert_eq!(attempts, [1]);
        assert_eq!(seen.insert(n, ()), None, "job {n} was done twice");
    }
    assert_eq!(first.0.done + second.0.done, 3);
    assert_eq!(first.0.lease_lost + second.0.lease_lost, 0);
}

#[tokio::test]
async fn at_its_end_a_worker_lets_jobs_finish_and_gives_back_the_others() {
    let office = Office::new().await;
    let queue = office.queue().await;
    office.enqueue(&queue, 30).await;
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let go = Arc::new(tokio::sync::Notify::new());
    let worker = queue.worker().concurrency(2).prefetch(10).grace(Duration::from_secs(20));
    let run = Run::new(worker, {
        let go = Arc::clone(&go);
        move |job: bourn::queue::Job<Job>| {
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
    // What nobody had begun can be taken at once, and counts as never delivered.
    let other = Arc::new(Mutex::new(Vec::new()));
    let second = Run::new(queue.worker(), {
        let other = Arc::clone(&other);
        move |job: bourn::queue::Job<Job>| {
            other.lock().unwrap().push((number(&job), job.attempt()));
            async { Ok(()) }
        }
    });
    until("the others are done", || async { other.lock().unwrap().len() == 28 }).await;
    assert!(other.lock().unwrap().iter().all(|(_, attempt)| *attempt == 1));
    assert_eq!(office.left(), (2, 2));
    go.notify_waiters();
    let (report, _) = stopping.await.unwrap();
    assert_eq!(report.done, 2, "{report}");
    second.stop().await;
    assert_eq!(office.left(), (0, 0));
    let stats = queue.stats().await.unwrap();
    assert_eq!(stats.consumers, [], "their names are gone");
}

#[tokio::test]
async fn what_does_not_end_within_the_grace_is_given_back() {
    let office = Office::new().await;
    let queue = office.queue().await;
    office.enqueue(&queue, 1).await;
    let worker = queue.worker().grace(Duration::from_millis(10));
    let run = Run::new(worker, |_| std::future::pending());
    until("it has begun", || async { office.left() == (1, 1) }).await;
    let (report, _) = run.stop().await;
    assert_eq!((report.released, report.retried, report.dropped), (1, 0, 0), "{report}");
    let second = Run::new(queue.worker(), |_| async { Ok(()) });
    until("it is done", || async { office.left() == (0, 0) }).await;
    assert_eq!(second.stop().await.1[&0], [1], "it counts as never delivered");
}

#[tokio::test]
async fn a_worker_without_work_ends_at_once() {
    let office = Office::new().await;
    let queue = office.builder().lease(Duration::from_secs(30)).open(Flat).await.unwrap();
    let run = Run::new(queue.worker(), |_| async { Ok(()) });
    until("it waits", || async {
        office.server.command(&["CLIENT", "LIST"]).contains("cmd=xreadgroup")
    })
    .await;
    let start = std::time::Instant::now();
    run.stop().await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn dead_letters_are_tried_again_by_reason_and_only_once() {
    let office = Office::new().await;
    let queue = office.queue().await;
    office.enqueue(&queue, 20).await;
    let run = Run::new(queue.worker(), |job| async move {
        let why = if number(&job) % 2 == 0 { "timeout of the mail server" } else { "no such user" };
        Err(Fail::dead(why))
    });
    until("all are dead", || async { office.left() == (0, 0) }).await;
    run.stop().await;
    let dead = queue.dead_letters();
    assert_eq!(dead.count().await.unwrap(), 20);
    // Two operators at once.
    let (one, two) = (queue.dead_letters(), queue.dead_letters());
    let (one, two) = tokio::join!(
        one.redrive(Redrive::reason("timeout").since(Duration::from_secs(600))),
        two.redrive(Redrive::reason("timeout").rate(500.0))
    );
    assert_eq!(one.unwrap() + two.unwrap(), 10);
    assert_eq!(dead.count().await.unwrap(), 10);
    let run = Run::new(queue.worker(), |_| async { Ok(()) });
    until("all are done", || async { office.left() == (0, 0) }).await;
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
    assert_eq!(office.left().0, 3);
}

#[tokio::test]
async fn a_payload_that_cannot_be_read_is_dead_at_once() {
    let office = Office::new().await;
    let queue = office.queue().await;
    office.server.command_bytes(&[b"XADD", b"jobs", b"*", b"n", b"\xff"]);
    office.enqueue(&queue, 1).await;
    let run = Run::new(queue.worker(), |_| async { Ok(()) });
    until("both are decided", || async { office.left() == (0, 0) }).await;
    let (report, _) = run.stop().await;
    assert_eq!((report.done, report.dead), (1, 1));
    let dead = queue.dead_letters().list(None, 9).await.unwrap();
    assert!(dead[0].reason.starts_with("the payload cannot be read"), "{}", dead[0].reason);
    assert!(dead[0].payload.is_err());
}
