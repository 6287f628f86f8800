//! Properties of the wire format, of entry ids and of decoded entries. No server; tokio only for
//! the codec.

#[cfg(feature = "tokio")]
mod codec;
mod entries;
mod frames;
mod ids;
mod limits;
mod trees;

/// The properties that the fuzz targets share with these tests.
#[path = "../../fuzz/src/lib.rs"]
pub mod fuzz;
