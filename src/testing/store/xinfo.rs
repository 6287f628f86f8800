//! XINFO. No I/O.

use super::call::{Answer, Call};
use super::stream::{Consumer, Group, Idmp, Stream, as_signed};
use super::xgroup::bad_subcommand;
use super::{Release, Reply, entries, errors, help};
use crate::id::EntryId;
use bytes::Bytes;

/// The names and values of a map.
type Pairs = Vec<(Reply, Reply)>;

/// `XINFO STREAM key [FULL [COUNT n]]`, GROUPS, CONSUMERS
pub(super) fn xinfo(call: &mut Call<'_>) -> Answer {
    let (args, release, now) = (call.args, call.release, call.now);
    if args.is(1, "HELP") {
        return help::xinfo(call);
    }
    if args.len() < 3 {
        return Err(bad_subcommand(call, "XINFO"));
    }
    let bad = bad_subcommand(call, "XINFO");
    let key = args.at(2);
    let Some(stream) = call.stream(key)? else { return Err(errors::no_such_key()) };
    stream.idmp.tick(now);
    match args.len() {
        4 if args.is(1, "CONSUMERS") => {
            let Some(group) = stream.groups.get(args.at(3)) else {
                return Err(errors::no_group_of_key(key, args.at(3)));
            };
            let consumers = group.consumers.iter();
            let consumers =
                consumers.map(|(name, consumer)| of_consumer(name, consumer, now, release));
            Ok(Reply::Array(consumers.collect()))
        }
        3 if args.is(1, "GROUPS") => {
            let groups = stream.groups.iter();
            let groups = groups.map(|(name, group)| of_group(stream, name, group, release));
            Ok(Reply::Array(groups.collect()))
        }
        3 if args.is(1, "STREAM") => Ok(of_stream(stream, release)),
        4 | 6 if args.is(1, "STREAM") && args.is(3, "FULL") => {
            let count = match args.len() {
                4 => 10,
                _ if args.is(4, "COUNT") => match args.integer(5)? {
                    0 => usize::MAX,
                    count => usize::try_from(count).unwrap_or(10),
                },
                _ => return Err(bad),
            };
            Ok(in_full(stream, count, release))
        }
        _ => Err(bad),
    }
}

/// Returns the properties that both forms of XINFO STREAM begin with.
fn properties(stream: &Stream, release: Release) -> Pairs {
    let leaves = !release.has(Release::Redis8_10);
    let mut pairs = vec![
        number("length", as_signed(stream.len())),
        (Reply::text("radix-tree-keys"), Reply::count(stream.nodes.count())),
        (Reply::text("radix-tree-nodes"), Reply::count(stream.nodes.tree_nodes(leaves))),
        id("last-generated-id", stream.last_id),
    ];
    if release.has(Release::Redis7_0) {
        pairs.extend([
            id("max-deleted-entry-id", stream.max_deleted_id),
            number("entries-added", as_signed(stream.entries_added)),
            id("recorded-first-entry-id", stream.first_id()),
        ]);
    }
    if release.has(Release::Redis8_6) {
        pairs.extend(of_idmp(&stream.idmp));
    }
    pairs
}

fn of_idmp(idmp: &Idmp) -> Pairs {
    vec![
        number("idmp-duration", idmp.duration_s),
        number("idmp-maxsize", idmp.max_size),
        (Reply::text("pids-tracked"), Reply::count(idmp.producers())),
        (Reply::text("iids-tracked"), Reply::count(idmp.pairs())),
        number("iids-added", idmp.added),
        number("iids-duplicates", idmp.duplicates),
    ]
}

fn of_stream(stream: &Stream, release: Release) -> Reply {
    let entry = |entry: Option<_>| entry.map_or(Reply::Null, entries::entry);
    let mut pairs = properties(stream, release);
    pairs.extend([
        (Reply::text("groups"), Reply::count(stream.groups.len())),
        (Reply::text("first-entry"), entry(stream.nodes.first())),
        (Reply::text("last-entry"), entry(stream.nodes.last())),
    ]);
    Reply::Map(pairs)
}

fn in_full(stream: &Stream, count: usize, release: Release) -> Reply {
    let entries = stream.nodes.range(EntryId::MIN, EntryId::MAX).take(count);
    let groups = stream.groups.iter();
    let groups = groups.map(|(name, group)| group_in_full(stream, name, group, count, release));
    let mut pairs = properties(stream, release);
    pairs.extend([
        (Reply::text("entries"), Reply::Array(entries.map(entries::entry).collect())),
        (Reply::text("groups"), Reply::Array(groups.collect())),
    ]);
    Reply::Map(pairs)
}

fn group_in_full(
    stream: &Stream,
    name: &Bytes,
    group: &Group,
    count: usize,
    release: Release,
) -> Reply {
    let mut pairs = vec![
        (Reply::text("name"), Reply::Bulk(name.clone())),
        id("last-delivered-id", group.last_id),
    ];
    if release.has(Release::Redis7_0) {
        pairs.extend(progress(stream, group, release));
    }
    pairs.push((Reply::text("pel-count"), Reply::count(group.all_pending().len())));
    if release.has(Release::Redis8_10) {
        pairs.push((Reply::text("nacked-count"), Reply::count(group.nacked())));
    }
    let pending = group.all_pending().iter().take(count).map(|(id, pending)| {
        Reply::Array(vec![
            entries::id(*id),
            Reply::Bulk(pending.consumer.clone().unwrap_or_default()),
            Reply::Integer(pending.time),
            Reply::Integer(pending.count),
        ])
    });
    let consumers = group.consumers.iter();
    let consumers =
        consumers.map(|(name, consumer)| consumer_in_full(group, name, consumer, count, release));
    pairs.extend([
        (Reply::text("pending"), Reply::Array(pending.collect())),
        (Reply::text("consumers"), Reply::Array(consumers.collect())),
    ]);
    Reply::Map(pairs)
}

fn consumer_in_full(
    group: &Group,
    name: &Bytes,
    consumer: &Consumer,
    count: usize,
    release: Release,
) -> Reply {
    let mut pairs =
        vec![(Reply::text("name"), Reply::Bulk(name.clone())), number("seen-time", consumer.seen)];
    if release.has(Release::Redis7_2) {
        pairs.push(number("active-time", consumer.active.unwrap_or(-1)));
    }
    let pending = consumer.pending.iter().take(count);
    let pending = pending.filter_map(|id| Some((id, group.pending(*id)?))).map(|(id, pending)| {
        let (time, count) = (Reply::Integer(pending.time), Reply::Integer(pending.count));
        Reply::Array(vec![entries::id(*id), time, count])
    });
    pairs.extend([
        (Reply::text("pel-count"), Reply::count(consumer.pending.len())),
        (Reply::text("pending"), Reply::Array(pending.collect())),
    ]);
    Reply::Map(pairs)
}

fn of_group(stream: &Stream, name: &Bytes, group: &Group, release: Release) -> Reply {
    let mut pairs = vec![
        (Reply::text("name"), Reply::Bulk(name.clone())),
        (Reply::text("consumers"), Reply::count(group.consumers.len())),
        (Reply::text("pending"), Reply::count(group.all_pending().len())),
        id("last-delivered-id", group.last_id),
    ];
    if release.has(Release::Redis7_0) {
        pairs.extend(progress(stream, group, release));
    }
    Reply::Map(pairs)
}

/// Returns how far a group has read.
fn progress(stream: &Stream, group: &Group, release: Release) -> Pairs {
    let read = group.entries_read.map_or(Reply::Null, Reply::counter);
    let lag = stream.lag(group, release).map_or(Reply::Null, Reply::Integer);
    vec![(Reply::text("entries-read"), read), (Reply::text("lag"), lag)]
}

fn of_consumer(name: &Bytes, consumer: &Consumer, now: i64, release: Release) -> Reply {
    let mut pairs = vec![
        (Reply::text("name"), Reply::Bulk(name.clone())),
        (Reply::text("pending"), Reply::count(consumer.pending.len())),
        number("idle", (now - consumer.seen).max(0)),
    ];
    if release.has(Release::Redis7_2) {
        let inactive = consumer.active.map_or(-1, |active| (now - active).max(0));
        pairs.push(number("inactive", inactive));
    }
    Reply::Map(pairs)
}

fn number(name: &'static str, number: i64) -> (Reply, Reply) {
    (Reply::text(name), Reply::Integer(number))
}

fn id(name: &'static str, id: EntryId) -> (Reply, Reply) {
    (Reply::text(name), entries::id(id))
}
