//! Replies that contain entries or their ids.

use super::law;
use super::node::Node;
use crate::any::{bytes, count, id};
use bourn::{
    AutoClaimed, Blocking, BlockingCommand, Command, Entries, EntryId, EntryRef, Streams,
    XAutoClaim, XAutoClaimJustId, XClaim, XClaimJustId, XRange, XRead, XReadGroup, XRevRange,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::fmt::Debug;

/// An entry in a reply.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    id: EntryId,
    /// In order, names may repeat; `None` for a deleted entry.
    fields: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    /// Idle time and number of deliveries, which CLAIM adds.
    delivery: Option<(i64, u64)>,
}

impl Shown {
    pub(super) fn node(&self) -> Node {
        let flat = |fields: &Vec<(Vec<u8>, Vec<u8>)>| {
            let parts = fields.iter().flat_map(|(name, value)| [name, value]);
            Node::List(parts.map(Node::bulk).collect())
        };
        let fields = self.fields.as_ref().map_or(Node::NullArray, flat);
        match self.delivery {
            // A third element alone would be half a delivery: extra elements come after the fourth.
            None => Node::List(vec![Node::id(self.id), fields]),
            Some((idle, deliveries)) => {
                let delivery = [Node::Integer(idle), Node::count(deliveries)];
                Node::Tuple([Node::id(self.id), fields].into_iter().chain(delivery).collect())
            }
        }
    }

    pub(super) fn of(entry: EntryRef<'_>) -> Self {
        let fields = entry.fields().map(|(name, value)| (name.to_vec(), value.to_vec()));
        let fields = fields.collect();
        let delivery = entry.delivery().map(|said| (said.idle_ms, said.deliveries));
        Self { id: entry.id(), fields: (!entry.is_deleted()).then_some(fields), delivery }
    }
}

fn fields() -> BoxedStrategy<Vec<(Vec<u8>, Vec<u8>)>> {
    let name = || prop_oneof![bytes(), "[ab]".prop_map(String::into_bytes)];
    prop_oneof![8 => vec((name(), bytes()), 0..6), 1 => vec((name(), "c".prop_map(Into::into)), 14..40)]
        .boxed()
}

/// An entry that was not deleted.
pub(super) fn shown() -> impl Strategy<Value = Shown> {
    (id(), fields()).prop_map(|(id, fields)| Shown { id, fields: Some(fields), delivery: None })
}

/// An entry that a group reads.
fn read() -> impl Strategy<Value = Shown> {
    let delivery = option::of((any::<i64>(), count()));
    (id(), option::weighted(0.8, fields()), delivery).prop_map(|(id, fields, delivery)| Shown {
        id,
        fields,
        delivery,
    })
}

/// Entries, and the number of nulls among them.
#[derive(Debug, Clone, PartialEq)]
struct Batch {
    entries: Vec<Shown>,
    nulls: usize,
}

impl Batch {
    fn node(&self) -> Node {
        let mut parts: Vec<_> = self.entries.iter().map(Shown::node).collect();
        (0..self.nulls).for_each(|n| parts.insert((2 * n).min(parts.len()), Node::Null));
        Node::List(parts)
    }

    fn of(entries: &Entries) -> Self {
        let shown: Vec<_> = entries.iter().map(Shown::of).collect();
        assert_eq!(shown.len(), entries.len());
        assert!(shown.iter().map(|entry| entry.id).eq(entries.ids()));
        Self { entries: shown, nulls: entries.nulls() }
    }
}

fn batch() -> impl Strategy<Value = Batch> {
    (vec(shown(), 0..6), prop_oneof![3 => Just(0), 1 => 1..4usize])
        .prop_map(|(entries, nulls)| Batch { entries, nulls })
}

/// The reply to a read: keys, and the entries of each.
type Read = Vec<(Vec<u8>, Batch)>;

fn streams() -> BoxedStrategy<Read> {
    let entries = vec(read(), 0..5).prop_map(|entries| Batch { entries, nulls: 0 });
    vec((bytes(), entries), 0..4).boxed()
}

fn streams_node(streams: &Read) -> Node {
    if streams.is_empty() {
        return Node::NullArray;
    }
    let pair = |(key, batch): &(Vec<u8>, Batch)| (Node::bulk(key), batch.node());
    Node::Streams(streams.iter().map(pair).collect())
}

fn read_streams(streams: Streams) -> Read {
    assert_eq!(streams.iter().count(), streams.len());
    let pair = |stream: &bourn::StreamEntries| (stream.key().to_vec(), Batch::of(stream.entries()));
    streams.streams().map(pair).collect()
}

#[test]
fn ranges_and_claims_return_entries() {
    law(XRange::reply, batch(), Batch::node, |entries| Batch::of(&entries));
    law(XRevRange::reply, batch(), Batch::node, |entries| Batch::of(&entries));
    law(XClaim::reply, batch(), Batch::node, |entries| Batch::of(&entries));
    let none = Just(Batch { entries: vec![], nulls: 0 });
    law(XRange::reply, none, |_| Node::NullArray, |entries| Batch::of(&entries));
}

#[test]
fn reads_return_streams_blocking_or_not() {
    law(XRead::reply, streams(), streams_node, read_streams);
    law(XReadGroup::reply, streams(), streams_node, read_streams);
    law(<Blocking<XRead<'_>>>::read_reply, streams(), streams_node, read_streams);
    law(<Blocking<XReadGroup<'_>>>::read_reply, streams(), streams_node, read_streams);
}

#[test]
fn justid_claim_returns_ids() {
    law(XClaimJustId::reply, vec(id(), 0..40), |ids| Node::ids(ids), |ids| ids);
}

/// A page of XAUTOCLAIM: the next cursor, the claimed entries, and the deleted ones, if the server
/// reports them.
type Page<E> = (Option<EntryId>, E, Option<Vec<EntryId>>);

fn page<E: Debug>(claimed: impl Strategy<Value = E>) -> impl Strategy<Value = Page<E>> {
    let next = option::of(id().prop_filter("0-0 is the end", |id| *id != EntryId::MIN));
    (next, claimed, option::of(vec(id(), 0..6)))
}

fn page_node<E>((next, claimed, deleted): &Page<E>, node: impl Fn(&E) -> Node) -> Node {
    let mut parts = vec![Node::id(next.unwrap_or(EntryId::MIN)), node(claimed)];
    match deleted {
        None => Node::List(parts),
        Some(ids) => {
            parts.push(Node::ids(ids));
            Node::Tuple(parts)
        }
    }
}

#[test]
fn xautoclaim_returns_a_page() {
    law(
        XAutoClaim::reply,
        page(batch()),
        |said| page_node(said, Batch::node),
        |AutoClaimed { cursor, entries, deleted, .. }| (cursor, Batch::of(&entries), deleted),
    );
    law(
        XAutoClaimJustId::reply,
        page(vec(id(), 0..6)),
        |said| page_node(said, |ids| Node::ids(ids)),
        |AutoClaimed { cursor, entries, deleted, .. }| (cursor, entries, deleted),
    );
}
