//! A work queue on a consumer group: at least once, on streams alone.

mod abilities;
mod lease;
mod park;
mod plan;
mod retry;

pub use retry::{BoxError, Jitter, RetryPolicy, Verdict};
