//! Many tasks on one connection that is cut repeatedly, with pushes between the replies and futures
//! dropped at random. No task gets the reply of another, and the outcome of each entry is correct.
//!
//! | result | on the server |
//! |---|---|
//! | the entry's id | there once, under that id |
//! | not sent, or its future was never polled | not there |
//! | unknown, or its future was dropped after a poll | there at most once |
//!
//! The pushes: another connection enables CLIENT TRACKING in broadcast mode, redirected to the
//! storm's connection, so that the server notifies it of every change of the stream. In RESP3 a
//! relay counts them.

mod pushes;
mod worker;

use crate::both::{Random, in_both_on, kill, until};
use crate::support::Server;
use bourn::{Client, Config, EntryId, Protocol, Raw, XRange};
use pushes::{Tracker, relay};
use std::collections::HashMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use worker::{Fate, Worker};

const TASKS: u64 = 64;

/// The number of confirmed entries of each task.
const EACH: u64 = 3_125;

const ENTRIES: u64 = TASKS * EACH;

/// The number of times the connection is cut.
const CUTS: u64 = 8;

#[test]
fn no_task_gets_the_reply_of_another_and_every_outcome_is_correct() {
    let seed = Random::seed();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    in_both_on(runtime.worker_threads(2), &Server::builder(), async |server, config, protocol| {
        storm(&server, config, protocol, seed).await;
    });
}

async fn storm(server: &Server, config: Config, protocol: Protocol, seed: u64) {
    let other = Client::connect(config.clone()).await.unwrap();
    let pushes = Arc::new(AtomicU64::new(0));
    let client = if protocol == Protocol::Resp2 {
        Client::connect(config).await.unwrap()
    } else {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(relay(listener, server.port(), Arc::clone(&pushes)));
        let relayed = Config::tcp("127.0.0.1", port).protocol(protocol);
        let relayed = relayed.reconnect(Duration::from_millis(1), Duration::from_millis(10));
        Client::connect(relayed).await.unwrap()
    };

    let (progress, done) = mpsc::unbounded_channel();
    let tracker = Tracker::connect(server).await;
    let workers: Vec<_> = (0..TASKS)
        .map(|task| {
            let worker = Worker::new(client.clone(), task, seed);
            tokio::spawn(worker.work(progress.clone()))
        })
        .collect();
    drop(progress);
    cut(&client, &other, tracker, done).await;
    let mut fates = Vec::new();
    for worker in workers {
        fates.extend(worker.await.unwrap());
    }
    // After everything that was sent before.
    client.send(Raw::new("PING")).await.unwrap();

    let there = read_back(&other).await;
    let mut times: HashMap<u64, u64> = HashMap::new();
    there.values().for_each(|nonce| *times.entry(*nonce).or_default() += 1);
    let (mut confirmed, mut unknown, mut dropped, mut ran) = (0, 0, 0, 0);
    for (nonce, fate) in fates {
        let times = times.get(&nonce).copied().unwrap_or_default();
        match fate {
            Fate::Confirmed(id) => {
                assert_eq!((there.get(&id), times), (Some(&nonce), 1), "{id}");
                confirmed += 1;
            }
            Fate::NotSent => assert_eq!(times, 0, "{nonce:x} was not sent"),
            Fate::Unknown | Fate::Dropped => {
                assert!(times <= 1, "{nonce:x} was added {times} times");
                ran += times;
                unknown += u64::from(fate == Fate::Unknown);
                dropped += u64::from(fate == Fate::Dropped);
            }
        }
    }
    let pushes = pushes.load(Ordering::Relaxed);
    println!(
        "{confirmed} confirmed; of {unknown} unknown and {dropped} dropped {ran} ran; {pushes} pushes"
    );
    assert!(confirmed >= ENTRIES && unknown > 0 && dropped > 0);
    assert_eq!(there.len() as u64, confirmed + ran, "the stream has other entries");
    assert!(pushes > 1000 || protocol == Protocol::Resp2, "only {pushes} pushes");
}

/// Cuts the connection whenever a part of the work is done. Ends when all work is done.
async fn cut(
    client: &Client,
    other: &Client,
    mut tracker: Tracker,
    mut progress: mpsc::UnboundedReceiver<u64>,
) {
    tracker.redirect(client.connection_id().expect("the id is known")).await;
    let (mut confirmed, mut cuts) = (0, 0);
    while let Some(more) = progress.recv().await {
        confirmed += more;
        if cuts < CUTS && confirmed >= (cuts + 1) * ENTRIES / (CUTS + 1) {
            cuts += 1;
            let before = client.connection_id();
            kill(other, before.expect("the id is known")).await;
            until("there is another connection", async || client.connection_id() != before).await;
            tracker.redirect(client.connection_id().expect("the id is known")).await;
        }
    }
    assert!(confirmed >= ENTRIES && cuts == CUTS, "{confirmed} confirmed, {cuts} cuts");
}

/// Returns all entries of the stream, with the number in each.
async fn read_back(client: &Client) -> HashMap<EntryId, u64> {
    let mut all = HashMap::new();
    let mut start = Unbounded;
    loop {
        let page = XRange::new("s", (start, Unbounded)).count(10_000);
        let page = client.send(page).await.expect("the stream can be read");
        let Some(last) = page.last() else { return all };
        start = Excluded(last.id());
        for entry in &page {
            let nonce = entry.get_str("nonce").ok().flatten().and_then(|nonce| nonce.parse().ok());
            all.insert(entry.id(), nonce.expect("every entry has a number"));
        }
    }
}
