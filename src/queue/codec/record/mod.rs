//! Record: each field of a serde struct is a field of the entry. No I/O.

#[cfg(test)]
mod tests;

use super::{Codec, CodecError, FieldList, Payload};
use crate::record;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Encodes a serde struct or map with each of its fields as a field of the entry:
/// `user_id 123 template welcome`.
///
/// | value | content of the field |
/// |---|---|
/// | strings, characters, unit variants | the string itself |
/// | numbers, booleans | `-1`, `0.5`, `true` |
/// | bytes | the bytes themselves |
/// | newtypes and `Some` | the inner value |
/// | `None` | no field; in a map, no key |
/// | `()`, unit structs | empty |
/// | everything else: sequences, maps, structs, other variants | JSON |
///
/// Other languages can read and write the same fields. Fields that the type does not have are
/// ignored. Serde's `default` and `rename` work. JSON values have the limits of
/// [`Json`](super::Json).
///
/// The type decides how a field is parsed: `123` can be a string or a number. Types that ask the
/// input for its type (`deserialize_any`) get a string. At the top level, serde's `flatten`, `tag`
/// and `untagged` work with strings only, and a `serde_json::Value` decodes as a string. Inside
/// JSON they work without limits. For a payload that is an enum with data, use
/// [`Json`](super::Json).
///
/// # Example
/// ```
/// use bourn::queue::{Codec, CodecError, FieldList, Record};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Email {
///     user_id: u64,
///     template: String,
///     copies: Vec<String>,
///     language: Option<String>,
/// }
///
/// let (template, copies) = ("welcome".to_owned(), vec!["a@b.c".to_owned()]);
/// let mut fields = FieldList::new();
/// Record.encode(&Email { user_id: 123, template, copies, language: None }, &mut fields)?;
/// let expected = [("user_id", "123"), ("template", "welcome"), ("copies", r#"["a@b.c"]"#)];
/// assert!(fields.iter().eq(expected.map(|(name, value)| (name.as_bytes(), value.as_bytes()))));
/// # Ok::<_, CodecError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Record;

impl<T: Serialize + DeserializeOwned> Codec<T> for Record {
    fn encode(&self, payload: &T, fields: &mut FieldList) -> Result<(), CodecError> {
        record::serialize(payload, fields)
    }

    fn decode(&self, payload: Payload<'_>) -> Result<T, CodecError> {
        record::deserialize(payload.iter())
    }
}
