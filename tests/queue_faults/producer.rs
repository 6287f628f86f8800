//! A producer whose replies are lost: jobs are added once where the server has IDMP, and their
//! outcome is unknown elsewhere.

use crate::test_queue::{GROUP, Job, STREAM, TestQueue, job, on_each, until};
use bourn::queue::{Enqueue, Flat, Queue, QueueError};
use bourn::testing::Fault;
use bourn::{Outcome, XLen};
use std::future::Future;
use std::time::Duration;

/// Runs a command and loses its replies.
async fn lose_replies<R: Send + 'static>(
    (test, queue): (&TestQueue, &Queue<Job>),
    added: u64,
    enqueue: impl Future<Output = R> + Send + 'static,
) -> R {
    let is_connected = || async { queue.client().send(XLen::new(STREAM)).await.is_ok() };
    until("the connection is established", is_connected).await;
    let before = test.left().0;
    let connection = test.client.connection_id().unwrap();
    // The client closes the connection after some seconds, and dials again.
    test.server.inject(Fault::stall_replies(Duration::MAX).on_connection(connection));
    let enqueued = tokio::spawn(enqueue);
    until("the server has them", || async { test.left().0 == before + added }).await;
    enqueued.await.unwrap()
}

#[test]
fn lost_enqueue_reply_adds_no_job_twice() {
    on_each(async |test| {
        let queue = Queue::builder(&test.client, STREAM).group(GROUP).open(Flat).await.unwrap();
        let idmp = test.has_idmp();
        let producer = queue.producer();
        for (place, jobs) in [(1, 1_u64), (2, 2), (3, 64), (4, 500)] {
            let before = test.left().0;
            let results = lose_replies((&test, &queue), jobs, {
                let producer = producer.clone();
                async move {
                    let jobs: Vec<_> = (0..jobs).map(job).collect();
                    producer.enqueue_all(&jobs).await
                }
            })
            .await;
            assert_eq!(results.len() as u64, jobs);
            if idmp {
                let mut ids: Vec<_> = results.into_iter().map(Result::unwrap).collect();
                assert!(ids.is_sorted(), "row {place}");
                ids.dedup();
                assert_eq!(ids.len() as u64, jobs, "row {place}");
            } else {
                assert!(
                    results.iter().all(|one| one.as_ref().is_err_and(QueueError::may_have_run))
                );
            }
            assert_eq!(test.left().0, before + jobs, "row {place}");
        }
        // Single jobs and unique jobs, too.
        let before = test.left().0;
        let one = lose_replies((&test, &queue), 1, {
            let producer = producer.clone();
            async move { producer.enqueue(&job(1)).await }
        });
        assert_eq!(one.await.is_ok(), idmp);
        if idmp {
            let one = lose_replies((&test, &queue), 1, async move {
                producer.enqueue_with(&job(1), Enqueue::new().unique("a")).await
            });
            let id = one.await.unwrap();
            let unique = Enqueue::new().unique("a");
            assert_eq!(queue.producer().enqueue_with(&job(2), unique).await.unwrap(), id);
        }
        assert_eq!(test.left().0, before + 1 + u64::from(idmp));
    });
}

#[test]
fn payload_that_fails_to_encode_does_not_block_other_jobs() {
    on_each(async |test| {
        let queue = test.queue().await;
        let bad: Job = vec![("_mine".into(), "no".into())];
        let jobs = [job(1), bad.clone(), job(2)];
        let results = queue.producer().enqueue_all(&jobs).await;
        assert!(results[0].is_ok() && results[2].is_ok());
        let error = results[1].as_ref().unwrap_err();
        assert!(matches!(error, QueueError::Codec(_)), "{error:?}");
        assert!(!error.may_have_run());
        assert!(matches!(queue.producer().enqueue(&bad).await, Err(QueueError::Codec(_))));
        assert_eq!(test.left().0, 2);
        // An empty payload is valid.
        queue.producer().enqueue(&Vec::new()).await.unwrap();
        let mut consumer = queue.consumer().prefetch(9).start().await.unwrap();
        for expected in [job(1), job(2), Vec::new()] {
            let delivery = consumer.next().await.unwrap().unwrap();
            assert_eq!(*delivery.payload(), expected);
            delivery.ack().await.unwrap();
        }
        consumer.close().await;
    });
}

#[test]
fn enqueue_all_waits_for_a_server_that_is_not_ready_as_enqueue_does() {
    const REFUSALS: [&str; 4] = [
        "LOADING Redis is loading the dataset in memory",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN The cluster is down",
    ];
    for refusal in REFUSALS {
        on_each(async |test| {
            let queue = test.queue().await;
            let jobs: Vec<_> = (0..100).map(job).collect();
            // The first hundred requests are refused, and a part of the repeats.
            test.server.inject(Fault::error(refusal).on_command("XADD").times(230));
            let added = queue.producer().enqueue_all(&jobs).await;
            assert!(added.iter().all(Result::is_ok), "{refusal}: {added:?}");
            assert_eq!(test.left().0, 100, "{refusal}");
            // It does not wait for ever.
            test.server.inject(Fault::error(refusal).on_command("XADD").times(u64::MAX));
            let start = tokio::time::Instant::now();
            let refused = queue.producer().enqueue_all(&jobs).await;
            let one = queue.producer().enqueue(&job(1)).await;
            let outcomes = refused.iter().chain([&one]).map(|added| {
                added.as_ref().map_or_else(QueueError::outcome, |id| panic!("{refusal}: {id}"))
            });
            assert!(
                outcomes.into_iter().all(|outcome| outcome == Outcome::NotApplied),
                "{refusal}"
            );
            assert!(start.elapsed() < Duration::from_secs(15), "{refusal}: {:?}", start.elapsed());
            test.server.clear_faults();
            assert_eq!(test.left().0, 100, "{refusal}");
        });
    }
}
