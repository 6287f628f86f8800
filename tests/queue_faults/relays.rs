//! Jobs that are acknowledged with the next one: duplicates, lost replies, targets of another type,
//! queues that do not fit each other.

use crate::steps::{DEAD, STREAM, delivered, enqueue, len, next, owner, requests, run, s};
use crate::support::{Email, on_each_version, queue};
use bourn::Client;
use bourn::queue::{
    Acked, Fail, Flat, Jitter, Job, Priority, Queue, QueueError, Retention, RetryPolicy,
    SettingsError, Worker,
};
use bourn::testing::{Fault, Server};
use tokio::time::{Instant, sleep};

/// The key of the next queue.
const NEXT: &str = "next";

/// Opens the next queue, with the client of the first.
async fn next_queue(client: &Client) -> Queue<Email> {
    Queue::builder(client, NEXT).open(Flat).await.unwrap()
}

#[test]
fn two_groups_of_one_stream_add_a_next_job_each() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let out = next_queue(&client).await;
        let mut queues: Vec<Queue<Email>> = Vec::new();
        for group in ["a", "b"] {
            let queue = Queue::builder(&client, STREAM).group(group);
            queues.push(queue.retention(Retention::KeepUntilAllAcked).open(Flat).await.unwrap());
        }
        enqueue(&queues[0]).await;
        for (group, queue) in ["a", "b"].iter().zip(queues) {
            let mut consumer = queue.consumer().start().await.unwrap();
            let delivery = next(&mut consumer, s(3)).await.expect("the job");
            let (acked, id) = delivery.ack_then(&out, &Email::new()).await.unwrap();
            assert!(acked == Acked::Done && id.is_some(), "{group}");
        }
        assert_eq!(len(&server, NEXT), 2);
    });
}

#[test]
fn next_job_is_kept_if_the_group_was_created_again() {
    on_each_version(|server| async move {
        let (queue, _consumer, delivery) = delivered(&server).await;
        let out = next_queue(queue.client()).await;
        run(&server, "XGROUP DESTROY email workers");
        run(&server, "XGROUP CREATE email workers $");
        let (acked, id) = delivery.ack_then(&out, &Email::new()).await.unwrap();
        assert!(acked == Acked::Done && id.is_some(), "it was in the stream");
        assert_eq!((len(&server, STREAM), len(&server, NEXT)), (0, 1));
    });
}

/// With IDMP it is the entry that the other worker added, if it did.
#[test]
fn job_that_another_worker_finished_has_no_second_next_job() {
    on_each_version(|server| async move {
        let (queue, _consumer, delivery) = delivered(&server).await;
        let out = next_queue(queue.client()).await;
        let id = delivery.id();
        run(&server, &format!("XACK email workers {id}"));
        run(&server, &format!("XDEL email {id}"));
        let (acked, added) = delivery.ack_then(&out, &Email::new()).await.unwrap();
        assert_eq!(acked, Acked::AlreadyGone);
        let idmp = !requests(&server, &["XADD", NEXT, "IDMP"]).is_empty();
        assert_eq!((added.is_some(), len(&server, NEXT)), (idmp, i64::from(idmp)));
    });
}

#[test]
fn acknowledgement_with_a_next_job_is_sent_again_after_a_lost_reply() {
    on_each_version(|server| async move {
        let (queue, _consumer, delivery) = delivered(&server).await;
        let out = next_queue(queue.client()).await;
        server.inject(Fault::disconnect().on_command("EXEC"));
        let (acked, id) = delivery.ack_then(&out, &Email::new()).await.unwrap();
        assert!(acked == Acked::Done && id.is_some());
        assert_eq!((len(&server, STREAM), len(&server, NEXT)), (0, 1));
    });
}

#[test]
fn job_is_kept_if_the_next_key_is_not_a_stream() {
    on_each_version(|server| async move {
        let (queue, _consumer, delivery) = delivered(&server).await;
        let out = next_queue(queue.client()).await;
        run(&server, &format!("DEL {NEXT}"));
        run(&server, &format!("SET {NEXT} text"));
        let id = delivery.id();
        assert!(delivery.ack_then(&out, &Email::new()).await.is_err());
        assert_eq!(len(&server, STREAM), 1);
        assert!(owner(&server, id).is_some(), "it is the same entry, and pending");
    });
}

/// In one transaction XACK and XDEL would succeed beside an XADD that fails.
#[test]
fn job_whose_next_key_is_no_stream_for_a_time_stays_the_same_entry() {
    on_each_version(|server| async move {
        let (queue, mut consumer, delivery) = delivered(&server).await;
        let out = next_queue(queue.client()).await;
        let id = delivery.id();
        run(&server, &format!("DEL {NEXT}"));
        run(&server, &format!("SET {NEXT} text"));
        assert!(delivery.ack_then(&out, &Email::new()).await.is_err());
        run(&server, &format!("DEL {NEXT}"));
        let again = next(&mut consumer, s(60)).await.expect("it is delivered again");
        assert_eq!((again.id(), again.attempt()), (id, 2));
        let (acked, added) = again.ack_then(&out, &Email::new()).await.unwrap();
        assert!(acked == Acked::Done && added.is_some());
        assert_eq!((len(&server, STREAM), len(&server, NEXT)), (0, 1));
    });
}

/// A reason for which the next job is refused, and a part of the error's text.
const REFUSED: [(&str, &str); 3] = [
    ("the next key is not a stream", "WRONGTYPE"),
    ("the next queue has another client", "opened with the same client"),
    ("the next payload cannot be encoded", "_mine"),
];

#[test]
fn job_whose_next_job_is_refused_has_its_attempts_and_delays_and_is_dead_lettered() {
    for (place, (reason, text)) in REFUSED.into_iter().enumerate() {
        on_each_version(|server| async move {
            let client = server.client().await.unwrap();
            let retry = RetryPolicy::exponential(s(10), s(10)).jitter(Jitter::None);
            let queue = Queue::builder(&client, STREAM).retry(retry.max_attempts(3));
            let queue: Queue<Email> = queue.open(Flat).await.unwrap();
            let other = server.client().await.unwrap();
            let out = next_queue(if place == 1 { &other } else { &client }).await;
            if place == 0 {
                run(&server, &format!("DEL {NEXT}"));
                run(&server, &format!("SET {NEXT} text"));
            }
            let payload =
                if place == 2 { vec![("_mine".into(), "no".into())] } else { Email::new() };
            enqueue(&queue).await;
            let mut consumer = queue.consumer().start().await.unwrap();
            let (start, mut runs) = (Instant::now(), Vec::new());
            while let Some(delivery) = next(&mut consumer, s(600)).await {
                let of = delivery.idempotency_key();
                runs.push((of, delivery.attempt(), start.elapsed().as_secs()));
                let error = delivery.ack_then(&out, &payload).await.unwrap_err();
                assert!(error.to_string().contains(text), "{reason}: {error}");
                assert!(runs.len() < 100, "{reason}: {runs:?}");
            }
            // Without XREADGROUP CLAIM, entries are checked about once a second.
            let expected = [(1, 0..=1), (2, 10..=12), (3, 20..=24)];
            assert_eq!(runs.len(), expected.len(), "{reason}: {runs:?}");
            for ((of, attempt, seconds), (number, time)) in runs.iter().zip(expected) {
                assert_eq!((of, *attempt), (&runs[0].0, number), "{reason}: {runs:?}");
                assert!(time.contains(seconds), "{reason}: {runs:?}");
            }
            let report = consumer.close().await;
            assert_eq!((report.retried, report.dead, report.unsettled), (2, 1, 0), "{report}");
            assert_eq!((len(&server, STREAM), len(&server, DEAD)), (0, 1), "{reason}");
            let letters = queue.dead_letters().list(None, 9).await.unwrap();
            assert!(letters[0].reason.contains(text), "{reason}: {}", letters[0].reason);
            if place > 0 {
                assert_eq!(len(&server, NEXT), 0, "{reason}");
            }
        });
    }
}

#[test]
fn ack_then_is_refused_where_jobs_are_delivered_at_most_once() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let queue = Queue::builder(&client, STREAM).at_most_once();
        let queue: Queue<Email> = queue.open(Flat).await.unwrap();
        let out = next_queue(&client).await;
        enqueue(&queue).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        let delivery = next(&mut consumer, s(3)).await.expect("the job");
        let refused = delivery.ack_then(&out, &Email::new()).await;
        let Err(QueueError::Settings(SettingsError::AtMostOnce("ack_then"))) = refused else {
            panic!("{refused:?}");
        };
        let report = consumer.close().await;
        assert_eq!((report.done, report.dropped, len(&server, NEXT)), (0, 1, 0), "{report}");
    });
}

/// With an open queue of that name the next job would be added. A lazy one has not looked yet.
#[test]
fn next_queue_that_was_opened_lazily_is_validated_first() {
    on_each_version(|server| async move {
        let (queue, _consumer, delivery) = delivered(&server).await;
        run(&server, &format!("XGROUP CREATE {NEXT} other 0 MKSTREAM"));
        let out: Queue<Email> = Queue::builder(queue.client(), NEXT).open_lazy(Flat).unwrap();
        let refused = delivery.ack_then(&out, &Email::new()).await;
        let Err(QueueError::Settings(SettingsError::OtherGroups(_))) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((len(&server, STREAM), len(&server, NEXT)), (1, 0));
    });
}

#[test]
fn merged_worker_refuses_queues_of_two_clients() {
    on_each_version(|server| async move {
        let other = Server::builder().build();
        let high = queue(&server, "high").await;
        for low in [queue(&other, "low").await, queue(&server, "low").await] {
            enqueue(&low).await;
            let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
            let worker = Worker::merged([&high, &low], Priority::Strict);
            let refused = worker.run(sleep(s(3)), done).await;
            let Err(QueueError::Settings(SettingsError::OtherClient("a merged worker"))) = refused
            else {
                panic!("{refused:?}");
            };
        }
        let low: Queue<Email> =
            Queue::builder(&high.client().clone(), "low").open(Flat).await.unwrap();
        let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
        let worker = Worker::merged([&high, &low], Priority::Strict);
        assert_eq!(worker.run(sleep(s(3)), done).await.unwrap().done, 1);
    });
}
