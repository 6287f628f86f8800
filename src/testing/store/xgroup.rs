//! XGROUP. No I/O.

use super::arguments::{id, id_or_end, text};
use super::call::{Answer, Call};
use super::errors::{self, words};
use super::stream::{Group, Stream};
use super::{Release, Reply, help};
use crate::id::EntryId;

/// The subcommands, but for HELP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sub {
    Create,
    SetId,
    Destroy,
    CreateConsumer,
    DelConsumer,
}

/// `XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD n]`, SETID, DESTROY, CREATECONSUMER,
/// DELCONSUMER
pub(super) fn xgroup(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let subs = [
        ("CREATE", Sub::Create),
        ("SETID", Sub::SetId),
        ("DESTROY", Sub::Destroy),
        ("CREATECONSUMER", Sub::CreateConsumer),
        ("DELCONSUMER", Sub::DelConsumer),
    ];
    let sub = subs.into_iter().find(|(name, _)| args.is(1, name)).map(|(_, sub)| sub);
    let (mk_stream, entries_read) = options(call, sub)?;
    let (key, name) = (args.at(2), args.at(3));
    if args.len() >= 4 {
        let stream = call.stream(key)?;
        if !mk_stream {
            let Some(stream) = stream else { return Err(no_key()) };
            let needed = matches!(sub, Some(Sub::SetId | Sub::CreateConsumer | Sub::DelConsumer));
            if needed && !stream.groups.contains_key(name) {
                return Err(errors::no_group_of_key(key, name));
            }
        }
    }
    match (sub, args.len()) {
        (Some(Sub::Create), 5..=8) => create(call, entries_read),
        (Some(Sub::SetId), 5..=7) => set_id(call, entries_read),
        (Some(Sub::Destroy), 4) => destroy(call),
        (Some(Sub::CreateConsumer), 5) => create_consumer(call),
        (Some(Sub::DelConsumer), 5) => delete_consumer(call),
        (None, 2) if args.is(1, "HELP") => help::xgroup(call),
        _ => Err(bad_subcommand(call, "XGROUP")),
    }
}

/// Parses MKSTREAM and ENTRIESREAD of CREATE and SETID.
fn options(call: &Call<'_>, sub: Option<Sub>) -> Result<(bool, Option<u64>), Reply> {
    let args = call.args;
    let (mut mk_stream, mut entries_read) = (false, None);
    if !call.has(Release::Redis7_0) {
        if sub == Some(Sub::Create) && args.len() == 6 {
            if !args.is(5, "MKSTREAM") {
                return Err(bad_subcommand(call, "XGROUP"));
            }
            mk_stream = true;
        }
        return Ok((mk_stream, None));
    }
    let mut index = 5;
    while index < args.len() && matches!(sub, Some(Sub::Create | Sub::SetId)) {
        if sub == Some(Sub::Create) && args.is(index, "MKSTREAM") {
            mk_stream = true;
            index += 1;
        } else if args.is(index, "ENTRIESREAD") && args.more(index) > 0 {
            let read = args.integer(index + 1)?;
            if read < -1 {
                return Err(Reply::error("ERR value for ENTRIESREAD must be positive or -1"));
            }
            entries_read = u64::try_from(read).ok();
            index += 2;
        } else {
            return Err(bad_subcommand(call, "XGROUP"));
        }
    }
    Ok((mk_stream, entries_read))
}

fn create(call: &mut Call<'_>, entries_read: Option<u64>) -> Answer {
    let args = call.args;
    // Before Redis 7.0, there is one option.
    if !call.has(Release::Redis7_0) && args.len() > 6 {
        return Err(bad_subcommand(call, "XGROUP"));
    }
    let (key, name) = (args.at(2), args.at(3));
    let last = if **args.at(4) == *b"$" {
        call.stream(key)?.map_or(EntryId::MIN, |stream| stream.last_id)
    } else {
        id(args.at(4)).ok_or_else(errors::invalid_id)?
    };
    if call.stream(key)?.is_none() {
        call.create_stream(key);
    }
    let release = call.release;
    let stream = call.stream(key)?.expect("it was created above");
    if stream.groups.contains_key(name) {
        return Err(Reply::error("BUSYGROUP Consumer Group name already exists"));
    }
    let entries_read = possible(entries_read, stream, release);
    stream.add_group(name.clone(), Group::new(last, entries_read));
    call.modified(key);
    Ok(Reply::Simple("OK"))
}

fn set_id(call: &mut Call<'_>, entries_read: Option<u64>) -> Answer {
    let args = call.args;
    if !call.has(Release::Redis7_0) && args.len() > 5 {
        return Err(bad_subcommand(call, "XGROUP"));
    }
    let (key, name, release) = (args.at(2), args.at(3), call.release);
    let Some(stream) = call.stream(key)? else { return Err(no_key()) };
    let last = if **args.at(4) == *b"$" {
        stream.last_id
    } else {
        // Unlike CREATE, it takes `-` and `+`.
        id_or_end(args.at(4), 0).ok_or_else(errors::invalid_id)?
    };
    let entries_read = possible(entries_read, stream, release);
    if let Some(group) = stream.move_group(name, last) {
        group.entries_read = entries_read;
    }
    call.modified(key);
    Ok(Reply::Simple("OK"))
}

/// Limits a counter to the entries that were added. Earlier versions take any.
fn possible(entries_read: Option<u64>, stream: &Stream, release: Release) -> Option<u64> {
    let is_limited = release.has(Release::Redis8_2);
    entries_read.map(|read| if is_limited { read.min(stream.entries_added) } else { read })
}

fn destroy(call: &mut Call<'_>) -> Answer {
    let (key, name) = (call.args.at(2), call.args.at(3));
    let Some(stream) = call.stream(key)? else { return Err(no_key()) };
    let destroyed = stream.groups.remove(name).is_some();
    if destroyed {
        call.ready(key);
        call.modified(key);
    }
    Ok(Reply::Integer(destroyed.into()))
}

fn create_consumer(call: &mut Call<'_>) -> Answer {
    let (now, args) = (call.now, call.args);
    let (key, name, consumer) = (args.at(2), args.at(3), args.at(4));
    let group = call.stream(key)?.and_then(|stream| stream.groups.get_mut(name));
    let Some(group) = group else { return Err(errors::no_group_of_key(key, name)) };
    let created = !group.consumers.contains_key(consumer);
    if created {
        group.consumer(consumer, now);
        call.modified(key);
    }
    Ok(Reply::Integer(created.into()))
}

fn delete_consumer(call: &mut Call<'_>) -> Answer {
    let args = call.args;
    let (key, name, consumer) = (args.at(2), args.at(3), args.at(4));
    let group = call.stream(key)?.and_then(|stream| stream.groups.get_mut(name));
    let Some(group) = group else { return Err(errors::no_group_of_key(key, name)) };
    let pending = group.delete_consumer(consumer);
    call.modified(key);
    Ok(Reply::count(pending))
}

fn no_key() -> Reply {
    Reply::error(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to \
         use the MKSTREAM option to create an empty stream automatically.",
    )
}

/// Returns the error of a subcommand that does not exist or has other arguments.
pub(super) fn bad_subcommand(call: &Call<'_>, command: &str) -> Reply {
    let unknown: &[u8] = if call.has(Release::Redis7_0) { b"ERR unknown" } else { b"ERR Unknown" };
    let name = text(call.args.at(1));
    let name = name.get(..128).unwrap_or(name);
    let end = format!("'. Try {command} HELP.");
    let middle = b" subcommand or wrong number of arguments for '";
    words(&[unknown, middle, name, end.as_bytes()])
}
