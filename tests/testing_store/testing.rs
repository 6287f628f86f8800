//! The data itself, which no public item reaches.

#[path = "../../src/testing/store/mod.rs"]
#[allow(dead_code, reason = "the server around it uses the rest")]
pub(crate) mod store;
