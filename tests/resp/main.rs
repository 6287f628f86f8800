//! The laws of the wire format, of entry ids and of entries read in place. No server, and no tokio but for the codec.

#[cfg(feature = "tokio")]
mod codec;
mod entries;
mod frames;
mod ids;
mod limits;
mod trees;

/// What the fuzz targets hold, which is the same as here.
#[path = "../../fuzz/src/lib.rs"]
pub mod fuzz;
