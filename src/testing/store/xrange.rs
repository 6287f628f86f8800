//! XLEN, XRANGE and XREVRANGE. No I/O.

use super::call::{Answer, Call};
use super::{Reply, arguments, entries, errors};

/// `XLEN key`
pub(super) fn xlen(call: &mut Call<'_>) -> Answer {
    let key = call.args.at(1);
    let len = call.stream(key)?.map_or(0, |stream| stream.len());
    Ok(Reply::counter(len))
}

/// `XRANGE key start end [COUNT n]`
pub(super) fn xrange(call: &mut Call<'_>) -> Answer {
    range(call, false)
}

/// `XREVRANGE key end start [COUNT n]`
pub(super) fn xrevrange(call: &mut Call<'_>) -> Answer {
    range(call, true)
}

fn range(call: &mut Call<'_>, reverse: bool) -> Answer {
    let args = call.args;
    let (start, end) = if reverse { (3, 2) } else { (2, 3) };
    let start = arguments::start(args.at(start))?;
    let end = arguments::end(args.at(end))?;
    let mut limit = usize::MAX;
    let mut index = 4;
    while index < args.len() {
        if !args.is(index, "COUNT") || args.more(index) == 0 {
            return Err(errors::syntax());
        }
        limit = usize::try_from(args.integer(index + 1)?).unwrap_or_default();
        index += 2;
    }
    let Some(stream) = call.stream(args.at(1))? else { return Ok(Reply::empty()) };
    if limit == 0 {
        return Ok(Reply::NullArray);
    }
    let range = stream.nodes.range(start, end).map(entries::entry);
    Ok(Reply::Array(if reverse {
        range.rev().take(limit).collect()
    } else {
        range.take(limit).collect()
    }))
}
