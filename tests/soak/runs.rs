//! The judge of runs.
//!
//! | rule | broken if |
//! |---|---|
//! | `attempts` | an attempt has a number above the limit, or there are more of them than the limit, restarts and releases allow |
//! | `same-attempt` | two attempts have one number, and neither a restart nor a release is between them |
//! | `twice` | a job that was done ran again, and who did it could have said so |
//! | `acked` | a job ran again after the queue had said that it ended, and the server had not forgotten it |
//! | `overlap` | two runs of an entry at a time, and the first one's lease cannot have lapsed, or its worker could have stopped it |
//! | `overstay` | runs went on after their worker had been halted for longer than a lease: more than its threads can have been at |
//! | `lapse` | a run was given up for a lost lease, and nothing had befallen anyone who ran this job |
//! | `too-soon` | a job ran again before the time that it had asked for |
//! | `hung` | a run did not end, though its worker did not die |

use crate::causes::{Job, RECONNECTED, RESUMED, SLACK};
use crate::check::Verdict;
use crate::history::{End, History, Life, Run, What, Whom};
use crate::job::{Kind, LEASE, MAX_ATTEMPTS, RETRY_AFTER};
use crate::log;
use crate::worker::THREADS;
use std::time::Duration;

pub(crate) fn judge(history: &History, verdict: &mut Verdict) {
    for (id, runs) in &history.runs {
        let job = Job { history, id: *id, runs };
        job.attempts(verdict);
        job.again(verdict);
        job.acked(verdict);
        job.overlaps(verdict);
        job.lapses(verdict);
        job.too_soon(verdict);
        job.hung(verdict);
    }
    overstays(history, verdict);
}

/// When a process goes on that was halted for longer than a lease, nothing goes on that it had begun. But what a thread was at
/// in that moment it ends.
fn overstays(history: &History, verdict: &mut Verdict) {
    for halt in history.troubles.iter().filter(|trouble| trouble.what == What::Halt) {
        let over = halt.from + LEASE;
        let stayed = |run: &Run| {
            let ended = matches!(run.end, End::Done | End::Failed | End::Aborted);
            Whom::Worker(run.worker) == halt.whom
                && run.from < halt.from
                && ended
                && run.until.is_some_and(|until| until >= over)
        };
        let runs = history.runs.iter().flat_map(|(id, runs)| runs.iter().map(move |run| (id, run)));
        let stayed: Vec<_> = runs.filter(|(_, run)| stayed(run)).collect();
        for (id, run) in stayed.iter().skip(THREADS) {
            verdict.wrong("overstay", id, &format!("by w{}, and others did, too", run.worker));
        }
        for (id, run) in stayed.iter().take(THREADS) {
            if run.until.is_some_and(|until| until > halt.until + RESUMED) {
                verdict.wrong("overstay", id, &format!("by w{}", run.worker));
            }
        }
    }
}

impl Job<'_> {
    fn attempts(&self, verdict: &mut Verdict) {
        for run in self.runs.iter().filter(|run| run.attempt > MAX_ATTEMPTS) {
            let how = format!("attempt {} by w{}", run.attempt, run.worker);
            verdict.wrong("attempts", self.id, &how);
        }
        let (Some(first), Some(last)) = (self.runs.first(), self.runs.last()) else { return };
        let released = |run: &&Run| run.end == End::Dropped { lost: false };
        let releases = self.runs.iter().filter(released).count();
        let meanwhile = first.from..last.from;
        let restarts = self.history.restarts.iter();
        let restarts = restarts.filter(|restart| meanwhile.contains(&restart.killed));
        let most = MAX_ATTEMPTS as usize + releases + restarts.count();
        if self.runs.len() > most {
            let how = format!("{} runs, at most {most} are allowed", self.runs.len());
            verdict.wrong("attempts", self.id, &how);
        }
        for (place, run) in self.runs.iter().enumerate() {
            let same = |other: &&Run| other.attempt == run.attempt;
            let Some(other) = self.runs[..place].iter().rev().find(same) else { continue };
            // What the server had not written down is delivered again with the same number. It was delivered a little before it ran.
            let forgotten = self.forgotten(other.from)
                || self.forgotten(other.from.saturating_sub(RECONNECTED));
            if !forgotten && !released(&other) {
                let how =
                    format!("attempt {} by w{} and w{}", run.attempt, other.worker, run.worker);
                verdict.wrong("same-attempt", self.id, &how);
            }
        }
    }

    /// A run after one that had done the job needs a cause: what was to end the job has not reached the server in time.
    fn again(&self, verdict: &mut Verdict) {
        for (done, next) in self.runs.iter().zip(self.runs.iter().skip(1)) {
            let (End::Done, Some(until)) = (done.end, done.until) else { continue };
            match self.undone(done, until, next.from) {
                Some(what) => {
                    if next.end == End::Done {
                        let after = log::print(next.from.saturating_sub(until));
                        let (first, second) = (done.worker, next.worker);
                        let how = format!(
                            "{}: w{first}, then w{second} {after} ms later: {what}",
                            self.id
                        );
                        verdict.twice.push((what, how));
                    }
                }
                None => {
                    let how = format!("done by w{}, then run by w{}", done.worker, next.worker);
                    verdict.wrong("twice", self.id, &how);
                }
            }
        }
    }

    fn acked(&self, verdict: &mut Verdict) {
        for (place, run) in self.runs.iter().enumerate() {
            let Some(acked) = run.acked else { continue };
            let forgotten = self.forgotten(acked);
            // One that was delivered before may begin a little later; it needs a cause, as any other that runs again.
            let later = self.runs.iter().filter(|other| other.from > acked + RECONNECTED);
            let again = self.runs[place + 1..].iter().filter(|other| other.acked.is_some());
            if let (false, Some(other)) = (forgotten, later.chain(again).next()) {
                let how = format!("ended by w{}, then run by w{}", run.worker, other.worker);
                verdict.wrong("acked", self.id, &how);
            }
        }
    }

    fn overlaps(&self, verdict: &mut Verdict) {
        for (place, first) in self.runs.iter().enumerate() {
            let until = first.until.unwrap_or(Duration::MAX);
            for second in self.runs[place + 1..].iter().filter(|second| second.from < until) {
                let by =
                    format!("by w{}, and by w{} at the same time", first.worker, second.worker);
                if self.cause(first, self.lapsing(second.from)).is_none() {
                    verdict.wrong("overlap", self.id, &format!("{by}: its lease had not lapsed"));
                } else if second.from + SLACK < until && !self.halted(first, second.from) {
                    verdict.wrong("overlap", self.id, &format!("{by}: it believed in its lease"));
                }
            }
        }
    }

    fn lapses(&self, verdict: &mut Verdict) {
        for run in self.runs.iter().filter(|run| run.end == End::Dropped { lost: true }) {
            let until = run.until.unwrap_or_default();
            let times = self.lapsing(until);
            // It may have been ended by another one, whose lease had lapsed.
            let from = self.runs.first().map_or(times.0, |first| first.from.min(times.0));
            let befallen = |other: &Run| self.cause(other, (from, until)).is_some();
            if self.cause(run, times).is_none() && !self.runs.iter().any(befallen) {
                verdict.wrong("lapse", self.id, &format!("of w{}", run.worker));
            }
        }
    }

    fn too_soon(&self, verdict: &mut Verdict) {
        let waits = |run: &Run| {
            let job = self.history.jobs.get(&run.n);
            job.is_some_and(|job| matches!(job.kind, Kind::Fails(_))) && run.end == End::Failed
        };
        for (failed, next) in self.runs.iter().zip(self.runs.iter().skip(1)) {
            let Some(until) = failed.until.filter(|_| waits(failed)) else { continue };
            let early = until < next.from && next.from + SLACK < until + RETRY_AFTER;
            // If its lease had lapsed, nobody asked it any more.
            if early && !self.halted(failed, until) && !self.forgotten(until) {
                let how = format!("failed by w{}, then run by w{}", failed.worker, next.worker);
                verdict.wrong("too-soon", self.id, &how);
            }
        }
    }

    fn hung(&self, verdict: &mut Verdict) {
        let hung = |run: &&Run| {
            let died = |life: &Life| life.ended.as_deref().is_some_and(|how| how != "code 0");
            run.end == End::None && !self.history.workers.get(&run.worker).is_some_and(died)
        };
        for run in self.runs.iter().filter(hung) {
            verdict.wrong("hung", self.id, &format!("by w{}", run.worker));
        }
    }
}
