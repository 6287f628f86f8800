//! XPENDING: a group's pending entries, as a summary or one by one.

use super::law;
use super::node::Node;
use crate::any::{bytes, count, id};
use bourn::{Command, EntryId, XPending, XPendingRange};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::time::Duration;

/// The count, the smallest and largest id, and the count of each consumer.
type Summary = (u64, Option<(EntryId, EntryId)>, Vec<(Vec<u8>, u64)>);

fn summary_node((count, ends, consumers): &Summary) -> Node {
    let end = |id: Option<EntryId>| Node::or_null(id, Node::id);
    // The counts of the consumers are strings.
    let consumer =
        |(name, n): &(Vec<u8>, u64)| Node::Tuple(vec![Node::bulk(name), Node::digits(n)]);
    let consumers = match ends {
        None => Node::NullArray,
        Some(_) => Node::list(consumers, consumer),
    };
    let (min, max) = (ends.map(|(min, _)| min), ends.map(|(_, max)| max));
    Node::Tuple(vec![Node::count(*count), end(min), end(max), consumers])
}

#[test]
fn xpending_summary_may_be_empty() {
    let something = (count(), (id(), id()).prop_map(Some), vec((bytes(), count()), 0..6)).boxed();
    let summaries = prop_oneof![4 => something, 1 => Just((0, None, vec![]))];
    law(XPending::reply, summaries, summary_node, |said| {
        let consumers = said.consumers.into_iter().map(|(name, n)| (name.to_vec(), n));
        (said.count, said.min.zip(said.max), consumers.collect())
    });
}

/// An entry's id, owner, idle time in milliseconds (absent if released), and delivery count.
type Pending = (EntryId, Vec<u8>, Option<u64>, u64);

fn pending_node((id, consumer, idle, deliveries): &Pending) -> Node {
    let idle = idle.map_or(Node::Integer(-1), Node::count);
    Node::Tuple(vec![Node::id(*id), Node::bulk(consumer), idle, Node::count(*deliveries)])
}

#[test]
fn xpending_range_includes_released_entries() {
    let pending = (id(), bytes(), option::weighted(0.8, count()), count());
    law(
        XPendingRange::reply,
        vec(pending, 0..12),
        |list| Node::list(list, pending_node),
        |list| {
            let shown = list.into_iter().map(|entry| {
                let idle = entry.idle.map(|idle| {
                    assert_eq!(idle, Duration::from_millis(ms(idle)));
                    ms(idle)
                });
                (entry.id, entry.consumer.to_vec(), idle, entry.deliveries)
            });
            shown.collect()
        },
    );
    law(XPendingRange::reply, Just(0), |_| Node::NullArray, |list| list.len());
}

/// Returns the whole milliseconds of a duration.
fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("it was made of 64 bits")
}
