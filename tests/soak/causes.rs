//! The faults that affected a run, and whether they explain an event.

use crate::history::{DeadLetter, End, Fault, History, Run, Target, What};
use crate::job::{Kind, LEASE};
use bourn::EntryId;
use std::time::Duration;

/// The tolerance for operations that should take no time, on a busy machine.
pub(crate) const SLACK: Duration = Duration::from_millis(100);

/// The limit for a worker to reconnect and send its pending commands.
pub(crate) const RECONNECTED: Duration = Duration::from_secs(1);

/// The limit for a halted worker to resume its tasks.
pub(crate) const RESUMED: Duration = Duration::from_millis(300);

/// The writes that a killed server may lose: those within its fsync interval.
const UNSYNCED: Duration = Duration::from_secs(2);

/// The runs of an entry, in the order in which they started.
pub(crate) struct Job<'a> {
    pub(crate) history: &'a History,
    pub(crate) id: EntryId,
    pub(crate) runs: &'a [Run],
}

impl Job<'_> {
    /// Returns the fault because of which a finished run was not settled when the next run started.
    ///
    /// A settlement is sent at once, and repeated until the server confirms it. A valid cause is
    /// therefore a chain of faults without time to reconnect, the death of the process, a lease
    /// that was lost before, or a server that rolled back.
    pub(crate) fn undone(&self, run: &Run, at: Duration, next: Duration) -> Option<What> {
        if next <= at {
            return self.cause(run, self.lapsing(next));
        }
        let lapsed = |fault: &&Fault| {
            let during_run = run.from <= fault.until + RECONNECTED && fault.from <= at;
            during_run && fault.until.saturating_sub(fault.from) >= LEASE * 3 / 4
        };
        if let Some(fault) = self.faults(run).find(lapsed) {
            return Some(fault.what);
        }
        let (mut longest, mut since) = (None, at);
        for fault in self.faults(run).filter(|fault| fault.until + RECONNECTED >= at) {
            if fault.from > since + RECONNECTED || since >= next {
                break;
            }
            if fault.what == What::Leave {
                // Without another fault, the worker has settled its jobs before it left.
                since = if longest.is_some() { next } else { since };
                continue;
            }
            let lasts = fault.until.saturating_sub(fault.from);
            longest = longest.max(Some((fault.what == What::Death, lasts, fault.what)));
            since = if fault.what == What::Death { next } else { since.max(fault.until) };
        }
        if let Some((_, _, what)) = longest.filter(|_| since + RECONNECTED >= next) {
            return Some(what);
        }
        self.rolled_back_at(at).then_some(What::ServerKilled)
    }

    /// Whether a dead letter of a job that can succeed is justified: each of its runs failed as
    /// intended, or could not be settled by its worker. A job whose workers always die is taken for
    /// the cause of it, because the server only counts deliveries.
    pub(crate) fn lost_every_worker(&self, dead: &DeadLetter, kind: Kind) -> bool {
        let fails = if let Kind::Fails(times) = kind { times } else { 0 };
        let next = self.runs.iter().skip(1).map(|run| run.from).chain([dead.at]);
        let affected = |(run, next): (&Run, Duration)| match (run.end, run.until) {
            (End::Done, Some(until)) => self.undone(run, until, next).is_some(),
            (End::Failed, _) => run.attempt <= fails,
            (_, Some(until)) => self.cause(run, self.lapsing(until)).is_some(),
            (_, None) => false,
        };
        !self.runs.is_empty() && self.runs.iter().zip(next).all(affected)
    }

    /// Whether a kill of the server may have lost a write of this time. Its log line may be a
    /// little later than the write.
    pub(crate) fn rolled_back_at(&self, at: Duration) -> bool {
        let times = at.saturating_sub(SLACK)..at + UNSYNCED;
        let mut restarts = self.history.restarts.iter();
        !self.history.always && restarts.any(|restart| times.contains(&restart.killed))
    }

    /// Whether the job may be there twice from then on: it was delayed by a worker that left, so in
    /// the wheel, and the server does not recognize a second copy. Another worker that dies while it
    /// moves the job back may have added one.
    pub(crate) fn is_copied(&self, before: Duration) -> bool {
        let delayed = |run: &&Run| {
            let until = run.until.filter(|until| run.end == End::Failed && *until <= before);
            let left = |until| {
                let leaves =
                    |fault: &Fault| fault.what == What::Leave && fault.from <= until + RECONNECTED;
                self.faults(run).any(leaves)
            };
            until.is_some_and(left)
        };
        !self.history.recognizes_copies && self.runs.iter().any(|run| delayed(&run))
    }

    /// Returns the period of faults that can explain a lease lost by this time: a heartbeat is due
    /// after a third of a lease.
    pub(crate) fn lapsing(&self, by: Duration) -> (Duration, Duration) {
        (by.saturating_sub(LEASE + LEASE / 3 + RECONNECTED), by)
    }

    /// Returns the fault that affected a run in this period; of several, the most severe.
    pub(crate) fn cause(&self, run: &Run, (from, to): (Duration, Duration)) -> Option<What> {
        let lasts = |fault: &Fault| match fault.what {
            What::Death => Duration::MAX,
            What::Halt => fault.until + RESUMED,
            _ => fault.until + RECONNECTED,
        };
        let faults = self.faults(run);
        let affected = faults
            .filter(|fault| fault.what != What::Leave && fault.from <= to && from <= lasts(fault));
        affected.map(|fault| fault.what).min()
    }

    /// Whether the worker is halted at this time, or has just resumed.
    pub(crate) fn halted(&self, run: &Run, at: Duration) -> bool {
        let mut halts = self.faults(run).filter(|fault| fault.what == What::Halt);
        halts.any(|halt| halt.from <= at && at <= halt.until + RESUMED)
    }

    /// Returns the faults that affected the run's worker.
    fn faults(&self, run: &Run) -> impl Iterator<Item = &Fault> {
        let (worker, slot) = (run.worker, self.history.slot(run.worker));
        self.history.faults.iter().filter(move |fault| match fault.target {
            Target::Worker(target) => target == worker,
            Target::Slot(target) => Some(target) == slot,
            Target::Everyone => true,
        })
    }
}
