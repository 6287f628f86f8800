//! Consumers that are wrong on purpose, to see that it is noticed.

use super::scene::Kind;

/// What a consumer does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    /// Acknowledges a job before it is done.
    AcksFirst,
    /// Does not take what came in a reply that was lost.
    NoRecovery,
    /// Sends heartbeats after the deadline, and believes what they say.
    BeatsLate,
    /// Counts a lease from the reply, not from before the command.
    LeaseFromReply,
    /// Takes the number of an attempt from before the claim.
    OldCount,
    /// Runs what it has in its hands already.
    TakesTwice,
    /// Begins each sweep at the first entry.
    SweepsAnew,
    /// Gives a job one attempt less than it has.
    BuriesEarly,
    /// Recovers what it was told of before it slept.
    RecoversLate,
    /// Recovers what was in its hands when it asked.
    RecoversDecided,
    /// Goes on recovering what is too old for it.
    RecoversInCircles,
    /// Forgets what it has claimed when it cannot learn the number of the attempt.
    ForgetsClaims,
    /// Gives back again what it may have given back.
    NacksTwice,
    /// Gives back what it has lost.
    NacksLost,
    /// Takes a job for one that was never run, if it could not be given back.
    ForgetsRuns,
    /// Sends heartbeats for what was due a while ago.
    BeatsUnchecked,
    /// Deletes its dead letter when nothing was pending, though it has just deleted the job.
    SparesAll,
}

/// Each with the kind of history in which it is noticed soon.
pub(super) const ALL: [(Mutant, Kind); 17] = [
    (Mutant::AcksFirst, Kind::Usual),
    (Mutant::NoRecovery, Kind::Tough),
    (Mutant::BeatsLate, Kind::Tough),
    (Mutant::LeaseFromReply, Kind::Tough),
    (Mutant::OldCount, Kind::Usual),
    (Mutant::TakesTwice, Kind::Rough),
    (Mutant::SweepsAnew, Kind::Crowd),
    (Mutant::BuriesEarly, Kind::Usual),
    (Mutant::RecoversLate, Kind::Tough),
    (Mutant::RecoversDecided, Kind::Tough),
    (Mutant::RecoversInCircles, Kind::Crowd),
    (Mutant::ForgetsClaims, Kind::Tough),
    (Mutant::NacksTwice, Kind::Tough),
    (Mutant::NacksLost, Kind::Tough),
    (Mutant::ForgetsRuns, Kind::Tough),
    (Mutant::BeatsUnchecked, Kind::Tough),
    (Mutant::SparesAll, Kind::Rough),
];
