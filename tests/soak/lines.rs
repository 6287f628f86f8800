//! Reads a history from the log lines of all processes.
//!
//! | process | lines |
//! |---|---|
//! | `producer` | `sent N KIND`, then `enqueued N ID`, `unknown N` or `unsent N` |
//! | `w7`, a worker | `started ID N ATTEMPT`, then `done`, `failed`, `aborting` or `dropped` (its lease was `lost` or `kept`) `ID ATTEMPT` |
//! | | `acked ID ATTEMPT`: the queue confirmed the acknowledgement, and the job was still pending |
//! | | `wrong …`, a violation; `left …` |
//! | `conductor` | `spawned W SLOT`, `killing W`, `stopping W` (SIGTERM), `stayed W` in spite of that, `ended W HOW` |
//! | | `halting W`, `continued W` |
//! | | `always`, if acknowledged writes are on the server's disk; `recognizes-copies`, if it has IDMP |
//! | | `server-killed`, `server-back LAST-ID` |
//! | | `reset S`, `cut S`, `refusing S`, `accepting S`, `stalling S`, `flowing S`: the connections of a slot, which has one worker at a time |
//! | | at the end `dead-letter ID N ATTEMPTS WHEN` for each dead letter, `remain ENTRIES PENDING`, `wrong …` |

use crate::history::{
    DeadLetter, End, Fault, History, Life, Restart, Run, SendResult, Sent, Target, What, Worker,
};
use crate::job::Kind;
use crate::log;
use std::collections::BTreeMap;
use std::time::Duration;

/// The maximum delay until a cut is noticed.
const CUT_SEEN: Duration = Duration::from_millis(100);

/// Faults that have started and not ended.
type Open = BTreeMap<(What, Target), Duration>;

impl History {
    /// Reads lines; those of one process are in order.
    pub(crate) fn read<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut history = Self::default();
        for line in lines {
            match line.split_once(' ').and_then(|(when, _)| log::parse(when)) {
                Some(when) => history.lines.push((when, line.to_owned())),
                None => history.wrong.push(format!("unreadable: {line}")),
            }
        }
        history.lines.sort_by_key(|(when, _)| *when);
        let mut open = Open::new();
        for (when, line) in std::mem::take(&mut history.lines) {
            if history.line(when, &line, &mut open).is_none() {
                history.wrong.push(format!("unreadable: {line}"));
            }
            history.lines.push((when, line));
        }
        let end = history.lines.last().map_or(Duration::ZERO, |(when, _)| *when);
        let open = open.into_iter();
        history.faults.extend(open.map(|((what, target), from)| {
            // A fault without an end line lasts to the end.
            Fault { what, target, from, until: end }
        }));
        for (worker, life) in &history.workers {
            if let Some(from) = life.dying {
                let target = Target::Worker(*worker);
                let left = life.ended.as_deref() == Some("code 0");
                let what = if left { What::Leave } else { What::Death };
                history.faults.push(Fault { what, target, from, until: end });
            }
        }
        history.faults.sort_by_key(|fault| fault.from);
        for run in history.runs.values_mut().flatten() {
            if run.until.is_none() {
                run.until = history.workers.get(&run.worker).and_then(|life| life.dying);
            }
        }
        history
    }

    /// Reads a line; `None` if it is invalid.
    fn line(&mut self, at: Duration, line: &str, open: &mut Open) -> Option<()> {
        let words: Vec<_> = line.split(' ').skip(1).collect();
        let (who, words) = words.split_first()?;
        match (*who, words) {
            (_, ["wrong", ..]) => self.wrong.push(line.to_owned()),
            ("producer", words) => self.producer(at, words)?,
            ("conductor", words) => self.conductor(at, words, open)?,
            (who, words) => self.worker(at, parse_worker(who)?, words)?,
        }
        Some(())
    }

    fn producer(&mut self, at: Duration, words: &[&str]) -> Option<()> {
        if let ["sent", n, kind] = words {
            let kind = Kind::parse(kind)?;
            let job = self.jobs.entry(n.parse().ok()?).or_insert(Sent { kind, times: Vec::new() });
            // Unknown until the result line.
            job.times.push((at, SendResult::Unknown));
            return Some(());
        }
        let (n, result) = match words {
            ["enqueued", n, id] => (n, SendResult::Enqueued(id.parse().ok()?)),
            ["unknown", n] => (n, SendResult::Unknown),
            ["unsent", n] => (n, SendResult::Unsent),
            _ => return None,
        };
        *self.jobs.get_mut(&n.parse().ok()?)?.times.last_mut()? = (at, result);
        Some(())
    }

    fn worker(&mut self, at: Duration, worker: Worker, words: &[&str]) -> Option<()> {
        let (end, id, attempt) = match words {
            ["started", id, n, attempt] => {
                let (n, attempt) = (n.parse().ok()?, attempt.parse().ok()?);
                let run =
                    Run { worker, n, attempt, from: at, until: None, end: End::None, acked: None };
                self.runs.entry(id.parse().ok()?).or_default().push(run);
                return Some(());
            }
            ["acked", id, attempt] => {
                self.run(worker, id, attempt)?.acked = Some(at);
                return Some(());
            }
            ["left", ..] => return Some(()),
            ["done", id, attempt] => (End::Done, id, attempt),
            ["failed", id, attempt] => (End::Failed, id, attempt),
            ["aborting", id, attempt] => (End::Aborted, id, attempt),
            ["dropped", id, attempt, lease @ ("lost" | "kept")] => {
                (End::Dropped { lost: *lease == "lost" }, id, attempt)
            }
            _ => return None,
        };
        let run = self.run(worker, id, attempt).filter(|run| run.end == End::None)?;
        (run.end, run.until) = (end, Some(at));
        if end == End::Aborted {
            self.workers.get_mut(&worker)?.dying.get_or_insert(at);
        }
        Some(())
    }

    /// Returns the last run of this attempt by this worker.
    fn run(&mut self, worker: Worker, id: &str, attempt: &str) -> Option<&mut Run> {
        let attempt: u32 = attempt.parse().ok()?;
        let runs = self.runs.get_mut(&id.parse().ok()?)?;
        runs.iter_mut().rev().find(|run| run.worker == worker && run.attempt == attempt)
    }

    fn conductor(&mut self, at: Duration, words: &[&str], open: &mut Open) -> Option<()> {
        let now = |what, target| Fault { what, target, from: at, until: at };
        let (begins, what, target) = match words {
            ["spawned", worker, slot] => {
                let (slot, dying, ended) = (parse_slot(slot)?, None, None);
                let life = Life { slot, dying, killed: false, asked_to_leave: false, ended };
                self.workers.insert(parse_worker(worker)?, life);
                return Some(());
            }
            [what @ ("killing" | "stopping" | "stayed" | "ended"), worker, how @ ..] => {
                let life = self.workers.get_mut(&parse_worker(worker)?)?;
                match *what {
                    "killing" => life.killed = true,
                    "stopping" => life.asked_to_leave = true,
                    "stayed" => self.wrong.push(format!("{worker} did not leave after SIGTERM")),
                    _ => life.ended = Some(how.join(" ")),
                }
                if *what != "stopping" {
                    life.dying.get_or_insert(at);
                }
                return Some(());
            }
            ["dead-letter", id, n, attempts, since] => {
                let (id, n, attempts) = (id.parse().ok()?, n.parse().ok()?, attempts.parse().ok()?);
                self.dead.push(DeadLetter { id, n, attempts, at: log::parse(since)? });
                return Some(());
            }
            ["recognizes-copies"] => {
                self.recognizes_copies = true;
                return Some(());
            }
            ["always"] => {
                self.always = true;
                return Some(());
            }
            ["remain", entries, pending] => {
                self.remain = Some((entries.parse().ok()?, pending.parse().ok()?));
                return Some(());
            }
            ["reset", slot] => {
                self.faults.push(now(What::Reset, Target::Slot(parse_slot(slot)?)));
                return Some(());
            }
            ["cut", slot] => {
                let from = at.saturating_sub(CUT_SEEN);
                let cut = now(What::Cut, Target::Slot(parse_slot(slot)?));
                self.faults.push(Fault { from, ..cut });
                return Some(());
            }
            ["halting", worker] => (true, What::Halt, Target::Worker(parse_worker(worker)?)),
            ["continued", worker] => (false, What::Halt, Target::Worker(parse_worker(worker)?)),
            ["server-killed"] => (true, What::ServerKilled, Target::Everyone),
            ["server-back", last] => {
                let killed = *open.get(&(What::ServerKilled, Target::Everyone))?;
                self.restarts.push(Restart { killed, last: last.parse().ok()? });
                (false, What::ServerKilled, Target::Everyone)
            }
            ["refusing", slot] => (true, What::Refused, Target::Slot(parse_slot(slot)?)),
            ["accepting", slot] => (false, What::Refused, Target::Slot(parse_slot(slot)?)),
            ["stalling", slot] => (true, What::Stalled, Target::Slot(parse_slot(slot)?)),
            ["flowing", slot] => (false, What::Stalled, Target::Slot(parse_slot(slot)?)),
            _ => return None,
        };
        if begins {
            open.insert((what, target), at);
        } else {
            let from = open.remove(&(what, target))?;
            self.faults.push(Fault { what, target, from, until: at });
        }
        Some(())
    }
}

fn parse_worker(text: &str) -> Option<Worker> {
    text.strip_prefix('w')?.parse().ok()
}

fn parse_slot(text: &str) -> Option<u32> {
    text.strip_prefix('s')?.parse().ok()
}
