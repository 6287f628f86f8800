//! Parses arguments as the real servers do. No I/O.

use super::Reply;
use super::errors;
pub(super) use super::text::{is, text};
use crate::id::EntryId;
use bytes::Bytes;

/// The arguments of a request, with its name at 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arguments<'a>(pub(super) &'a [Bytes]);

impl<'a> Arguments<'a> {
    /// Returns the number of arguments, with the name.
    pub(super) const fn len(self) -> usize {
        self.0.len()
    }

    /// Returns an argument. One that is missing is empty: the number is checked before.
    pub(super) fn at(self, index: usize) -> &'a Bytes {
        static MISSING: Bytes = Bytes::new();
        self.0.get(index).unwrap_or(&MISSING)
    }

    /// Returns the arguments from `index` on.
    pub(super) fn from(self, index: usize) -> &'a [Bytes] {
        self.0.get(index..).unwrap_or_default()
    }

    /// Whether an argument is this word, in any case.
    pub(super) fn is(self, index: usize, word: &str) -> bool {
        is(self.at(index), word)
    }

    /// Returns the number of arguments after this one.
    pub(super) fn more(self, index: usize) -> usize {
        self.len().saturating_sub(index + 1)
    }

    pub(super) fn integer(self, index: usize) -> Result<i64, Reply> {
        self.integer_or(index, errors::NOT_AN_INTEGER)
    }

    pub(super) fn integer_or(self, index: usize, error: &'static str) -> Result<i64, Reply> {
        integer(self.at(index)).ok_or_else(|| Reply::error(error))
    }

    /// Returns an id. Without a sequence number, it is 0.
    pub(super) fn id(self, index: usize) -> Result<EntryId, Reply> {
        id(self.at(index)).ok_or_else(errors::invalid_id)
    }
}

/// Parses a decimal number without leading zeros, plus sign or blanks.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0'] if digits.len() == text.len() => {}
        [b'1'..=b'9', rest @ ..] if rest.len() < 20 && rest.iter().all(u8::is_ascii_digit) => {}
        _ => return None,
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Parses one of the two numbers of an id: an integer, or what C's `strtoull` takes.
fn unsigned(text: &[u8]) -> Option<u64> {
    if let Some(number) = integer(text) {
        return u64::try_from(number).ok();
    }
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|byte| !blank(byte))?;
    let text = text.get(start..)?;
    let negative = text.first() == Some(&b'-');
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if negative { number.wrapping_neg() } else { number })
}

/// The sequence number of an id in an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seq {
    Given(u64),
    /// `ms-*`
    Auto,
    Missing,
}

/// The longest id that is read.
const MAX_ID_BYTES: usize = 127;

fn parts(argument: &[u8]) -> Option<(u64, Seq)> {
    if argument.len() > MAX_ID_BYTES {
        return None;
    }
    let argument = text(argument);
    let Some(dash) = argument.iter().position(|byte| *byte == b'-') else {
        return Some((unsigned(argument)?, Seq::Missing));
    };
    let (ms, seq) = argument.split_at(dash);
    let ms = unsigned(ms)?;
    match seq.get(1..).unwrap_or_default() {
        b"*" => Some((ms, Seq::Auto)),
        seq => Some((ms, Seq::Given(unsigned(seq)?))),
    }
}

/// Parses an id. Without a sequence number, it is 0.
pub(super) fn id(argument: &[u8]) -> Option<EntryId> {
    id_or(argument, 0)
}

fn id_or(argument: &[u8], missing: u64) -> Option<EntryId> {
    match parts(argument)? {
        (ms, Seq::Given(seq)) => Some(EntryId::new(ms, seq)),
        (ms, Seq::Missing) => Some(EntryId::new(ms, missing)),
        (_, Seq::Auto) => None,
    }
}

/// Parses the id of a new entry: `None` in place of the sequence number is `ms-*`.
pub(super) fn new_id(argument: &[u8]) -> Option<(u64, Option<u64>)> {
    match parts(argument)? {
        (ms, Seq::Given(seq)) => Some((ms, Some(seq))),
        (ms, Seq::Missing) => Some((ms, Some(0))),
        (ms, Seq::Auto) => Some((ms, None)),
    }
}

/// Parses an id, `-` or `+`.
pub(super) fn id_or_end(argument: &[u8], missing: u64) -> Option<EntryId> {
    match text(argument) {
        b"-" if argument.len() <= MAX_ID_BYTES => Some(EntryId::MIN),
        b"+" if argument.len() <= MAX_ID_BYTES => Some(EntryId::MAX),
        _ => id_or(argument, missing),
    }
}

/// Parses the start of a range.
pub(super) fn start(argument: &[u8]) -> Result<EntryId, Reply> {
    let (id, exclusive) = bound(argument, 0)?;
    if !exclusive {
        return Ok(id);
    }
    id.next().ok_or_else(|| Reply::error("ERR invalid start ID for the interval"))
}

/// Parses the end of a range.
pub(super) fn end(argument: &[u8]) -> Result<EntryId, Reply> {
    let (id, exclusive) = bound(argument, u64::MAX)?;
    if !exclusive {
        return Ok(id);
    }
    id.prev().ok_or_else(|| Reply::error("ERR invalid end ID for the interval"))
}

/// Returns the id, and whether it is exclusive.
fn bound(argument: &[u8], missing: u64) -> Result<(EntryId, bool), Reply> {
    let id = match argument {
        [b'(', rest @ ..] if !rest.is_empty() => id_or(rest, missing).map(|id| (id, true)),
        _ => id_or_end(argument, missing).map(|id| (id, false)),
    };
    id.ok_or_else(errors::invalid_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_parsed_as_the_server_parses_them() {
        for (text, want) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-0", None),
            ("01", None),
            ("+1", None),
            (" 1", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(integer(text.as_bytes()), want, "{text:?}");
        }
    }

    #[test]
    fn ids_are_parsed_as_the_server_parses_them() {
        for (text, want) in [
            ("5", Some((5, 0))),
            ("5-", None),
            ("5-1", Some((5, 1))),
            (" 005-+1", Some((5, 1))),
            ("1--5", None),
            ("1--05", Some((1, u64::MAX - 4))),
            ("-05", None),
            ("5-*", None),
            ("18446744073709551616", None),
            ("1-2-3", None),
            ("1\x000", Some((1, 0))),
        ] {
            assert_eq!(id(text.as_bytes()).map(|id| (id.ms(), id.seq())), want, "{text:?}");
        }
    }
}
