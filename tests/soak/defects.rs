//! Workers and producers with one defect each: a soak that does not detect it would prove nothing.

use crate::conductor::{Settings, soak};
use crate::job::{LEASE, MAX_ATTEMPTS};
use std::env;
use std::time::Duration;

/// A defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
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
const ALL: [(Defect, &[&str]); 12] = [
    (Defect::AcksFirst, &["lost"]),
    (Defect::NeverClaims, &["stuck"]),
    (Defect::ClaimsTooEarly, &["overlap"]),
    (Defect::IgnoresLostLease, &["overlap", "overstay"]),
    (Defect::DeadLettersTooEarly, &["early-dead-letter"]),
    (Defect::IgnoresAttemptLimit, &["attempts"]),
    (Defect::IgnoresRetryDelay, &["too-soon"]),
    (Defect::AddsCopies, &["phantom"]),
    (Defect::AcksPoison, &["poison-done"]),
    (Defect::DeadLettersTwice, &["duplicate-dead-letter"]),
    (Defect::ResendsUnknown, &["phantom"]),
    (Defect::ExitsEarly, &["ended"]),
];

impl Defect {
    /// The environment variable with the defect's name.
    pub(crate) const NAME: &str = "BOURN_SOAK_DEFECT";

    pub(crate) fn from_env() -> Option<Self> {
        let name = env::var(Self::NAME).ok()?;
        ALL.into_iter().map(|(defect, _)| defect).find(|defect| format!("{defect:?}") == name)
    }
}

/// Returns the lease of the worker in this slot.
pub(crate) fn lease(defect: Option<Defect>, slot: u32) -> Duration {
    match defect {
        Some(Defect::NeverClaims) => 1_000 * LEASE,
        Some(Defect::ClaimsTooEarly) if slot == 0 => LEASE / 20,
        _ => LEASE,
    }
}

/// Returns the attempt limit of the worker in this slot.
pub(crate) fn max_attempts(defect: Option<Defect>, slot: u32) -> u32 {
    match defect {
        Some(Defect::DeadLettersTooEarly) if slot == 0 => 2,
        Some(Defect::IgnoresAttemptLimit) => 1_000,
        _ => MAX_ATTEMPTS,
    }
}

#[test]
#[ignore = "takes minutes: scripts/soak --defects"]
fn every_faulty_worker_is_detected() {
    let mut missed = Vec::new();
    let settings = Settings::of_environment();
    // Only one, if `BOURN_SOAK_DEFECT` names it.
    let only = Defect::from_env();
    for (defect, rules) in
        ALL.into_iter().filter(|(defect, _)| only.is_none_or(|only| only == *defect))
    {
        println!("== {defect:?}");
        let time = Duration::from_secs(8);
        let (_, verdict) = soak(&Settings { defect: Some(defect), time, ..settings.clone() });
        let found = verdict.found();
        println!("{found:?}");
        if !rules.iter().any(|rule| found.contains_key(rule)) {
            missed.push(defect);
        }
    }
    assert_eq!(missed, [], "with {settings:?}");
}
