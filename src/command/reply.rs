//! Reply shapes that several commands have in common. No I/O.

use crate::EntryId;
use crate::resp::{Cursor, DecodeError, Frame, Value};
use bytes::Bytes;

const ID: &str = "an entry id";

/// Parses an id.
#[inline]
pub(super) fn id(text: &[u8]) -> Result<EntryId, DecodeError> {
    EntryId::parse(text).map_err(|_| DecodeError::text(ID, text))
}

/// Decodes an array of ids; null counts as an empty array, as for entries.
pub(super) fn ids(cursor: &mut Cursor<'_>) -> Result<Vec<EntryId>, DecodeError> {
    let len = cursor.array_or_null("entry ids")?.unwrap_or_default();
    (0..len).map(|_| id(cursor.string(ID)?)).collect()
}

/// Accepts only `OK`.
pub(super) fn ok(frame: Frame) -> Result<(), DecodeError> {
    match frame.cursor().string("OK")? {
        b"OK" => Ok(()),
        other => Err(DecodeError::text("OK", other)),
    }
}

/// Returns `n`, unless it exceeds the number of ids in the request: the reply then belongs to
/// another request.
pub(super) fn at_most(most: usize, n: u64, expected: &'static str) -> Result<u64, DecodeError> {
    if usize::try_from(n).is_ok_and(|n| n <= most) {
        return Ok(n);
    }
    Err(DecodeError::new(expected, "more than the request names"))
}

/// Decodes 1 or 0: whether something was done.
pub(super) fn done(frame: Frame) -> Result<bool, DecodeError> {
    match frame.cursor().integer("0 or 1")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::new("0 or 1", "another number")),
    }
}

/// Decodes a 64-bit number that the server stores unsigned and prints signed.
///
/// RETRYCOUNT of XCLAIM and ENTRIESADDED of XSETID can set it to the largest signed number. Most
/// servers print the next one as negative.
pub(super) fn counter(cursor: &mut Cursor<'_>, name: &'static str) -> Result<u64, DecodeError> {
    cursor.integer(name).map(unsigned)
}

/// Decodes as [`counter`]; `None` for null.
pub(super) fn counter_or_null(
    cursor: &mut Cursor<'_>,
    name: &'static str,
) -> Result<Option<u64>, DecodeError> {
    Ok(cursor.integer_or_null(name)?.map(unsigned))
}

fn unsigned(n: i64) -> u64 {
    u64::from_ne_bytes(n.to_ne_bytes())
}

/// Minimum size of a line on the wire: `+` and CRLF.
const LINE_BYTES: usize = 3;

/// Decodes an array of lines meant for people. Bytes that are not UTF-8 are replaced.
pub(super) fn lines(frame: Frame) -> Result<Vec<String>, DecodeError> {
    let bytes = frame.as_bytes();
    let mut cursor = Cursor::at(bytes, 0);
    let len = cursor.array("lines of help")?;
    let mut lines = Vec::with_capacity(len.min(bytes.len() / LINE_BYTES));
    for _ in 0..len {
        lines.push(String::from_utf8_lossy(cursor.string("a line of help")?).into_owned());
    }
    Ok(lines)
}

/// Decodes a port.
pub(super) fn port(cursor: &mut Cursor<'_>) -> Result<u16, DecodeError> {
    below(u64::from(u16::MAX) + 1, cursor, "a port")
}

/// Decodes a 16-bit number below `end`.
pub(super) fn below(
    end: u64,
    cursor: &mut Cursor<'_>,
    what: &'static str,
) -> Result<u16, DecodeError> {
    let n = cursor.count(what)?;
    let small = u16::try_from(n).ok().filter(|_| n < end);
    small.ok_or_else(|| DecodeError::new(what, "too large a number"))
}

/// Decodes the value at the cursor's position as a tree; `bytes` is the whole reply.
pub(super) fn tree(bytes: &Bytes, cursor: &mut Cursor<'_>) -> Value {
    let start = cursor.position();
    cursor.skip();
    Value::from(&Frame::scanned(bytes.slice(start..cursor.position())))
}

/// Returns `len`, unless it is less than required. A later server may send more.
pub(super) fn at_least(
    least: usize,
    len: usize,
    expected: &'static str,
) -> Result<usize, DecodeError> {
    if len < least { Err(DecodeError::new(expected, "an array too short")) } else { Ok(len) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Limits;

    #[test]
    fn ok_is_the_only_reply_accepted_as_ok() {
        for (bytes, expected) in [
            ("+OK\r\n", true),
            ("$2\r\nOK\r\n", true),
            ("+QUEUED\r\n", false),
            (":1\r\n", false),
            ("$-1\r\n", false),
            ("_\r\n", false),
        ] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(ok(frame).is_ok(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn counts_above_the_number_of_ids_are_refused() {
        use crate::command::{Command, Del, Exists, NackMode, Unlink, XAck, XDel, XNack};
        let frame = |n: u64| Frame::parse(format!(":{n}\r\n"), Limits::default()).unwrap();
        let ids = [EntryId::new(1, 1), EntryId::new(2, 2)];
        for (n, taken) in [(0, true), (2, true), (3, false), (u64::from(u32::MAX), false)] {
            let replies = [
                XAck::new("s", "g", &ids).reply_to(frame(n)),
                XDel::new("s", &ids).reply_to(frame(n)),
                XNack::new("s", "g", NackMode::Fail, &ids).reply_to(frame(n)),
                Del::new("a").and("b").reply_to(frame(n)),
                Unlink::new("a").and("b").reply_to(frame(n)),
                Exists::new("a").and("b").reply_to(frame(n)),
            ];
            for (place, reply) in replies.into_iter().enumerate() {
                assert_eq!(reply.is_ok(), taken, "{place}: {n}");
            }
        }
    }

    #[test]
    fn done_is_one_or_zero() {
        for (bytes, expected) in [
            (":0\r\n", Some(false)),
            (":1\r\n", Some(true)),
            (":2\r\n", None),
            (":-1\r\n", None),
            ("+OK\r\n", None),
            ("_\r\n", None),
        ] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(done(frame).ok(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn negative_counters_are_read_as_unsigned() {
        let rows = [
            (":7\r\n", Some(Some(7))),
            (":9223372036854775807\r\n", Some(Some((1 << 63) - 1))),
            (":-9223372036854775808\r\n", Some(Some(1 << 63))),
            (":-9223372036854775807\r\n", Some(Some((1 << 63) + 1))),
            ("$1\r\n7\r\n", Some(Some(7))),
            ("$-1\r\n", Some(None)),
            ("_\r\n", Some(None)),
            ("*0\r\n", None),
        ];
        for (bytes, expected) in rows {
            let mut cursor = Cursor::at(bytes.as_bytes(), 0);
            assert_eq!(counter_or_null(&mut cursor, "a number").ok(), expected, "{bytes:?}");
            let mut cursor = Cursor::at(bytes.as_bytes(), 0);
            assert_eq!(counter(&mut cursor, "a number").ok(), expected.flatten(), "{bytes:?}");
        }
    }
}
