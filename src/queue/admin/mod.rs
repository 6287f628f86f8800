//! For operators: dead letters, statistics, health, metrics. An operation.

pub(crate) mod dead_letters;
pub(crate) mod health;
pub(crate) mod letter;
pub(crate) mod letter_count;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
pub(crate) mod oldest;
pub(crate) mod recurring;
pub(crate) mod redrive;
pub(crate) mod stats;
