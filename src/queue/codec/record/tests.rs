//! Round trips of every kind of value, exact fields, and the errors of invalid ones.

use super::super::tests::{decode, encode, encode_error, entry, round};
use super::super::{Codec, Payload, Record};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// A struct with one field, of any type.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct One<T> {
    a: T,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Kind {
    Unit,
    #[serde(rename = "{odd}")]
    Odd,
    New(Option<String>),
    Tuple(u8, i128),
    Struct {
        x: f64ish::F,
        y: Option<Box<Self>>,
    },
}

/// Floats that compare by their bits, so that ordered collections can contain them.
mod f64ish {
    #[derive(
        Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
    )]
    pub(crate) struct F(pub(crate) u64);
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct New<T>(T);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Through<T> {
    inner: T,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Nothing;

/// Bytes that are serialized as bytes.
#[derive(Debug, Clone, PartialEq)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> serde::de::Visitor<'de> for Bytes {
            type Value = Blob;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Blob, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(Blob(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

fn some<T>(value: T) -> Option<T> {
    Some(value)
}

/// Asserts the content of a field, or its absence with `-`, and that it round-trips.
fn field<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: T, text: &str) {
    let one = One { a: value };
    let expected = if text == "-" {
        r#"{"_": ""}"#.into()
    } else {
        format!("{{\"a\": \"{}\"}}", text.escape_default())
    };
    assert_eq!(encode(&Record, &one), expected, "{one:?}");
    round(&Record, &one);
}

#[test]
fn field_content_of_each_kind_of_value() {
    field(String::from("a\r\n\"b\""), "a\r\n\"b\"");
    field(String::new(), "");
    field('"', "\"");
    field(true, "true");
    field((i8::MIN, 1), "[-128,1]");
    field(i8::MIN, "-128");
    field(u64::MAX, "18446744073709551615");
    field(i128::MIN, "-170141183460469231731687303715884105728");
    field(u128::MAX, "340282366920938463463374607431768211455");
    field(1.0, "1.0");
    field(-0.1f32, "-0.1");
    field(1e300, "1e300");
    field(f64::INFINITY, "inf");
    field((), "");
    field(Nothing, "");
    field(Kind::Unit, "Unit");
    field(Kind::Odd, "{odd}");
    field(Kind::New(some("x".into())), r#"{"New":"x"}"#);
    field(Kind::Tuple(1, -2), r#"{"Tuple":[1,-2]}"#);
    field(Kind::Struct { x: f64ish::F(1), y: None }, r#"{"Struct":{"x":1,"y":null}}"#);
    field(Blob(b"[1]".to_vec()), "[1]");
    field(vec![1, 2], "[1,2]");
    field(Vec::<u8>::new(), "[]");
    field(
        BTreeMap::from([("k".to_owned(), some(1)), ("l".to_owned(), None)]),
        r#"{"k":1,"l":null}"#,
    );
    field(One { a: One { a: some("x".to_owned()) } }, r#"{"a":{"a":"x"}}"#);
    field(Duration::from_millis(1500), r#"{"secs":1,"nanos":500000000}"#);
    field(IpAddr::from([127, 0, 0, 1]), "127.0.0.1");
    field(Ok::<u8, String>(1), r#"{"Ok":1}"#);
}

#[test]
fn options_are_omitted_where_that_is_unambiguous() {
    field(None::<u8>, "-");
    field(some(7), "7");
    field(some(String::new()), "");
    field(some("null".to_owned()), "null");
    field(some(()), "");
    field(some(Kind::Unit), "Unit");
    field(some(vec![some(1), None]), "[1,null]");
    field(some(New(1)), "1");
    field(New(New("1".to_owned())), "1");
    field(Through { inner: None::<u8> }, "-");
    field(Through { inner: some("null".to_owned()) }, "null");
    // In a newtype or in `Some` they are JSON: a missing field would be ambiguous there.
    field(New(None::<String>), "null");
    field(New(some("null".to_owned())), "\"null\"");
    field(some(New(None::<u8>)), "null");
    field(some(None::<u8>), "null");
    field(some(some("null".to_owned())), "\"null\"");
    field(None::<Option<u8>>, "-");
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Email {
    user_id: u64,
    #[serde(rename = "Template")]
    template: String,
    language: Option<String>,
    #[serde(default = "three")]
    attempts: u8,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
}

fn three() -> u8 {
    3
}

fn email() -> Email {
    let template = "welcome".to_owned();
    Email { user_id: 123, template, language: None, attempts: 3, tags: Vec::new() }
}

#[test]
fn each_field_of_a_struct_is_a_field() {
    let full = Email { language: some("da".to_owned()), tags: vec!["x".to_owned()], ..email() };
    assert_eq!(
        encode(&Record, &email()),
        r#"{"user_id": "123", "Template": "welcome", "attempts": "3"}"#
    );
    assert_eq!(
        encode(&Record, &full),
        r#"{"user_id": "123", "Template": "welcome", "language": "da", "attempts": "3", "tags": "[\"x\"]"}"#
    );
    round(&Record, &full);
    round(&Record, &New(some(full)).0);
    round(&Record, &New(email()));
}

#[test]
fn defaults_and_unknown_fields_follow_serde() {
    let fields = [
        ("other", b"\xff".as_slice()),
        ("_id", b"1-1"),
        ("Template", b"welcome"),
        ("user_id", b"123"),
    ];
    assert_eq!(decode(&Record, fields), Ok(email()));
    let odd: [(&[u8], &[u8]); 3] =
        [(b"\xff", b"1"), (b"Template", b"welcome"), (b"user_id", b"+123")];
    assert_eq!(decode(&Record, odd), Ok(email()));
}

#[test]
fn map_is_a_record_with_keys_of_any_text() {
    let texts = HashMap::from([("a".to_owned(), "1".to_owned())]);
    assert_eq!(encode(&Record, &texts), r#"{"a": "1"}"#);
    round(&Record, &texts);
    let numbers = BTreeMap::from([(-1, vec![true]), (2, vec![])]);
    assert_eq!(encode(&Record, &numbers), r#"{"-1": "[true]", "2": "[]"}"#);
    round(&Record, &numbers);
    round(&Record, &BTreeMap::from([(Kind::Unit, 1), (Kind::Odd, 2)]));
    round(&Record, &BTreeMap::<String, u8>::new());
    let options = BTreeMap::from([("a", some(1)), ("b", None)]);
    let mut fields = super::FieldList::new();
    Codec::<BTreeMap<String, Option<u8>>>::encode(
        &Record,
        &options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        &mut fields,
    )
    .expect("it encodes");
    assert_eq!(format!("{fields:?}"), r#"{"a": "1"}"#);
}

#[test]
fn empty_payload_is_valid() {
    round(&Record, &());
    round(&Record, &Nothing);
    round(&Record, &One { a: None::<u8> });
    assert_eq!(encode(&Record, &()), r#"{"_": ""}"#);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Internal {
    Sms { to: String, text: Option<String> },
    Stop,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flattened {
    id: u64,
    #[serde(flatten)]
    more: BTreeMap<String, String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    id: u64,
    #[serde(flatten)]
    more: BTreeMap<String, u64>,
}

#[test]
fn tagged_enums_and_flattened_fields_are_records_of_strings() {
    let sms = Internal::Sms { to: "1".into(), text: None };
    assert_eq!(encode(&Record, &sms), r#"{"type": "Sms", "to": "1"}"#);
    round(&Record, &sms);
    round(&Record, &Internal::Stop);
    let more = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    round(&Record, &Flattened { id: 1, more });
    let fields = [("id", "1"), ("a", "2")];
    let numbers = decode::<Flat, _>(&Record, fields).expect_err("a number is a string here");
    assert!(numbers.contains("invalid type: string \"2\""), "{numbers}");
    let value = decode::<BTreeMap<String, serde_json::Value>, _>(&Record, fields);
    assert_eq!(value.expect("strings").get("a"), Some(&"2".into()));
}

#[test]
fn non_records_and_reserved_names_do_not_encode() {
    #[derive(Serialize, Deserialize)]
    struct Reserved {
        _id: u8,
    }
    let expected = "expected a struct or a map, got ";
    assert_eq!(encode_error(&Record, &1), format!("{expected}a number"));
    assert_eq!(encode_error(&Record, &"a".to_owned()), format!("{expected}a string"));
    assert_eq!(encode_error(&Record, &vec![1]), format!("{expected}a sequence"));
    assert_eq!(encode_error(&Record, &(1, 2)), format!("{expected}a tuple"));
    assert_eq!(encode_error(&Record, &None::<Email>), format!("{expected}nothing"));
    assert_eq!(encode_error(&Record, &Kind::Unit), format!("{expected}an enum"));
    assert_eq!(encode_error(&Record, &Kind::New(None)), format!("{expected}an enum"));
    let reserved = "field _id: names that begin with `_` are reserved";
    assert_eq!(encode_error(&Record, &Reserved { _id: 1 }), reserved);
    let map = BTreeMap::from([("_id".to_owned(), 1)]);
    assert_eq!(encode_error(&Record, &map), reserved);
    let keys = BTreeMap::from([((1, 2), 1)]);
    assert_eq!(encode_error(&Record, &keys), "a key must be a text or a number");
    let value = One { a: BTreeMap::from([((1, 2), 1)]) };
    let error = encode_error(&Record, &value);
    assert_eq!(error, "field a: cannot be encoded as JSON: key must be a string");
}

/// Returns the error of decoding this text as the value of a field of this type.
fn wrong<T: Serialize + DeserializeOwned + fmt::Debug>(text: &[u8]) -> String {
    let entry = entry([("a", text)]);
    let back: Result<One<T>, _> = Record.decode(Payload::new(entry.by_ref()));
    let error = back.expect_err("it does not decode");
    assert_eq!(error.field(), Some(b"a".as_slice()), "{error}");
    error.to_string()
}

#[test]
fn invalid_value_is_reported_with_its_field_and_the_expected_type() {
    let json = "field a: unexpected JSON: ";
    let rows = [
        ("above", wrong::<u8>(b"256"), r#"field a: expected u8, got "256""#, ""),
        ("below", wrong::<u64>(b"-1"), r#"field a: expected u64, got "-1""#, ""),
        ("behind", wrong::<i128>(b"1 "), r#"field a: expected i128, got "1 ""#, ""),
        ("no number", wrong::<f32>(b"\xff"), r#"field a: expected f32, got "\xff""#, ""),
        ("in Some", wrong::<Option<u8>>(b""), r#"field a: expected u8, got """#, ""),
        ("bool", wrong::<bool>(b"1"), r#"field a: expected true or false, got "1""#, ""),
        ("char", wrong::<char>(b"ab"), r#"field a: expected a character, got "ab""#, ""),
        ("unit", wrong::<()>(b"1"), r#"field a: expected nothing, got "1""#, ""),
        ("text", wrong::<String>(b"a\xff"), "field a: not UTF-8", "invalid utf-8 sequence"),
        ("variant", wrong::<Kind>(b"{"), json, "EOF"),
        ("unknown", wrong::<Kind>(b"None"), "field a: unknown variant `None`", ""),
        ("data", wrong::<Kind>(b"New"), "field a: invalid type: unit variant", ""),
        ("in JSON", wrong::<Vec<u8>>(b"[1,256]"), json, "invalid value: integer `256`"),
        ("behind JSON", wrong::<Vec<u8>>(b"[1] 2"), json, "trailing characters"),
        ("nested", wrong::<One<u8>>(b"{}"), json, "missing field `a`"),
        ("newtype", wrong::<New<Option<u8>>>(b"x"), json, "expected value"),
    ];
    for (row, said, text, cause) in rows {
        assert!(said.starts_with(text) && said.contains(cause), "{row}: {said}");
    }
}

#[test]
fn missing_repeated_and_unknown_fields_are_named() {
    #[derive(Debug, PartialEq, Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        a: u8,
    }
    let decode = |fields: &[(&str, &str)]| decode::<Strict, _>(&Record, fields.iter().copied());
    assert_eq!(decode(&[("_b", "1"), ("a", "1")]), Ok(Strict { a: 1 }));
    assert_eq!(decode(&[]), Err("field a: missing".into()));
    assert_eq!(decode(&[("a", "1"), ("a", "2")]), Err("field a: comes more than once".into()));
    assert_eq!(decode(&[("b", "1")]), Err("field b: unknown field `b`, expected `a`".into()));
    let keys: [(&str, &str); 1] = [("x", "1")];
    let map = super::super::tests::decode::<BTreeMap<u8, u8>, _>(&Record, keys);
    assert_eq!(map, Err(r#"field x: expected u8, got "x""#.into()));
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Everything {
    text: String,
    char: char,
    small: (i8, u8, i16, u16),
    i32: i32,
    i64: i64,
    i128: i128,
    u32: u32,
    u64: u64,
    u128: u128,
    f32: f32,
    f64: f64,
    bool: bool,
    option: Option<String>,
    twice: Option<Option<String>>,
    new: New<Option<i64>>,
    blob: Blob,
    bytes: Vec<u8>,
    floats: Vec<f64>,
    map: BTreeMap<String, Option<u128>>,
    kinds: Vec<Kind>,
    kind: Kind,
}

fn kind() -> impl Strategy<Value = Kind> {
    let leaf = prop_oneof![
        Just(Kind::Unit),
        Just(Kind::Odd),
        any::<Option<String>>().prop_map(Kind::New),
        any::<(u8, i128)>().prop_map(|(a, b)| Kind::Tuple(a, b)),
    ];
    leaf.prop_recursive(3, 8, 1, |inner| {
        (any::<u64>(), prop::option::of(inner))
            .prop_map(|(x, y)| Kind::Struct { x: f64ish::F(x), y: y.map(Box::new) })
    })
}

fn everything() -> impl Strategy<Value = Everything> {
    let finite = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
    let any_f64 = finite | prop::num::f64::INFINITE;
    let any_f32 = prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL | prop::num::f32::INFINITE;
    let texts =
        (any::<String>(), any::<char>(), any::<Option<String>>(), any::<Option<Option<String>>>());
    let numbers = any::<((i8, u8, i16, u16), i32, i64, i128, u32, u64, u128, bool)>();
    let floats = (any_f32, any_f64, prop::collection::vec(finite, 0..5));
    let map = prop::collection::btree_map(any::<String>(), any::<Option<u128>>(), 0..5);
    let rest = (any::<(Option<i64>, Vec<u8>, Vec<u8>)>(), map);
    let kinds = (prop::collection::vec(kind(), 0..3), kind());
    (texts, numbers, floats, rest, kinds).prop_map(|(texts, numbers, floats, rest, kinds)| {
        let (text, char, option, twice) = texts;
        let (small, i32, i64, i128, u32, u64, u128, bool) = numbers;
        let (f32, f64, floats) = floats;
        let ((new, blob, bytes), map) = rest;
        let (kinds, kind) = kinds;
        let (new, blob) = (New(new), Blob(blob));
        Everything {
            text,
            char,
            small,
            i32,
            i64,
            i128,
            u32,
            u64,
            u128,
            f32,
            f64,
            bool,
            option,
            twice,
            new,
            blob,
            bytes,
            floats,
            map,
            kinds,
            kind,
        }
    })
}

proptest! {
    #[test]
    fn any_record_round_trips(everything in everything()) {
        round(&Record, &everything);
        // JSON cannot represent infinite numbers and `Some(None)`.
        let finite = everything.f32.is_finite() && everything.f64.is_finite();
        let (f32, f64) = if finite { (everything.f32, everything.f64) } else { (0.0, 0.0) };
        let twice = everything.twice.clone().filter(Option::is_some);
        let json = Everything { f32, f64, twice, ..everything };
        round(&Record, &One { a: json });
    }

    #[test]
    fn any_map_round_trips(
        numbers in any::<BTreeMap<i64, u128>>(),
        texts in prop::collection::hash_map("([^_].*)?", any::<String>(), 0..8),
    ) {
        round(&Record, &numbers);
        round(&Record, &texts);
    }

    #[test]
    fn any_bytes_decode_or_name_the_field(
        fields in prop::collection::vec((prop::sample::select(NAMES), any::<Vec<u8>>()), 0..30),
    ) {
        let entry = entry(fields);
        let back: Result<Everything, _> = Record.decode(Payload::new(entry.by_ref()));
        if let Err(error) = back {
            prop_assert!(error.field().is_some(), "{}", error);
        }
    }
}

const NAMES: &[&str] =
    &["text", "char", "small", "i32", "f64", "bool", "twice", "blob", "kind", "x"];
