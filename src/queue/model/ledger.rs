//! What happened to each job, as it really was; and what must not happen.

use super::wire::{Command, Reply};
use super::world::Us;
use crate::queue::policy::leases::Key;
use crate::queue::policy::retry_policy::Verdict;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a job does to who runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// It succeeds.
    Fine,
    /// It fails so many times, and then succeeds.
    Fails(u32),
    /// The same, and says how long to wait.
    Waits(u32, Duration),
    /// It kills its worker so many times.
    Kills(u32),
    /// It says that it will never do.
    Dies,
    /// It says that nobody needs it.
    Discards,
}

#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) level: usize,
    pub(super) nature: Nature,
    pub(super) time: Duration,
    /// Whether its producer knows that it was added.
    pub(super) confirmed: bool,
    /// Whether the server lost it.
    pub(super) taken: bool,
    /// How often it was run, and may be: more often if the server forgets how often it was, or is told to.
    runs: u32,
    allowed: u32,
    /// How often it was delivered; and without what was given back.
    delivered: u64,
    count: i64,
    pub(super) succeeded: u32,
    verdict: Option<Verdict>,
}

impl Job {
    pub(super) fn new(level: usize, nature: Nature, time: Duration) -> Self {
        Self {
            level,
            nature,
            time,
            confirmed: false,
            taken: false,
            runs: 0,
            allowed: 0,
            delivered: 0,
            count: 0,
            succeeded: 0,
            verdict: None,
        }
    }

    /// Whether nobody has to do it any more, by its own word.
    pub(super) fn is_done(&self) -> bool {
        self.succeeded > 0 || self.verdict == Some(Verdict::Discard)
    }
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) jobs: Vec<Job>,
    pub(super) attempts: u32,
    pub(super) wrong: Vec<String>,
    /// Since when nothing goes wrong any more.
    pub(super) calm: Option<Us>,
    /// Until when nobody is to blame for two who believe in this entry, or in any.
    excused: BTreeMap<Key, Us>,
    all_excused: Us,
    /// Entries that were given on connections that had been cut.
    late: BTreeSet<Key>,
    /// Whether the server has forgotten anything.
    pub(super) has_forgotten: bool,
}

impl Ledger {
    pub(super) fn new(jobs: Vec<Job>, attempts: u32) -> Self {
        let mut jobs = jobs;
        jobs.iter_mut().for_each(|job| job.allowed = attempts);
        Self { jobs, attempts, ..Self::default() }
    }

    pub(super) fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// How often the server has delivered a job changed.
    pub(super) fn counted(&mut self, job: Option<usize>, before: u64, after: u64) {
        let Some(job) = job.and_then(|job| self.jobs.get_mut(job)) else { return };
        job.count +=
            i64::try_from(after).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(i64::MAX);
        job.delivered += after.saturating_sub(before);
        job.allowed += u32::try_from(before.saturating_sub(after)).unwrap_or(u32::MAX);
    }

    /// A job is run: what it does, how long it takes, and how often it was run, this time included.
    pub(super) fn begin(&mut self, number: usize) -> (Nature, Duration, u32) {
        let job = &mut self.jobs[number];
        job.runs += 1;
        if job.runs > job.allowed {
            self.wrong.push(format!("job {number} is run too often: {job:?}"));
        }
        if u64::from(job.runs) > job.delivered {
            self.wrong.push(format!("job {number} is run more often than delivered: {job:?}"));
        }
        (job.nature, job.time, job.runs)
    }

    pub(super) fn succeeded(&mut self, job: usize) {
        self.jobs[job].succeeded += 1;
    }

    pub(super) fn says(&mut self, job: usize, verdict: Verdict) {
        self.jobs[job].verdict = Some(verdict);
    }

    /// An entry was acknowledged and deleted.
    pub(super) fn deleted(&mut self, number: usize) {
        let job = &self.jobs[number];
        if !job.is_done() {
            self.wrong.push(format!("job {number} is acknowledged and not done: {job:?}"));
        }
    }

    /// A job was moved to the dead letters.
    pub(super) fn buried(&mut self, number: usize) {
        let job = &self.jobs[number];
        if job.count < self.attempts.into() && job.verdict != Some(Verdict::Dead) {
            self.wrong.push(format!("job {number} is buried early: {job:?}"));
        }
    }

    /// Something came of a command whose connection had been cut: nobody knows.
    pub(super) fn late(&mut self, command: &Command, reply: &Reply) {
        match reply {
            Reply::Entries(given) | Reply::Swept(given, _) => {
                self.late.extend(given.iter().map(|given| (given.level, given.id)));
            }
            _ => self.late.extend(command.takes()),
        }
    }

    pub(super) fn is_late(&self, key: Key) -> bool {
        self.late.contains(&key)
    }

    /// It is in somebody's hands now.
    pub(super) fn is_taken(&mut self, key: Key) {
        self.late.remove(&key);
    }

    /// Until then nobody is to blame for two who believe in this entry.
    pub(super) fn excuse(&mut self, key: Key, until: Us) {
        let at = self.excused.entry(key).or_default();
        *at = until.max(*at);
    }

    /// The server has forgotten something, or its clock has jumped.
    pub(super) fn excuse_all(&mut self, until: Us) {
        self.all_excused = until.max(self.all_excused);
    }

    /// The server has forgotten how often it has delivered what.
    pub(super) fn forgotten(&mut self) {
        self.has_forgotten = true;
        for job in &mut self.jobs {
            job.allowed += self.attempts;
            job.delivered += u64::from(self.attempts);
        }
    }

    pub(super) fn is_excused(&self, key: Key, now: Us) -> bool {
        self.all_excused >= now || self.excused.get(&key).is_some_and(|until| *until >= now)
    }
}
