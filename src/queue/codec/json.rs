//! Json: the payload is one field with JSON. No I/O.

use super::raw_bytes::only;
use super::{Codec, CodecError, FieldList, PAYLOAD, Payload};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Encodes any serde type as JSON in the field `payload`. Other fields are ignored.
///
/// Values that JSON cannot represent become `null` and do not round-trip: infinite floats and NaN,
/// `Some(None)`.
///
/// # Example
/// ```
/// use bourn::queue::{Codec, CodecError, FieldList, Json};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Email {
///     user_id: u64,
///     template: String,
/// }
///
/// let mut fields = FieldList::new();
/// Json.encode(&Email { user_id: 123, template: "welcome".into() }, &mut fields)?;
/// let json = br#"{"user_id":123,"template":"welcome"}"#;
/// assert!(fields.iter().eq([(b"payload".as_slice(), json.as_slice())]));
/// # Ok::<_, CodecError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Json;

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    fn encode(&self, payload: &T, fields: &mut FieldList) -> Result<(), CodecError> {
        fields.write(PAYLOAD.as_bytes(), |out| {
            serde_json::to_writer(out, payload).map_err(CodecError::not_json)?;
            Ok(true)
        })
    }

    fn decode(&self, payload: Payload<'_>) -> Result<T, CodecError> {
        serde_json::from_slice(only(payload)?)
            .map_err(|error| CodecError::unlike_json(error).in_field(PAYLOAD))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{decode, encode, encode_error, round};
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Email {
        user_id: u64,
        template: String,
        #[serde(default)]
        tags: Vec<Option<i32>>,
        score: f64,
    }

    fn email() -> Email {
        Email { user_id: u64::MAX, template: "wel\ncome".into(), tags: vec![None], score: 0.1 }
    }

    #[test]
    fn payload_is_one_field_with_json() {
        let json =
            r#"{"user_id":18446744073709551615,"template":"wel\ncome","tags":[null],"score":0.1}"#;
        let fields = [("_id", "1-1"), ("payload", json), ("a", "1")];
        assert_eq!(decode(&Json, fields), Ok(email()));
        assert_eq!(
            encode(&Json, &email()),
            format!("{{\"payload\": \"{}\"}}", json.escape_default())
        );
        assert_eq!(encode(&Json, &()), r#"{"payload": "null"}"#);
    }

    #[test]
    fn invalid_payload_is_reported_with_its_cause() {
        let other = "field payload: unexpected JSON: ";
        let rows: [(&str, &str, &[u8], &str, &str); 5] = [
            ("missing", "Payload", b"[1,\"a\"]", "field payload: missing", ""),
            ("no JSON", "payload", b"[1", other, "EOF while parsing a list at line 1 column 2"),
            ("no UTF-8", "payload", b"[1,\"\xff\"]", other, "invalid unicode code point"),
            ("garbage behind", "payload", b"[1,\"a\"] 2", other, "trailing characters"),
            ("out of range", "payload", b"[256,\"a\"]", other, "expected u8"),
        ];
        for (row, name, value, text, cause) in rows {
            let entry = super::super::tests::entry([(name, value)]);
            let back: Result<(u8, String), _> = Json.decode(Payload::new(entry.by_ref()));
            let error = back.expect_err(row);
            let said = error.to_string();
            assert!(said.starts_with(text) && said.contains(cause), "{row}: {said}");
        }
        let pairs = BTreeMap::from([((1, 2), 3)]);
        let error = encode_error(&Json, &pairs);
        assert_eq!(error, "field payload: cannot be encoded as JSON: key must be a string");
    }

    proptest! {
        #[test]
        fn any_payload_round_trips(
            user_id in any::<u64>(), template in any::<String>(), tags in any::<Vec<Option<i32>>>(), score in -1e300..1e300,
            map in any::<BTreeMap<String, Result<Vec<u8>, (char, i128)>>>(),
        ) {
            round(&Json, &Email { user_id, template, tags, score });
            round(&Json, &map);
        }
    }
}
