//! The truth about each job in each group, and the rules that hold at every moment.

use crate::scene::{Kind, Nature, Scene};
use bourn::EntryId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A job in a group.
pub(crate) type Place = (usize, usize);

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With a result, at its time limit, or with its process.
    Over,
    /// Its worker stopped, and it does not count as an attempt.
    Released,
    /// Its worker stopped in the millisecond in which its time was over.
    MaybeReleased,
}

/// The history of a job in a group.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fate {
    /// The handler's runs, and those of them that ended because their worker stopped.
    pub(crate) runs: u32,
    pub(crate) released: u32,
    /// The entries that it had after a redrive.
    pub(crate) redriven: BTreeSet<EntryId>,
    /// The runs of which it is not known.
    pub(crate) unclear: u32,
    pub(crate) successes: u32,
    /// Its entries, as handlers saw them: the attempt of the last run, and whether a later one may
    /// have the same.
    pub(crate) entries: BTreeMap<EntryId, (u32, bool)>,
    /// The first entries of these.
    pub(crate) originals: BTreeSet<EntryId>,
    /// The attempt of the last run, whether a later one may have the same, and the moment before
    /// which there is no other.
    last: (u32, bool, Duration),
    /// The processes that run it now, each with the entry and the attempt.
    running: Vec<(usize, EntryId, u32)>,
    /// The number of times that it may have been redriven.
    pub(crate) redrives: u32,
    /// The handler said that it never succeeds, or that it is not needed.
    pub(crate) dies: bool,
    pub(crate) discarded: bool,
    /// The moment of the first success.
    pub(crate) done_at: Option<Duration>,
    /// The server lost it, or an operator deleted its dead letter.
    pub(crate) gone: bool,
}

/// The results of enqueueing a job.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    pub(crate) tried: u32,
    pub(crate) confirmed: u32,
    pub(crate) unknown: u32,
}

/// All jobs.
#[derive(Debug)]
pub(crate) struct Ledger {
    kind: Kind,
    attempts: u32,
    at_most_once: bool,
    pub(crate) natures: Vec<Nature>,
    pub(crate) fates: BTreeMap<Place, Fate>,
    pub(crate) sent: Vec<Sent>,
    /// The entries that were confirmed, by queue.
    confirmed: BTreeMap<(usize, EntryId), usize>,
    pub(crate) wrong: Vec<String>,
    /// The moment of the last fault that may have a job run again.
    pub(crate) disturbed: Option<Duration>,
    /// The moment until which a job may be run by two workers at once.
    excused: Duration,
    /// The number of times that the server lost data, that its clock jumped, or that commands may
    /// have come after their lease: it may forget attempts.
    pub(crate) losses: u32,
    /// The number of processes that ended at any point.
    pub(crate) killed: u32,
}

impl Ledger {
    pub(crate) fn new(scene: &Scene) -> Self {
        Self {
            kind: scene.kind,
            attempts: scene.attempts,
            at_most_once: scene.at_most_once,
            natures: scene.jobs.iter().map(|job| job.nature).collect(),
            fates: BTreeMap::new(),
            sent: vec![Sent::default(); scene.jobs.len()],
            confirmed: BTreeMap::new(),
            wrong: Vec::new(),
            disturbed: None,
            excused: Duration::ZERO,
            losses: 0,
            killed: 0,
        }
    }

    /// An entry was added. False if it has the id of an earlier one, which the server has lost: a
    /// worker that runs the earlier job acknowledges both.
    pub(crate) fn confirm(&mut self, queue: usize, id: EntryId, job: usize) -> bool {
        self.sent[job].confirmed += 1;
        self.confirmed.insert((queue, id), job).is_none_or(|earlier| earlier == job)
    }

    pub(crate) fn excuse(&mut self, until: Duration) {
        self.excused = self.excused.max(until);
    }

    /// A run begins. Returns its number among the runs of this job that count.
    pub(crate) fn begin(
        &mut self,
        now: Duration,
        place: Place,
        process: usize,
        attempt: u32,
        (id, original): (EntryId, EntryId),
    ) -> u32 {
        let (kind, losses, disturbed) = (self.kind, self.losses, self.disturbed);
        let excused = self.excused >= now;
        let allowed = if self.at_most_once { 1 } else { self.most_attempts() };
        let mut wrong = Vec::new();
        let is_alone = attempt > self.attempts && !self.at_most_once;
        let others = self.runs_of(process);
        if others.iter().any(|other| is_alone || *other > self.attempts && !self.at_most_once) {
            wrong.push(format!("has attempt {attempt} beside the attempts {others:?}"));
        }
        let fate = self.fates.entry(place).or_default();
        fate.runs += 1;
        let other = fate.running.iter().find(|(_, other, _)| *other == id);
        if let Some((other, ..)) = other.filter(|_| !excused) {
            wrong.push(format!("is run by two at once: {other} and {process}"));
        }
        fate.running.push((process, id, attempt));
        if attempt > allowed && !self.at_most_once {
            wrong.push(format!("has attempt {attempt} of {allowed}"));
        }
        let (last, repeats) = fate.entries.get(&id).copied().unwrap_or_default();
        if attempt < last + u32::from(!repeats) && losses == 0 && !excused && !self.at_most_once {
            wrong.push(format!("has attempt {attempt} after attempt {last}"));
        }
        fate.originals.insert(original);
        let (last, repeats, not_before) = fate.last;
        let is_one = fate.originals.len() == 1 && fate.redrives == 0 && !self.at_most_once;
        if is_one && losses == 0 && disturbed.is_none() {
            if attempt < last + u32::from(!repeats) {
                wrong.push(format!("has attempt {attempt} in a new entry after {last}"));
            }
            if now < not_before {
                wrong.push(format!("is run at {now:?}, before its delay ends at {not_before:?}"));
            }
        }
        fate.last = (attempt, false, Duration::ZERO);
        fate.entries.insert(id, (attempt, false));
        // A delayed job has another entry. It may be added twice when its mover is lost.
        let entries = if disturbed.is_some() {
            fate.entries.len()
        } else {
            fate.originals.len() + usize::try_from(fate.redrives).unwrap_or_default()
        };
        let entries = u32::try_from(entries).unwrap_or(u32::MAX);
        let bound = allowed * (entries + losses) + fate.released + fate.unclear;
        if fate.runs > bound {
            wrong.push(format!("is run {} times of {bound}", fate.runs));
        }
        if let Some(done) = fate.done_at {
            let caused = disturbed.is_some() || losses > 0 || fate.redrives > 0;
            if kind == Kind::Calm || !caused {
                wrong.push(format!("was done at {done:?} and is run again without a cause"));
            }
        }
        let run = fate.runs - fate.released;
        for text in wrong {
            self.wrong(place, &text);
        }
        run
    }

    /// The attempts that a job may have. The last one is run alone.
    pub(crate) fn most_attempts(&self) -> u32 {
        self.attempts + u32::from(self.attempts > 1)
    }

    /// Returns the attempts that this process runs now.
    fn runs_of(&self, process: usize) -> Vec<u32> {
        let runs = self.fates.values().flat_map(|fate| &fate.running);
        runs.filter(|(other, ..)| *other == process).map(|(.., attempt)| *attempt).collect()
    }

    pub(crate) fn wrong(&mut self, (group, job): Place, text: &str) {
        let fate = self.fates.get(&(group, job)).cloned().unwrap_or_default();
        let (nature, sent) = (self.natures[job], self.sent[job]);
        self.wrong
            .push(format!("job {job} of group {group} {text}\n  {nature:?} {sent:?} {fate:?}"));
    }

    /// A run ended.
    pub(crate) fn end(&mut self, place: Place, process: usize, id: EntryId, end: End) {
        let Some(fate) = self.fates.get_mut(&place) else { return };
        let is_it = |(other, entry, _): &(usize, EntryId, u32)| (*other, *entry) == (process, id);
        if let Some(index) = fate.running.iter().position(is_it) {
            fate.running.remove(index);
        }
        fate.released += u32::from(end == End::Released);
        fate.unclear += u32::from(end == End::MaybeReleased);
        if end != End::Over {
            fate.last.1 = true;
            fate.entries.entry(id).and_modify(|(_, repeats)| *repeats = true);
        }
    }

    /// A run failed, and the next one is not before then.
    pub(crate) fn delayed(&mut self, place: Place, until: Duration) {
        self.fates.entry(place).or_default().last.2 = until;
    }

    pub(crate) fn succeeded(&mut self, now: Duration, place: Place) {
        let fate = self.fates.entry(place).or_default();
        fate.successes += 1;
        fate.done_at.get_or_insert(now);
    }
}
