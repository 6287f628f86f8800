//! Serde values as fields of an entry, and back. No I/O.
//!
//! Each field of a struct is a field of the entry, with the text that other languages would write.
//! The queue's codec [`Record`](crate::queue::Record) documents the format.

#[cfg(feature = "serde")]
mod de;
mod error;
#[cfg(feature = "serde")]
mod ser;
#[cfg(feature = "serde")]
mod values;

pub use error::CodecError;
#[cfg(feature = "serde")]
pub(crate) use {
    de::deserialize,
    ser::{Sink, serialize},
    values::{Field, Shown, serialize_fields},
};
