//! Value trees, and every way to encode one.

use bourn::resp::{List, Value};
use proptest::prelude::*;

/// Any value that can be inside others.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let line = || "[^\r\n]{0,20}".prop_map(String::into_bytes);
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let leaf = prop_oneof![
        Just(Value::Null),
        line().prop_map(Value::Simple),
        bytes().prop_map(Value::Error),
        any::<i64>().prop_map(Value::Integer),
        bytes().prop_map(Value::Bulk),
        prop::collection::vec(any::<u8>(), 99..1100).prop_map(Value::Bulk),
        any::<f64>()
            .prop_filter("NaN differs from itself", |n| !n.is_nan())
            .prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        "[+-]?[0-9]{1,40}".prop_map(|n| Value::BigNumber(n.into_bytes())),
        bytes().prop_map(|text| Value::Verbatim([b"txt:".as_slice(), &text].concat())),
    ];
    leaf.prop_recursive(6, 60, 12, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..12);
        let pairs = prop::collection::vec((inner.clone(), inner.clone()), 0..6);
        let pairs = pairs.prop_map(|pairs| pairs.into_iter().flat_map(|(k, v)| [k, v]));
        prop_oneof![
            3 => list.clone().prop_map(|list| Value::Array(list.into())),
            1 => list.prop_map(|list| Value::Set(list.into())),
            1 => pairs.clone().prop_map(|list| Value::Map(list.collect())),
            1 => (pairs, inner).prop_map(|(list, of)| Value::Attribute(list.chain([of]).collect())),
        ]
    })
}

/// Any value that can be a whole frame.
pub(crate) fn frame() -> impl Strategy<Value = Value> {
    let push = prop::collection::vec(value(), 0..4).prop_map(|list| Value::Push(list.into()));
    prop_oneof![9 => value(), 1 => push]
}

/// Bytes that select an encoding where a value has more than one.
pub(crate) fn ways() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..30)
}

/// Encodes a value: with `ways`, used cyclically, in any encoding, else in the usual one.
pub(crate) fn written(value: &Value, ways: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let ways = ways.iter().copied().cycle();
    write(value, &mut ways.chain(std::iter::repeat(0)), &mut out);
    out
}

fn write(value: &Value, ways: &mut impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    let way = ways.next().unwrap_or_default();
    match value {
        Value::Null => out.extend_from_slice(match way % 3 {
            0 => b"_\r\n",
            1 => b"$-1\r\n",
            _ => b"*-1\r\n",
        }),
        Value::Simple(text) => line(out, '+', text),
        Value::Error(text) if way % 2 == 1 || text.iter().any(|b| b"\r\n".contains(b)) => {
            bulk(out, '!', text);
        }
        Value::Error(text) => line(out, '-', text),
        Value::Integer(n) if *n >= 0 && way % 2 == 1 => line(out, ':', format!("+{n}").as_bytes()),
        Value::Integer(n) => line(out, ':', n.to_string().as_bytes()),
        Value::Bulk(text) if way % 3 == 1 => {
            line(out, '$', b"?");
            text.chunks(1 + usize::from(way / 3)).for_each(|chunk| bulk(out, ';', chunk));
            line(out, ';', b"0");
        }
        Value::Bulk(text) => bulk(out, '$', text),
        Value::Array(list) => aggregate('*', list, 1, way, ways, out),
        Value::Set(list) => aggregate('~', list, 1, way, ways, out),
        Value::Map(list) => aggregate('%', list, 2, way, ways, out),
        Value::Push(list) => aggregate('>', list, 1, 0, ways, out),
        Value::Attribute(list) => aggregate('|', list, 2, 0, ways, out),
        Value::Double(n) => line(out, ',', format!("{n:?}").as_bytes()),
        Value::Boolean(b) => line(out, '#', if *b { b"t" } else { b"f" }),
        Value::BigNumber(text) => line(out, '(', text),
        Value::Verbatim(text) => bulk(out, '=', text),
        value => panic!("no way to write {value}"),
    }
}

fn aggregate(
    kind: char,
    list: &List,
    each: usize,
    way: u8,
    ways: &mut impl Iterator<Item = u8>,
    out: &mut Vec<u8>,
) {
    let streamed = way % 4 == 1;
    let count = (list.len() / each).to_string();
    line(out, kind, if streamed { b"?" } else { count.as_bytes() });
    list.iter().for_each(|value| write(value, ways, out));
    if streamed {
        line(out, '.', b"");
    }
}

fn line(out: &mut Vec<u8>, kind: char, text: &[u8]) {
    out.extend_from_slice(kind.to_string().as_bytes());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn bulk(out: &mut Vec<u8>, kind: char, text: &[u8]) {
    line(out, kind, text.len().to_string().as_bytes());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}
