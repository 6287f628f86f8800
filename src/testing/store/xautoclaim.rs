//! XAUTOCLAIM. No I/O.

use super::call::{Answer, Call};
use super::{Release, Reply, arguments, entries, errors};
use crate::id::EntryId;

/// The number of pending entries that are looked at for each one that is asked for.
const ATTEMPTS: usize = 10;
/// The bytes of an id, of which the server allocates as many as COUNT says.
const ID_BYTES: i64 = 16;
/// Memory that cannot be had.
const TOO_MUCH: i64 = 1 << 46;

/// `XAUTOCLAIM key group consumer min-idle start [COUNT n] [JUSTID]`
pub(super) fn xautoclaim(call: &mut Call<'_>) -> Answer {
    let (args, now, release) = (call.args, call.now, call.release);
    let bad = "ERR Invalid min-idle-time argument for XAUTOCLAIM";
    let min_idle = args.integer_or(4, bad)?.max(0);
    let start = arguments::start(args.at(5))?;
    let (mut count, mut just_id) = (100, false);
    let mut index = 6;
    while index < args.len() {
        if args.is(index, "COUNT") && args.more(index) > 0 {
            let most =
                if call.has(Release::Redis7_0) { i64::MAX / 10 / ID_BYTES } else { i64::MAX };
            let bad = || Reply::error("ERR COUNT must be > 0");
            let number = arguments::integer(args.at(index + 1));
            count = number.filter(|number| (1..=most).contains(number)).ok_or_else(bad)?;
            index += 2;
        } else if args.is(index, "JUSTID") {
            just_id = true;
            index += 1;
        } else {
            return Err(errors::syntax());
        }
    }
    let (key, name, consumer) = (args.at(1), args.at(2), args.at(3));
    let Some(stream) = call.stream(key)? else { return Err(errors::no_group(key, name)) };
    let nodes = &stream.nodes;
    let Some(group) = stream.groups.get_mut(name) else {
        return Err(errors::no_group(key, name));
    };
    let drops_deleted = release.has(Release::Redis7_0);
    if drops_deleted && count > TOO_MUCH / ID_BYTES {
        return Err(Reply::error(
            "ERR Insufficient memory, failed allocating transient memory, COUNT too high.",
        ));
    }
    if release.has(Release::Redis7_2) {
        group.consumer(consumer, now).seen = now;
    }
    let mut left = usize::try_from(count).unwrap_or(usize::MAX);
    let attempts = left.saturating_mul(ATTEMPTS);
    let (mut claimed, mut deleted) = (Vec::new(), Vec::new());
    let mut next = EntryId::MIN;
    // One more than is looked at: the id to go on from.
    let looked_at = group.all_pending().range(start..).take(attempts.saturating_add(1));
    let ids: Vec<_> = looked_at.map(|(id, _)| *id).collect();
    for (nth, id) in ids.into_iter().enumerate() {
        if left == 0 || nth == attempts {
            next = id;
            break;
        }
        let Some(pending) = group.pending(id) else { continue };
        let fields = nodes.get(id);
        if fields.is_none() && drops_deleted {
            group.remove(id);
            deleted.push(entries::id(id));
            left -= 1;
            continue;
        }
        let idle = now.wrapping_sub(pending.time);
        if pending.consumer.is_some() && min_idle > 0 && idle < min_idle {
            continue;
        }
        let count = if just_id { pending.count } else { release.increase(pending.count) };
        let owner = group.consumer(consumer, now);
        owner.seen = now;
        owner.active = Some(now);
        group.set(id, Some(consumer), now, count);
        claimed.push(match fields {
            _ if just_id => entries::id(id),
            Some(fields) => entries::entry((id, fields)),
            None => Reply::Null,
        });
        left -= 1;
    }
    let mut reply = vec![entries::id(next), Reply::Array(claimed)];
    if drops_deleted {
        reply.push(Reply::Array(deleted));
    }
    call.modified(key);
    Ok(Reply::Array(reply))
}
