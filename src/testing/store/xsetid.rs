//! XSETID. No I/O.

use super::call::{Answer, Call};
use super::{Release, Reply, errors};
use crate::id::EntryId;

/// `XSETID key id [ENTRIESADDED n] [MAXDELETEDID id]`
pub(super) fn xsetid(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let key = args.at(1);
    // Before Redis 7.0, the key is looked at first.
    if !call.has(Release::Redis7_0) && call.stream(key)?.is_none() {
        return Err(errors::no_such_key());
    }
    let id = args.id(2)?;
    let mut added = None;
    let mut max_deleted = EntryId::MIN;
    let mut index = 3;
    while index < args.len() {
        if args.more(index) > 0 && args.is(index, "ENTRIESADDED") {
            let negative = |_| Reply::error("ERR entries_added must be positive");
            added = Some(u64::try_from(args.integer(index + 1)?).map_err(negative)?);
        } else if args.more(index) > 0 && args.is(index, "MAXDELETEDID") {
            max_deleted = args.id(index + 1)?;
            if id < max_deleted {
                return Err(smaller("the provided max_deleted_entry_id"));
            }
        } else {
            return Err(errors::syntax());
        }
        index += 2;
    }
    let is_limited = call.has(Release::Redis7_2);
    let Some(stream) = call.stream(key)? else { return Err(errors::no_such_key()) };
    if is_limited && id < stream.max_deleted_id {
        return Err(smaller("current max_deleted_entry_id"));
    }
    if let Some(last) = stream.last_entry_id() {
        if id < last {
            return Err(smaller("the target stream top item"));
        }
        if added.is_some_and(|added| added < stream.len()) {
            return Err(Reply::error(
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
    }
    stream.last_id = id;
    if let Some(added) = added {
        stream.entries_added = added;
    }
    if max_deleted != EntryId::MIN {
        stream.max_deleted_id = max_deleted;
    }
    call.modified(key);
    Ok(Reply::Simple("OK"))
}

fn smaller(than: &str) -> Reply {
    Reply::error(format!("ERR The ID specified in XSETID is smaller than {than}"))
}
