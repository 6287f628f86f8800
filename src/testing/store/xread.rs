//! XREAD and XREADGROUP. No I/O.

use super::arguments::Arguments;
use super::blocked::Blocked;
use super::call::Call;
use super::deliver::{self, Budget, Reader};
use super::stream::Stream;
use super::{Release, Reply, Run, arguments, errors};
use crate::id::EntryId;
use bytes::Bytes;

/// A read.
#[derive(Debug)]
pub(super) struct Read<'a> {
    pub(super) block: Option<i64>,
    /// The most entries of each stream.
    pub(super) limit: usize,
    max_count: Option<usize>,
    max_size: Option<usize>,
    pub(super) group: Option<Reader>,
    pub(super) keys: &'a [Bytes],
    pub(super) ids: &'a [Bytes],
}

/// The position from which a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    After(EntryId),
    /// `+`: after this id, which is just before the last entry. A read that waits keeps the `+`.
    Last(EntryId),
    /// `>`
    New,
}

/// `XREAD [COUNT n] [MAXCOUNT n] [MAXSIZE bytes] [BLOCK ms] STREAMS key [key ...] id [id ...]`
pub(super) fn xread(call: &mut Call<'_>) -> Result<Run, Reply> {
    run(call, false)
}

/// `XREADGROUP GROUP group consumer [COUNT n] [MAXCOUNT n] [MAXSIZE bytes] [BLOCK ms] [CLAIM
/// min-idle] [NOACK] STREAMS key [key ...] id [id ...]`
pub(super) fn xreadgroup(call: &mut Call<'_>) -> Result<Run, Reply> {
    run(call, true)
}

fn run(call: &mut Call<'_>, of_group: bool) -> Result<Run, Reply> {
    let read = parse(call, of_group)?;
    let mut from = Vec::with_capacity(read.keys.len());
    for (key, id) in read.keys.iter().zip(read.ids) {
        from.push(start(call, key, id, read.group.as_ref())?);
    }
    let served = serve(call, &read, &from)?;
    if !served.is_empty() {
        return Ok(Run::Reply(Reply::Streams(served)));
    }
    let Some(block) = read.block else { return Ok(Run::Reply(Reply::NullArray)) };
    let ids = read.ids.iter().zip(&from).map(|(id, from)| match from {
        From::After(id) => Bytes::from(id.to_string()),
        From::Last(_) | From::New => id.clone(),
    });
    let options = call.args.len() - read.keys.len() - read.ids.len();
    let request = call.args.0.iter().take(options).chain(read.keys).cloned().chain(ids).collect();
    let timeout = u64::try_from(block).ok().filter(|timeout| *timeout > 0);
    Ok(Run::Blocked(Blocked::new(request, read.keys.to_vec(), timeout, read.group.and_then(claim))))
}

/// Returns the group and the idle time from which pending entries are claimed.
fn claim(reader: Reader) -> Option<(Bytes, i64)> {
    Some((reader.group, reader.claim?))
}

/// Parses a read.
pub(super) fn parse<'a>(call: &Call<'a>, of_group: bool) -> Result<Read<'a>, Reply> {
    let args = call.args;
    let mut read = Read {
        block: None,
        limit: usize::MAX,
        max_count: None,
        max_size: None,
        group: None,
        keys: &[],
        ids: &[],
    };
    let (mut group, mut no_ack, mut claim) = (None, false, None);
    let mut index = 1;
    loop {
        if index >= args.len() {
            return Err(errors::syntax());
        }
        let more = args.more(index);
        let has_limits = call.has(Release::Redis8_10);
        index += 1 + match () {
            () if args.is(index, "BLOCK") && more > 0 => {
                read.block = Some(timeout(call, index + 1)?);
                1
            }
            () if args.is(index, "COUNT") && more > 0 => {
                let count = usize::try_from(args.integer(index + 1)?).unwrap_or_default();
                read.limit = if count == 0 { usize::MAX } else { count };
                1
            }
            () if has_limits && args.is(index, "MAXCOUNT") && more > 0 => {
                read.max_count = Some(positive(args, index + 1, "MAXCOUNT")?);
                1
            }
            () if has_limits && args.is(index, "MAXSIZE") && more > 0 => {
                read.max_size = Some(positive(args, index + 1, "MAXSIZE")?);
                1
            }
            () if args.is(index, "STREAMS") && more > 0 => {
                let named = args.from(index + 1);
                if named.len() % 2 != 0 {
                    return Err(unbalanced(call.release, of_group));
                }
                (read.keys, read.ids) = named.split_at(named.len() / 2);
                break;
            }
            () if args.is(index, "GROUP") && more >= 2 => {
                if !of_group {
                    return Err(only_of_group("GROUP"));
                }
                group = Some((args.at(index + 1).clone(), args.at(index + 2).clone()));
                2
            }
            () if args.is(index, "NOACK") => {
                if !of_group {
                    return Err(only_of_group("NOACK"));
                }
                no_ack = true;
                0
            }
            () if call.has(Release::Redis8_6) && args.is(index, "CLAIM") && more > 0 => {
                if !of_group {
                    return Err(only_of_group("CLAIM"));
                }
                claim = Some(min_idle(args, index + 1)?);
                1
            }
            () => return Err(errors::syntax()),
        };
    }
    if of_group {
        let Some((group, consumer)) = group else {
            return Err(Reply::error("ERR Missing GROUP option for XREADGROUP"));
        };
        read.group = Some(Reader { group, consumer, no_ack, claim });
    }
    if read.limit != usize::MAX && read.max_count.is_some_and(|most| most < read.limit) {
        return Err(Reply::error("ERR MAXCOUNT must be greater than or equal to COUNT"));
    }
    Ok(read)
}

fn timeout(call: &Call<'_>, index: usize) -> Result<i64, Reply> {
    let bad = "ERR timeout is not an integer or out of range";
    let timeout = call.args.integer_or(index, bad)?;
    if timeout < 0 {
        return Err(Reply::error("ERR timeout is negative"));
    }
    if call.has(Release::Redis7_2) && timeout.checked_add(call.now).is_none() {
        return Err(Reply::error("ERR timeout is out of range"));
    }
    Ok(timeout)
}

fn positive(args: Arguments<'_>, index: usize, name: &str) -> Result<usize, Reply> {
    let number = usize::try_from(args.integer(index)?).ok().filter(|number| *number > 0);
    number.ok_or_else(|| Reply::error(format!("ERR {name} must be a positive integer")))
}

fn min_idle(args: Arguments<'_>, index: usize) -> Result<i64, Reply> {
    let idle = args.integer_or(index, "ERR min-idle-time is not an integer or out of range")?;
    if idle < 0 {
        return Err(Reply::error("ERR min-idle-time must be a positive integer"));
    }
    Ok(idle)
}

fn only_of_group(option: &str) -> Reply {
    Reply::error(format!(
        "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
    ))
}

fn unbalanced(release: Release, of_group: bool) -> Reply {
    let (list, id) = match of_group {
        _ if !release.has(Release::Redis7_2) => ("XREAD", "an ID or '$'"),
        true => ("'xreadgroup'", "an ID or '>'"),
        false if release.has(Release::Redis8_2) => ("'xread'", "an ID, '+', or '$'"),
        false => ("'xread'", "an ID or '$'"),
    };
    Reply::error(format!(
        "ERR Unbalanced {list} list of streams: for each stream key {id} must be specified."
    ))
}

/// Returns where a stream is read from.
fn start(
    call: &mut Call<'_>,
    key: &Bytes,
    id: &Bytes,
    reader: Option<&Reader>,
) -> Result<From, Reply> {
    let has_plus = call.has(Release::Redis7_4) || call.release.is_valkey();
    let is_newer = call.has(Release::Redis8_2);
    let fails = matches!(call.release, Release::Redis7_4 | Release::Valkey8_1);
    let stream = call.stream(key)?;
    if let Some(reader) = reader {
        if !stream.as_ref().is_some_and(|stream| stream.groups.contains_key(&reader.group)) {
            return Err(errors::no_group_to_read(key, &reader.group));
        }
    }
    match arguments::text(id) {
        sign @ (b"$" | b"+") if reader.is_some() && (sign == b"$" || has_plus) => {
            let sign = if sign == b"$" { "$" } else { "+" };
            Err(Reply::error(format!(
                "ERR The {sign} ID is meaningless in the context of XREADGROUP: you want to read the \
                 history of this consumer by specifying a proper ID, or use the > ID to get new \
                 messages. The {sign} ID would just return an empty result set."
            )))
        }
        b"$" => Ok(From::After(stream.map_or(EntryId::MIN, |stream| stream.last_id))),
        b"+" if has_plus => {
            let Some(stream) = stream else { return Ok(From::Last(EntryId::MIN)) };
            // At first, it was the last id of the stream, of an entry that may be deleted.
            let last = if is_newer { stream.last_entry_id() } else { Some(stream.last_id) };
            match last.unwrap_or(EntryId::MIN).prev() {
                None if fails => Err(Reply::error("ERR the stream last element ID is 0-0")),
                before => Ok(From::Last(before.unwrap_or(EntryId::MIN))),
            }
        }
        b">" if reader.is_some() => Ok(From::New),
        b">" => Err(Reply::error(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> \
             <consumer> option.",
        )),
        _ => match arguments::id(id).ok_or_else(errors::invalid_id)? {
            EntryId::MAX if reader.is_some() => Ok(From::New),
            id => Ok(From::After(id)),
        },
    }
}

/// Returns what there is to read, by key.
fn serve(
    call: &mut Call<'_>,
    read: &Read<'_>,
    from: &[From],
) -> Result<Vec<(Reply, Reply)>, Reply> {
    let mut budget = Budget::new(read.max_count, read.max_size, call.resp3);
    let mut reader = read.group.clone();
    let mut served = Vec::new();
    for (key, from) in read.keys.iter().zip(from) {
        if budget.is_over() {
            break;
        }
        // The stream is out of the database while the call is borrowed.
        let Some(mut stream) = call.take_stream(key)? else { continue };
        // The server ignores CLAIM from the first key with an id on.
        if let (Some(reader), From::After(_)) = (&mut reader, from) {
            reader.claim = None;
        }
        let entries = match &reader {
            None => serve_reader(&stream, key, *from, read.limit, &mut budget),
            Some(reader) => {
                let entries =
                    serve_group(call, &mut stream, key, reader, *from, read.limit, &mut budget);
                if entries.is_some() {
                    call.modified(key);
                }
                entries
            }
        };
        call.put_stream(key, stream);
        if let Some(entries) = entries {
            budget.close(entries.len());
            served.push((Reply::Bulk(key.clone()), Reply::Array(entries)));
        }
    }
    Ok(served)
}

fn serve_reader(
    stream: &Stream,
    key: &Bytes,
    from: From,
    limit: usize,
    budget: &mut Budget,
) -> Option<Vec<Reply>> {
    let (From::After(after) | From::Last(after)) = from else { return None };
    stream.last_entry_id().filter(|last| *last > after)?;
    budget.open(key);
    Some(deliver::entries_after(&stream.nodes, after, limit, budget))
}

fn serve_group(
    call: &Call<'_>,
    stream: &mut Stream,
    key: &Bytes,
    reader: &Reader,
    from: From,
    limit: usize,
    budget: &mut Budget,
) -> Option<Vec<Reply>> {
    if call.has(Release::Redis7_2) {
        deliver::see(call, stream, reader);
    }
    if let From::After(after) | From::Last(after) = from {
        deliver::see(call, stream, reader);
        budget.open(key);
        return Some(deliver::history(call, stream, reader, after, limit, budget));
    }
    let group = stream.groups.get(&reader.group)?;
    let is_new = stream.last_entry_id().is_some_and(|last| last > group.last_id);
    let oldest = deliver::claimable(group, &stream.nodes).next();
    let is_old = reader
        .claim
        .zip(oldest)
        .is_some_and(|(min_idle, (time, _))| time <= call.now.saturating_sub(min_idle));
    if !is_new && !is_old {
        return None;
    }
    deliver::see(call, stream, reader);
    budget.open(key);
    let mut entries = deliver::claimed(call, stream, reader, limit, budget);
    let left = limit - entries.len();
    entries.extend(deliver::new_entries(call, stream, reader, left, budget));
    Some(entries)
}
