//! Blocking reads, and what wakes them.

use super::{LONG, after, group, history, new};
use crate::both::{add, id, in_both, ms, poll_once, refusal, run, too_old, until_blocked};
use bourn::{
    EntryId, Feature, GroupFrom, Raw, ReadFrom, XAdd, XGroupDestroy, XLen, XRead, XReadGroup,
};
use std::pin::pin;
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn existing_entries_are_returned_at_once() {
    in_both(async |_, client| {
        group(client, 3).await;
        let mut reader = client.reader().await.unwrap();
        let streams = reader.read(after(1).block_forever()).await.unwrap();
        assert_eq!(ms(streams.get("s").unwrap()), [2, 3]);
        let streams = reader.read(new().block_forever()).await.unwrap();
        assert_eq!(ms(streams.get("s").unwrap()), [1, 2, 3]);
        let streams = reader.read(after(2)).await.unwrap();
        assert_eq!(ms(streams.get("s").unwrap()), [3], "also without BLOCK");
        assert!(reader.read(after(3)).await.unwrap().is_empty());
    });
}

#[test]
fn read_is_empty_after_its_block_time() {
    in_both(async |_, client| {
        group(client, 1).await;
        let mut reader = client.reader().await.unwrap();
        for wait in [Duration::ZERO, Duration::from_nanos(1), MOMENT] {
            let streams = reader.read(after(1).block(wait)).await.unwrap();
            assert!(streams.is_empty() && streams.streams().count() == 0, "{wait:?}");
        }
        assert_eq!(reader.read(new().block(MOMENT)).await.unwrap().len(), 1);
        assert!(reader.read(new().block(MOMENT)).await.unwrap().is_empty());
    });
}

#[test]
fn added_entry_wakes_the_read() {
    in_both(async |_, client| {
        group(client, 1).await;
        let mut reader = client.reader().await.unwrap();
        assert_eq!(reader.read(new()).await.unwrap().len(), 1);
        let latest = || XRead::new().stream("s", ReadFrom::End);
        for round in 1..=3 {
            let next = 2 * round;
            {
                let mut read = pin!(reader.read(latest().block(LONG)));
                assert!(poll_once(read.as_mut()).await.is_pending());
                until_blocked(client, 1).await;
                add(client, "s", next..=next).await;
                assert_eq!(ms(read.await.unwrap().get("s").unwrap()), [next]);
            }
            assert_eq!(reader.read(new()).await.unwrap().len(), 1);
            {
                let mut read = pin!(reader.read(new().block_forever()));
                assert!(poll_once(read.as_mut()).await.is_pending());
                until_blocked(client, 1).await;
                add(client, "s", next + 1..=next + 1).await;
                assert_eq!(ms(read.await.unwrap().get("s").unwrap()), [next + 1]);
            }
        }
    });
}

#[test]
fn any_of_several_streams_wakes_the_read() {
    in_both(async |_, client| {
        let mut reader = client.reader().await.unwrap();
        for key in ["c", "a", "b"] {
            let read = ["a", "b", "c"]
                .into_iter()
                .fold(XRead::new(), |read, key| read.stream(key, ReadFrom::End));
            let mut read = pin!(reader.read(read.block_forever()));
            assert!(poll_once(read.as_mut()).await.is_pending());
            until_blocked(client, 1).await;
            add(client, key, 1..=1).await;
            let streams = read.await.unwrap();
            let keys: Vec<_> = streams.streams().map(|stream| stream.key()).collect();
            assert_eq!(keys, [key.as_bytes()]);
        }
    });
}

#[test]
fn read_of_the_last_entry_blocks_while_there_is_none() {
    in_both(async |server, client| {
        let last = || XRead::new().stream("s", ReadFrom::Last);
        let mut reader = client.reader().await.unwrap();
        if !(server.redis_at_least(7, 4) || server.valkey_at_least(8, 1)) {
            let error = "ERR Invalid stream ID specified as stream command argument";
            assert_eq!(
                too_old(reader.read(last().block_forever()).await, &[Feature::ReadLast]),
                error
            );
            return;
        }
        let mut read = pin!(reader.read(last().block_forever()));
        assert!(poll_once(read.as_mut()).await.is_pending());
        until_blocked(client, 1).await;
        add(client, "s", 7..=7).await;
        assert_eq!(ms(read.await.unwrap().get("s").unwrap()), [7]);
    });
}

#[test]
fn history_read_never_blocks() {
    in_both(async |_, client| {
        group(client, 1).await;
        let mut reader = client.reader().await.unwrap();
        let streams = reader.read(history().block_forever()).await.unwrap();
        assert!(streams.is_empty());
        assert_eq!(streams.streams().count(), 1, "the stream is returned without entries");
        let both = history().stream("s", GroupFrom::New).block_forever();
        assert_eq!(reader.read(both).await.unwrap().len(), 1);
    });
}

#[test]
fn blocked_reader_does_not_delay_others() {
    in_both(async |_, client| {
        let mut reader = client.reader().await.unwrap();
        let mut other = client.reader().await.unwrap();
        let mut read = pin!(reader.read(after(0).block_forever()));
        let mut other_read = pin!(other.read(after(1).block_forever()));
        assert!(poll_once(read.as_mut()).await.is_pending());
        assert!(poll_once(other_read.as_mut()).await.is_pending());
        until_blocked(client, 2).await;
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 0);
        add(client, "s", 1..=1).await;
        assert_eq!(read.await.unwrap().len(), 1);
        assert!(poll_once(other_read.as_mut()).await.is_pending(), "it waits for a higher id");
        add(client, "s", 2..=2).await;
        assert_eq!(other_read.await.unwrap().len(), 1);
    });
}

#[test]
fn client_unblock_ends_a_read_like_a_timeout_or_with_an_error() {
    in_both(async |_, client| {
        let mut reader = client.reader().await.unwrap();
        let connection = reader.connection_id().unwrap();
        assert_ne!(connection, client.connection_id().unwrap());
        let unblocked = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
        for (how, expected) in [("TIMEOUT", None), ("ERROR", Some(unblocked))] {
            let mut read = pin!(reader.read(after(0).block_forever()));
            assert!(poll_once(read.as_mut()).await.is_pending());
            until_blocked(client, 1).await;
            let unblock = Raw::new("CLIENT UNBLOCK").arg(connection).arg(how);
            assert_eq!(client.send(unblock).await.unwrap().as_integer(), Some(1));
            match expected {
                None => assert!(read.await.unwrap().is_empty()),
                Some(error) => assert_eq!(refusal(read.await), error),
            }
        }
        add(client, "s", 1..=1).await;
        assert_eq!(reader.read(after(0).block_forever()).await.unwrap().len(), 1);
        assert_eq!(reader.connection_id(), Some(connection));
    });
}

#[test]
fn read_fails_without_its_group_and_when_the_group_is_destroyed() {
    in_both(async |server, client| {
        let mut reader = client.reader().await.unwrap();
        let option =
            "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option";
        assert_eq!(refusal(reader.read(new().block_forever()).await), option);
        group(client, 0).await;
        let mut read = pin!(reader.read(new().block_forever()));
        assert!(poll_once(read.as_mut()).await.is_pending());
        until_blocked(client, 1).await;
        assert!(client.send(XGroupDestroy::new("s", "g")).await.unwrap());
        let expected = if server.redis_at_least(7, 2) {
            option
        } else {
            "NOGROUP the consumer group this client was blocked on no longer exists"
        };
        assert_eq!(refusal(read.await), expected);
    });
}

#[test]
fn group_read_fails_when_the_stream_is_deleted_since_7_0() {
    in_both(async |server, client| {
        group(client, 0).await;
        let mut reader = client.reader().await.unwrap();
        let wait = if server.redis_at_least(7, 0) { LONG } else { MOMENT * 200 };
        let mut read = pin!(reader.read(new().block(wait)));
        assert!(poll_once(read.as_mut()).await.is_pending());
        until_blocked(client, 1).await;
        run(client, "DEL s").await;
        if server.redis_at_least(7, 2) {
            assert!(refusal(read.await).starts_with("NOGROUP No such key 's'"));
        } else if server.redis_at_least(7, 0) {
            assert_eq!(refusal(read.await), "UNBLOCKED the stream key no longer exists");
        } else {
            assert!(read.await.unwrap().is_empty(), "it blocks until its time is over");
        }
    });
}

#[test]
fn plain_read_stays_blocked_when_the_stream_is_deleted() {
    in_both(async |_, client| {
        add(client, "s", 1..=5).await;
        let mut reader = client.reader().await.unwrap();
        let mut read = pin!(reader.read(after(5).block_forever()));
        assert!(poll_once(read.as_mut()).await.is_pending());
        until_blocked(client, 1).await;
        run(client, "DEL s").await;
        client.send(XAdd::new("s").id(id(6)).field("f", "v")).await.unwrap();
        assert_eq!(ms(read.await.unwrap().get("s").unwrap()), [6]);
    });
}

#[test]
fn readers_of_one_group_share_its_entries() {
    in_both(async |_, client| {
        group(client, 0).await;
        let mut readers = [client.reader().await.unwrap(), client.reader().await.unwrap()];
        let [first, second] = &mut readers;
        let read = |consumer| XReadGroup::new("g", consumer).stream("s", GroupFrom::New).count(1);
        let mut first = pin!(first.read(read("a").block_forever()));
        let mut second = pin!(second.read(read("b").block_forever()));
        assert!(poll_once(first.as_mut()).await.is_pending());
        until_blocked(client, 1).await;
        assert!(poll_once(second.as_mut()).await.is_pending());
        until_blocked(client, 2).await;
        add(client, "s", 1..=2).await;
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        let mut ids: Vec<EntryId> = first.iter().chain(second.iter()).map(|e| e.id()).collect();
        ids.sort();
        assert_eq!(ids, [id(1), id(2)]);
    });
}
