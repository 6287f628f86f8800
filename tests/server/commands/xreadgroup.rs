//! XREADGROUP without BLOCK.

use super::xread::shape;
use super::{NO_GROUP, SYNTAX, WRONG_TYPE, group, pending, set_text};
use crate::both::{add, id, in_both, ms, refusal, run, too_old};
use bourn::{
    EntryId, Feature, GroupFrom, StartAt, XAck, XAdd, XClaim, XDel, XGroupCreate,
    XGroupCreateConsumer, XPending, XPendingRange, XReadGroup,
};
use std::time::Duration;

fn read(consumer: &str) -> XReadGroup<'_> {
    XReadGroup::new("g", consumer)
}

#[test]
fn new_entries_are_delivered_once_and_are_then_pending() {
    in_both(async |_, client| {
        group(client, 5).await;
        let new = |consumer| read(consumer).stream("s", GroupFrom::New);
        let rows = [
            (new("a").count(2), vec![("s", vec![1, 2])]),
            (new("b").count(1), vec![("s", vec![3])]),
            (new("a").count(0), vec![("s", vec![4, 5])]),
            (new("b"), vec![]),
        ];
        for (read, expected) in rows {
            let streams = client.send(read.clone()).await.unwrap();
            assert_eq!(shape(&streams), expected, "{read:?}");
            assert!(streams.iter().all(|entry| entry.delivery().is_none()));
        }
        let summary = client.send(XPending::new("s", "g")).await.unwrap();
        let consumers: Vec<_> = summary.consumers.iter().map(|(c, n)| (&c[..], *n)).collect();
        assert_eq!(consumers, [(&b"a"[..], 4), (&b"b"[..], 1)]);
    });
}

#[test]
fn history_returns_pending_entries_and_counts_them_as_delivered_again() {
    in_both(async |_, client| {
        pending(client, 5, 3).await;
        client.send(XAck::new("s", "g", id(2))).await.unwrap();
        let rows = [
            (GroupFrom::ALL_PENDING, vec![1, 3]),
            (GroupFrom::from(id(1)), vec![3]),
            // The key comes with an empty array of entries.
            (GroupFrom::from(id(3)), vec![]),
            // For the server this would be `>`: entries 4 and 5.
            (GroupFrom::from(EntryId::MAX), vec![]),
        ];
        for (from, expected) in rows {
            let streams = client.send(read("c").stream("s", from)).await.unwrap();
            assert_eq!(shape(&streams), [("s", expected)], "{from:?}");
        }
        let range = client.send(XPendingRange::new("s", "g", .., 10)).await.unwrap();
        let deliveries: Vec<_> = range.iter().map(|entry| (entry.id, entry.deliveries)).collect();
        assert_eq!(deliveries, [(id(1), 2), (id(3), 3)]);
    });
}

#[test]
fn deleted_pending_entry_has_no_fields() {
    in_both(async |_, client| {
        pending(client, 3, 3).await;
        client.send(XDel::new("s", id(2))).await.unwrap();
        let history = read("c").stream("s", GroupFrom::ALL_PENDING);
        let streams = client.send(history).await.unwrap();
        let entries: Vec<_> = streams
            .iter()
            .map(|entry| (entry.id().ms(), entry.is_deleted(), entry.field_count()))
            .collect();
        assert_eq!(entries, [(1, false, 1), (2, true, 0), (3, false, 1)]);
    });
}

#[test]
fn several_streams_are_returned_in_request_order() {
    in_both(async |_, client| {
        pending(client, 3, 1).await;
        client.send(XGroupCreate::new("t", "g", id(1)).mk_stream()).await.unwrap();
        add(client, "t", 1..=2).await;
        let (new, all) = (GroupFrom::New, GroupFrom::ALL_PENDING);
        let rows = [
            (read("c").stream("t", new).stream("s", all), vec![("t", vec![2]), ("s", vec![1])]),
            (read("c").stream("t", new).stream("s", id(1)), vec![("s", vec![])]),
            (
                read("c").stream("s", new).stream("t", new).stream("s", all),
                vec![("s", vec![2, 3]), ("s", vec![1, 2, 3])],
            ),
        ];
        for (read, expected) in rows {
            let streams = client.send(read.clone()).await.unwrap();
            assert_eq!(shape(&streams), expected, "{read:?}");
        }
    });
}

#[test]
fn no_ack_leaves_nothing_pending() {
    in_both(async |_, client| {
        group(client, 3).await;
        let new = read("c").stream("s", GroupFrom::New);
        assert_eq!(client.send(new.no_ack()).await.unwrap().len(), 3);
        assert_eq!(client.send(XPending::new("s", "g")).await.unwrap().count, 0);
    });
}

#[test]
fn claim_returns_idle_pending_entries_before_new_ones() {
    in_both(async |server, client| {
        pending(client, 4, 3).await;
        // Entries 1 and 2 get another consumer, five deliveries, and one minute of idle time. Entry
        // 2 is deleted.
        let idle = Duration::from_secs(60);
        let ids = [id(1), id(2)];
        let claim = XClaim::new("s", "g", "other", Duration::ZERO, &ids).idle(idle).retry_count(5);
        client.send(claim).await.unwrap();
        client.send(XDel::new("s", id(2))).await.unwrap();
        let claim = |ms| read("c").stream("s", GroupFrom::New).claim(Duration::from_millis(ms));
        let result = client.send(claim(60_000)).await;
        if !server.redis_at_least(8, 6) {
            assert_eq!(too_old(result, &[Feature::Claim]), SYNTAX);
            return;
        }
        let streams = result.unwrap();
        assert_eq!(shape(&streams), [("s", vec![1, 4])]);
        let deliveries: Vec<_> = streams.iter().map(|entry| entry.delivery().unwrap()).collect();
        assert_eq!(deliveries[0].deliveries, 5);
        assert!(deliveries[0].idle() >= idle && deliveries[0].idle() < 2 * idle);
        assert_eq!((deliveries[1].deliveries, deliveries[1].idle_ms), (0, 0));
        assert!(client.send(claim(60_000)).await.unwrap().is_empty());

        // It has no effect on history.
        let history = read("c").stream("s", GroupFrom::ALL_PENDING).claim(Duration::ZERO);
        let streams = client.send(history).await.unwrap();
        assert_eq!(shape(&streams), [("s", vec![1, 3, 4])]);
        assert!(streams.iter().all(|entry| entry.delivery().is_none()));
    });
}

#[test]
fn nacked_entries_are_claimed_first() {
    in_both(async |server, client| {
        pending(client, 2, 2).await;
        let nack = client.send(bourn::Raw::new("XNACK s g FATAL IDS 1").arg(id(2))).await;
        if !server.redis_at_least(8, 10) {
            assert!(refusal(nack).starts_with("ERR unknown command"));
            return;
        }
        let claim = read("d").stream("s", GroupFrom::New).claim(Duration::from_secs(60));
        let streams = client.send(claim).await.unwrap();
        assert_eq!(shape(&streams), [("s", vec![2])]);
        let delivery = streams.iter().next().unwrap().delivery().unwrap();
        assert_eq!(delivery.deliveries, u64::try_from(i64::MAX).unwrap());
        assert!(delivery.idle() > Duration::from_secs(365 * 86_400), "{delivery:?}");
    });
}

#[test]
fn max_count_and_max_size_limit_a_group_read() {
    in_both(async |server, client| {
        let value = [b'x'; 1000];
        client.send(XGroupCreate::new("s", "g", StartAt::START).mk_stream()).await.unwrap();
        for n in 1..=5 {
            client.send(XAdd::new("s").id(id(n)).field("f", &value)).await.unwrap();
        }
        let new = || read("c").stream("s", GroupFrom::New);
        let rows = [(new().max_count(1), vec![1]), (new().max_size(1100), vec![2, 3])];
        for (read, expected) in rows {
            let result = client.send(read.clone()).await;
            if server.redis_at_least(8, 10) {
                assert_eq!(ms(result.unwrap().get("s").unwrap()), expected, "{read:?}");
            } else {
                assert_eq!(too_old(result, &[Feature::MaxCount, Feature::MaxSize]), SYNTAX);
            }
        }
    });
}

#[test]
fn consumer_is_created_by_reading() {
    in_both(async |_, client| {
        group(client, 1).await;
        client.send(read("new").stream("s", GroupFrom::New)).await.unwrap();
        let create = |consumer| XGroupCreateConsumer::new("s", "g", consumer);
        assert!(!client.send(create("new")).await.unwrap());
        assert!(client.send(create("other")).await.unwrap());
    });
}

#[test]
fn group_read_without_one_of_its_groups_is_refused() {
    in_both(async |_, client| {
        set_text(client).await;
        group(client, 1).await;
        let no_group = |key, group| {
            format!(
                "NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option"
            )
        };
        let new = GroupFrom::New;
        let rows = [
            (read("c").stream("s", new).stream("none", new), no_group("none", "g")),
            (XReadGroup::new("h", "c").stream("s", EntryId::MIN), no_group("s", "h")),
            (read("c").stream("text", new), WRONG_TYPE.to_owned()),
            (read("c"), "ERR wrong number of arguments for 'xreadgroup' command".to_owned()),
        ];
        assert!(no_group("s", "g").starts_with(NO_GROUP));
        for (read, expected) in rows {
            assert_eq!(refusal(client.send(read).await), expected);
        }
        assert_eq!(client.send(XPending::new("s", "g")).await.unwrap().count, 0);
        run(client, "DEL s").await;
        assert_eq!(refusal(client.send(read("c").stream("s", new)).await), no_group("s", "g"));
    });
}
