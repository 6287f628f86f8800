//! The permissions that a queue needs, and the server's time for each command.

use crate::test_queue::{
    GROUP, Job, LEASE, Run, STREAM, TestQueue, config, job, limited, quick, until,
};
use bourn::queue::{Enqueue, Fail, Flat, Queue, QueueEvent, Redrive};
use bourn::{Client, XAdd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The permissions in the docs: streams, transactions, and a connection's own commands.
pub(crate) const LEAST: &[&str] = &[
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

#[test]
fn worker_runs_with_minimal_permissions() {
    limited(async || {
        let test = TestQueue::new().await;
        let mut rules = vec!["ACL", "SETUSER", "least", "on", ">secret", "~jobs", "~{jobs}*"];
        rules.extend(LEAST);
        test.server.command(&rules);
        let client =
            Client::connect(config(&test.server).user("least").password("secret")).await.unwrap();
        let builder = || Queue::builder(&client, STREAM).group(GROUP).lease(LEASE).retry(quick(2));
        for later in [Duration::from_millis(10), Duration::from_millis(2_500)] {
            let queue: Queue<Job> = builder().open(Flat).await.unwrap();
            let mut events = queue.events();
            queue
                .producer()
                .enqueue_with(&job(1_000), Enqueue::new().header("a", "b"))
                .await
                .unwrap();
            test.enqueue(&queue, 50).await;
            static RELEASED: AtomicBool = AtomicBool::new(false);
            let released = &RELEASED;
            let run = Run::new(queue.worker(), move |job| async move {
                match crate::test_queue::number(&job) {
                    0..5 => Err(Fail::dead("no")),
                    5..10 if job.attempt() == 1 => Err(Fail::retry("once")),
                    10 => {
                        tokio::time::sleep(LEASE).await;
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
            let waiting = || async { queue.stats().await.unwrap().waiting_retry };
            until("every job is settled", || async {
                waiting().await == 0 && test.left() == (0, 0)
            })
            .await;
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
        // `CLIENT SETINFO`, `CONFIG GET` and `TIME` may be refused; nothing else was.
        let log = test.server.command(&["ACL", "LOG"]);
        let lines: Vec<&str> = log.lines().collect();
        for object in lines.windows(2).filter(|pair| pair[0] == "object").map(|pair| pair[1]) {
            assert!(
                matches!(object, "client|setinfo" | "client" | "config|get" | "config" | "time"),
                "{log}"
            );
        }
    });
}

#[test]
fn no_command_is_slow_with_100_000_pending_entries() {
    limited(async || {
        // It waits for maintenance, which runs about every ten seconds.
        no_command_is_slow().await;
    });
}

async fn no_command_is_slow() {
    let test = TestQueue::new().await;
    let builder = test.builder().lease(Duration::from_secs(600));
    let queue = builder.open(Flat).await.unwrap();
    for chunk in 0..100 {
        let adds = (0..1_000).map(|n| XAdd::new(STREAM).field("n", chunk * 1_000 + n));
        for added in test.client.send_all(adds).await {
            added.unwrap();
        }
        let read = ["XREADGROUP", "GROUP", GROUP, "busy", "COUNT", "1000", "STREAMS", STREAM, ">"];
        test.server.command(&read);
    }
    // A command that a busy machine interrupts looks slow: one round without such is enough.
    let mut slow = String::new();
    for _ in 0..6 {
        slow = slow_commands(&test, &queue).await;
        if slow.is_empty() {
            return;
        }
    }
    panic!("slow in each round: {slow}");
}

/// Runs a worker on a hundred jobs; returns the commands that took the server more than 5 ms.
async fn slow_commands(test: &TestQueue, queue: &Queue<Job>) -> String {
    let before = test.left().0;
    test.enqueue(queue, 100).await;
    test.server.command(&["CONFIG", "SET", "slowlog-log-slower-than", "5000"]);
    test.server.command(&["CONFIG", "RESETSTAT"]);
    test.server.command(&["SLOWLOG", "RESET"]);
    let run = Run::new(queue.worker(), |job| async move {
        match (crate::test_queue::number(&job), job.attempt()) {
            (0..10, 1) => Err(Fail::retry("once")),
            (10..20, 1) => Err(Fail::retry_after(Duration::from_secs(3), "later")),
            (20..30, _) => Err(Fail::dead("no")),
            _ => Ok(()),
        }
    });
    // With this many pending entries a failed job may wait for a whole lease.
    until("the hundred jobs were attempted", || async { test.left().0 <= before + 20 }).await;
    let seen = |command: &str| test.server.command(&["INFO", "commandstats"]).contains(command);
    until("maintenance ran", || async { seen("cmdstat_xinfo") }).await;
    queue.stats().await.unwrap();
    queue.health().await.unwrap();
    run.stop().await;
    test.server.command(&["SLOWLOG", "GET", "10"])
}
