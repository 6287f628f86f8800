//! Codecs: encode a payload as the fields of an entry, and decode it again. No I/O.
//!
//! | codec | payload | fields |
//! |---|---|---|
//! | [`RawBytes`] | `Bytes`, `Vec<u8>`, `String` | `payload <bytes>` |
//! | [`Flat`] | pairs of strings or bytes, maps of strings | each pair a field: `user_id 123 template welcome` |
//! | [`Json`] | any serde type | `payload {"user_id":123,"template":"welcome"}` |
//! | [`Record`] | a serde struct or map | each of its fields a field: `user_id 123 template welcome` |
//!
//! Names that begin with `_` are reserved for the queue: a codec cannot add them and does not see
//! them. An empty payload is sent as the field `_`, because an entry needs at least one field.

mod fields;
mod flat;
pub(crate) mod headers;
#[cfg(feature = "serde")]
mod json;
pub(crate) mod origin;
mod payload;
#[cfg(feature = "tracing")]
pub(crate) mod propagate;
mod raw_bytes;
#[cfg(feature = "serde")]
mod record;
pub(crate) mod recurring;
mod show;
#[cfg(test)]
pub(crate) mod tests;

pub use crate::record::CodecError;
pub use fields::FieldList;
pub use flat::Flat;
#[cfg(feature = "serde")]
pub use json::Json;
pub use payload::Payload;
pub use raw_bytes::RawBytes;
#[cfg(feature = "serde")]
pub use record::Record;

/// The field of the codecs that use only one.
const PAYLOAD: &str = "payload";

/// Encodes payloads as fields and decodes them.
///
/// An encoded payload must decode to the same value, also in workers of the previous version:
/// entries may wait for a long time.
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
    /// Adds the payload's fields to the list. No field at all is a valid payload.
    ///
    /// # Errors
    ///
    /// The payload cannot be encoded. Fields added before the error are not sent.
    fn encode(&self, payload: &T, fields: &mut FieldList) -> Result<(), CodecError>;

    /// Decodes the payload from these fields. Never called for a deleted entry.
    ///
    /// # Errors
    ///
    /// The fields are not a valid payload. The attempt counts as failed, as
    /// [`Undecodable`](crate::queue::Undecodable) describes.
    fn decode(&self, payload: Payload<'_>) -> Result<T, CodecError>;
}
