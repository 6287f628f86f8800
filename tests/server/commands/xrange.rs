//! XRANGE, XREVRANGE and XLEN: every kind of bound, in both directions.

use super::{WRONG_TYPE, set_text};
use crate::both::{add, id, in_both, ms, refusal};
use bourn::{EntryId, XLen, XRange, XRevRange};
use std::ops::Bound::{Excluded, Included, Unbounded};

#[test]
fn range_returns_the_entries_between_its_bounds_in_both_directions() {
    in_both(async |_, client| {
        add(client, "s", 1..=5).await;
        let (two, four) = (id(2), id(4));
        let rows = [
            ((Unbounded, Unbounded), 1..=5),
            ((Included(two), Unbounded), 2..=5),
            ((Excluded(two), Unbounded), 3..=5),
            ((Unbounded, Included(four)), 1..=4),
            ((Unbounded, Excluded(four)), 1..=3),
            ((Included(two), Included(four)), 2..=4),
            ((Included(two), Excluded(four)), 2..=3),
            ((Excluded(two), Included(four)), 3..=4),
            ((Excluded(two), Excluded(four)), 3..=3),
            ((Included(two), Included(two)), 2..=2),
            ((Included(EntryId::MIN), Included(EntryId::MAX)), 1..=5),
            ((Excluded(EntryId::MIN), Excluded(EntryId::MAX)), 1..=5),
            ((Excluded(EntryId::new(1, u64::MAX)), Unbounded), 2..=5),
        ];
        for (range, expected) in rows {
            let up: Vec<u64> = expected.collect();
            let down: Vec<u64> = up.iter().rev().copied().collect();
            let (both, reversed) =
                client.send_all((XRange::new("s", range), XRevRange::new("s", range))).await;
            assert_eq!((ms(&both.unwrap()), ms(&reversed.unwrap())), (up, down), "{range:?}");
        }
    });
}

#[test]
fn rust_ranges_are_ranges_of_ids() {
    in_both(async |_, client| {
        add(client, "s", 1..=5).await;
        let (two, four) = (id(2), id(4));
        let ranges = [
            (XRange::new("s", ..), 1..=5),
            (XRange::new("s", two..), 2..=5),
            (XRange::new("s", ..four), 1..=3),
            (XRange::new("s", ..=four), 1..=4),
            (XRange::new("s", two..four), 2..=3),
            (XRange::new("s", two..=four), 2..=4),
        ];
        for (range, expected) in ranges {
            let entries = client.send(range.clone()).await.unwrap();
            assert_eq!(ms(&entries), expected.collect::<Vec<_>>(), "{range:?}");
        }
    });
}

#[test]
fn count_limits_the_entries_from_the_start_of_each_direction() {
    in_both(async |_, client| {
        add(client, "s", 1..=5).await;
        let rows = [
            (1, vec![1], vec![5]),
            (3, vec![1, 2, 3], vec![5, 4, 3]),
            (u64::from(u32::MAX), vec![1, 2, 3, 4, 5], vec![5, 4, 3, 2, 1]),
            // The server's reply is null.
            (0, vec![], vec![]),
        ];
        for (count, up, down) in rows {
            let both = (XRange::new("s", ..).count(count), XRevRange::new("s", ..).count(count));
            let (entries, reversed) = client.send_all(both).await;
            assert_eq!((ms(&entries.unwrap()), ms(&reversed.unwrap())), (up, down), "{count}");
        }
    });
}

#[test]
fn missing_entries_give_an_empty_range() {
    in_both(async |_, client| {
        add(client, "s", 1..=5).await;
        let rows = [
            ("none", (Unbounded, Unbounded)),
            ("s", (Included(id(6)), Unbounded)),
            ("s", (Included(id(4)), Included(id(2)))),
            ("s", (Excluded(id(2)), Excluded(id(3)))),
        ];
        for (key, range) in rows {
            let (entries, reversed) =
                client.send_all((XRange::new(key, range), XRevRange::new(key, range))).await;
            assert!(entries.unwrap().is_empty() && reversed.unwrap().is_empty(), "{key} {range:?}");
        }
    });
}

#[test]
fn invalid_range_is_refused() {
    in_both(async |_, client| {
        set_text(client).await;
        let rows = [
            ("text", (Unbounded, Unbounded), WRONG_TYPE),
            ("s", (Excluded(EntryId::MAX), Unbounded), "ERR invalid start ID for the interval"),
            ("s", (Unbounded, Excluded(EntryId::MIN)), "ERR invalid end ID for the interval"),
        ];
        for (key, range, expected) in rows {
            let (entries, reversed) =
                client.send_all((XRange::new(key, range), XRevRange::new(key, range))).await;
            assert_eq!(refusal(entries), expected);
            assert_eq!(refusal(reversed), expected);
        }
    });
}

#[test]
fn length_is_the_number_of_entries() {
    in_both(async |_, client| {
        set_text(client).await;
        add(client, "s", 1..=5).await;
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 5);
        assert_eq!(client.send(XLen::new("none")).await.unwrap(), 0);
        assert_eq!(refusal(client.send(XLen::new("text")).await), WRONG_TYPE);
    });
}
