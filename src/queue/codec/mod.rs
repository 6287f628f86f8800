//! How a payload becomes the fields of an entry, and is read from them again. Pure.
//!
//! | codec | payload | fields |
//! |---|---|---|
//! | [`RawBytes`] | `Bytes`, `Vec<u8>`, `String` | `payload <bytes>` |
//! | [`Flat`] | pairs of texts or bytes, maps of texts | each pair a field: `user_id 123 template welcome` |
//! | [`Json`] | any serde type | `payload {"user_id":123,"template":"welcome"}` |
//! | [`Record`] | a serde struct or map | each of its fields a field: `user_id 123 template welcome` |
//!
//! Names that begin with `_` are the queue's: a codec cannot add them and does not see them. An empty payload is sent as
//! the field `_`, for an entry needs one.

mod fields;
mod flat;
#[cfg(feature = "serde")]
mod json;
mod payload;
mod raw_bytes;
#[cfg(feature = "serde")]
mod record;
#[cfg(test)]
pub(super) mod tests;

pub use crate::record::CodecError;
pub use fields::FieldList;
pub(super) use fields::show;
pub use flat::Flat;
#[cfg(feature = "serde")]
pub use json::Json;
pub use payload::Payload;
pub use raw_bytes::RawBytes;
#[cfg(feature = "serde")]
pub use record::Record;

/// The field of the codecs that have only one.
const PAYLOAD: &str = "payload";

/// Turns payloads into fields and back.
///
/// What is encoded must decode to the same value, also by the workers of the version before: entries may wait for long.
///
/// # Example
/// ```
/// use bourn::queue::{Codec, CodecError, FieldList, Payload};
///
/// struct Celsius;
///
/// impl Codec<f64> for Celsius {
///     fn encode(&self, payload: &f64, fields: &mut FieldList) -> Result<(), CodecError> {
///         fields.add("celsius", payload.to_string())
///     }
///
///     fn decode(&self, payload: Payload<'_>) -> Result<f64, CodecError> {
///         let text = payload.get_str("celsius")?.ok_or_else(|| CodecError::missing("celsius"))?;
///         let unlike = |_| CodecError::expected("a number", text).in_field("celsius");
///         text.parse().map_err(unlike)
///     }
/// }
/// ```
pub trait Codec<T>: Send + Sync + 'static {
    /// Adds the payload's fields to the list. None at all is a payload too.
    ///
    /// # Errors
    ///
    /// The payload cannot be written as fields. What is in the list by then is not sent.
    fn encode(&self, payload: &T, fields: &mut FieldList) -> Result<(), CodecError>;

    /// The payload that these fields are. Never called for an entry that is deleted.
    ///
    /// # Errors
    ///
    /// The fields are not such a payload. The next attempt would find the same, so the job becomes a dead letter.
    fn decode(&self, payload: Payload<'_>) -> Result<T, CodecError>;
}
