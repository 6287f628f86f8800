//! Entries and payloads to test codecs with.

use super::{Codec, FieldList, Payload};
use crate::command::Command;
use crate::resp::{Frame, Limits};
use crate::{Entry, XRange};
use proptest::prelude::*;
use std::fmt;

/// Returns an entry with these fields, parsed from a server's reply.
pub(crate) fn entry<N, V>(fields: impl IntoIterator<Item = (N, V)>) -> Entry
where
    N: AsRef<[u8]>,
    V: AsRef<[u8]>,
{
    let bulk = |text: &[u8]| [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat();
    let fields: Vec<_> = fields
        .into_iter()
        .flat_map(|(name, value)| [bulk(name.as_ref()), bulk(value.as_ref())])
        .collect();
    let head = format!("*1\r\n*2\r\n$3\r\n1-1\r\n*{}\r\n", fields.len());
    let reply = [head.into_bytes(), fields.concat()].concat();
    let frame = Frame::parse(reply, Limits::default()).expect("a frame");
    XRange::reply(frame).expect("entries").first().expect("an entry").to_entry()
}

/// Returns the fields of a payload, as text.
pub(crate) fn encode<T>(codec: &impl Codec<T>, payload: &T) -> String {
    let mut fields = FieldList::new();
    codec.encode(payload, &mut fields).expect("it encodes");
    format!("{fields:?}")
}

/// Returns the error text of a payload that does not encode.
pub(crate) fn encode_error<T>(codec: &impl Codec<T>, payload: &T) -> String {
    codec.encode(payload, &mut FieldList::new()).expect_err("it does not encode").to_string()
}

/// Returns the payload of an entry, or the error text.
pub(crate) fn decode<T, C: Codec<T>>(
    codec: &C,
    fields: impl IntoIterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)>,
) -> Result<T, String> {
    let entry = entry(fields);
    codec.decode(Payload::new(entry.by_ref())).map_err(|error| error.to_string())
}

/// Asserts that a payload round-trips, with headers next to it.
pub(crate) fn round<T: PartialEq + fmt::Debug>(codec: &impl Codec<T>, payload: &T) {
    let mut fields = FieldList::new();
    codec.encode(payload, &mut fields).expect("it encodes");
    let alone = entry(fields.iter());
    fields.header(b"trace", b"\xff");
    let mut all: Vec<_> = fields.iter().collect();
    all.insert(0, (b"_id", b"1-1"));
    for entry in [alone, entry(all)] {
        let back = codec.decode(Payload::new(entry.by_ref()));
        assert_eq!(&back.expect("it decodes"), payload, "{entry:?}");
    }
}

/// Generates fields that a payload may have.
pub(crate) fn pairs() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let name = any::<Vec<u8>>().prop_filter("reserved", |name| name.first() != Some(&b'_'));
    prop::collection::vec((name, any::<Vec<u8>>()), 0..8)
}
