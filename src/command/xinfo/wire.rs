//! Test support for XINFO: replies as wire text. No I/O.

use crate::command::Command;
use crate::resp::{DecodeError, Frame, Limits};
use bytes::Bytes;
use std::time::Duration;

/// Encodes a map of these fields in both protocols; values are wire text without the last CRLF.
pub(super) fn maps(fields: &[(&str, &str)]) -> [String; 2] {
    let field = |(name, value): &(&str, &str)| format!("${}\r\n{name}\r\n{value}\r\n", name.len());
    let body: String = fields.iter().map(field).collect();
    [format!("*{}\r\n{body}", 2 * fields.len()), format!("%{}\r\n{body}", fields.len())]
}

/// Returns the fields in their order, and in two others.
pub(super) fn orders<'a>(fields: &[(&'a str, &'a str)]) -> [Vec<(&'a str, &'a str)>; 3] {
    let (mut reversed, mut rotated) = (fields.to_vec(), fields.to_vec());
    reversed.reverse();
    rotated.rotate_left(fields.len() / 2);
    [fields.to_vec(), reversed, rotated]
}

/// Returns the fields without one of them.
pub(super) fn without<'a>(fields: &[(&'a str, &'a str)], name: &str) -> Vec<(&'a str, &'a str)> {
    fields.iter().filter(|(field, _)| *field != name).copied().collect()
}

/// Returns the fields with another value for one of them.
pub(super) fn with<'a>(
    fields: &[(&'a str, &'a str)],
    name: &'a str,
    value: &'a str,
) -> Vec<(&'a str, &'a str)> {
    let set =
        |(field, old): &(&'a str, &'a str)| (*field, if *field == name { value } else { *old });
    fields.iter().map(set).collect()
}

/// Fields, and the expected result of decoding them.
pub(super) type Rows<'a, T> = Vec<(Vec<(&'a str, &'a str)>, Option<T>)>;

/// Decodes each row's fields in both protocols.
pub(super) fn check<T: PartialEq + std::fmt::Debug>(
    rows: Rows<'_, T>,
    read: fn(&Bytes) -> Result<T, DecodeError>,
) {
    for (fields, expected) in rows {
        for map in maps(&fields) {
            assert_eq!(read(&Bytes::from(map.clone())).ok(), expected, "{map:?}");
        }
    }
}

pub(super) fn reply<C: Command>(bytes: &str) -> Result<C::Reply, DecodeError> {
    C::reply(Frame::parse(bytes.to_owned(), Limits::default()).unwrap())
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
