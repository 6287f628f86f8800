//! A consumer: deliveries in flight, settled one by one.

use crate::test_queue::{GROUP, Job, LEASE, Run, STREAM, job, number, on_each, quick, until};
use bourn::queue::{Acked, Consumer, Delivery, Enqueue, Flat, Nack, Queue, QueueError, Retention};
use futures_util::{FutureExt, StreamExt};
use std::time::{Duration, SystemTime};

async fn next(consumer: &mut Consumer<Job>) -> Delivery<Job> {
    let next = tokio::time::timeout(Duration::from_secs(20), consumer.next()).await;
    next.expect("in time").expect("not closed").expect("no error")
}

#[test]
fn delivery_has_its_payload_headers_and_metadata() {
    on_each(async |test| {
        let queue = test.queue().await;
        let options = Enqueue::new().header("trace", "7f3a").header("bytes", b"\xff\0");
        let id = queue.producer().enqueue_with(&job(7), options).await.unwrap();
        let mut consumer = queue.consumer().start().await.unwrap();
        let delivery = next(&mut consumer).await;
        assert_eq!((delivery.id(), delivery.attempt()), (id, 1));
        assert_eq!(*delivery.payload(), job(7), "headers are not part of the payload");
        assert_eq!(delivery.headers().get("trace"), Some(&b"7f3a"[..]));
        assert_eq!(delivery.headers().get("bytes"), Some(&b"\xff\0"[..]));
        assert_eq!(delivery.headers().len(), 2);
        assert_eq!(delivery.idempotency_key(), format!("jobs/workers/{id}"));
        let age = SystemTime::now().duration_since(delivery.enqueued_at()).unwrap_or_default();
        assert!(age < Duration::from_secs(60));
        assert!(!delivery.lease().is_lost());
        assert!(delivery.lease().deadline().is_some());
        delivery.extend().await.unwrap();
        let (payload, acker) = delivery.split();
        assert_eq!(number(&payload), 7);
        assert_eq!(acker.ack().await.unwrap(), Acked::Done);
        assert_eq!(test.left(), (0, 0));
        assert_eq!(consumer.close().await.done, 1);
    });
}

#[test]
fn each_kind_of_nack_counts_attempts_correctly() {
    on_each(async |test| {
        let queue = test.builder().retry(quick(5)).open(Flat).await.unwrap();
        test.enqueue(&queue, 1).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        let first = next(&mut consumer).await;
        assert_eq!(first.attempt(), 1);
        first.nack(Nack::release()).await.unwrap();
        let again = next(&mut consumer).await;
        assert_eq!(again.attempt(), 1, "a release does not count");
        again.nack(Nack::now()).await.unwrap();
        let second = next(&mut consumer).await;
        assert_eq!(second.attempt(), 2);
        drop(second);
        let third = next(&mut consumer).await;
        assert_eq!(third.attempt(), 3, "a drop counts");
        let start = tokio::time::Instant::now();
        third.nack(Nack::after(LEASE / 2)).await.unwrap();
        let fourth = next(&mut consumer).await;
        assert!(start.elapsed() >= LEASE / 2 - Duration::from_millis(10), "{:?}", start.elapsed());
        assert_eq!(fourth.attempt(), 4);
        fourth.nack(Nack::policy()).await.unwrap();
        let fifth = next(&mut consumer).await;
        assert_eq!(fifth.attempt(), 5);
        fifth.nack(Nack::now().because("the fifth time")).await.unwrap();
        assert_eq!(test.left(), (0, 0));
        let dead = queue.dead_letters().list(None, 9).await.unwrap();
        assert_eq!((&*dead[0].reason, dead[0].attempts), ("the fifth time", 5));
        let report = consumer.close().await;
        assert_eq!((report.retried, report.released, report.dropped, report.dead), (3, 1, 1, 1));
    });
}

#[test]
fn consumer_is_a_stream_and_respects_its_prefetch_limit() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 20).await;
        let mut consumer = queue.consumer().prefetch(4).start().await.unwrap();
        until("four are fetched", || async { test.left() == (20, 4) }).await;
        let mut numbers = Vec::new();
        while numbers.len() < 20 {
            let delivery = consumer.next().await.unwrap().unwrap();
            assert!(test.left().1 <= 5);
            numbers.push(number(delivery.payload()));
            delivery.ack().await.unwrap();
        }
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
        // As a stream that is dropped half-way: unsettled jobs go to another worker.
        test.enqueue(&queue, 3).await;
        let mut stream = consumer.boxed();
        let one = StreamExt::next(&mut stream).await.unwrap().unwrap();
        drop(stream);
        one.ack().await.unwrap();
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        until("the others are done", || async { test.left() == (0, 0) }).await;
        assert_eq!(run.stop().await.0.done, 2);
    });
}

#[test]
fn prefetch_of_large_jobs_is_limited_by_bytes() {
    on_each(async |test| {
        let queue = test.queue().await;
        let large: Vec<Job> = (0..50)
            .map(|n| vec![("n".into(), n.to_string()), ("x".into(), "x".repeat(10_000))])
            .collect();
        for result in queue.producer().enqueue_all(&large).await {
            result.unwrap();
        }
        let mut consumer =
            queue.consumer().prefetch(1_000).max_bytes(100_000).start().await.unwrap();
        let mut most = 0;
        for _ in 0..50 {
            let delivery = next(&mut consumer).await;
            most = most.max(test.left().1);
            delivery.ack().await.unwrap();
        }
        let server_bounds_it = test.redis_at_least(8, 10);
        assert!(most <= if server_bounds_it { 12 } else { 50 }, "{most} fetched");
        consumer.close().await;
    });
}

#[test]
fn dropping_next_loses_no_job() {
    on_each(async |test| {
        let queue = test.queue().await;
        let mut consumer = queue.consumer().prefetch(3).start().await.unwrap();
        for n in 0..50 {
            // Dropped after its first poll.
            assert!(consumer.next().now_or_never().is_none());
            queue.producer().enqueue(&job(n)).await.unwrap();
            if let Some(early) = consumer.next().now_or_never() {
                drop(early.unwrap().unwrap().ack());
                continue;
            }
            let delivery = next(&mut consumer).await;
            assert_eq!(number(delivery.payload()), n);
            // An acknowledgement whose future is dropped is sent all the same.
            drop(delivery.ack());
        }
        until("every job is done", || async { test.left() == (0, 0) }).await;
        assert_eq!(consumer.close().await.done, 50);
    });
}

#[test]
fn ack_then_acknowledges_and_adds_atomically() {
    on_each(async |test| {
        let queue = test.queue().await;
        let out = Queue::builder(&test.client, "{jobs}:next");
        let out: Queue<Job> = out.open(Flat).await.unwrap();
        test.enqueue(&queue, 10).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        for n in 0..10 {
            let delivery = next(&mut consumer).await;
            let (acked, id) = delivery.ack_then(&out, &job(n + 100)).await.unwrap();
            assert_eq!(acked, Acked::Done);
            assert!(id.is_some());
        }
        assert_eq!(test.left(), (0, 0));
        assert_eq!(test.command("XLEN {jobs}:next"), "10");
        // Another consumer settled it before: nothing more is added.
        test.enqueue(&queue, 1).await;
        let delivery = next(&mut consumer).await;
        let id = delivery.id().to_string();
        test.command(&format!("XACK jobs workers {id}"));
        test.command(&format!("XDEL jobs {id}"));
        let (acked, added) = delivery.ack_then(&out, &job(1)).await.unwrap();
        assert_eq!(acked, Acked::AlreadyGone);
        let length: u64 = test.command("XLEN {jobs}:next").parse().unwrap();
        assert_eq!(length, 10 + u64::from(added.is_some()));
        consumer.close().await;
    });
}

#[test]
fn late_settlement_reports_the_lost_lease() {
    on_each(async |test| {
        let queue = test.queue().await;
        test.enqueue(&queue, 3).await;
        let mut consumer = queue.consumer().prefetch(3).start().await.unwrap();
        let (one, two, three) =
            (next(&mut consumer).await, next(&mut consumer).await, next(&mut consumer).await);
        for delivery in [&one, &two] {
            let id = delivery.id().to_string();
            test.command(&format!("XACK jobs workers {id}"));
            test.command(&format!("XDEL jobs {id}"));
        }
        assert_eq!(one.ack().await.unwrap(), Acked::AlreadyGone);
        // A heartbeat finds that the entry is gone.
        two.lease().lost().await;
        assert!(two.lease().is_lost());
        assert!(matches!(two.extend().await, Err(QueueError::LeaseLost)));
        assert!(matches!(two.nack(Nack::now()).await, Err(QueueError::LeaseLost)));
        // An operator gave it to another consumer: the next `extend` reports that.
        let id = three.id().to_string();
        test.command(&format!("XCLAIM jobs workers operator 0 {id}"));
        assert!(matches!(three.extend().await, Err(QueueError::LeaseLost)));
        assert!(three.lease().is_lost());
        assert_eq!(test.command("XLEN jobs"), "1");
        drop(three);
        consumer.close().await;
        let pending = test.command("XPENDING jobs workers - + 9");
        assert!(pending.contains("operator"), "{pending}");
    });
}

#[test]
fn at_most_once_acknowledges_before_delivery() {
    on_each(async |test| {
        let queue = test.builder().at_most_once().open(Flat).await.unwrap();
        test.enqueue(&queue, 100).await;
        let mut consumer = queue.consumer().prefetch(100).start().await.unwrap();
        let first = next(&mut consumer).await;
        assert_eq!(test.left(), (0, 0));
        assert_eq!(first.lease().deadline(), None);
        assert!(!first.lease().is_lost());
        first.extend().await.unwrap();
        first.nack(Nack::now()).await.unwrap();
        for n in 1..100 {
            let delivery = next(&mut consumer).await;
            assert_eq!((number(delivery.payload()), delivery.attempt()), (n, 1));
            assert_eq!(delivery.ack().await.unwrap(), Acked::Done);
        }
        let report = consumer.close().await;
        assert_eq!((report.done, report.dropped), (99, 1));
        assert_eq!(test.left(), (0, 0));
    });
}

#[test]
fn entries_are_kept_until_every_group_has_acknowledged() {
    on_each(async |test| {
        let keep = || test.builder().retention(Retention::KeepUntilAllAcked);
        let one = keep().open(Flat).await.unwrap();
        let two = keep().group("auditors").open(Flat).await.unwrap();
        let other = test.builder().group("third").open::<Job, _>(Flat).await;
        let refused = other.unwrap_err().to_string();
        assert!(refused.contains("auditors") && refused.contains("KeepUntilAllAcked"), "{refused}");
        test.command("XGROUP DESTROY jobs third");
        test.enqueue(&one, 500).await;
        let run = Run::new(one.worker(), |_| async { Ok(()) });
        until("the first group is done", || async {
            test.left().1 == 0 && one.stats().await.unwrap().ready == Some(0)
        })
        .await;
        assert_eq!(test.left().0, 500, "the second group has not read them");
        let second = Run::new(two.worker(), |_| async { Ok(()) });
        until("the second group is done", || async {
            two.stats().await.unwrap().ready == Some(0) && two.stats().await.unwrap().in_flight == 0
        })
        .await;
        until("they are deleted", || async { test.left().0 < 100 }).await;
        assert_eq!(run.stop().await.0.done + second.stop().await.0.done, 1_000);
    });
}

#[test]
fn denied_ack_ends_the_consumer_with_the_error() {
    on_each(async |test| {
        let rule = |rules: &str| test.command(&format!("ACL SETUSER limited {rules}"));
        rule("on >secret ~* +@all -xack -xdel");
        if test.redis_at_least(8, 2) {
            rule("-xackdel");
        }
        let config = test.server.config().user("limited").password("secret");
        let client = test.server.connect(config).await.unwrap();
        let builder = Queue::builder(&client, STREAM).group(GROUP).lease(LEASE);
        let queue: Queue<Job> = builder.open(Flat).await.unwrap();
        test.enqueue(&queue, 1).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        let refused = next(&mut consumer).await.ack().await.unwrap_err();
        assert_eq!(refused.code(), Some(&bourn::Code::NoPerm));
        assert_eq!(test.left(), (1, 1));
        let ended = consumer.next().await.expect("the error").unwrap_err();
        assert_eq!(ended.code(), Some(&bourn::Code::NoPerm));
        assert!(consumer.next().await.is_none(), "the consumer has ended");
        assert_eq!(consumer.close().await.unacknowledged, 1);
    });
}
