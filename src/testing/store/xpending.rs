//! XPENDING. No I/O.

use super::call::{Answer, Call};
use super::stream::Group;
use super::{Reply, arguments, entries, errors};
use crate::id::EntryId;
use bytes::Bytes;

/// The arguments of the form with a range.
#[derive(Debug)]
struct Range<'a> {
    min_idle: i64,
    start: EntryId,
    end: EntryId,
    limit: usize,
    consumer: Option<&'a Bytes>,
}

/// `XPENDING key group [[IDLE min-idle] start end count [consumer]]`
pub(super) fn xpending(call: &mut Call<'_>) -> Answer {
    let (args, now) = (call.args, call.now);
    let range = match args.len() {
        3 => None,
        6..=9 => Some(parse(call)?),
        _ => return Err(errors::syntax()),
    };
    let (key, name) = (args.at(1), args.at(2));
    let group = call.stream(key)?.and_then(|stream| stream.groups.get(name));
    let Some(group) = group else { return Err(errors::no_group(key, name)) };
    Ok(match range {
        None => summary(group),
        Some(range) => list(group, &range, now),
    })
}

fn parse<'a>(call: &Call<'a>) -> Result<Range<'a>, Reply> {
    let args = call.args;
    let (mut min_idle, mut first) = (0, 3);
    if args.is(3, "IDLE") {
        min_idle = args.integer(4)?;
        if args.len() < 8 {
            return Err(errors::syntax());
        }
        first = 5;
    }
    let limit = usize::try_from(args.integer(first + 2)?).unwrap_or_default();
    let start = arguments::start(args.at(first))?;
    let end = arguments::end(args.at(first + 1))?;
    let consumer = (args.len() > first + 3).then(|| args.at(first + 3));
    Ok(Range { min_idle, start, end, limit, consumer })
}

fn summary(group: &Group) -> Reply {
    let pending = group.all_pending();
    let (Some((first, _)), Some((last, _))) = (pending.first_key_value(), pending.last_key_value())
    else {
        return Reply::Array(vec![Reply::Integer(0), Reply::Null, Reply::Null, Reply::NullArray]);
    };
    let owners = group.consumers.iter().filter(|(_, consumer)| !consumer.pending.is_empty());
    let owners = owners.map(|(name, consumer)| {
        let count = Bytes::from(consumer.pending.len().to_string());
        Reply::Array(vec![Reply::Bulk(name.clone()), Reply::Bulk(count)])
    });
    Reply::Array(vec![
        Reply::count(pending.len()),
        entries::id(*first),
        entries::id(*last),
        Reply::Array(owners.collect()),
    ])
}

fn list(group: &Group, range: &Range<'_>, now: i64) -> Reply {
    if range.start > range.end {
        return Reply::empty();
    }
    let all = group.all_pending();
    let ids: Vec<_> = match range.consumer {
        None => all.range(range.start..=range.end).map(|(id, _)| *id).collect(),
        Some(name) => match group.consumers.get(name) {
            None => return Reply::empty(),
            Some(consumer) => consumer.pending.range(range.start..=range.end).copied().collect(),
        },
    };
    let pending = ids.into_iter().filter_map(|id| Some((id, all.get(&id)?)));
    let old_enough = pending.filter(|(_, pending)| {
        range.min_idle == 0
            || pending.consumer.is_none()
            || now.wrapping_sub(pending.time) >= range.min_idle
    });
    let listed = old_enough.take(range.limit).map(|(id, pending)| {
        let idle = match pending.consumer {
            None => -1,
            Some(_) => now.wrapping_sub(pending.time).max(0),
        };
        Reply::Array(vec![
            entries::id(id),
            Reply::Bulk(pending.consumer.clone().unwrap_or_default()),
            Reply::Integer(idle),
            Reply::Integer(pending.count),
        ])
    });
    Reply::Array(listed.collect())
}
