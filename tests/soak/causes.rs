//! What befell those who ran a job, and whether that is why something happened.

use crate::history::{Dead, End, History, Run, Trouble, What, Whom};
use crate::job::{Kind, LEASE};
use bourn::EntryId;
use std::time::Duration;

/// What is done at once may take as long on a busy machine.
pub(crate) const SLACK: Duration = Duration::from_millis(100);

/// After a connection was lost its worker is back within this time, and what it had to say is said.
pub(crate) const RECONNECTED: Duration = Duration::from_secs(1);

/// A worker that was halted has its tasks in order again within this time.
pub(crate) const RESUMED: Duration = Duration::from_millis(300);

/// What the server may not yet have written down when it is killed: it waits so long for the disk.
const UNWRITTEN: Duration = Duration::from_secs(2);

/// The runs of an entry, in the order in which they began.
pub(crate) struct Job<'a> {
    pub(crate) history: &'a History,
    pub(crate) id: EntryId,
    pub(crate) runs: &'a [Run],
}

impl Job<'_> {
    /// Why a run that has done its job at this time has not ended it when the next one began.
    ///
    /// What ends it is sent at once, and again until the server says so. So there is trouble all the time, but for moments too
    /// short to connect again, or the process dies in the meantime; or the lease was lost before, or the server has forgotten.
    pub(crate) fn undone(&self, run: &Run, at: Duration, next: Duration) -> Option<What> {
        if next <= at {
            return self.cause(run, self.lapsing(next));
        }
        let lapsed = |trouble: &&Trouble| {
            let while_run = run.from <= trouble.until + RECONNECTED && trouble.from <= at;
            while_run && trouble.until.saturating_sub(trouble.from) >= LEASE * 3 / 4
        };
        if let Some(trouble) = self.troubles(run).find(lapsed) {
            return Some(trouble.what);
        }
        let (mut longest, mut since) = (None, at);
        for trouble in self.troubles(run).filter(|trouble| trouble.until + RECONNECTED >= at) {
            if trouble.from > since + RECONNECTED || since >= next {
                break;
            }
            if trouble.what == What::Leave {
                // If nothing else befell it, it has said what it had to say before it left.
                since = if longest.is_some() { next } else { since };
                continue;
            }
            let lasts = trouble.until.saturating_sub(trouble.from);
            longest = longest.max(Some((trouble.what == What::Death, lasts, trouble.what)));
            since = if trouble.what == What::Death { next } else { since.max(trouble.until) };
        }
        if let Some((_, _, what)) = longest.filter(|_| since + RECONNECTED >= next) {
            return Some(what);
        }
        self.forgotten(at).then_some(What::ServerKilled)
    }

    /// Whether an entry that can be done is dead for a reason: whenever it ran, it failed no more often than it had to, and its
    /// worker could not end it. Who is in the hands of workers that die, as often as he may be tried, is taken for one that they
    /// die of: the server counts deliveries, and there is no telling.
    pub(crate) fn is_worn(&self, dead: &Dead, kind: Kind) -> bool {
        let fails = if let Kind::Fails(times) = kind { times } else { 0 };
        let next = self.runs.iter().skip(1).map(|run| run.from).chain([dead.at]);
        let befell = |(run, next): (&Run, Duration)| match (run.end, run.until) {
            (End::Done, Some(until)) => self.undone(run, until, next).is_some(),
            (End::Failed, _) => run.attempt <= fails,
            (_, Some(until)) => self.cause(run, self.lapsing(until)).is_some(),
            (_, None) => false,
        };
        !self.runs.is_empty() && self.runs.iter().zip(next).all(befell)
    }

    /// Whether the server was killed before this had to be on its disk. It may have been told of a little later.
    pub(crate) fn forgotten(&self, at: Duration) -> bool {
        let times = at.saturating_sub(SLACK)..at + UNWRITTEN;
        let mut restarts = self.history.restarts.iter();
        !self.history.always && restarts.any(|restart| times.contains(&restart.killed))
    }

    /// When a worker may have been in trouble whose lease had lapsed by this time: a beat is due after a third of it.
    pub(crate) fn lapsing(&self, by: Duration) -> (Duration, Duration) {
        (by.saturating_sub(LEASE + LEASE / 3 + RECONNECTED), by)
    }

    /// What befell who ran this between these times; if it was more than one thing, what it could do the least about.
    pub(crate) fn cause(&self, run: &Run, (from, to): (Duration, Duration)) -> Option<What> {
        let lasts = |trouble: &Trouble| match trouble.what {
            What::Death => Duration::MAX,
            What::Halt => trouble.until + RESUMED,
            _ => trouble.until + RECONNECTED,
        };
        let troubles = self.troubles(run);
        let befell = troubles.filter(|trouble| {
            trouble.what != What::Leave && trouble.from <= to && from <= lasts(trouble)
        });
        befell.map(|trouble| trouble.what).min()
    }

    /// Whether its worker is halted at this time, or has just gone on.
    pub(crate) fn halted(&self, run: &Run, at: Duration) -> bool {
        let mut halts = self.troubles(run).filter(|trouble| trouble.what == What::Halt);
        halts.any(|halt| halt.from <= at && at <= halt.until + RESUMED)
    }

    /// What befell its worker.
    fn troubles(&self, run: &Run) -> impl Iterator<Item = &Trouble> {
        let (worker, slot) = (run.worker, self.history.slot(run.worker));
        self.history.troubles.iter().filter(move |trouble| match trouble.whom {
            Whom::Worker(whom) => whom == worker,
            Whom::Slot(whom) => Some(whom) == slot,
            Whom::Everyone => true,
        })
    }
}
