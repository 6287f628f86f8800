//! RawBytes: the payload is one field. No I/O.

use super::payload::text;
use super::{Codec, CodecError, FieldList, PAYLOAD, Payload};
use bytes::Bytes;

/// Stores the payload unchanged in the field `payload`: `Bytes`, `Vec<u8>`, or a `String`, which
/// must decode as UTF-8.
///
/// Other fields are ignored.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::{Queue, RawBytes};
///
/// // The payload is one field of bytes, such as a protocol buffer.
/// let queue: Queue<bytes::Bytes> = Queue::builder(client, "events").open(RawBytes).await?;
/// queue.producer().enqueue(&bytes::Bytes::from_static(b"\x08\x96\x01")).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RawBytes;

impl Codec<Bytes> for RawBytes {
    fn encode(&self, payload: &Bytes, fields: &mut FieldList) -> Result<(), CodecError> {
        fields.add(PAYLOAD, payload)
    }

    fn decode(&self, payload: Payload<'_>) -> Result<Bytes, CodecError> {
        payload.bytes(PAYLOAD).ok_or_else(|| CodecError::missing(PAYLOAD))
    }
}

impl Codec<Vec<u8>> for RawBytes {
    fn encode(&self, payload: &Vec<u8>, fields: &mut FieldList) -> Result<(), CodecError> {
        fields.add(PAYLOAD, payload)
    }

    fn decode(&self, payload: Payload<'_>) -> Result<Vec<u8>, CodecError> {
        only(payload).map(<[u8]>::to_vec)
    }
}

impl Codec<String> for RawBytes {
    fn encode(&self, payload: &String, fields: &mut FieldList) -> Result<(), CodecError> {
        fields.add(PAYLOAD, payload)
    }

    fn decode(&self, payload: Payload<'_>) -> Result<String, CodecError> {
        text(PAYLOAD.as_bytes(), only(payload)?).map(str::to_owned)
    }
}

/// Returns the field that contains the payload.
pub(crate) fn only(payload: Payload<'_>) -> Result<&[u8], CodecError> {
    payload.get(PAYLOAD).ok_or_else(|| CodecError::missing(PAYLOAD))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{decode, encode, round};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn payload_is_one_field() {
        assert_eq!(encode(&RawBytes, &Bytes::from_static(b"a\xff")), r#"{"payload": "a\xff"}"#);
        assert_eq!(encode(&RawBytes, &b"\r\n".to_vec()), r#"{"payload": "\r\n"}"#);
        assert_eq!(encode(&RawBytes, &String::from("text")), r#"{"payload": "text"}"#);
        assert_eq!(encode(&RawBytes, &String::new()), r#"{"payload": ""}"#);
    }

    #[test]
    fn other_fields_are_ignored_and_a_missing_one_is_an_error() {
        let fields = [("_h:a", "1"), ("a", "2"), ("payload", "text"), ("payload", "more")];
        assert_eq!(decode(&RawBytes, fields), Ok(String::from("text")));
        assert_eq!(decode(&RawBytes, fields), Ok(b"text".to_vec()));
        assert_eq!(decode(&RawBytes, fields), Ok(Bytes::from_static(b"text")));
        let (missing, fields) = ("field payload: missing".to_owned(), [("Payload", "1")]);
        assert_eq!(decode::<String, _>(&RawBytes, fields), Err(missing.clone()));
        assert_eq!(decode::<Vec<u8>, _>(&RawBytes, fields), Err(missing.clone()));
        assert_eq!(decode::<Bytes, _>(&RawBytes, fields), Err(missing));
    }

    #[test]
    fn string_must_be_utf8() {
        let bytes: [(&str, &[u8]); 1] = [("payload", b"a\xff")];
        let error =
            "field payload: not UTF-8: invalid utf-8 sequence of 1 bytes from index 1".to_owned();
        assert_eq!(decode::<String, _>(&RawBytes, bytes), Err(error));
        assert_eq!(decode(&RawBytes, bytes), Ok(b"a\xff".to_vec()));
    }

    proptest! {
        #[test]
        fn any_bytes_round_trip(bytes in any::<Vec<u8>>(), text in any::<String>()) {
            round(&RawBytes, &Bytes::from(bytes.clone()));
            round(&RawBytes, &bytes);
            round(&RawBytes, &text);
        }
    }
}
