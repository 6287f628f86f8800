//! XNACK. No I/O.

use super::call::{Answer, Call};
use super::delete::ids;
use super::{Reply, arguments, errors};
use bytes::Bytes;

/// The delivery count of an entry that is given back.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Silent,
    Fail,
    Fatal,
}

/// The arguments after the mode.
#[derive(Debug, Default)]
struct Options<'a> {
    ids: Option<&'a [Bytes]>,
    retry_count: Option<i64>,
    force: bool,
}

/// `XNACK key group SILENT|FAIL|FATAL IDS n id [id ...] [RETRYCOUNT n] [FORCE]`
pub(super) fn xnack(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let (key, name) = (args.at(1), args.at(2));
    let group = call.stream(key)?.and_then(|stream| stream.groups.get(name));
    if group.is_none() {
        return Err(errors::no_group(key, name));
    }
    let mode = match () {
        () if args.is(3, "SILENT") => Mode::Silent,
        () if args.is(3, "FAIL") => Mode::Fail,
        () if args.is(3, "FATAL") => Mode::Fatal,
        () => return Err(Reply::error("ERR mode must be SILENT, FAIL, or FATAL")),
    };
    let options = parse(call)?;
    let ids = ids(options.ids.ok_or_else(errors::syntax)?)?;
    let Some(stream) = call.stream(key)? else { return Ok(Reply::Integer(0)) };
    let nodes = &stream.nodes;
    let Some(group) = stream.groups.get_mut(name) else { return Ok(Reply::Integer(0)) };
    let mut nacked = 0;
    for id in ids {
        let count = match group.pending(id) {
            Some(pending) => pending.count,
            None if options.force && nodes.get(id).is_some() => 0,
            None => continue,
        };
        let count = match mode {
            Mode::Silent => count.saturating_sub(1).max(0),
            Mode::Fail => count,
            Mode::Fatal => i64::MAX,
        };
        group.set(id, None, 0, options.retry_count.unwrap_or(count));
        nacked += 1;
    }
    if nacked > 0 {
        call.modified(key);
        call.ready(key);
    }
    Ok(Reply::Integer(nacked))
}

fn parse<'a>(call: &Call<'a>) -> Result<Options<'a>, Reply> {
    let args = call.args;
    let mut options = Options::default();
    let mut index = 4;
    while index < args.len() {
        let more = args.more(index) > 0;
        if more && args.is(index, "IDS") {
            let bad = || Reply::error("ERR numids must be a positive integer");
            let number = arguments::integer(args.at(index + 1));
            let number = number.filter(|number| (1..=i64::from(i32::MAX)).contains(number));
            let number = number.and_then(|number| usize::try_from(number).ok()).ok_or_else(bad)?;
            let Some(ids) = args.from(index + 2).get(..number) else {
                return Err(Reply::error("ERR number of IDs doesn't match numids"));
            };
            options.ids = Some(ids);
            index += 2 + number;
        } else if more && args.is(index, "RETRYCOUNT") {
            let count = args.integer(index + 1)?;
            if count < 0 {
                return Err(Reply::error("ERR Invalid RETRYCOUNT value, must be >= 0"));
            }
            options.retry_count = Some(count);
            index += 2;
        } else if args.is(index, "FORCE") {
            options.force = true;
            index += 1;
        } else {
            let option = arguments::text(args.at(index));
            return Err(errors::words(&[b"ERR Unrecognized XNACK option '", option, b"'"]));
        }
    }
    Ok(options)
}
