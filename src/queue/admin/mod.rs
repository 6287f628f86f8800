//! Operations for operators: dead letters, statistics, health, metrics.

pub(crate) mod dead_letters;
pub(crate) mod health;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
pub(crate) mod stats;
