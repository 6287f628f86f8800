//! XINFO STREAM, GROUPS and CONSUMERS: fields by name. Older servers have fewer.

use super::entries::{Shown, shown};
use super::law;
use super::node::{Node, are_added};
use crate::any::{bytes, count, id};
use bourn::{Command, Entry, EntryId, IdmpInfo, XInfoConsumers, XInfoGroups, XInfoStream};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::time::Duration;

/// The fields that the short and the full form have in common.
#[derive(Debug, PartialEq)]
pub(super) struct About {
    pub(super) length: u64,
    pub(super) radix_tree: (u64, u64),
    pub(super) last_generated_id: EntryId,
    pub(super) since_7: Option<(EntryId, u64, EntryId)>,
    /// Seconds, and five counts.
    pub(super) idmp: Option<(u64, [u64; 5])>,
}

pub(super) fn about() -> impl Strategy<Value = About> {
    let since_7 = option::of((id(), any::<u64>(), id()));
    let idmp = option::of((count(), [count(), count(), count(), count(), count()]));
    (count(), (count(), count()), id(), since_7, idmp).prop_map(
        |(length, radix_tree, last_generated_id, since_7, idmp)| About {
            length,
            radix_tree,
            last_generated_id,
            since_7,
            idmp,
        },
    )
}

impl About {
    pub(super) fn fields(&self) -> Vec<(&'static str, Option<Node>)> {
        let since_7 = self.since_7.as_ref();
        let idmp = self.idmp.as_ref();
        let iids = |place: usize| idmp.map(|(_, counts)| Node::count(counts[place]));
        vec![
            ("length", Some(Node::count(self.length))),
            ("radix-tree-keys", Some(Node::count(self.radix_tree.0))),
            ("radix-tree-nodes", Some(Node::count(self.radix_tree.1))),
            ("last-generated-id", Some(Node::id(self.last_generated_id))),
            ("max-deleted-entry-id", since_7.map(|(id, _, _)| Node::id(*id))),
            ("entries-added", since_7.map(|(_, n, _)| Node::count(*n))),
            ("recorded-first-entry-id", since_7.map(|(_, _, id)| Node::id(*id))),
            ("idmp-duration", idmp.map(|(seconds, _)| Node::count(*seconds))),
            ("idmp-maxsize", iids(0)),
            ("pids-tracked", iids(1)),
            ("iids-tracked", iids(2)),
            ("iids-added", iids(3)),
            ("iids-duplicates", iids(4)),
        ]
    }
}

pub(super) fn since_7(
    deleted: Option<EntryId>,
    added: Option<u64>,
    first: Option<EntryId>,
) -> Option<(EntryId, u64, EntryId)> {
    assert_eq!((deleted.is_some(), added.is_some()), (first.is_some(), first.is_some()));
    Some((deleted?, added?, first?))
}

pub(super) fn idmp(info: &IdmpInfo) -> (u64, [u64; 5]) {
    assert_eq!(info.duration, Duration::from_secs(info.duration.as_secs()));
    let tracked = [info.pids_tracked, info.iids_tracked, info.iids_added, info.iids_duplicates];
    let [pids, iids, added, duplicates] = tracked;
    (info.duration.as_secs(), [info.max_size, pids, iids, added, duplicates])
}

/// The short form: the number of groups, and the first and last entry.
type Summed = (About, u64, [Option<Shown>; 2]);

fn summed_node((about, groups, [first, last]): &Summed) -> Node {
    let entry = |entry: &Option<Shown>| Some(Node::or_null(entry.as_ref(), Shown::node));
    let mut said = about.fields();
    said.push(("groups", Some(Node::count(*groups))));
    said.extend([("first-entry", entry(first)), ("last-entry", entry(last))]);
    Node::map(said)
}

#[test]
fn xinfo_stream_decodes_every_field() {
    let entry = || option::weighted(0.8, shown());
    law(XInfoStream::reply, (about(), count(), [entry(), entry()]), summed_node, |said| {
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
        let shown = |entry: Option<Entry>| entry.map(|entry| Shown::of(entry.by_ref()));
        (about, said.groups, [shown(said.first_entry), shown(said.last_entry)])
    });
}

/// The number of entries that a group has read, and its lag, if the server knows them.
pub(super) type Progress = (Option<u64>, Option<i64>);

pub(super) fn progress() -> impl Strategy<Value = Progress> {
    (option::of(any::<u64>()), option::of(any::<i64>()))
}

pub(super) fn progress_fields((read, lag): Progress) -> [(&'static str, Option<Node>); 2] {
    [
        ("entries-read", Some(read.map_or(Node::Unknown, Node::count))),
        ("lag", Some(lag.map_or(Node::Unknown, Node::Integer))),
    ]
}

/// A group's name, numbers of consumers and pending entries, last id and progress.
type Group = (Vec<u8>, [u64; 2], EntryId, Progress);

fn group_node((name, [consumers, pending], last, progress): &Group) -> Node {
    let fields = [
        ("name", Some(Node::bulk(name))),
        ("consumers", Some(Node::count(*consumers))),
        ("pending", Some(Node::count(*pending))),
        ("last-delivered-id", Some(Node::id(*last))),
    ];
    Node::map(fields.into_iter().chain(progress_fields(*progress)))
}

#[test]
fn xinfo_groups_decodes_every_field() {
    let group = (bytes(), [count(), count()], id(), progress());
    law(
        XInfoGroups::reply,
        vec(group, 0..5),
        |groups| Node::list(groups, group_node),
        |groups| {
            let said = groups.into_iter().map(|said| {
                assert!(are_added(&said.extra), "{:?}", said.extra);
                let progress = (said.entries_read, said.lag);
                let counts = [said.consumers, said.pending];
                (said.name.to_vec(), counts, said.last_delivered_id, progress)
            });
            said.collect()
        },
    );
}

/// A consumer's name, pending entries, idle time and inactive time, which older servers omit; -1
/// means never.
type Consumer = (Vec<u8>, u64, u64, Option<Option<u64>>);

fn consumer_node((name, pending, idle, inactive): &Consumer) -> Node {
    let inactive = inactive.map(|time| time.map_or(Node::Integer(-1), Node::count));
    Node::map([
        ("name", Some(Node::bulk(name))),
        ("pending", Some(Node::count(*pending))),
        ("idle", Some(Node::count(*idle))),
        ("inactive", inactive),
    ])
}

#[test]
fn xinfo_consumers_decodes_every_field() {
    let consumer = (bytes(), count(), count(), option::of(option::of(count())));
    law(
        XInfoConsumers::reply,
        vec(consumer, 0..5),
        |consumers| Node::list(consumers, consumer_node),
        |consumers| {
            let said = consumers.into_iter().map(|said| {
                assert!(are_added(&said.extra), "{:?}", said.extra);
                let inactive = said.inactive.map(|active| active.last().map(ms));
                (said.name.to_vec(), said.pending, ms(said.idle), inactive)
            });
            said.collect()
        },
    );
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("it was made of 64 bits")
}
