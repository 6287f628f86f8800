//! The judge: the rules that every history must follow. Rules for jobs and workers are here, rules
//! for runs in `runs`.
//!
//! | rule | broken if |
//! |---|---|
//! | `lost` | a confirmed job, or one that ran, was never done and is not dead-lettered |
//! | `phantom` | a run or dead letter of a job that was not sent, or exists more often than sent; one id for two jobs |
//! | `duplicate-dead-letter` | an entry is in the dead-letter stream twice, and was not moved back twice |
//! | `early-dead-letter` | a dead letter had fewer attempts than the limit |
//! | `wrong-dead-letter` | a dead letter's job can succeed, and did not lose its workers each time; or too many did |
//! | `poison-done` | a job that always fails was done |
//! | `stuck` | the stream has entries or pending entries at the end |
//! | `ended` | a worker ended without SIGTERM, a kill or an intended abort; or did not end after SIGTERM |
//! | `wrong` | a process reported a violation, or a line cannot be read |

use crate::causes::Job;
use crate::history::{DeadLetter, End, History, Life, Restart, SendResult, What};
use crate::job::MAX_ATTEMPTS;
use crate::runs;
use bourn::EntryId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The number of jobs of which one may be dead-lettered because its workers died each time: also the
/// last one, in which it ran alone.
const MOST_LOST: usize = 20_000;

/// The findings about a history.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) wrong: Vec<Wrong>,
    /// Jobs that were done twice, with the cause.
    pub(crate) twice: Vec<(What, String)>,
    /// Dead letters of jobs that lost their workers each time.
    pub(crate) lost_workers: Vec<String>,
    /// Jobs that are in the stream twice, because an enqueue of unknown outcome was repeated.
    pub(crate) sent_twice: u64,
    /// Confirmed entries that the server lost in a restart.
    pub(crate) rolled_back: u64,
}

/// A violation of a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) rule: &'static str,
    /// The id or number by which the log lines name it.
    pub(crate) name: String,
    pub(crate) how: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, name, how } = self;
        write!(f, "{rule}: {name}: {how}")
    }
}

impl Verdict {
    /// Returns the number of violations by rule.
    pub(crate) fn found(&self) -> BTreeMap<&'static str, u64> {
        let mut found = BTreeMap::new();
        self.wrong.iter().for_each(|wrong| *found.entry(wrong.rule).or_default() += 1);
        found
    }

    pub(crate) fn wrong(&mut self, rule: &'static str, name: impl fmt::Display, how: &str) {
        self.wrong.push(Wrong { rule, name: name.to_string(), how: how.to_owned() });
    }
}

/// Judges a complete history.
pub(crate) fn judge(history: &History) -> Verdict {
    let mut verdict = Verdict::default();
    for line in &history.wrong {
        verdict.wrong("wrong", "a line", line);
    }
    phantoms(history, &mut verdict);
    fates(history, &mut verdict);
    dead_letters(history, &mut verdict);
    workers(history, &mut verdict);
    match history.remain {
        Some((0, 0)) => {}
        Some((entries, pending)) => {
            let how = format!("{entries} entries, {pending} of them pending");
            verdict.wrong("stuck", "the stream", &how);
        }
        None => verdict.wrong("stuck", "the stream", "not checked"),
    }
    runs::judge(history, &mut verdict);
    verdict
}

/// Checks that every entry was sent, and exists no more often than it was sent.
fn phantoms(history: &History, verdict: &mut Verdict) {
    let mut numbers: BTreeMap<EntryId, u64> = BTreeMap::new();
    let mut there: BTreeMap<u64, BTreeSet<EntryId>> = BTreeMap::new();
    let mut see = |id: EntryId, n: u64| {
        there.entry(n).or_default().insert(id);
        let known = *numbers.entry(id).or_insert(n);
        if known != n {
            verdict.wrong("phantom", id, &format!("is job {known} and job {n}"));
        }
    };
    for (n, job) in &history.jobs {
        let ids = job.times.iter().filter_map(|(_, result)| match result {
            SendResult::Enqueued(id) => Some(*id),
            _ => None,
        });
        ids.for_each(|id| see(id, *n));
    }
    history
        .runs
        .iter()
        .flat_map(|(id, runs)| runs.iter().map(|run| (*id, run.n)))
        .for_each(|(id, n)| see(id, n));
    history.dead.iter().for_each(|dead| see(dead.id, dead.n));
    for (n, ids) in there {
        let results = history.jobs.get(&n).map_or(&[][..], |job| &job.times[..]);
        let sent = results.iter().filter(|(_, result)| *result != SendResult::Unsent).count();
        if ids.len() > sent {
            let how = format!("sent {sent} times, and stored as {ids:?}");
            verdict.wrong("phantom", n, &how);
        }
        verdict.sent_twice += u64::from(ids.len() > 1);
    }
}

/// Checks that every job is settled.
fn fates(history: &History, verdict: &mut Verdict) {
    let dead: BTreeSet<_> = history.dead.iter().map(|dead| dead.id).collect();
    let done = |id: &EntryId| {
        let runs = history.runs.get(id).map_or(&[][..], Vec::as_slice);
        runs.iter().any(|run| run.end == End::Done)
    };
    for (n, job) in &history.jobs {
        for (_, result) in &job.times {
            let SendResult::Enqueued(id) = result else { continue };
            if done(id) || dead.contains(id) {
                continue;
            }
            // The entry's id is a time of the same clock.
            let lost = |restart: &Restart| {
                restart.last < *id && u128::from(id.ms()) <= restart.killed.as_millis()
            };
            if history.restarts.iter().any(lost) {
                verdict.rolled_back += 1;
            } else if !history.runs.contains_key(id) {
                verdict.wrong("lost", id, &format!("job {n} ({}) never ran", job.kind));
            }
        }
    }
    for (id, runs) in &history.runs {
        let n = runs.first().map_or(0, |run| run.n);
        if !done(id) && !dead.contains(id) {
            verdict.wrong(
                "lost",
                id,
                &format!("job {n} ran, and was neither done nor dead-lettered"),
            );
        }
        let poison = history.jobs.get(&n).is_some_and(|job| job.kind.is_poison());
        if poison && done(id) {
            verdict.wrong("poison-done", id, &format!("job {n}"));
        }
    }
}

/// Checks that dead letters are the poison jobs, once each, after all attempts; and few jobs whose
/// workers died each time.
fn dead_letters(history: &History, verdict: &mut Verdict) {
    let mut seen = BTreeSet::new();
    for dead in &history.dead {
        let DeadLetter { id, n, attempts, at } = dead;
        let runs = history.runs.get(id).map_or(&[][..], Vec::as_slice);
        let job = Job { history, id: *id, runs };
        if !seen.insert(id) && !job.is_copied(*at) {
            verdict.wrong("duplicate-dead-letter", id, &format!("job {n}"));
        }
        if *attempts < MAX_ATTEMPTS {
            verdict.wrong("early-dead-letter", id, &format!("job {n} after {attempts} attempts"));
        }
        // A job that was never sent is a `phantom`.
        let Some(sent) = history.jobs.get(n).filter(|sent| !sent.kind.is_poison()) else {
            continue;
        };
        let ends: Vec<_> = runs.iter().map(|run| (run.attempt, run.end)).collect();
        let how = format!("job {n} ({}) ended like this: {ends:?}", sent.kind);
        let most = 1 + history.jobs.len() / MOST_LOST;
        if job.lost_every_worker(dead, sent.kind) && verdict.lost_workers.len() < most {
            verdict.lost_workers.push(format!("{id}: {how}"));
        } else {
            verdict.wrong("wrong-dead-letter", id, &how);
        }
    }
}

/// Checks that workers end only when they are made to.
fn workers(history: &History, verdict: &mut Verdict) {
    for (worker, life) in &history.workers {
        let Life { ended, killed, asked_to_leave, .. } = life;
        let aborted = || {
            let mut runs = history.runs.values().flatten();
            runs.any(|run| run.worker == *worker && run.end == End::Aborted)
        };
        let well = match ended.as_deref() {
            Some("signal 9") => *killed,
            Some("signal 6") => aborted(),
            // Signal 15 if SIGTERM came before the handler was installed.
            Some("code 0" | "signal 15") => *asked_to_leave,
            _ => false,
        };
        if !well {
            let how = ended.as_deref().unwrap_or("it has not ended");
            verdict.wrong("ended", format!("w{worker}"), how);
        }
    }
}
