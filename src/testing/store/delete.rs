//! XDEL, XDELEX and XACKDEL. No I/O.

use super::call::{Answer, Call};
use super::stream::Stream;
use super::{Release, Reply, errors};
use crate::id::EntryId;
use bytes::Bytes;

/// The fate of the pending entries of an entry that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// They stay.
    Keep,
    /// They are removed.
    Delete,
    /// An entry that a group has pending or has yet to read is not deleted.
    Acked,
}

impl Policy {
    /// Parses KEEPREF, DELREF or ACKED.
    pub(super) fn parse(call: &Call<'_>, index: usize) -> Option<Self> {
        let words = [("KEEPREF", Self::Keep), ("DELREF", Self::Delete), ("ACKED", Self::Acked)];
        let words = words.into_iter().filter(|_| call.has(Release::Redis8_2));
        words.into_iter().find(|(word, _)| call.args.is(index, word)).map(|(_, policy)| policy)
    }
}

/// `XDEL key id [id ...]`
pub(super) fn xdel(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let key = args.at(1);
    let Some(stream) = call.stream(key)? else { return Ok(Reply::Integer(0)) };
    let ids = ids(args.from(2))?;
    let deleted = ids.into_iter().filter(|id| stream.delete(*id)).count();
    if deleted > 0 {
        call.modified(key);
    }
    Ok(Reply::count(deleted))
}

/// Parses ids. One that is invalid is an error before anything is done.
pub(super) fn ids(words: &[Bytes]) -> Result<Vec<EntryId>, Reply> {
    let ids = words.iter().map(|word| super::arguments::id(word));
    ids.collect::<Option<_>>().ok_or_else(errors::invalid_id)
}

/// `XDELEX key [KEEPREF|DELREF|ACKED] IDS n id [id ...]`
pub(super) fn xdelex(call: &mut Call<'_>) -> Answer {
    let (key, release) = (call.args.at(1), call.release);
    call.stream(key)?;
    let (policy, words) = parse(call, 2)?;
    let Some(stream) = call.stream(key)? else { return Ok(none_of(words)) };
    let ids = ids(words)?;
    let codes = ids.into_iter().map(|id| delete(stream, policy, id, release)).map(Reply::Integer);
    let codes = codes.collect();
    call.modified(key);
    Ok(Reply::Array(codes))
}

/// Deletes an entry: 1, -1 if there is none, 2 if it is still needed.
fn delete(stream: &mut Stream, policy: Policy, id: EntryId, release: Release) -> i64 {
    match policy {
        Policy::Acked if stream.is_referenced(id, release) => return 2,
        Policy::Delete => stream.dereference(id),
        _ => {}
    }
    if stream.delete(id) { 1 } else { -1 }
}

/// `XACKDEL key group [KEEPREF|DELREF|ACKED] IDS n id [id ...]`
pub(super) fn xackdel(call: &mut Call<'_>) -> Answer {
    let (key, group, release) = (call.args.at(1), call.args.at(2), call.release);
    call.stream(key)?;
    let (policy, words) = parse(call, 3)?;
    let Some(stream) = call.stream(key)? else { return Ok(none_of(words)) };
    if !stream.groups.contains_key(group) {
        return Ok(none_of(words));
    }
    let codes = ids(words)?.into_iter().map(|id| {
        let acked = stream.groups.get_mut(group).is_some_and(|group| group.remove(id));
        if !acked {
            return -1;
        }
        delete(stream, policy, id, release).abs()
    });
    let codes = codes.map(Reply::Integer).collect();
    call.modified(key);
    Ok(Reply::Array(codes))
}

/// Returns the codes of ids that do not exist.
fn none_of(ids: &[Bytes]) -> Reply {
    Reply::Array(ids.iter().map(|_| Reply::Integer(-1)).collect())
}

/// Parses the policy and the ids of XDELEX and XACKDEL.
fn parse<'a>(call: &Call<'a>, mut index: usize) -> Result<(Policy, &'a [Bytes]), Reply> {
    let args = call.args;
    let mut policy = None;
    let mut ids = None;
    while index < args.len() {
        if let (None, Some(parsed)) = (policy, Policy::parse(call, index)) {
            policy = Some(parsed);
            index += 1;
        } else if args.is(index, "IDS") && args.more(index) > 0 {
            let not_positive = || Reply::error("ERR Number of IDs must be a positive integer");
            let number = super::arguments::integer(args.at(index + 1)).filter(|number| *number > 0);
            let number = number.and_then(|number| usize::try_from(number).ok());
            let number = number.ok_or_else(not_positive)?;
            let Some(words) = args.from(index + 2).get(..number) else {
                return Err(Reply::error(
                    "ERR The `numids` parameter must match the number of arguments",
                ));
            };
            ids = Some(words);
            index += 2 + number;
        } else {
            return Err(errors::syntax());
        }
    }
    let ids = ids.ok_or_else(errors::syntax)?;
    Ok((policy.unwrap_or(Policy::Keep), ids))
}
