//! Statistics, health and events of a queue; its commands, permissions and server time.

use crate::test_queue::{GROUP, Job, LEASE, Run, STREAM, TestQueue, config, job, quick, until};
use bourn::queue::Retention;
use bourn::queue::{
    Enqueue, Fail, Flat, Health, Nack, Queue, QueueError, QueueEvent, Redrive, SettingsError,
};
use bourn::{Client, XAdd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[tokio::test]
async fn statistics_are_exact() {
    let test = TestQueue::new().await;
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
    let last = test.server.command(&["XREVRANGE", STREAM, "+", "-", "COUNT", "1"]);
    test.server.command(&["XDEL", STREAM, last.lines().next().unwrap()]);
    until("the statistics are up to date", || async {
        let stats = queue.stats().await.unwrap();
        stats.ready.unwrap() + stats.in_flight + stats.waiting_retry == 17
    })
    .await;
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.length, stats.dead, stats.waiting_retry), (17, 1, 1));
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
}

#[tokio::test]
async fn jobs_trimmed_by_a_lossy_queue_are_counted() {
    let test = TestQueue::new().await;
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
    if test.server.redis_at_least(7, 0) {
        assert_eq!(stats.skipped, Some(2_050 - 10 - left));
    } else {
        assert_eq!(stats.skipped, None);
    }
    let mut done = 0;
    for _ in 0..10 {
        let next = consumer.next().await.unwrap().unwrap();
        assert_eq!(next.ack().await.unwrap(), bourn::queue::Acked::Done, "it was in flight");
        done += 1;
    }
    for _ in 0..left {
        consumer.next().await.unwrap().unwrap().ack().await.unwrap();
        done += 1;
    }
    assert_eq!(consumer.close().await.done, done);
    assert_eq!(test.left().1, 0);
    assert!(test.left().0 >= 100, "finished entries stay until the limit is reached");
}

#[tokio::test]
async fn health_reports_each_problem() {
    let test = TestQueue::new().await;
    let queue = test.builder().lease(Duration::from_millis(100)).open(Flat).await.unwrap();
    assert_eq!(queue.health().await.unwrap(), Health::Ok);
    let reasons = |health| match health {
        Health::Degraded(wrong) => wrong.join("; "),
        other => panic!("{other:?}"),
    };
    test.enqueue(&queue, 1).await;
    let health = reasons(queue.health().await.unwrap());
    assert!(health.contains("no consumer reads"), "{health}");
    until("the job is late", || async {
        matches!(queue.health().await.unwrap(), Health::Degraded(wrong) if wrong[0].contains("waiting"))
    })
    .await;
    let run = Run::new(queue.worker(), |_| async { Err(Fail::dead("no")) });
    until("the job is dead-lettered", || async { test.left() == (0, 0) }).await;
    run.stop().await;
    let health = reasons(queue.health().await.unwrap());
    assert_eq!(health, "there are 1 dead letters");
    queue.dead_letters().purge(Duration::ZERO).await.unwrap();
    test.server.command(&["XGROUP", "CREATE", STREAM, "others", "0"]);
    let health = reasons(queue.health().await.unwrap());
    assert!(health.contains("another group"), "{health}");
    test.server.command(&["DEL", STREAM]);
    let health = reasons(queue.health().await.unwrap());
    assert!(health.contains("not there"), "{health}");
}

#[tokio::test]
async fn open_rejects_invalid_settings() {
    let test = TestQueue::new().await;
    test.server.command(&["SET", "text", "x"]);
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
}

/// The permissions in the docs: streams, transactions, and a connection's own commands.
const LEAST: &[&str] = &[
    "-@all",
    "+@stream",
    "+multi",
    "+exec",
    "+discard",
    "+client|unblock",
    "+client|id",
    "+hello",
    "+auth",
    "+ping",
];

#[tokio::test]
async fn worker_runs_with_minimal_permissions() {
    let test = TestQueue::new().await;
    let mut rules = vec!["ACL", "SETUSER", "least", "on", ">secret", "~jobs", "~{jobs}*"];
    rules.extend(LEAST);
    test.server.command(&rules);
    let client =
        Client::connect(config(&test.server).user("least").password("secret")).await.unwrap();
    let builder = |max_delay| {
        let builder = Queue::builder(&client, STREAM).group(GROUP).lease(LEASE).retry(quick(2));
        builder.max_delay(max_delay)
    };
    for max_delay in [Duration::from_millis(10), Duration::from_secs(60)] {
        let queue: Queue<Job> = builder(max_delay).open(Flat).await.unwrap();
        let mut events = queue.events();
        queue.producer().enqueue_with(&job(1_000), Enqueue::new().header("a", "b")).await.unwrap();
        test.enqueue(&queue, 50).await;
        let later = max_delay.min(LEASE + LEASE / 4);
        static RELEASED: AtomicBool = AtomicBool::new(false);
        let released = &RELEASED;
        let run = Run::new(queue.worker(), move |job| async move {
            match crate::test_queue::number(&job) {
                0..5 => Err(Fail::dead("no")),
                5..10 if job.attempt() == 1 => Err(Fail::retry("once")),
                10 => {
                    tokio::time::sleep(LEASE * 2).await;
                    Ok(())
                }
                11 if !released.swap(true, Ordering::Relaxed) => Err(Fail::Release),
                12 if job.attempt() == 1 => Err(Fail::retry_after(later, "later")),
                _ => Ok(()),
            }
        });
        // Entries that a crashed worker left pending.
        test.server.command(&[
            "XREADGROUP",
            "GROUP",
            GROUP,
            "crashed",
            "COUNT",
            "3",
            "STREAMS",
            STREAM,
            ">",
        ]);
        queue.producer().enqueue(&job(2_000)).await.unwrap();
        until("every job is settled", || async { test.left() == (0, 0) }).await;
        queue.stats().await.unwrap();
        queue.health().await.unwrap();
        run.stop().await;
        assert_eq!(queue.dead_letters().count().await.unwrap(), 5);
        assert_eq!(queue.dead_letters().list(None, 10).await.unwrap().len(), 5);
        assert_eq!(queue.dead_letters().redrive(Redrive::all().at_most(2)).await.unwrap(), 2);
        queue.dead_letters().purge(Duration::ZERO).await.unwrap();
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        until("every job is done", || async { test.left() == (0, 0) }).await;
        run.stop().await;
        drop(queue);
        while let Some(event) = events.next().await {
            let refused = matches!(&event, QueueEvent::Interrupted { .. });
            assert!(!refused, "{event:?}");
        }
    }
    // `CLIENT SETINFO` may be refused; nothing else was.
    let log = test.server.command(&["ACL", "LOG"]);
    let lines: Vec<&str> = log.lines().collect();
    for object in lines.windows(2).filter(|pair| pair[0] == "object").map(|pair| pair[1]) {
        assert!(matches!(object, "client|setinfo" | "client"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_is_slow_with_100_000_pending_entries() {
    for max_delay in [Duration::from_millis(10), Duration::from_secs(3_600)] {
        let test = TestQueue::new().await;
        let builder = test.builder().lease(Duration::from_secs(600)).max_delay(max_delay);
        let queue = builder.open(Flat).await.unwrap();
        for chunk in 0..100 {
            let adds = (0..1_000).map(|n| XAdd::new(STREAM).field("n", chunk * 1_000 + n));
            for added in test.client.send_all(adds).await {
                added.unwrap();
            }
            let read =
                ["XREADGROUP", "GROUP", GROUP, "busy", "COUNT", "1000", "STREAMS", STREAM, ">"];
            test.server.command(&read);
        }
        test.enqueue(&queue, 100).await;
        test.server.command(&["CONFIG", "SET", "slowlog-log-slower-than", "5000"]);
        test.server.command(&["SLOWLOG", "RESET"]);
        let run = Run::new(queue.worker(), |job| async move {
            match (crate::test_queue::number(&job), job.attempt()) {
                (0..20, 1) => Err(Fail::retry("once")),
                (20..30, _) => Err(Fail::dead("no")),
                _ => Ok(()),
            }
        });
        // With this many pending entries a failed job may wait for a whole lease.
        until("the hundred jobs were attempted", || async { test.left().0 <= 100_020 }).await;
        let seen = |command: &str| test.server.command(&["INFO", "commandstats"]).contains(command);
        until("maintenance ran", || async { seen("cmdstat_xinfo") }).await;
        queue.stats().await.unwrap();
        queue.health().await.unwrap();
        run.stop().await;
        let slow = test.server.command(&["SLOWLOG", "GET", "10"]);
        assert_eq!(slow, "", "{slow}");
    }
}
