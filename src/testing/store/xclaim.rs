//! XCLAIM. No I/O.

use super::call::{Answer, Call};
use super::stream::Stream;
use super::{Release, Reply, arguments, entries, errors};
use crate::id::EntryId;
use bytes::Bytes;

/// The options of XCLAIM.
#[derive(Debug, Default)]
struct Options {
    force: bool,
    just_id: bool,
    time: Option<i64>,
    retry_count: Option<i64>,
    last_id: EntryId,
}

/// `XCLAIM key group consumer min-idle id [id ...] [IDLE ms] [TIME unix-ms] [RETRYCOUNT n] [FORCE]
/// [JUSTID] [LASTID id]`
pub(super) fn xclaim(call: &mut Call<'_>) -> Answer {
    let (args, now, release) = (call.args, call.now, call.release);
    let (key, name) = (args.at(1), args.at(2));
    let group = call.stream(key)?.and_then(|stream| stream.groups.get(name));
    if group.is_none() {
        return Err(errors::no_group(key, name));
    }
    let bad = "ERR Invalid min-idle-time argument for XCLAIM";
    let min_idle = args.integer_or(4, bad)?.max(0);
    let ids: Vec<_> = args.from(5).iter().map_while(|word| arguments::id(word)).collect();
    let options = parse(call, 5 + ids.len())?;
    let time = options.time.filter(|time| (0..=now).contains(time)).unwrap_or(now);
    let Some(stream) = call.stream(key)? else { return Ok(Reply::empty()) };
    let last = stream.groups.get(name).map_or(EntryId::MIN, |group| group.last_id);
    let moved = stream.move_group(name, last.max(options.last_id));
    let Some(group) = moved else { return Ok(Reply::empty()) };
    let claim = Claim { group: name, consumer: args.at(3), min_idle, time, now, release };
    if release.has(Release::Redis7_2) {
        group.consumer(claim.consumer, now).seen = now;
    }
    let claimed = ids.into_iter().filter_map(|id| claim.one(stream, id, &options));
    let claimed = claimed.collect();
    call.modified(key);
    Ok(Reply::Array(claimed))
}

fn parse(call: &Call<'_>, mut index: usize) -> Result<Options, Reply> {
    let (args, now) = (call.args, call.now);
    let mut options = Options::default();
    while index < args.len() {
        let more = args.more(index) > 0;
        let number = |name: &str| {
            let bad = || Reply::error(format!("ERR Invalid {name} option argument for XCLAIM"));
            arguments::integer(args.at(index + 1)).ok_or_else(bad)
        };
        index += 1 + match () {
            () if args.is(index, "FORCE") => {
                options.force = true;
                0
            }
            () if args.is(index, "JUSTID") => {
                options.just_id = true;
                0
            }
            () if more && args.is(index, "IDLE") => {
                options.time = Some(now.wrapping_sub(number("IDLE")?));
                1
            }
            () if more && args.is(index, "TIME") => {
                options.time = Some(number("TIME")?);
                1
            }
            () if more && args.is(index, "RETRYCOUNT") => {
                options.retry_count = Some(number("RETRYCOUNT")?);
                1
            }
            () if more && args.is(index, "LASTID") => {
                options.last_id = args.id(index + 1)?;
                1
            }
            () => {
                let option = arguments::text(args.at(index));
                return Err(errors::words(&[b"ERR Unrecognized XCLAIM option '", option, b"'"]));
            }
        };
    }
    Ok(options)
}

/// A claim of entries for a consumer.
#[derive(Debug)]
struct Claim<'a> {
    group: &'a Bytes,
    consumer: &'a Bytes,
    min_idle: i64,
    time: i64,
    now: i64,
    release: Release,
}

impl Claim<'_> {
    /// Claims an entry. `None`: it stays as it is, or its body is gone.
    fn one(&self, stream: &mut Stream, id: EntryId, options: &Options) -> Option<Reply> {
        let fields = stream.nodes.get(id).cloned();
        let group = stream.groups.get_mut(self.group)?;
        if fields.is_none() && self.release.has(Release::Redis7_0) {
            group.remove(id);
            return None;
        }
        let count = match group.pending(id) {
            None if options.force && fields.is_some() => 1,
            None => return None,
            Some(pending) => {
                let idle = self.now.wrapping_sub(pending.time);
                if pending.consumer.is_some() && self.min_idle > 0 && idle < self.min_idle {
                    return None;
                }
                pending.count
            }
        };
        let count = match options.retry_count.filter(|count| *count >= 0) {
            Some(count) => count,
            None if options.just_id => count,
            None => self.release.increase(count),
        };
        let consumer = group.consumer(self.consumer, self.now);
        consumer.seen = self.now;
        consumer.active = Some(self.now);
        group.set(id, Some(self.consumer), self.time, count);
        Some(match fields {
            _ if options.just_id => entries::id(id),
            Some(fields) => entries::entry((id, &fields)),
            None => Reply::Null,
        })
    }
}
