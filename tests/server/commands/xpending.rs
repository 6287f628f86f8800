//! XPENDING: the summary, and the range.

use super::{NO_GROUP, WRONG_TYPE, group, pending, set_text};
use crate::both::{id, in_both, refusal};
use bourn::{Client, EntryId, GroupFrom, Raw, XClaim, XPending, XPendingRange, XReadGroup};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::time::Duration;

/// Entries 1 and 2 are pending for `c`, 3 for `d`, 4 is not pending. 2 is set to 7 deliveries, the
/// last one a minute ago.
async fn three_pending(client: &Client) {
    pending(client, 4, 2).await;
    let read = XReadGroup::new("g", "d").stream("s", GroupFrom::New).count(1);
    client.send(read).await.unwrap();
    let idle = Duration::from_secs(60);
    let claim = XClaim::new("s", "g", "c", Duration::ZERO, id(2)).idle(idle).retry_count(7);
    client.send(claim).await.unwrap();
}

#[test]
fn summary_counts_for_each_consumer() {
    in_both(async |_, client| {
        three_pending(client).await;
        let summary = client.send(XPending::new("s", "g")).await.unwrap();
        assert_eq!((summary.count, summary.min, summary.max), (3, Some(id(1)), Some(id(3))));
        assert_eq!(summary.consumers, [("c".into(), 2), ("d".into(), 1)]);
    });
}

#[test]
fn without_pending_entries_the_summary_has_no_ids_and_the_range_is_empty() {
    in_both(async |_, client| {
        group(client, 3).await;
        let summary = client.send(XPending::new("s", "g")).await.unwrap();
        assert_eq!((summary.count, summary.min, summary.max), (0, None, None));
        assert!(summary.consumers.is_empty());
        assert_eq!(client.send(XPending::new("s", "g").range(.., 10)).await.unwrap(), []);
    });
}

#[test]
fn range_is_limited_by_its_bounds_and_options() {
    in_both(async |_, client| {
        three_pending(client).await;
        let all = || XPendingRange::new("s", "g", .., 10);
        let within = |range| XPendingRange::new("s", "g", range, 10);
        let minute = Duration::from_secs(60);
        let rows = [
            (all(), vec![1, 2, 3]),
            (XPending::new("s", "g").range(id(2).., 10), vec![2, 3]),
            (within((Excluded(id(1)), Unbounded)), vec![2, 3]),
            (within((Unbounded, Excluded(id(2)))), vec![1]),
            (within((Unbounded, Included(id(2)))), vec![1, 2]),
            (within((Excluded(id(1)), Excluded(id(2)))), vec![]),
            (XPendingRange::new("s", "g", .., 2), vec![1, 2]),
            (XPendingRange::new("s", "g", .., 0), vec![]),
            (all().consumer("c"), vec![1, 2]),
            (all().consumer("d"), vec![3]),
            (all().consumer("nobody"), vec![]),
            (all().idle(Duration::ZERO), vec![1, 2, 3]),
            (all().idle(minute), vec![2]),
            (all().idle(2 * minute), vec![]),
            (all().idle(minute).consumer("d"), vec![]),
            (all().idle(Duration::MAX), vec![]),
        ];
        for (range, expected) in rows {
            let listed = client.send(range.clone()).await.unwrap();
            let listed: Vec<_> = listed.iter().map(|entry| entry.id.ms()).collect();
            assert_eq!(listed, expected, "{range:?}");
        }
    });
}

#[test]
fn pending_entry_has_owner_idle_time_and_deliveries() {
    in_both(async |_, client| {
        three_pending(client).await;
        let minute = Duration::from_secs(60);
        let listed = client.send(XPendingRange::new("s", "g", .., 10)).await.unwrap();
        let expected = [("c", 1), ("c", 7), ("d", 1)];
        let shown: Vec<_> = listed
            .iter()
            .map(|entry| (std::str::from_utf8(&entry.consumer).unwrap(), entry.deliveries))
            .collect();
        assert_eq!(shown, expected);
        let idle: Vec<_> = listed.iter().map(|entry| entry.idle.unwrap()).collect();
        assert!(idle[0] < minute && idle[1] >= minute && idle[2] < minute, "{idle:?}");
    });
}

#[test]
fn nacked_entry_has_no_owner() {
    in_both(async |server, client| {
        pending(client, 2, 2).await;
        let nack = client.send(Raw::new("XNACK s g SILENT IDS 2").args([id(1), id(2)])).await;
        if !server.redis_at_least(8, 10) {
            assert!(refusal(nack).starts_with("ERR unknown command"));
            return;
        }
        let summary = client.send(XPending::new("s", "g")).await.unwrap();
        assert_eq!((summary.count, summary.min, summary.max), (2, Some(id(1)), Some(id(2))));
        assert_eq!(summary.consumers, []);
        let minute = Duration::from_secs(60);
        let listed = client.send(XPendingRange::new("s", "g", .., 10).idle(minute)).await.unwrap();
        let shown: Vec<_> = listed
            .iter()
            .map(|entry| (entry.id.ms(), entry.consumer.len(), entry.idle, entry.deliveries))
            .collect();
        assert_eq!(shown, [(1, 0, None, 0), (2, 0, None, 0)]);
    });
}

#[test]
fn xpending_without_a_group_is_refused() {
    in_both(async |_, client| {
        set_text(client).await;
        assert_eq!(refusal(client.send(XPending::new("s", "g")).await), NO_GROUP);
        assert_eq!(refusal(client.send(XPendingRange::new("s", "g", .., 10)).await), NO_GROUP);
        group(client, 1).await;
        let other = "NOGROUP No such key 's' or consumer group 'h'";
        assert_eq!(refusal(client.send(XPending::new("s", "h")).await), other);
        assert_eq!(refusal(client.send(XPending::new("text", "g")).await), WRONG_TYPE);
        let beyond = (Excluded(EntryId::MAX), Unbounded);
        let range = XPendingRange::new("s", "g", beyond, 10);
        assert_eq!(refusal(client.send(range).await), "ERR invalid start ID for the interval");
    });
}
