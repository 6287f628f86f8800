//! The judge: what may not be in a history, whatever has happened. What is alive is judged in here, runs in `runs`.
//!
//! | rule | broken if |
//! |---|---|
//! | `lost` | a job that was confirmed, or has run, was never done, and is no dead letter |
//! | `phantom` | a run or a dead letter of what was never sent, or is there more often than it was sent; one id for two jobs |
//! | `dead-twice` | an entry is in the dead-letter stream twice |
//! | `dead-early` | a dead letter was not tried as often as it may be |
//! | `dead-innocent` | a dead letter is of a job that does not always fail, and did not lose its workers each time; or too many are |
//! | `poison-done` | a job that always fails was done |
//! | `stuck` | the stream has entries or pending ones in the end |
//! | `ended` | a worker ended that nobody had told to, killed or made abort; or one did not when it was told |
//! | `wrong` | somebody has said so, or a line cannot be read |

use crate::causes::Job;
use crate::history::{Dead, End, History, Life, Restart, Told, What};
use crate::job::MAX_ATTEMPTS;
use crate::runs;
use bourn::EntryId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One of so many jobs may lose its workers so often that it is dead.
const WORN: usize = 10_000;

/// What is to be said about a history.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) wrong: Vec<Wrong>,
    /// Jobs that were done again, with the cause of it.
    pub(crate) twice: Vec<(What, String)>,
    /// Dead letters of jobs that lost their workers each time.
    pub(crate) worn: Vec<String>,
    /// Jobs that are in the stream twice, because it was not known that they already were.
    pub(crate) sent_twice: u64,
    /// Entries that were confirmed and that the server had forgotten when it came back.
    pub(crate) rolled_back: u64,
}

/// A rule that was broken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) rule: &'static str,
    /// An id or a number that the lines about it name.
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
    /// How often each rule was broken.
    pub(crate) fn found(&self) -> BTreeMap<&'static str, u64> {
        let mut found = BTreeMap::new();
        self.wrong.iter().for_each(|wrong| *found.entry(wrong.rule).or_default() += 1);
        found
    }

    pub(crate) fn wrong(&mut self, rule: &'static str, name: impl fmt::Display, how: &str) {
        self.wrong.push(Wrong { rule, name: name.to_string(), how: how.to_owned() });
    }
}

/// Judges a history that has come to its end.
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
        None => verdict.wrong("stuck", "the stream", "nobody has looked"),
    }
    runs::judge(history, &mut verdict);
    verdict
}

/// What is there is what was sent, and as often.
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
        let ids = job.times.iter().filter_map(|(_, told)| match told {
            Told::Enqueued(id) => Some(*id),
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
        let told = history.jobs.get(&n).map_or(&[][..], |job| &job.times[..]);
        let sent = told.iter().filter(|(_, told)| *told != Told::Unsent).count();
        if ids.len() > sent {
            let how = format!("sent {sent} times, and there as {ids:?}");
            verdict.wrong("phantom", n, &how);
        }
        verdict.sent_twice += u64::from(ids.len() > 1);
    }
}

/// Everything that is there comes to an end.
fn fates(history: &History, verdict: &mut Verdict) {
    let dead: BTreeSet<_> = history.dead.iter().map(|dead| dead.id).collect();
    let done = |id: &EntryId| {
        let runs = history.runs.get(id).map_or(&[][..], Vec::as_slice);
        runs.iter().any(|run| run.end == End::Done)
    };
    for (n, job) in &history.jobs {
        for (_, told) in &job.times {
            let Told::Enqueued(id) = told else { continue };
            if done(id) || dead.contains(id) {
                continue;
            }
            // Its id says when it was there, by the same clock.
            let forgotten = |restart: &Restart| {
                restart.last < *id && u128::from(id.ms()) <= restart.killed.as_millis()
            };
            if history.restarts.iter().any(forgotten) {
                verdict.rolled_back += 1;
            } else if !history.runs.contains_key(id) {
                verdict.wrong("lost", id, &format!("job {n} ({}) never ran", job.kind));
            }
        }
    }
    for (id, runs) in &history.runs {
        let n = runs.first().map_or(0, |run| run.n);
        if !done(id) && !dead.contains(id) {
            verdict.wrong("lost", id, &format!("job {n} ran, and was neither done nor dead"));
        }
        let poison = history.jobs.get(&n).is_some_and(|job| job.kind.is_poison());
        if poison && done(id) {
            verdict.wrong("poison-done", id, &format!("job {n}"));
        }
    }
}

/// The dead letters are the poison, each once, after as many attempts as it may have; and few of those whose workers died
/// each time.
fn dead_letters(history: &History, verdict: &mut Verdict) {
    let mut seen = BTreeSet::new();
    for dead in &history.dead {
        let Dead { id, n, attempts, .. } = dead;
        if !seen.insert(id) {
            verdict.wrong("dead-twice", id, &format!("job {n}"));
        }
        if *attempts < MAX_ATTEMPTS {
            verdict.wrong("dead-early", id, &format!("job {n} after {attempts} attempts"));
        }
        // What was never sent is a phantom.
        let Some(job) = history.jobs.get(n).filter(|job| !job.kind.is_poison()) else { continue };
        let runs = history.runs.get(id).map_or(&[][..], Vec::as_slice);
        let ends: Vec<_> = runs.iter().map(|run| (run.attempt, run.end)).collect();
        let how = format!("job {n} ({}) ended like this: {ends:?}", job.kind);
        let most = 1 + history.jobs.len() / WORN;
        let runs = Job { history, id: *id, runs };
        if runs.is_worn(dead, job.kind) && verdict.worn.len() < most {
            verdict.worn.push(format!("{id}: {how}"));
        } else {
            verdict.wrong("dead-innocent", id, &how);
        }
    }
}

/// Workers end when they are made to, and not by themselves.
fn workers(history: &History, verdict: &mut Verdict) {
    for (worker, life) in &history.workers {
        let Life { ended, killed, told, .. } = life;
        let aborted = || {
            let mut runs = history.runs.values().flatten();
            runs.any(|run| run.worker == *worker && run.end == End::Aborted)
        };
        let well = match ended.as_deref() {
            Some("signal 9") => *killed,
            Some("signal 6") => aborted(),
            // Of SIGTERM, if it was told before it could listen.
            Some("code 0" | "signal 15") => *told,
            _ => false,
        };
        if !well {
            let how = ended.as_deref().unwrap_or("it has not ended");
            verdict.wrong("ended", format!("w{worker}"), how);
        }
    }
}
