//! XREAD without BLOCK.

use super::{BAD_ID, SYNTAX, WRONG_TYPE, set_text};
use crate::both::{add, id, in_both, ms, refusal, too_old};
use crate::support::Server;
use bourn::{EntryId, Feature, ReadFrom, Streams, XAdd, XDel, XRead};

/// Returns the streams of a reply in order: the key, and the millisecond parts of the entries' ids.
pub(super) fn shape(streams: &Streams) -> Vec<(&str, Vec<u64>)> {
    let key = |key| std::str::from_utf8(key).expect("the keys here are text");
    streams.streams().map(|stream| (key(stream.key()), ms(stream.entries()))).collect()
}

/// Whether XREAD supports `+`.
fn has_last(server: &Server) -> bool {
    server.redis_at_least(7, 4) || server.valkey_at_least(8, 1)
}

#[test]
fn read_returns_the_entries_above_the_id_of_each_stream() {
    in_both(async |_, client| {
        add(client, "a", 1..=5).await;
        add(client, "b", 3..=4).await;
        let all = ReadFrom::START;
        let rows = [
            (XRead::new().stream("a", id(3)), vec![("a", vec![4, 5])]),
            (XRead::new().stream("a", EntryId::new(2, u64::MAX)), vec![("a", vec![3, 4, 5])]),
            (XRead::new().stream("a", all).count(2), vec![("a", vec![1, 2])]),
            (XRead::new().stream("a", all).count(0), vec![("a", vec![1, 2, 3, 4, 5])]),
            (
                XRead::new().stream("b", all).stream("a", id(4)).count(2),
                vec![("b", vec![3, 4]), ("a", vec![5])],
            ),
            (
                XRead::new().stream("a", id(5)).stream("none", all).stream("b", id(3)),
                vec![("b", vec![4])],
            ),
            (
                XRead::new().stream("a", id(4)).stream("b", id(3)).stream("a", id(3)),
                vec![("a", vec![5]), ("b", vec![4]), ("a", vec![4, 5])],
            ),
        ];
        for (read, expected) in rows {
            let streams = client.send(read.clone()).await.unwrap();
            assert_eq!(shape(&streams), expected, "{read:?}");
            assert_eq!(streams.len(), streams.iter().count());
        }
    });
}

#[test]
fn read_without_new_entries_is_empty() {
    in_both(async |_, client| {
        add(client, "s", 1..=5).await;
        for (key, from) in [
            ("s", ReadFrom::After(id(5))),
            ("s", ReadFrom::After(EntryId::MAX)),
            ("s", ReadFrom::End),
            ("none", ReadFrom::START),
            ("none", ReadFrom::End),
        ] {
            let streams = client.send(XRead::new().stream(key, from)).await.unwrap();
            assert!(streams.is_empty() && streams.streams().count() == 0, "{key} {from:?}");
        }
    });
}

#[test]
fn last_returns_only_the_last_entry() {
    in_both(async |server, client| {
        add(client, "s", 1..=5).await;
        let last = |key| XRead::new().stream(key, ReadFrom::Last);
        let rows = [
            (last("s"), vec![("s", vec![5])]),
            (last("s").count(3), vec![("s", vec![5])]),
            (last("none").stream("s", id(3)), vec![("s", vec![4, 5])]),
            (last("none"), vec![]),
        ];
        for (read, expected) in rows {
            let result = client.send(read.clone()).await;
            if has_last(server) {
                assert_eq!(shape(&result.unwrap()), expected, "{read:?}");
            } else {
                assert_eq!(too_old(result, &[Feature::ReadLast]), BAD_ID);
            }
        }
    });
}

#[test]
fn last_after_a_deletion_is_empty_or_the_previous_entry() {
    in_both(async |server, client| {
        add(client, "s", 1..=3).await;
        if !has_last(server) {
            return;
        }
        client.send(XDel::new("s", &[id(3)])).await.unwrap();
        let last = || client.send(XRead::new().stream("s", ReadFrom::Last));
        let expected = if server.redis_at_least(8, 0) { vec![("s", vec![2])] } else { Vec::new() };
        assert_eq!(shape(&last().await.unwrap()), expected);
        add(client, "s", 4..=4).await;
        assert_eq!(shape(&last().await.unwrap()), [("s", vec![4])]);
    });
}

#[test]
fn max_count_applies_to_all_streams_together() {
    in_both(async |server, client| {
        add(client, "a", 1..=3).await;
        add(client, "b", 1..=3).await;
        let read = || XRead::new().stream("a", ReadFrom::START).stream("b", ReadFrom::START);
        let rows = [
            (read().max_count(2), vec![("a", vec![1, 2])]),
            (read().max_count(4), vec![("a", vec![1, 2, 3]), ("b", vec![1])]),
            (read().max_count(3).count(2), vec![("a", vec![1, 2]), ("b", vec![1])]),
            (read().max_count(99), vec![("a", vec![1, 2, 3]), ("b", vec![1, 2, 3])]),
        ];
        for (read, expected) in rows {
            let result = client.send(read.clone()).await;
            if server.redis_at_least(8, 10) {
                assert_eq!(shape(&result.unwrap()), expected, "{read:?}");
            } else {
                assert_eq!(too_old(result, &[Feature::MaxCount]), SYNTAX);
            }
        }
    });
}

#[test]
fn max_size_ends_the_reply_after_the_entry_that_reaches_it() {
    in_both(async |server, client| {
        let value = [b'x'; 1000];
        for n in 1..=5 {
            client.send(XAdd::new("s").id(id(n)).field("f", &value)).await.unwrap();
        }
        for (bytes, expected) in [(1, 1), (1000, 1), (1100, 2), (2200, 3), (1_000_000, 5)] {
            let read = XRead::new().stream("s", ReadFrom::START).max_size(bytes);
            let result = client.send(read).await;
            if server.redis_at_least(8, 10) {
                assert_eq!(result.unwrap().len(), expected, "{bytes} bytes");
            } else {
                assert_eq!(too_old(result, &[Feature::MaxSize]), SYNTAX);
            }
        }
    });
}

#[test]
fn read_of_a_key_of_another_type_is_refused() {
    in_both(async |_, client| {
        set_text(client).await;
        add(client, "s", 1..=5).await;
        let rows = [
            (XRead::new().stream("s", id(1)).stream("text", id(1)), WRONG_TYPE),
            (XRead::new(), "ERR wrong number of arguments for 'xread' command"),
        ];
        for (read, expected) in rows {
            assert_eq!(refusal(client.send(read).await), expected);
        }
    });
}
