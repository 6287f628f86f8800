//! XINFO STREAM FULL: a stream with its entries, groups, consumers and pending entries.

use super::entries::{Shown, shown};
use super::info::{About, Progress, about, idmp, progress, progress_fields, since_7};
use super::law;
use super::node::{Node, are_added};
use crate::any::{bytes, count, id};
use bourn::{
    Command, ConsumerInfoFull, ConsumerPending, EntryId, GroupInfoFull, GroupPending,
    XInfoStreamFull,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, by a server's clock.
fn clock() -> BoxedStrategy<u64> {
    prop_oneof![Just(1), 1..u64::from(u32::MAX) * 1000].boxed()
}

fn ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(since.as_millis()).expect("it was made of 64 bits")
}

/// A pending entry: id, owner (if included), delivery time (absent if released), delivery count.
type Pending = (EntryId, Option<Vec<u8>>, Option<u64>, u64);

fn pending(consumer: impl Strategy<Value = Option<Vec<u8>>>) -> impl Strategy<Value = Pending> {
    (id(), consumer, option::weighted(0.8, clock()), count())
}

fn pending_node((id, consumer, delivered, deliveries): &Pending) -> Node {
    let mut parts = vec![Node::id(*id)];
    parts.extend(consumer.as_ref().map(Node::bulk));
    parts.extend([Node::count(delivered.unwrap_or_default()), Node::count(*deliveries)]);
    Node::Tuple(parts)
}

#[derive(Debug, PartialEq)]
struct Consumer {
    name: Vec<u8>,
    seen: u64,
    /// Absent on older servers; -1 means never.
    active: Option<Option<u64>>,
    pel_count: u64,
    pending: Vec<Pending>,
}

fn consumer() -> impl Strategy<Value = Consumer> {
    let pending = vec(pending(Just(None)), 0..3);
    (bytes(), clock(), option::of(option::of(clock())), count(), pending).prop_map(
        |(name, seen, active, pel_count, pending)| Consumer {
            name,
            seen,
            active,
            pel_count,
            pending,
        },
    )
}

impl Consumer {
    fn node(&self) -> Node {
        let active = self.active.map(|time| time.map_or(Node::Integer(-1), Node::count));
        Node::map([
            ("name", Some(Node::bulk(&self.name))),
            ("seen-time", Some(Node::count(self.seen))),
            ("active-time", active),
            ("pel-count", Some(Node::count(self.pel_count))),
            ("pending", Some(Node::list(&self.pending, pending_node))),
        ])
    }

    fn of(said: ConsumerInfoFull) -> Self {
        assert!(are_added(&said.extra), "{:?}", said.extra);
        let pending =
            |said: ConsumerPending| (said.id, None, said.delivered.map(ms), said.deliveries);
        Self {
            name: said.name.to_vec(),
            seen: ms(said.seen_time),
            active: said.active_time.map(|active| active.last().map(ms)),
            pel_count: said.pel_count,
            pending: said.pending.into_iter().map(pending).collect(),
        }
    }
}

#[derive(Debug, PartialEq)]
struct Group {
    name: Vec<u8>,
    last: EntryId,
    progress: Progress,
    pel_count: u64,
    /// Absent on older servers.
    nacked_count: Option<u64>,
    pending: Vec<Pending>,
    consumers: Vec<Consumer>,
}

fn group() -> impl Strategy<Value = Group> {
    let lists = (vec(pending(bytes().prop_map(Some)), 0..3), vec(consumer(), 0..3));
    (bytes(), id(), progress(), count(), option::of(count()), lists).prop_map(
        |(name, last, progress, pel_count, nacked_count, (pending, consumers))| Group {
            name,
            last,
            progress,
            pel_count,
            nacked_count,
            pending,
            consumers,
        },
    )
}

impl Group {
    fn node(&self) -> Node {
        let mut fields = vec![
            ("name", Some(Node::bulk(&self.name))),
            ("last-delivered-id", Some(Node::id(self.last))),
        ];
        fields.extend(progress_fields(self.progress));
        fields.extend([
            ("pel-count", Some(Node::count(self.pel_count))),
            ("nacked-count", self.nacked_count.map(Node::count)),
            ("pending", Some(Node::list(&self.pending, pending_node))),
            ("consumers", Some(Node::list(&self.consumers, Consumer::node))),
        ]);
        Node::map(fields)
    }

    fn of(said: GroupInfoFull) -> Self {
        assert!(are_added(&said.extra), "{:?}", said.extra);
        let pending = |said: GroupPending| {
            (said.id, Some(said.consumer.to_vec()), said.delivered.map(ms), said.deliveries)
        };
        Self {
            name: said.name.to_vec(),
            last: said.last_delivered_id,
            progress: (said.entries_read, said.lag),
            pel_count: said.pel_count,
            nacked_count: said.nacked_count,
            pending: said.pending.into_iter().map(pending).collect(),
            consumers: said.consumers.into_iter().map(Consumer::of).collect(),
        }
    }
}

#[test]
fn xinfo_stream_full_decodes_every_field() {
    law(
        XInfoStreamFull::reply,
        (about(), vec(shown(), 0..3), vec(group(), 0..3)),
        |(about, entries, groups)| {
            let mut fields = about.fields();
            fields.push(("entries", Some(Node::list(entries, Shown::node))));
            fields.push(("groups", Some(Node::list(groups, Group::node))));
            Node::map(fields)
        },
        |said| {
            assert!(are_added(&said.extra), "{:?}", said.extra);
            let about = About {
                length: said.length,
                radix_tree: (said.radix_tree_keys, said.radix_tree_nodes),
                last_generated_id: said.last_generated_id,
                since_7: since_7(
                    said.max_deleted_entry_id,
                    said.entries_added,
                    said.recorded_first_entry_id,
                ),
                idmp: said.idmp.as_ref().map(idmp),
            };
            assert_eq!(said.entries.nulls(), 0);
            let entries = said.entries.iter().map(Shown::of).collect();
            (about, entries, said.groups.into_iter().map(Group::of).collect())
        },
    );
}
