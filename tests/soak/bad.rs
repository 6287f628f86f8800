//! Workers and producers with one defect each: a soak that does not detect it would prove nothing.

use crate::conductor::{Settings, soak};
use crate::job::{LEASE, MAX_ATTEMPTS};
use std::env;
use std::time::Duration;

/// A defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// Acknowledges a job before it is done.
    AcksFirst,
    /// Never claims jobs that others left.
    NeverClaims,
    /// A worker claims jobs that others still hold.
    ClaimsTooEarly,
    /// Continues after its lease is lost.
    IgnoresLostLease,
    /// A worker dead-letters too early.
    DeadLettersTooEarly,
    /// Never dead-letters.
    IgnoresAttemptLimit,
    /// Ignores the retry delay.
    IgnoresRetryDelay,
    /// Adds a copy of the job instead of a retry.
    AddsCopies,
    /// Acknowledges a job that always fails.
    AcksPoison,
    /// Adds the dead letter itself, and then fails the job.
    DeadLettersTwice,
    /// Sends a job of unknown outcome again, without a log line.
    ResendsUnknown,
    /// Exits when a job is done.
    ExitsEarly,
}

/// The rules that each defect breaks, one of them at least.
const ALL: [(Bad, &[&str]); 12] = [
    (Bad::AcksFirst, &["lost"]),
    (Bad::NeverClaims, &["stuck"]),
    (Bad::ClaimsTooEarly, &["overlap"]),
    (Bad::IgnoresLostLease, &["overlap", "overstay"]),
    (Bad::DeadLettersTooEarly, &["early-dead-letter"]),
    (Bad::IgnoresAttemptLimit, &["attempts"]),
    (Bad::IgnoresRetryDelay, &["too-soon"]),
    (Bad::AddsCopies, &["phantom"]),
    (Bad::AcksPoison, &["poison-done"]),
    (Bad::DeadLettersTwice, &["duplicate-dead-letter"]),
    (Bad::ResendsUnknown, &["phantom"]),
    (Bad::ExitsEarly, &["ended"]),
];

impl Bad {
    /// The environment variable with the defect's name.
    pub(crate) const NAME: &str = "BOURN_SOAK_BAD";

    pub(crate) fn from_env() -> Option<Self> {
        let name = env::var(Self::NAME).ok()?;
        ALL.into_iter().map(|(bad, _)| bad).find(|bad| format!("{bad:?}") == name)
    }
}

/// Returns the lease of the worker in this slot.
pub(crate) fn lease(bad: Option<Bad>, slot: u32) -> Duration {
    match bad {
        Some(Bad::NeverClaims) => 1_000 * LEASE,
        Some(Bad::ClaimsTooEarly) if slot == 0 => LEASE / 20,
        _ => LEASE,
    }
}

/// Returns the attempt limit of the worker in this slot.
pub(crate) fn max_attempts(bad: Option<Bad>, slot: u32) -> u32 {
    match bad {
        Some(Bad::DeadLettersTooEarly) if slot == 0 => 2,
        Some(Bad::IgnoresAttemptLimit) => 1_000,
        _ => MAX_ATTEMPTS,
    }
}

#[test]
#[ignore = "takes minutes: scripts/soak --bad"]
fn every_faulty_worker_is_detected() {
    let mut missed = Vec::new();
    let settings = Settings::of_environment();
    // Only one, if `BOURN_SOAK_BAD` names it.
    let only = Bad::from_env();
    for (bad, rules) in ALL.into_iter().filter(|(bad, _)| only.is_none_or(|only| only == *bad)) {
        println!("== {bad:?}");
        let time = Duration::from_secs(8);
        let (_, verdict) = soak(&Settings { bad: Some(bad), time, ..settings.clone() });
        let found = verdict.found();
        println!("{found:?}");
        if !rules.iter().any(|rule| found.contains_key(rule)) {
            missed.push(bad);
        }
    }
    assert_eq!(missed, [], "with {settings:?}");
}
