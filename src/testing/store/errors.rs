//! Error texts that several commands share. No I/O.

use super::Reply;
use super::text::text;
use bytes::{BufMut, Bytes, BytesMut};

pub(super) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";

pub(super) fn syntax() -> Reply {
    Reply::error("ERR syntax error")
}

pub(super) fn wrong_type() -> Reply {
    Reply::error("WRONGTYPE Operation against a key holding the wrong kind of value")
}

pub(super) fn invalid_id() -> Reply {
    Reply::error("ERR Invalid stream ID specified as stream command argument")
}

pub(super) fn no_such_key() -> Reply {
    Reply::error("ERR no such key")
}

pub(super) fn arity(command: &str) -> Reply {
    Reply::error(format!("ERR wrong number of arguments for '{command}' command"))
}

/// Returns the error of commands that need a key and a group.
pub(super) fn no_group(key: &[u8], group: &[u8]) -> Reply {
    words(&[b"NOGROUP No such key '", text(key), b"' or consumer group '", text(group), b"'"])
}

/// Returns the error of XREADGROUP without its group.
pub(super) fn no_group_to_read(key: &[u8], group: &[u8]) -> Reply {
    let [key, group] = [text(key), text(group)];
    let end = b"' in XREADGROUP with GROUP option";
    words(&[b"NOGROUP No such key '", key, b"' or consumer group '", group, end])
}

/// Returns the error of XGROUP and XINFO without the group.
pub(super) fn no_group_of_key(key: &[u8], group: &[u8]) -> Reply {
    let [key, group] = [text(key), text(group)];
    words(&[b"NOGROUP No such consumer group '", group, b"' for key name '", key, b"'"])
}

/// Joins the parts of an error text.
pub(super) fn words(parts: &[&[u8]]) -> Reply {
    let mut joined = BytesMut::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| joined.put_slice(part));
    Reply::Error(Bytes::from(joined))
}
