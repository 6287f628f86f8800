//! Workers and producers that do one thing wrong: a soak with them has to find it, or it finds nothing.

use crate::conductor::{Settings, soak};
use crate::job::{LEASE, MAX_ATTEMPTS};
use std::env;
use std::time::Duration;

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// Acknowledges a job before it is done.
    AcksFirst,
    /// Never takes over what others have left.
    Forsakes,
    /// A worker takes over what others still hold.
    Steals,
    /// Works on when its lease is lost.
    WorksOn,
    /// A worker gives up too early.
    GivesUp,
    /// Never gives up.
    Insists,
    /// Does not wait as long as it was asked to.
    Hurries,
    /// Puts a copy into the stream instead of trying again.
    Copies,
    /// Says that it has done what nobody can do.
    Swallows,
    /// Writes the dead letter, and then has it written.
    BuriesTwice,
    /// Sends what may have been sent, and does not say so.
    Repeats,
    /// Ends when a job is done.
    Leaves,
}

/// What each breaks: one of these rules.
const ALL: [(Bad, &[&str]); 12] = [
    (Bad::AcksFirst, &["lost"]),
    (Bad::Forsakes, &["stuck"]),
    (Bad::Steals, &["overlap"]),
    (Bad::WorksOn, &["overlap", "overstay"]),
    (Bad::GivesUp, &["dead-early"]),
    (Bad::Insists, &["attempts"]),
    (Bad::Hurries, &["too-soon"]),
    (Bad::Copies, &["phantom"]),
    (Bad::Swallows, &["poison-done"]),
    (Bad::BuriesTwice, &["dead-twice"]),
    (Bad::Repeats, &["phantom"]),
    (Bad::Leaves, &["ended"]),
];

impl Bad {
    /// What is told to workers by the environment.
    pub(crate) const NAME: &str = "BOURN_SOAK_BAD";

    pub(crate) fn told() -> Option<Self> {
        let name = env::var(Self::NAME).ok()?;
        ALL.into_iter().map(|(bad, _)| bad).find(|bad| format!("{bad:?}") == name)
    }
}

/// The lease of a worker at this slot.
pub(crate) fn lease(bad: Option<Bad>, slot: u32) -> Duration {
    match bad {
        Some(Bad::Forsakes) => 1_000 * LEASE,
        Some(Bad::Steals) if slot == 0 => LEASE / 20,
        _ => LEASE,
    }
}

/// Its limit of attempts.
pub(crate) fn max_attempts(bad: Option<Bad>, slot: u32) -> u32 {
    match bad {
        Some(Bad::GivesUp) if slot == 0 => 2,
        Some(Bad::Insists) => 1_000,
        _ => MAX_ATTEMPTS,
    }
}

#[test]
#[ignore = "takes minutes: scripts/soak --bad"]
fn whoever_does_something_wrong_is_found() {
    let mut missed = Vec::new();
    let settings = Settings::of_environment();
    // One alone, if it is said which.
    let only = Bad::told();
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
