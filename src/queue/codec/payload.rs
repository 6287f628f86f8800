//! The payload of an entry, borrowed from it: its fields without the queue's own. No I/O.

use super::CodecError;
use super::headers::RESERVED;
use super::show::show;
use crate::EntryRef;
use bytes::Bytes;
use std::fmt;

/// The fields of an entry that form its payload: all except those whose names begin with `_`.
///
/// ```
/// use bourn::queue::{Codec, CodecError, FieldList, Payload};
///
/// struct Number;
///
/// impl Codec<u64> for Number {
///     fn encode(&self, value: &u64, out: &mut FieldList) -> Result<(), CodecError> {
///         out.add("n", value.to_string())
///     }
///
///     fn decode(&self, fields: Payload<'_>) -> Result<u64, CodecError> {
///         let text = fields.get_str("n")?.ok_or_else(|| CodecError::missing("n"))?;
///         text.parse().map_err(|_| CodecError::expected("a number", text))
///     }
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Payload<'a>(EntryRef<'a>);

impl<'a> Payload<'a> {
    /// Returns the payload of this entry.
    #[must_use]
    pub fn new(entry: EntryRef<'a>) -> Self {
        Self(entry)
    }

    /// Returns the first value of this field.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&'a [u8]> {
        let name = name.as_ref();
        if is_reserved(name) { None } else { self.0.get(name) }
    }

    /// Returns the first value of this field as a string; `None` if there is no such field.
    ///
    /// # Errors
    ///
    /// The value is not UTF-8.
    pub fn get_str(&self, name: impl AsRef<[u8]>) -> Result<Option<&'a str>, CodecError> {
        let name = name.as_ref();
        self.get(name).map(|value| text(name, value)).transpose()
    }

    /// Returns a copy of the first value of this field, in its own allocation.
    #[must_use]
    pub fn bytes(&self, name: impl AsRef<[u8]>) -> Option<Bytes> {
        self.get(name).map(Bytes::copy_from_slice)
    }

    /// Returns names and values, in order. Names may repeat and need not be UTF-8.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        self.0.fields().filter(|(name, _)| !is_reserved(name))
    }

    /// Returns the number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

fn is_reserved(name: &[u8]) -> bool {
    name.first() == Some(&RESERVED)
}

/// Returns the value of a field as a string.
pub(crate) fn text<'a>(field: &[u8], value: &'a [u8]) -> Result<&'a str, CodecError> {
    std::str::from_utf8(value).map_err(|error| CodecError::not_utf8(error).in_field(field))
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.iter(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;

    #[test]
    fn reserved_fields_are_hidden() {
        let fields: [(&[u8], &[u8]); 6] = [
            (b"_id", b"1-1"),
            (b"a", b"1"),
            (b"_h:trace", b"x"),
            (b"b_", b"\xff"),
            (b"a", b"2"),
            (b"", b"3"),
        ];
        let entry = entry(fields);
        let payload = Payload::new(entry.by_ref());
        assert_eq!(format!("{payload:?}"), r#"{"a": "1", "b_": "\xff", "a": "2", "": "3"}"#);
        assert_eq!((payload.len(), payload.is_empty()), (4, false));
        assert_eq!(payload.get("a"), Some(b"1".as_slice()));
        assert_eq!(payload.bytes(""), Some(Bytes::from_static(b"3")));
        assert_eq!(payload.get_str("a").expect("text"), Some("1"));
        for name in ["_id", "_h:trace", "trace", "absent"] {
            assert_eq!(payload.get(name), None, "{name}");
            assert_eq!(payload.bytes(name), None, "{name}");
            assert_eq!(payload.get_str(name).expect("nothing"), None, "{name}");
        }
        let error = payload.get_str("b_").expect_err("no text");
        assert!(error.to_string().starts_with("field b_: not UTF-8: "), "{error}");
    }

    #[test]
    fn entry_with_only_reserved_fields_has_an_empty_payload() {
        for fields in [vec![], vec![(b"_".as_slice(), b"".as_slice())]] {
            let entry = entry(fields);
            let payload = Payload::new(entry.by_ref());
            assert_eq!((payload.len(), payload.is_empty()), (0, true));
        }
    }
}
