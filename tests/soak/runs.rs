//! The judge's rules for runs.
//!
//! | rule | broken if |
//! |---|---|
//! | `attempts` | an attempt's number exceeds the limit, or there are more than the limit, restarts, releases and a second copy allow; one more if the last one was not settled, with a cause |
//! | `same-attempt` | two attempts have the same number, without a restart or release between them, or a second copy |
//! | `twice` | a job that was done ran again, although its worker could have acknowledged it |
//! | `acked` | a job ran again after its end was confirmed, and the server had not rolled back |
//! | `overlap` | two runs of an entry overlap, and the first one's lease cannot have expired, or its worker could have stopped it |
//! | `overstay` | runs continued after a halt of more than a lease: more than the worker's threads can have executed |
//! | `lapse` | a run was dropped for a lost lease, and no fault had affected a worker of this job |
//! | `too-soon` | a job ran again before its retry delay was over |
//! | `hung` | a run did not end, though its worker did not die |

use crate::causes::{Job, RECONNECTED, RESUMED, SLACK};
use crate::history::{End, History, Life, Run, Target, What};
use crate::job::{Kind, LEASE, MAX_ATTEMPTS, RETRY_AFTER};
use crate::judge::Verdict;
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

/// After a halt of more than a lease, a process continues no run, except that each thread may
/// finish its current poll.
fn overstays(history: &History, verdict: &mut Verdict) {
    for halt in history.faults.iter().filter(|fault| fault.what == What::Halt) {
        let over = halt.from + LEASE;
        let stayed = |run: &Run| {
            let ended = matches!(run.end, End::Done | End::Failed | End::Aborted);
            Target::Worker(run.worker) == halt.target
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
        // A job that could not be settled after its last attempt, or whose worker died during it or
        // before its run, has another one, alone.
        let is_settled = |(run, next): (&Run, &Run)| {
            let until = run.until.filter(|_| matches!(run.end, End::Done | End::Failed));
            let is_last = run.attempt == MAX_ATTEMPTS;
            is_last && until.is_some_and(|until| self.undone(run, until, next.from).is_none())
        };
        let is_over = self.runs.iter().zip(self.runs.iter().skip(1)).any(is_settled);
        let limit = MAX_ATTEMPTS + u32::from(!is_over);
        for run in self.runs.iter().filter(|run| run.attempt > limit) {
            let how = format!("attempt {} by w{}", run.attempt, run.worker);
            verdict.wrong("attempts", self.id, &how);
        }
        let (Some(first), Some(last)) = (self.runs.first(), self.runs.last()) else { return };
        let released = |run: &&Run| run.end == End::Dropped { lost: false };
        let releases = self.runs.iter().filter(released).count();
        let meanwhile = first.from..last.from;
        let restarts = self.history.restarts.iter();
        let restarts = restarts.filter(|restart| meanwhile.contains(&restart.killed));
        let most = limit as usize + releases + restarts.count();
        if self.runs.len() > most && !self.is_copied(last.from) {
            let how = format!("{} runs, at most {most} are allowed", self.runs.len());
            verdict.wrong("attempts", self.id, &how);
        }
        for (place, run) in self.runs.iter().enumerate() {
            let same = |other: &&Run| other.attempt == run.attempt;
            let Some(other) = self.runs[..place].iter().rev().find(same) else { continue };
            // A delivery that the server lost is repeated with the same number.
            let rolled_back = self.rolled_back_at(other.from)
                || self.rolled_back_at(other.from.saturating_sub(RECONNECTED));
            if !rolled_back && !released(&other) && !self.is_copied(other.from) {
                let how =
                    format!("attempt {} by w{} and w{}", run.attempt, other.worker, run.worker);
                verdict.wrong("same-attempt", self.id, &how);
            }
        }
    }

    /// A run after a finished one needs a cause for the settlement that came too late.
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
                None if self.is_copied(done.from) => {}
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
            let rolled_back = self.rolled_back_at(acked) || self.is_copied(run.from);
            // A run that was delivered before may start a little later; it needs a cause, too.
            // So may one of a process that was halted between the check of its lease and the run.
            let is_late = |other: &&Run| other.from > acked + RECONNECTED;
            let later = self.runs.iter().filter(is_late);
            let later = later.filter(|other| !self.halted(other, other.from));
            let again = self.runs[place + 1..].iter().filter(|other| other.acked.is_some());
            if let (false, Some(other)) = (rolled_back, later.chain(again).next()) {
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
                    verdict.wrong("overlap", self.id, &format!("{by}: its lease was still valid"));
                }
            }
        }
    }

    fn lapses(&self, verdict: &mut Verdict) {
        for run in self.runs.iter().filter(|run| run.end == End::Dropped { lost: true }) {
            let until = run.until.unwrap_or_default();
            let times = self.lapsing(until);
            // Another worker with an expired lease may have settled it.
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
            // If the lease had expired, the retry delay was not sent.
            if early && !self.halted(failed, until) && !self.rolled_back_at(until) {
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
