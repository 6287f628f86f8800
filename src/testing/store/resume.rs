//! Runs reads that wait again. No I/O.
//!
//! Up to Redis 7.0, a read that waits is served from the key that is ready. Since 7.2, the whole
//! command runs again.

use super::call::Call;
use super::database::{Database, Value};
use super::deliver::{self, Budget};
use super::xread::{self, Read};
use super::{Blocked, Release, Reply, Run, arguments};
use bytes::Bytes;

/// Serves a read that waits. `None`: it goes on waiting.
pub(super) fn resume(call: &mut Call<'_>, blocked: &Blocked, key: &Bytes) -> Option<Reply> {
    let of_group = blocked.is_of_group();
    let is_stream = matches!(call.database().get(key), Some(Value::Stream(_)));
    if !call.has(Release::Redis7_2) {
        return if is_stream {
            serve_one(call, key, of_group)
        } else {
            let ends = of_group && call.has(Release::Redis7_0);
            ends.then(|| Reply::error("UNBLOCKED the stream key no longer exists"))
        };
    }
    if !is_stream && !of_group {
        return None;
    }
    let run = if of_group { xread::xreadgroup(call) } else { xread::xread(call) };
    match run {
        Ok(Run::Blocked(_)) => None,
        Ok(Run::Reply(reply)) | Err(reply) => Some(reply),
    }
}

/// Serves a read from one of its keys, if that has something.
fn serve_one(call: &mut Call<'_>, key: &Bytes, of_group: bool) -> Option<Reply> {
    let read = xread::parse(call, of_group).ok()?;
    let mut stream = call.take_stream(key).ok()??;
    let serve = |stream: &mut _| serve_stream(call, &read, stream, key);
    let served = serve(&mut stream);
    call.put_stream(key, stream);
    served
}

fn serve_stream(
    call: &Call<'_>,
    read: &Read<'_>,
    stream: &mut super::stream::Stream,
    key: &Bytes,
) -> Option<Reply> {
    let mut budget = Budget::new(None, None, call.resp3);
    let entries = match &read.group {
        None => {
            let index = read.keys.iter().position(|named| named == key)?;
            let after = arguments::id(read.ids.get(index)?)?;
            if stream.last_id <= after {
                return None;
            }
            deliver::entries_after(&stream.nodes, after, read.limit, &mut budget)
        }
        Some(reader) => {
            let Some(group) = stream.groups.get(&reader.group) else {
                return Some(Reply::error(
                    "NOGROUP the consumer group this client was blocked on no longer exists",
                ));
            };
            if stream.last_id <= group.last_id {
                return None;
            }
            deliver::see(call, stream, reader);
            deliver::new_entries(call, stream, reader, read.limit, &mut budget)
        }
    };
    Some(Reply::Streams(vec![(Reply::Bulk(key.clone()), Reply::Array(entries))]))
}

/// Returns when a read with CLAIM looks for entries again, and a key to resume it with: when the
/// oldest pending entry is old enough, or after the idle time if none is pending.
pub(super) fn looks_again_at(
    database: &Database,
    now_ms: u64,
    blocked: &Blocked,
) -> Option<(u64, Bytes)> {
    let (group, min_idle) = blocked.claim.as_ref()?;
    let oldest = |key: &Bytes| {
        let Some(Value::Stream(stream)) = database.get(key) else { return None };
        let group = stream.groups.get(group)?;
        let (time, _) = deliver::claimable(group, &stream.nodes).next()?;
        Some((u64::try_from(time).unwrap_or_default(), key.clone()))
    };
    let oldest = blocked.keys.iter().filter_map(oldest).min();
    let (time, key) = oldest.or_else(|| Some((now_ms, blocked.keys.first()?.clone())))?;
    let at = time.saturating_add(u64::try_from(*min_idle).unwrap_or_default());
    Some((at.max(now_ms + 1), key))
}
