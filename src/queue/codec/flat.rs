//! Flat: each pair of the payload is a field. No I/O.

use super::payload::text;
use super::{Codec, CodecError, FieldList, Payload};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};

/// Encodes each pair of the payload as a field, as in
/// `XADD email:tasks * user_id 123 template welcome`.
///
/// * `Vec<(String, String)>`, `Vec<(Bytes, Bytes)>`: in order; names may repeat.
/// * `BTreeMap<String, String>`, `HashMap<String, String>`: in the map's order, which is random for
///   a `HashMap`. An entry with a repeated name does not decode.
///
/// Names that begin with `_` do not encode. Strings that are not UTF-8 do not decode.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::{Flat, Queue};
///
/// type Email = Vec<(String, String)>;
///
/// let queue: Queue<Email> = Queue::builder(client, "email:tasks").open(Flat).await?;
/// queue.producer().enqueue(&vec![("user_id".into(), "123".into())]).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flat;

impl Codec<Vec<(String, String)>> for Flat {
    fn encode(
        &self,
        payload: &Vec<(String, String)>,
        fields: &mut FieldList,
    ) -> Result<(), CodecError> {
        payload.iter().try_for_each(|(name, value)| fields.add(name, value))
    }

    fn decode(&self, payload: Payload<'_>) -> Result<Vec<(String, String)>, CodecError> {
        texts(payload).collect()
    }
}

impl Codec<Vec<(Bytes, Bytes)>> for Flat {
    fn encode(
        &self,
        payload: &Vec<(Bytes, Bytes)>,
        fields: &mut FieldList,
    ) -> Result<(), CodecError> {
        payload.iter().try_for_each(|(name, value)| fields.add(name, value))
    }

    fn decode(&self, payload: Payload<'_>) -> Result<Vec<(Bytes, Bytes)>, CodecError> {
        let copy = Bytes::copy_from_slice;
        Ok(payload.iter().map(|(name, value)| (copy(name), copy(value))).collect())
    }
}

impl Codec<BTreeMap<String, String>> for Flat {
    fn encode(
        &self,
        payload: &BTreeMap<String, String>,
        fields: &mut FieldList,
    ) -> Result<(), CodecError> {
        payload.iter().try_for_each(|(name, value)| fields.add(name, value))
    }

    fn decode(&self, payload: Payload<'_>) -> Result<BTreeMap<String, String>, CodecError> {
        once(payload, BTreeMap::len)
    }
}

impl Codec<HashMap<String, String>> for Flat {
    fn encode(
        &self,
        payload: &HashMap<String, String>,
        fields: &mut FieldList,
    ) -> Result<(), CodecError> {
        payload.iter().try_for_each(|(name, value)| fields.add(name, value))
    }

    fn decode(&self, payload: Payload<'_>) -> Result<HashMap<String, String>, CodecError> {
        once(payload, HashMap::len)
    }
}

/// Returns all pairs, which must be UTF-8.
fn texts(payload: Payload<'_>) -> impl Iterator<Item = Result<(String, String), CodecError>> {
    payload
        .iter()
        .map(|(name, value)| Ok((text(name, name)?.to_owned(), text(name, value)?.to_owned())))
}

/// Returns all pairs as a map, in which each name must be unique.
fn once<M>(payload: Payload<'_>, len: fn(&M) -> usize) -> Result<M, CodecError>
where
    M: FromIterator<(String, String)>,
{
    let map = texts(payload).collect::<Result<M, _>>()?;
    if len(&map) == payload.len() {
        return Ok(map);
    }
    let mut names: Vec<_> = payload.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    let twice = names.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(*a),
        _ => None,
    });
    Err(CodecError::new("comes more than once").in_field(twice.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{decode, encode, encode_error, pairs, round};
    use super::*;
    use proptest::prelude::*;

    type Pairs = Vec<(String, String)>;
    type Bytepairs = Vec<(Bytes, Bytes)>;
    type Map = BTreeMap<String, String>;
    type Hash = HashMap<String, String>;

    fn texts(pairs: &[(&str, &str)]) -> Pairs {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_pair_is_a_field() {
        let email = texts(&[("user_id", "123"), ("template", "welcome")]);
        assert_eq!(encode(&Flat, &email), r#"{"user_id": "123", "template": "welcome"}"#);
        let map: Map = email.iter().cloned().collect();
        assert_eq!(encode(&Flat, &map), r#"{"template": "welcome", "user_id": "123"}"#);
        let one: Hash = email.iter().take(1).cloned().collect();
        assert_eq!(encode(&Flat, &one), r#"{"user_id": "123"}"#);
        let bytes = vec![(Bytes::from_static(b"\xff"), Bytes::from_static(b"\r\n"))];
        assert_eq!(encode(&Flat, &bytes), r#"{"\xff": "\r\n"}"#);
        let twice = texts(&[("a", "2"), ("b", ""), ("a", "1")]);
        assert_eq!(encode(&Flat, &twice), r#"{"a": "2", "b": "", "a": "1"}"#);
    }

    #[test]
    fn empty_payload_is_valid() {
        assert_eq!(encode(&Flat, &Pairs::new()), r#"{"_": ""}"#);
        round(&Flat, &Pairs::new());
        round(&Flat, &Bytepairs::new());
        round(&Flat, &Map::new());
        round(&Flat, &Hash::new());
    }

    #[test]
    fn reserved_names_do_not_encode() {
        let pairs = texts(&[("a", "1"), ("_id", "2")]);
        let expected = "field _id: names that begin with `_` are reserved";
        let bytes: Bytepairs = pairs.iter().cloned().map(|(n, v)| (n.into(), v.into())).collect();
        assert_eq!(encode_error(&Flat, &bytes), expected);
        assert_eq!(encode_error(&Flat, &pairs.iter().cloned().collect::<Map>()), expected);
        assert_eq!(encode_error(&Flat, &pairs.iter().cloned().collect::<Hash>()), expected);
        assert_eq!(encode_error(&Flat, &pairs), expected);
    }

    #[test]
    fn invalid_utf8_and_repeated_names_do_not_decode() {
        let rows: [(&str, [(&[u8], &[u8]); 2], Option<&str>, Option<&str>); 4] = [
            (
                "a name",
                [(b"a", b"1"), (b"\xff", b"1")],
                Some(r"field \xff: not UTF-8: invalid utf-8 sequence of 1 bytes from index 0"),
                None,
            ),
            (
                "a value",
                [(b"a", b"1"), (b"b", b"\xff")],
                Some("field b: not UTF-8: invalid utf-8 sequence of 1 bytes from index 0"),
                None,
            ),
            ("twice", [(b"a", b"1"), (b"a", b"1")], None, Some("field a: comes more than once")),
            ("reserved", [(b"a", b"1"), (b"_\xff", b"\xff")], None, None),
        ];
        for (row, fields, utf8, twice) in rows {
            let map = utf8.or(twice);
            assert_eq!(decode::<Bytepairs, _>(&Flat, fields).err(), None, "{row}");
            assert_eq!(decode::<Pairs, _>(&Flat, fields).err().as_deref(), utf8, "{row}");
            assert_eq!(decode::<Map, _>(&Flat, fields).err().as_deref(), map, "{row}");
            assert_eq!(decode::<Hash, _>(&Flat, fields).err().as_deref(), map, "{row}");
        }
    }

    proptest! {
        #[test]
        fn any_pairs_round_trip(
            bytes in pairs(),
            texts in prop::collection::vec(("([^_].*)?", any::<String>()), 0..8),
        ) {
            round(&Flat, &bytes.into_iter().map(|(n, v)| (n.into(), v.into())).collect::<Bytepairs>());
            round(&Flat, &texts.iter().cloned().collect::<Map>());
            round(&Flat, &texts.iter().cloned().collect::<Hash>());
            round(&Flat, &texts);
        }
    }
}
