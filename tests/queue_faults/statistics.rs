//! Statistics and health of a queue; settings that are refused.

use crate::test_queue::{Job, LEASE, Run, STREAM, on_each, until};
use bourn::queue::{Acked, Fail, Flat, Health, Nack, Queue, QueueError, Retention, SettingsError};
use futures_util::FutureExt;
use std::time::Duration;
use tokio::time::sleep;

#[test]
fn statistics_are_exact() {
    on_each(async |test| {
        let queue = test.builder().lease(Duration::from_secs(20)).open(Flat).await.unwrap();
        let empty = queue.stats().await.unwrap();
        assert_eq!(
            (empty.ready, empty.in_flight, empty.dead, empty.oldest_ready),
            (Some(0), 0, 0, None)
        );
        test.enqueue(&queue, 20).await;
        let mut consumer = queue.consumer().prefetch(6).start().await.unwrap();
        let mut deliveries = Vec::new();
        for _ in 0..6 {
            deliveries.push(consumer.next().await.unwrap().unwrap());
        }
        until("six more are fetched", || async { test.left() == (20, 12) }).await;
        let oldest = deliveries[1].id();
        deliveries.remove(0).ack().await.unwrap();
        deliveries.pop().unwrap().nack(Nack::dead("no")).await.unwrap();
        deliveries.pop().unwrap().nack(Nack::after(Duration::from_secs(15))).await.unwrap();
        // An entry that was never delivered is deleted: the server's lag is lost, the count is not.
        let last = test.command(&format!("XREVRANGE {STREAM} + - COUNT 1"));
        test.command(&format!("XDEL {STREAM} {}", last.lines().next().unwrap()));
        until("the statistics are up to date", || async {
            let stats = queue.stats().await.unwrap();
            stats.ready.unwrap() + stats.in_flight + stats.waiting_retry == 17
        })
        .await;
        let stats = queue.stats().await.unwrap();
        // The delayed job waits in other streams.
        assert_eq!((stats.length, stats.dead, stats.waiting_retry), (16, 1, 1));
        assert_eq!(stats.in_flight + stats.ready.unwrap(), 16);
        assert_eq!(stats.oldest_pending, Some(oldest));
        assert!(stats.oldest_ready.unwrap() > oldest);
        assert!(stats.oldest_dead.is_some());
        assert_eq!(stats.consumers.len(), 1);
        assert_eq!(*stats.consumers[0].name, *consumer.name());
        assert_eq!(stats.consumers[0].pending, stats.in_flight);
        assert!(stats.oldest_ready_age().unwrap() < Duration::from_secs(60));
        drop(deliveries);
        consumer.close().await;
    });
}

#[test]
fn jobs_trimmed_by_a_lossy_queue_are_counted() {
    on_each(async |test| {
        let lossy = test.builder().retention(Retention::LossyMaxLen(100));
        let queue: Queue<Job> = lossy.open(Flat).await.unwrap();
        test.enqueue(&queue, 50).await;
        let mut consumer = queue.consumer().prefetch(10).start().await.unwrap();
        until("ten are fetched", || async { test.left() == (50, 10) }).await;
        test.enqueue(&queue, 2_000).await;
        // The server trims whole nodes: more than a hundred entries are left.
        let left = test.left().0;
        assert!((100..400).contains(&left), "{left}");
        let stats = queue.stats().await.unwrap();
        assert_eq!(stats.length, left);
        if test.redis_at_least(7, 0) {
            assert_eq!(stats.skipped, Some(2_050 - 10 - left));
        } else {
            assert_eq!(stats.skipped, None);
        }
        let mut done = 0;
        for _ in 0..10 {
            let next = consumer.next().await.unwrap().unwrap();
            assert_eq!(next.ack().await.unwrap(), Acked::Done, "it was in flight");
            done += 1;
        }
        for _ in 0..left {
            consumer.next().await.unwrap().unwrap().ack().await.unwrap();
            done += 1;
        }
        assert_eq!(consumer.close().await.done, done);
        assert_eq!(test.left().1, 0);
        assert!(test.left().0 >= 100, "finished entries stay until the limit is reached");
    });
}

/// From Redis 7.0 on, a heartbeat finds that an entry was deleted.
#[test]
fn job_in_flight_that_is_trimmed_is_done_or_cancelled_by_a_heartbeat() {
    for past_a_heartbeat in [false, true] {
        on_each(async |test| {
            let lossy = test.builder().retention(Retention::LossyMaxLen(100));
            let queue: Queue<Job> = lossy.open(Flat).await.unwrap();
            test.enqueue(&queue, 10).await;
            let mut consumer = queue.consumer().prefetch(10).start().await.unwrap();
            until("ten are fetched", || async { test.left() == (10, 10) }).await;
            test.enqueue(&queue, 500).await;
            if past_a_heartbeat {
                sleep(LEASE).await;
            }
            let left = test.left().0;
            let cancelled = if past_a_heartbeat && test.redis_at_least(7, 0) { 10 } else { 0 };
            for _ in 0..10 + left - cancelled {
                consumer.next().await.unwrap().unwrap().ack().await.unwrap();
            }
            assert!(consumer.next().now_or_never().is_none(), "no more");
            let report = consumer.close().await;
            assert_eq!(report.done, 10 + left - cancelled, "{report}");
            assert_eq!((report.already_gone, report.lease_lost), (cancelled, 0), "{report}");
        });
    }
}

#[test]
fn health_reports_each_problem() {
    on_each(async |test| {
        let queue = test.builder().lease(Duration::from_millis(100)).open(Flat).await.unwrap();
        assert_eq!(queue.health().await.unwrap(), Health::Ok);
        let reasons = |health| match health {
            Health::Degraded(wrong) => wrong.join("; "),
            other => panic!("{other:?}"),
        };
        test.enqueue(&queue, 1).await;
        sleep(Duration::from_secs(2)).await;
        let health = reasons(queue.health().await.unwrap());
        assert!(health.contains("no consumer reads"), "{health}");
        assert!(health.contains("a job has been waiting for"), "{health}");
        let run = Run::new(queue.worker(), |_| async { Err(Fail::dead("no")) });
        until("the job is dead-lettered", || async { test.left() == (0, 0) }).await;
        run.stop().await;
        let health = reasons(queue.health().await.unwrap());
        assert_eq!(health, "there are 1 dead letters");
        queue.dead_letters().purge(Duration::ZERO).await.unwrap();
        test.command(&format!("XGROUP CREATE {STREAM} others 0"));
        let health = reasons(queue.health().await.unwrap());
        assert!(health.contains("another group"), "{health}");
        test.command(&format!("DEL {STREAM}"));
        let health = reasons(queue.health().await.unwrap());
        assert!(health.contains("not there"), "{health}");
    });
}

#[test]
fn open_rejects_invalid_settings() {
    on_each(async |test| {
        test.command("SET text x");
        let open = |builder: bourn::queue::QueueBuilder| async {
            builder.open::<Job, _>(Flat).await.map(drop)
        };
        let not_a_stream = open(Queue::builder(&test.client, "text")).await;
        assert!(matches!(not_a_stream, Err(QueueError::Settings(SettingsError::NotAStream(_)))));
        let dead = open(test.builder().dead_letter("text")).await;
        assert!(matches!(dead, Err(QueueError::Settings(SettingsError::DeadLettersNotAStream(_)))));
        let same = open(test.builder().dead_letter(STREAM)).await;
        assert!(matches!(same, Err(QueueError::Settings(SettingsError::Value(_)))));
        let short = open(test.builder().lease(Duration::from_millis(1))).await;
        assert!(matches!(short, Err(QueueError::Settings(SettingsError::Value(_)))));
    });
}
