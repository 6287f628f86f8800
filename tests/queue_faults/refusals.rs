//! A server that refuses commands: each loop of the queue waits between two tries, whatever the
//! error and the command.

use crate::support::{Email, in_paused_time};
use bourn::queue::{Fail, Flat, Job, Queue, QueueBuilder, QueueEvent, Redrive, Retention};
use bourn::testing::{Fault, Server};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// Errors that a server, a proxy or a cluster sends.
const REFUSALS: [&str; 18] = [
    "LOADING Redis is loading the dataset in memory",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "NOPERM User default has no permissions to run this command",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY You can't write against a read only replica.",
    "MISCONF Redis is configured to save RDB snapshots, but it is unable to persist to disk.",
    "NOREPLICAS Not enough good replicas to write.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "MOVED 3999 127.0.0.1:1",
    "NOGROUP No such key 'email' or consumer group 'workers'",
    "UNBLOCKED the stream key no longer exists",
    "BUSYGROUP Consumer Group name already exists",
    "NOAUTH Authentication required.",
    "EXECABORT Transaction discarded because of previous errors.",
    "ERR unknown command",
];

/// The commands that a queue sends.
const COMMANDS: [&str; 22] = [
    "XINFO STREAM",
    "XINFO GROUPS",
    "XINFO CONSUMERS",
    "XREADGROUP",
    "XAUTOCLAIM",
    "XCLAIM",
    "XPENDING",
    "XACK",
    "XACKDEL",
    "XDEL",
    "XDELEX",
    "XNACK",
    "XADD",
    "XGROUP CREATE",
    "XGROUP CREATECONSUMER",
    "XGROUP DELCONSUMER",
    "XLEN",
    "XRANGE",
    "XTRIM",
    "MULTI",
    "EXEC",
    "CLIENT UNBLOCK",
];

/// The most commands, and the most events, in a second.
const MOST: usize = 250;

/// The number of seconds that are counted.
const SECONDS: usize = 4;

/// Counts the commands and the events of each second while one command is refused.
async fn count(
    server: &Server,
    refusal: &str,
    command: &str,
    with: fn(QueueBuilder) -> QueueBuilder,
) -> Option<String> {
    // A loop without a pause is then 500 commands a second, and not an endless test.
    server.set_latency(Duration::from_micros(200));
    let client = server.client().await.unwrap();
    let queue =
        || -> Queue<Email> { with(Queue::builder(&client, "email")).open_lazy(Flat).unwrap() };
    let monitored = queue();
    for _ in 0..8 {
        monitored.producer().enqueue(&Email::new()).await.unwrap();
    }
    let mut events = monitored.events();
    let emitted = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&emitted);
    let listening = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let more = if let QueueEvent::Missed { events } = event { events } else { 1 };
            counter.fetch_add(more, Ordering::Relaxed);
        }
    });
    let first = monitored.clone();
    let fresh = (client.clone(), with);
    let working = tokio::spawn(async move {
        let mut queue = first;
        loop {
            // A permanent error ends the worker: a supervisor starts it again.
            let ended =
                queue.worker().concurrency(4).run(std::future::pending::<()>(), handle).await;
            drop(ended);
            sleep(Duration::from_secs(1)).await;
            queue = fresh.1(Queue::builder(&fresh.0, "email")).open_lazy(Flat).unwrap();
        }
    });
    sleep(Duration::from_millis(50)).await;

    server.inject(Fault::error(refusal).on_command(command).times(u64::MAX));
    let monitoring = tokio::spawn(monitor(monitored.clone()));
    let mut wrong = None;
    let (mut sent, mut seen) = (server.requests().len(), emitted.load(Ordering::Relaxed));
    for second in 0..SECONDS {
        if second % 2 == 1 {
            // New connections are checked.
            server.disconnect_all();
        }
        sleep(Duration::from_secs(1)).await;
        let requests = server.requests();
        let (now, events) = (requests.len(), emitted.load(Ordering::Relaxed));
        let mut names = BTreeMap::<String, usize>::new();
        for request in requests.iter().skip(sent) {
            *names.entry(request.name()).or_default() += 1;
        }
        let (commands, events_now) = (now - sent, events - seen);
        if commands > MOST || events_now > MOST as u64 {
            wrong = Some(format!(
                "{command} refused with {refusal:?}: {commands} commands and {events_now} events \
                 in second {second}: {names:?}"
            ));
            break;
        }
        (sent, seen) = (now, events);
    }
    for task in [listening, working, monitoring] {
        task.abort();
    }
    wrong
}

/// Ends a job in one of five ways, by its id.
async fn handle(job: Job<Email>) -> Result<(), Fail> {
    sleep(Duration::from_millis(100)).await;
    match job.id().ms() % 5 {
        0 => Err(Fail::retry("a retry")),
        1 => Err(Fail::dead("a dead letter")),
        2 => Err(Fail::retry_after(Duration::from_secs(2), "a later retry")),
        3 if job.attempt() < 2 => Err(Fail::retry_after(Duration::ZERO, "a retry at once")),
        _ => Ok(()),
    }
}

/// Enqueues a job, reads the statistics and redrives, about once a second each.
async fn monitor(queue: Queue<Email>) {
    loop {
        let _ = queue.producer().enqueue(&Email::new()).await;
        let _ = queue.stats().await;
        let _ = queue.health().await;
        let _ = queue.dead_letters().redrive(Redrive::all()).await;
        sleep(Duration::from_secs(1)).await;
    }
}

fn count_all(version: &str, with: fn(QueueBuilder) -> QueueBuilder) {
    let mut wrong = Vec::new();
    for refusal in REFUSALS {
        for command in COMMANDS {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                wrong.extend(count(&server, refusal, command, with).await);
            });
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn commands_per_second_are_bounded_whatever_redis_6_2_refuses() {
    count_all("redis-6.2", |queue| queue);
}

#[test]
fn commands_per_second_are_bounded_whatever_redis_8_10_refuses() {
    count_all("redis-8.10", |queue| queue);
}

#[test]
fn commands_per_second_are_bounded_whatever_is_refused_with_delay_buckets() {
    const LEASE: Duration = Duration::from_secs(3);
    let with = |queue: QueueBuilder| queue.lease(LEASE).retention(Retention::KeepUntilAllAcked);
    count_all("redis-7.0", with);
}

#[test]
fn commands_per_second_are_bounded_whatever_is_refused_at_most_once() {
    count_all("redis-8.10", QueueBuilder::at_most_once);
}
