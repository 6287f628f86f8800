//! Every acknowledged entry is there after a failover.

use crate::trio::{NAME, Trio};
use bourn::{Client, Event, Outcome, ReadFrom, XAdd};
use futures_util::StreamExt;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// The number of writers, each with a stream of its own.
const WRITERS: usize = 8;

/// The entries that were acknowledged, and those with an unknown outcome.
#[derive(Debug, Default)]
struct Written {
    acknowledged: Vec<u64>,
    unknown: Vec<u64>,
    refused: Vec<String>,
    longest: Duration,
}

fn write(client: &Client, stream: usize, stop: &Arc<AtomicBool>) -> JoinHandle<Written> {
    let (client, stop) = (client.clone(), Arc::clone(stop));
    tokio::spawn(async move {
        let (mut written, key) = (Written::default(), format!("stream{stream}"));
        for n in 0.. {
            if stop.load(Relaxed) {
                break;
            }
            let begun = Instant::now();
            let add = XAdd::new(&key).field("n", n);
            match client.send(add).within(Duration::from_secs(20)).await {
                Ok(_) => written.acknowledged.push(n),
                Err(error) if error.outcome() == Outcome::Unknown => written.unknown.push(n),
                Err(error) => written.refused.push(error.to_string()),
            }
            written.longest = written.longest.max(begun.elapsed());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        written
    })
}

/// Writes while `during` runs, and returns the number of acknowledged entries that are lost, and of
/// unknown ones.
async fn under_load(trio: &Trio, client: &Client, during: impl AsyncFnOnce()) -> (usize, usize) {
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS).map(|n| write(client, n, &stop)).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    during().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Relaxed);
    let mut all = Vec::new();
    for writer in writers {
        all.push(writer.await.unwrap());
    }
    trio.until("the sentinels agree", |trio| trio.master().is_some());
    let master = &trio.servers[trio.master().unwrap()];
    let (mut lost, mut unknown, mut total) = (0, 0, 0);
    for (stream, written) in all.iter().enumerate() {
        let entries = master.command(&["XRANGE", &format!("stream{stream}"), "-", "+"]);
        let lines: Vec<_> = entries.lines().collect();
        let values = lines.windows(2).filter(|pair| pair[0] == "n").map(|pair| pair[1]);
        let stored: Vec<u64> = values.map(|value| value.parse().expect("a number")).collect();
        let unique: HashSet<_> = stored.iter().copied().collect();
        assert_eq!(unique.len(), stored.len(), "no entry is there twice");
        assert!(stored.is_sorted(), "a writer's entries are in order");
        lost += written.acknowledged.iter().filter(|n| !unique.contains(n)).count();
        unknown += written.unknown.len();
        total += written.acknowledged.len();
        assert!(written.refused.is_empty(), "{:?}", written.refused);
    }
    let longest = all.iter().map(|written| written.longest).max().unwrap();
    println!("{total} acknowledged, {lost} lost, {unknown} unknown, longest {longest:?}");
    (lost, unknown)
}

/// Waits until the sentinels name another master than this one.
async fn other_master(trio: &Trio, than: usize) {
    let end = Instant::now() + Duration::from_secs(60);
    while trio.master().is_none_or(|master| master == than) {
        assert!(Instant::now() < end, "no other master");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn planned_failover_loses_nothing() {
    let trio = Trio::start();
    let client = trio.client().await;
    let mut events = client.events();
    let mut tail = client.tail("stream0", ReadFrom::START);
    let (lost, unknown) = under_load(&trio, &client, async || {
        // The sentinel that is asked leads the failover, and reports its end seconds later.
        trio.sentinels[1].command(&["SENTINEL", "FAILOVER", NAME]);
        other_master(&trio, 0).await;
        // Only now is the old master told, and its connections are closed.
        trio.until("the old master is a replica", |trio| {
            trio.servers[0].command(&["ROLE"]).starts_with("slave")
        });
    })
    .await;
    assert_eq!((lost, unknown), (0, 0));
    let mut seen = Vec::new();
    while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        seen.push(event);
    }
    assert!(seen.iter().any(|event| matches!(event, Event::WritesHeld)), "{seen:?}");
    assert!(seen.iter().any(|event| matches!(event, Event::MasterSwitched { .. })), "{seen:?}");
    // The tail has followed: it has every entry, once.
    let master = &trio.servers[trio.master().unwrap()];
    let count: usize = master.command(&["XLEN", "stream0"]).parse().unwrap();
    let mut last = None;
    for _ in 0..count {
        let entry = tokio::time::timeout(Duration::from_secs(10), tail.next()).await.unwrap();
        let id = entry.unwrap().unwrap().id();
        assert!(last < Some(id));
        last = Some(id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn planned_failover_without_the_hold_loses_what_the_old_master_acknowledged() {
    let trio = Trio::start();
    let config: bourn::Config = trio.url().parse().unwrap();
    let client = Client::connect(config.hold_in_failover(false)).await.unwrap();
    let (lost, _) = under_load(&trio, &client, async || {
        trio.sentinels[1].command(&["SENTINEL", "FAILOVER", NAME]);
        other_master(&trio, 0).await;
    })
    .await;
    assert!(lost > 0, "the servers lose nothing: is the hold needed?");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_master_is_replaced_and_its_connections_follow() {
    let mut trio = Trio::start();
    let client = trio.client().await;
    let mut killed = std::mem::take(&mut trio.servers);
    let mut old = killed.remove(0);
    trio.servers = killed;
    let begun = Instant::now();
    let (lost, unknown) = under_load(&trio, &client, async || {
        old.kill9();
        let end = Instant::now() + Duration::from_secs(60);
        while trio.master().is_none() {
            assert!(Instant::now() < end, "no master");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        client.send(XAdd::new("stream9").field("n", 1)).await.unwrap();
        println!("written again {:?} after the start", begun.elapsed());
    })
    .await;
    assert!(unknown <= WRITERS, "{unknown}: at most those in flight");
    // Replication is asynchronous: what a replica had not received is gone with the master.
    assert!(lost <= WRITERS, "{lost} lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_master_is_left_and_a_frozen_sentinel_changes_nothing() {
    let trio = Trio::start();
    let client = trio.client().await;
    let (lost, unknown) = under_load(&trio, &client, async || {
        trio.sentinels[2].pause();
        trio.servers[0].pause();
        trio.until("the other sentinels name another master", |trio| {
            trio.named_by(&trio.sentinels[..2]).is_some_and(|master| master != 0)
        });
        client.send(XAdd::new("stream9").field("n", 1)).await.unwrap();
        // For ten seconds it says that it is a master. No connection is to it any more.
        trio.servers[0].resume();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(trio.servers[0].command(&["XLEN", "stream9"]), "0");
        trio.sentinels[2].resume();
    })
    .await;
    assert!(unknown <= WRITERS, "{unknown}: at most those in flight");
    assert!(lost <= WRITERS, "{lost} lost");
}
