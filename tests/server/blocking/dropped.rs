//! A dropped read continues, and the next read returns its result: no entry is lost.
//!
//! With `XREADGROUP ... NOACK` an entry is delivered only once, so these tests miss any entry that
//! is lost.

use super::{LONG, after, group, history, new};
use crate::both::{Random, add, id, in_both, ms, poll_once, until_blocked};
use bourn::{Client, Reader, Streams, XAdd, XLen, XPending};
use std::pin::pin;
use std::time::Duration;
use tokio::task::yield_now;

/// Polls a read once and drops it. It must not complete at once.
async fn drop_read(reader: &mut Reader) {
    let mut read = pin!(reader.read(new().no_ack().block_forever()));
    assert!(poll_once(read.as_mut()).await.is_pending());
}

/// Two round trips: by the second, earlier replies to other connections have been sent.
async fn settle(client: &Client) {
    for _ in 0..2 {
        client.send(XLen::new("s")).await.unwrap();
        yield_now().await;
    }
}

fn ids(streams: &Streams) -> Vec<u64> {
    streams.get("s").map(ms).unwrap_or_default()
}

#[test]
fn read_that_is_never_polled_is_not_sent() {
    in_both(async |_, client| {
        group(client, 1).await;
        let mut reader = client.reader().await.unwrap();
        drop(reader.read(new().no_ack().block_forever()));
        assert!(!reader.is_reading());
        assert_eq!(ids(&reader.read(new()).await.unwrap()), [1]);
        assert_eq!(client.send(XPending::new("s", "g")).await.unwrap().count, 1);
    });
}

#[test]
fn read_dropped_while_blocked_leaves_its_entries_to_the_next() {
    in_both(async |_, client| {
        group(client, 0).await;
        let mut reader = client.reader().await.unwrap();
        drop_read(&mut reader).await;
        assert!(reader.is_reading());
        until_blocked(client, 1).await;
        add(client, "s", 1..=2).await;
        // The pending reply comes first, whatever the next read requests.
        assert_eq!(ids(&reader.read(after(7)).await.unwrap()), [1]);
        assert!(!reader.is_reading());
        assert_eq!(ids(&reader.read(new().no_ack()).await.unwrap()), [2]);
    });
}

#[test]
fn read_dropped_after_its_reply_leaves_it_to_the_next() {
    in_both(async |_, client| {
        group(client, 0).await;
        let mut reader = client.reader().await.unwrap();
        {
            let mut read = pin!(reader.read(new().no_ack().block_forever()));
            assert!(poll_once(read.as_mut()).await.is_pending());
            until_blocked(client, 1).await;
            add(client, "s", 1..=1).await;
            settle(client).await;
        }
        assert!(reader.is_reading());
        assert_eq!(ids(&reader.read(new().no_ack().block_forever()).await.unwrap()), [1]);
    });
}

#[test]
fn reply_is_kept_while_several_reads_are_dropped() {
    in_both(async |_, client| {
        group(client, 0).await;
        let mut reader = client.reader().await.unwrap();
        for _ in 0..10 {
            drop_read(&mut reader).await;
        }
        until_blocked(client, 1).await;
        for _ in 0..10 {
            drop_read(&mut reader).await;
        }
        add(client, "s", 1..=3).await;
        assert_eq!(ids(&reader.read(history()).await.unwrap()), [1]);
        assert_eq!(ids(&reader.read(new().no_ack()).await.unwrap()), [2, 3], "it was sent once");
    });
}

#[test]
fn dropped_read_without_entries_is_skipped() {
    in_both(async |_, client| {
        group(client, 1).await;
        let mut reader = client.reader().await.unwrap();
        {
            let mut read = pin!(reader.read(after(1).block(Duration::from_millis(1))));
            assert!(poll_once(read.as_mut()).await.is_pending());
        }
        assert_eq!(ids(&reader.read(new()).await.unwrap()), [1]);
    });
}

#[test]
fn error_of_a_dropped_read_is_returned_by_the_next() {
    in_both(async |_, client| {
        let mut reader = client.reader().await.unwrap();
        drop_read(&mut reader).await;
        let error = reader.read(after(0)).await.unwrap_err();
        assert_eq!(error.code(), Some(&bourn::Code::NoGroup));
        assert!(reader.read(after(0)).await.unwrap().is_empty());
    });
}

#[test]
fn reads_that_lose_a_select_return_every_entry_once_and_in_order() {
    const ENTRIES: u64 = 1000;
    let seed = Random::seed();
    in_both(async |_, client| {
        group(client, 0).await;
        let mut random = Random::new(seed);
        let mut reader = client.reader().await.unwrap();
        let producer = client.clone();
        let producer = tokio::spawn(async move {
            for n in 1..=ENTRIES {
                let add = XAdd::new("s").id(id(n)).field("n", n);
                producer.send(add).await.unwrap();
            }
        });
        let (mut got, mut dropped) = (Vec::new(), 0);
        while (got.len() as u64) < ENTRIES {
            let turns = random.below(4);
            let others = async {
                for _ in 0..turns {
                    yield_now().await;
                }
            };
            let read = new().no_ack().count(3).block(LONG);
            tokio::select! {
                biased;
                streams = reader.read(read) => got.extend(ids(&streams.unwrap())),
                () = others => dropped += 1,
            }
        }
        assert_eq!(got, (1..=ENTRIES).collect::<Vec<_>>());
        assert!(dropped > 100, "only {dropped} reads were dropped");
        producer.await.unwrap();
    });
}
