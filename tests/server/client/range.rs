//! Streams over a range of ids: every entry once, in both directions, whatever its size.

use crate::both::{add, id, in_both, ms, run};
use bourn::{Client, Code, Config, Entry, Error, RangeStream, ReadFrom, XAdd};
use futures_util::StreamExt;
use std::ops::Bound::{Excluded, Included};

async fn all(range: RangeStream) -> Vec<u64> {
    range.map(|entry| entry.expect("no error").id().ms()).collect().await
}

#[test]
fn range_and_rev_range_return_every_entry_between_their_ends() {
    in_both(async |_, client| {
        add(client, "s", 1..=2500).await;
        let up: Vec<u64> = (1..=2500).collect();
        let down: Vec<u64> = up.iter().rev().copied().collect();
        assert_eq!(all(client.range("s", ..)).await, up);
        assert_eq!(all(client.rev_range("s", ..)).await, down);
        assert_eq!(all(client.range("s", ..).count(7)).await, up);
        let between = (Excluded(id(99)), Included(id(2400)));
        assert_eq!(all(client.range("s", between)).await, up[99..2400]);
        assert_eq!(all(client.rev_range("s", id(2000)..)).await, down[..501]);
        assert!(all(client.range("none", ..)).await.is_empty());
        run(client, "SET text x").await;
        let error = client.range("text", ..).next().await.unwrap().unwrap_err();
        assert_eq!(error.code(), Some(&Code::WrongType));
    });
}

#[test]
fn range_continues_after_its_connection_is_lost() {
    in_both(async |_, client| {
        add(client, "s", 1..=1000).await;
        let mut range = client.range("s", ..).count(100);
        let (mut ids, mut kills) = (Vec::new(), 0);
        while let Some(entry) = range.next().await {
            ids.push(entry.unwrap().id().ms());
            if ids.len() % 250 == 0 {
                let list = run(client, "CLIENT LIST").await;
                let list = list.as_str().unwrap().to_owned();
                let reading = list.lines().filter(|line| line.contains(" cmd=xrange "));
                for line in reading {
                    let id = line.split(' ').next().unwrap().strip_prefix("id=").unwrap();
                    kills +=
                        run(client, &format!("CLIENT KILL ID {id}")).await.as_integer().unwrap();
                }
            }
        }
        assert_eq!(ids, (1..=1000).collect::<Vec<_>>());
        assert!(kills > 0);
    });
}

/// A client of the same server with a reply limit of 1 MiB.
async fn limited(server: &crate::support::Server) -> Client {
    Client::connect(Config::tcp("127.0.0.1", server.port()).reply_bytes(1 << 20)).await.unwrap()
}

#[test]
fn entries_whose_pages_exceed_the_reply_limit_are_all_read() {
    in_both(async |server, client| {
        let small = (1..=200).map(|n| XAdd::new("s").id(id(n)).field("v", n));
        let value = vec![b'x'; 200_000];
        let large = (201..=220).map(|n| XAdd::new("s").id(id(n)).field("v", &value));
        for reply in client.send_all(small.chain(large)).await {
            reply.unwrap();
        }
        let limited = limited(server).await;
        let expected: Vec<u64> = (1..=220).collect();
        assert_eq!(all(limited.range("s", ..).max_bytes(1 << 20)).await, expected);
        let tail = limited.tail("s", ReadFrom::START).max_bytes(1 << 20).take(220);
        let tail: Vec<Entry> = tail.map(|entry| entry.expect("no error")).collect().await;
        assert_eq!(tail.iter().map(|entry| entry.id().ms()).collect::<Vec<_>>(), expected);
    });
}

#[test]
fn entry_above_the_reply_limit_is_an_error_with_the_command_to_read_it() {
    in_both(async |server, client| {
        add(client, "s", 1..=1).await;
        let value = vec![b'x'; 2 << 20];
        client.send(XAdd::new("s").id(id(2)).field("v", &value)).await.unwrap();
        add(client, "s", 3..=3).await;
        let limited = limited(server).await;
        let mut tail = limited.tail("s", ReadFrom::START);
        assert_eq!(tail.next().await.unwrap().unwrap().id(), id(1));
        let Err(Error::EntryTooLarge(error)) = tail.next().await.unwrap() else {
            panic!("the entry is larger than the limit")
        };
        // A client with a larger limit reads it. Another tail starts after it.
        let page = bourn::XRange::new(error.key(), error.range()).count(1);
        let page = client.send(page).await.unwrap();
        assert_eq!(ms(&page), [2]);
        let mut tail = limited.tail("s", page.first().unwrap().id());
        assert_eq!(tail.next().await.unwrap().unwrap().id(), id(3));
    });
}
