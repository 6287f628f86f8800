//! For operators: dead letters, statistics, health, metrics. An operation.

pub(crate) mod dead_letters;
pub(crate) mod health;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
pub(crate) mod stats;
