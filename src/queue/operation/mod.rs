//! Operations: one exchange with the server each, with its retries.

pub(crate) mod ack;
pub(crate) mod claim;
pub(crate) mod dead_letter;
pub(crate) mod relay;
