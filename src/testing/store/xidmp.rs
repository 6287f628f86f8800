//! XCFGSET and XIDMPRECORD: the settings and the pairs of idempotent XADD. No I/O.

use super::call::{Answer, Call};
use super::{Reply, errors};
use std::ops::RangeInclusive;

const DURATION: RangeInclusive<i64> = 1..=86_400;
const MAX_SIZE: RangeInclusive<i64> = 1..=10_000;

/// `XCFGSET key [IDMP-DURATION seconds] [IDMP-MAXSIZE n]`
pub(super) fn xcfgset(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let key = args.at(1);
    let Some(stream) = call.stream(key)? else { return Err(errors::no_such_key()) };
    let (mut duration, mut max_size) = (None, None);
    let mut index = 2;
    while index < args.len() {
        let (name, range, unit, setting) = match () {
            () if args.more(index) == 0 => return Err(errors::syntax()),
            () if args.is(index, "IDMP-DURATION") => {
                ("IDMP-DURATION", DURATION, "seconds", &mut duration)
            }
            () if args.is(index, "IDMP-MAXSIZE") => {
                ("IDMP-MAXSIZE", MAX_SIZE, "entries", &mut max_size)
            }
            () => return Err(errors::syntax()),
        };
        if setting.is_some() {
            return Err(Reply::error(format!("ERR {name} specified multiple times")));
        }
        let value = args.integer(index + 1)?;
        if !range.contains(&value) {
            let (from, to) = range.into_inner();
            let error = format!("ERR {name} must be between {from} and {to} {unit}");
            return Err(Reply::error(error));
        }
        *setting = Some(value);
        index += 2;
    }
    if duration.is_none() && max_size.is_none() {
        return Err(Reply::error("ERR At least one parameter must be specified"));
    }
    let idmp = &mut stream.idmp;
    let new = (duration.unwrap_or(idmp.duration_s), max_size.unwrap_or(idmp.max_size));
    if new != (idmp.duration_s, idmp.max_size) {
        (idmp.duration_s, idmp.max_size) = new;
        idmp.clear();
    }
    call.modified(key);
    Ok(Reply::Simple("OK"))
}

/// `XIDMPRECORD key pid iid id`
pub(super) fn xidmprecord(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let (key, producer, iid, id) = (args.at(1), args.at(2), args.at(3), args.id(4)?);
    let now = call.now;
    if producer.is_empty() {
        return Err(Reply::error("ERR producer ID must be non-empty"));
    }
    if iid.is_empty() {
        return Err(Reply::error("ERR idempotent ID must be non-empty"));
    }
    let Some(stream) = call.stream(key)? else { return Err(errors::no_such_key()) };
    if stream.nodes.get(id).is_none() {
        return Err(Reply::error("ERR No such message in stream"));
    }
    stream.idmp.tick(now);
    match stream.idmp.find(producer, iid) {
        Some(known) if known == id => {}
        Some(_) => {
            return Err(Reply::error(
                "ERR IID already exists for this producer with a different stream ID",
            ));
        }
        None => {
            stream.idmp.record(producer, iid.clone(), id);
            call.modified(key);
        }
    }
    Ok(Reply::Simple("OK"))
}
