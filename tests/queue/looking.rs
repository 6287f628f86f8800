//! What a queue says of itself: statistics, health, events; what it asks of a server: commands, permissions, time.

use crate::office::{GROUP, Job, LEASE, Office, Run, STREAM, config, job, quick, until};
use bourn::queue::Retention;
use bourn::queue::{
    Enqueue, Fail, Flat, Health, Nack, Queue, QueueError, QueueEvent, Redrive, SettingsError,
};
use bourn::{Client, XAdd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[tokio::test]
async fn statistics_are_exact() {
    let office = Office::new().await;
    let queue = office.builder().lease(Duration::from_secs(20)).open(Flat).await.unwrap();
    let empty = queue.stats().await.unwrap();
    assert_eq!(
        (empty.ready, empty.in_flight, empty.dead, empty.oldest_ready),
        (Some(0), 0, 0, None)
    );
    office.enqueue(&queue, 20).await;
    let mut consumer = queue.consumer().prefetch(6).start().await.unwrap();
    let mut hands = Vec::new();
    for _ in 0..6 {
        hands.push(consumer.next().await.unwrap().unwrap());
    }
    until("six more are fetched", || async { office.left() == (20, 12) }).await;
    let oldest = hands[1].id();
    hands.remove(0).ack().await.unwrap();
    hands.pop().unwrap().nack(Nack::dead("no")).await.unwrap();
    hands.pop().unwrap().nack(Nack::after(Duration::from_secs(15))).await.unwrap();
    // An entry that nobody was given is deleted: the server's own lag is lost, the count is not.
    let last = office.server.command(&["XREVRANGE", STREAM, "+", "-", "COUNT", "1"]);
    office.server.command(&["XDEL", STREAM, last.lines().next().unwrap()]);
    until("all is as it should be", || async {
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
    drop(hands);
    consumer.close().await;
}

#[tokio::test]
async fn what_a_lossy_queue_loses_is_counted() {
    let office = Office::new().await;
    let lossy = office.builder().retention(Retention::LossyMaxLen(100));
    let queue: Queue<Job> = lossy.open(Flat).await.unwrap();
    office.enqueue(&queue, 50).await;
    let mut consumer = queue.consumer().prefetch(10).start().await.unwrap();
    until("ten are fetched", || async { office.left() == (50, 10) }).await;
    office.enqueue(&queue, 2_000).await;
    // The server trims whole nodes: some more than a hundred are left.
    let left = office.left().0;
    assert!((100..400).contains(&left), "{left}");
    let stats = queue.stats().await.unwrap();
    assert_eq!(stats.length, left);
    if office.server.redis_at_least(7, 0) {
        assert_eq!(stats.skipped, Some(2_050 - 10 - left));
    } else {
        assert_eq!(stats.skipped, None);
    }
    let mut done = 0;
    for _ in 0..10 {
        let next = consumer.next().await.unwrap().unwrap();
        assert_eq!(next.ack().await.unwrap(), bourn::queue::Acked::Done, "it was in hand");
        done += 1;
    }
    for _ in 0..left {
        consumer.next().await.unwrap().unwrap().ack().await.unwrap();
        done += 1;
    }
    assert_eq!(consumer.close().await.done, done);
    assert_eq!(office.left().1, 0);
    assert!(office.left().0 >= 100, "what is done stays as long as there is room");
}

#[tokio::test]
async fn health_says_what_is_amiss() {
    let office = Office::new().await;
    let queue = office.builder().lease(Duration::from_millis(100)).open(Flat).await.unwrap();
    assert_eq!(queue.health().await.unwrap(), Health::Ok);
    let told = |health| match health {
        Health::Degraded(wrong) => wrong.join("; "),
        other => panic!("{other:?}"),
    };
    office.enqueue(&queue, 1).await;
    let health = told(queue.health().await.unwrap());
    assert!(health.contains("nobody reads"), "{health}");
    until("the job is late", || async {
        matches!(queue.health().await.unwrap(), Health::Degraded(wrong) if wrong[0].contains("waiting"))
    })
    .await;
    let run = Run::new(queue.worker(), |_| async { Err(Fail::dead("no")) });
    until("it is dead", || async { office.left() == (0, 0) }).await;
    run.stop().await;
    let health = told(queue.health().await.unwrap());
    assert_eq!(health, "there are 1 dead letters");
    queue.dead_letters().purge(Duration::ZERO).await.unwrap();
    office.server.command(&["XGROUP", "CREATE", STREAM, "others", "0"]);
    let health = told(queue.health().await.unwrap());
    assert!(health.contains("another group"), "{health}");
    office.server.command(&["DEL", STREAM]);
    let health = told(queue.health().await.unwrap());
    assert!(health.contains("not there"), "{health}");
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_when_it_is_opened() {
    let office = Office::new().await;
    office.server.command(&["SET", "text", "x"]);
    let open = |builder: bourn::queue::QueueBuilder| async {
        builder.open::<Job, _>(Flat).await.map(drop)
    };
    let not_a_stream = open(Queue::builder(&office.client, "text")).await;
    assert!(matches!(not_a_stream, Err(QueueError::Settings(SettingsError::NotAStream(_)))));
    let dead = open(office.builder().dead_letter("text")).await;
    assert!(matches!(dead, Err(QueueError::Settings(SettingsError::DeadLettersNotAStream(_)))));
    let same = open(office.builder().dead_letter(STREAM)).await;
    assert!(matches!(same, Err(QueueError::Settings(SettingsError::Value(_)))));
    let short = open(office.builder().lease(Duration::from_millis(1))).await;
    assert!(matches!(short, Err(QueueError::Settings(SettingsError::Value(_)))));
}

/// What the issue allows: streams, transactions, and what a connection says of itself.
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
async fn it_does_with_the_least_permissions() {
    let office = Office::new().await;
    let mut rules = vec!["ACL", "SETUSER", "least", "on", ">secret", "~jobs", "~{jobs}*"];
    rules.extend(LEAST);
    office.server.command(&rules);
    let client =
        Client::connect(config(&office.server).user("least").password("secret")).await.unwrap();
    let builder = |max_delay| {
        let builder = Queue::builder(&client, STREAM).group(GROUP).lease(LEASE).retry(quick(2));
        builder.max_delay(max_delay)
    };
    for max_delay in [Duration::from_millis(10), Duration::from_secs(60)] {
        let queue: Queue<Job> = builder(max_delay).open(Flat).await.unwrap();
        let mut events = queue.events();
        queue.producer().enqueue_with(&job(1_000), Enqueue::new().header("a", "b")).await.unwrap();
        office.enqueue(&queue, 50).await;
        let later = max_delay.min(LEASE + LEASE / 4);
        static RELEASED: AtomicBool = AtomicBool::new(false);
        let released = &RELEASED;
        let run = Run::new(queue.worker(), move |job| async move {
            match crate::office::number(&job) {
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
        // What a dead worker left.
        office.server.command(&[
            "XREADGROUP",
            "GROUP",
            GROUP,
            "dead",
            "COUNT",
            "3",
            "STREAMS",
            STREAM,
            ">",
        ]);
        queue.producer().enqueue(&job(2_000)).await.unwrap();
        until("all are decided", || async { office.left() == (0, 0) }).await;
        queue.stats().await.unwrap();
        queue.health().await.unwrap();
        run.stop().await;
        assert_eq!(queue.dead_letters().count().await.unwrap(), 5);
        assert_eq!(queue.dead_letters().list(None, 10).await.unwrap().len(), 5);
        assert_eq!(queue.dead_letters().redrive(Redrive::all().at_most(2)).await.unwrap(), 2);
        queue.dead_letters().purge(Duration::ZERO).await.unwrap();
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        until("all are done", || async { office.left() == (0, 0) }).await;
        run.stop().await;
        drop(queue);
        while let Some(event) = events.next().await {
            let refused = matches!(&event, QueueEvent::Interrupted { .. });
            assert!(!refused, "{event:?}");
        }
    }
    // A connection says its library's name if it may; nothing else was refused.
    let log = office.server.command(&["ACL", "LOG"]);
    let lines: Vec<&str> = log.lines().collect();
    for object in lines.windows(2).filter(|pair| pair[0] == "object").map(|pair| pair[1]) {
        assert!(matches!(object, "client|setinfo" | "client"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_is_slow_among_a_hundred_thousand_pending() {
    for max_delay in [Duration::from_millis(10), Duration::from_secs(3_600)] {
        let office = Office::new().await;
        let builder = office.builder().lease(Duration::from_secs(600)).max_delay(max_delay);
        let queue = builder.open(Flat).await.unwrap();
        for chunk in 0..100 {
            let adds = (0..1_000).map(|n| XAdd::new(STREAM).field("n", chunk * 1_000 + n));
            for added in office.client.send_all(adds).await {
                added.unwrap();
            }
            let read =
                ["XREADGROUP", "GROUP", GROUP, "busy", "COUNT", "1000", "STREAMS", STREAM, ">"];
            office.server.command(&read);
        }
        office.enqueue(&queue, 100).await;
        office.server.command(&["CONFIG", "SET", "slowlog-log-slower-than", "5000"]);
        office.server.command(&["SLOWLOG", "RESET"]);
        let run = Run::new(queue.worker(), |job| async move {
            match (crate::office::number(&job), job.attempt()) {
                (0..20, 1) => Err(Fail::retry("once")),
                (20..30, _) => Err(Fail::dead("no")),
                _ => Ok(()),
            }
        });
        // In such a crowd what failed may have to wait for a whole lease.
        until("the hundred were tried", || async { office.left().0 <= 100_020 }).await;
        let seen =
            |command: &str| office.server.command(&["INFO", "commandstats"]).contains(command);
        until("the janitor was there", || async { seen("cmdstat_xinfo") }).await;
        queue.stats().await.unwrap();
        queue.health().await.unwrap();
        run.stop().await;
        let slow = office.server.command(&["SLOWLOG", "GET", "10"]);
        assert_eq!(slow, "", "{slow}");
    }
}
