//! Record: each field of a serde struct is a field of the entry. Pure.

#[cfg(test)]
mod tests;

use super::{Codec, CodecError, FieldList, Payload};
use crate::record;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A serde struct, or a map, with each of its fields as a field of the entry: `user_id 123 template welcome`.
///
/// | value | in the field |
/// |---|---|
/// | strings, characters, unit variants | the text itself |
/// | numbers, booleans | `-1`, `0.5`, `true` |
/// | bytes | the bytes themselves |
/// | newtypes and `Some` | what is in them |
/// | `None` | no field, and of a map no key |
/// | `()`, unit structs | nothing |
/// | all else: sequences, maps, structs, other variants | its JSON |
///
/// So other languages read and write the same fields. Fields that the type does not have are not looked at; `default` and
/// `rename` of serde work. What is JSON is as in [`Json`](super::Json).
///
/// The type says what a text is read as: to one `123` is a string, to another a number. So types that ask the input what
/// there is get a string. In the payload itself `flatten`, `tag` and `untagged` of serde work with strings only, and a
/// `serde_json::Value` comes back as a string; further down, in JSON, they work. A payload that is an enum with data is
/// better off with [`Json`](super::Json).
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
