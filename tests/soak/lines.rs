//! Reads a history from the lines of all processes.
//!
//! | who | writes |
//! |---|---|
//! | `producer` | `sent N KIND`, then `enqueued N ID`, `unknown N` or `unsent N` |
//! | `w7`, a worker | `started ID N ATTEMPT`, then `done`, `failed`, `aborting` or `dropped` (its lease was `lost` or `kept`) `ID ATTEMPT` |
//! | | `acked ID ATTEMPT`: the queue has said so, and that nobody else had |
//! | | `wrong …`, about something that may not be; `left …` |
//! | `conductor` | `spawned W SLOT`, `killing W`, `telling W` to leave, `stayed W` in spite of that, `ended W HOW` |
//! | | `halting W`, `continued W` |
//! | | `always`, if the server has what it acknowledges on its disk; `server-killed`, `server-back LAST-ID` |
//! | | `reset S`, `cut S`, `refusing S`, `accepting S`, `stalling S`, `flowing S`: the connections of a slot, where one worker at a time works |
//! | | at the end `dead ID N ATTEMPTS WHEN` for each dead letter, `remain ENTRIES PENDING`, `wrong …` |

use crate::history::{
    Dead, End, History, Life, Restart, Run, Sent, Told, Trouble, What, Whom, Worker,
};
use crate::job::Kind;
use crate::log;
use std::collections::BTreeMap;
use std::time::Duration;

/// A cut is noticed so much later, at most.
const CUT_SEEN: Duration = Duration::from_millis(100);

/// Troubles that have begun and not ended.
type Open = BTreeMap<(What, Whom), Duration>;

impl History {
    /// Reads lines, of each process in the order in which it wrote them.
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
        history.troubles.extend(open.map(|((what, whom), from)| {
            // What has no end line lasts to the end.
            Trouble { what, whom, from, until: end }
        }));
        for (worker, life) in &history.workers {
            if let Some(from) = life.dying {
                let whom = Whom::Worker(*worker);
                let left = life.ended.as_deref() == Some("code 0");
                let what = if left { What::Leave } else { What::Death };
                history.troubles.push(Trouble { what, whom, from, until: end });
            }
        }
        history.troubles.sort_by_key(|trouble| trouble.from);
        for run in history.runs.values_mut().flatten() {
            if run.until.is_none() {
                run.until = history.workers.get(&run.worker).and_then(|life| life.dying);
            }
        }
        history
    }

    /// Takes a line in; `None` if it cannot be read.
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
            // Until it is told.
            job.times.push((at, Told::Unknown));
            return Some(());
        }
        let (n, told) = match words {
            ["enqueued", n, id] => (n, Told::Enqueued(id.parse().ok()?)),
            ["unknown", n] => (n, Told::Unknown),
            ["unsent", n] => (n, Told::Unsent),
            _ => return None,
        };
        *self.jobs.get_mut(&n.parse().ok()?)?.times.last_mut()? = (at, told);
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

    /// The last run of this attempt by this worker.
    fn run(&mut self, worker: Worker, id: &str, attempt: &str) -> Option<&mut Run> {
        let attempt: u32 = attempt.parse().ok()?;
        let runs = self.runs.get_mut(&id.parse().ok()?)?;
        runs.iter_mut().rev().find(|run| run.worker == worker && run.attempt == attempt)
    }

    fn conductor(&mut self, at: Duration, words: &[&str], open: &mut Open) -> Option<()> {
        let now = |what, whom| Trouble { what, whom, from: at, until: at };
        let (begins, what, whom) = match words {
            ["spawned", worker, slot] => {
                let (slot, dying, ended) = (parse_slot(slot)?, None, None);
                let life = Life { slot, dying, killed: false, told: false, ended };
                self.workers.insert(parse_worker(worker)?, life);
                return Some(());
            }
            [what @ ("killing" | "telling" | "stayed" | "ended"), worker, how @ ..] => {
                let life = self.workers.get_mut(&parse_worker(worker)?)?;
                match *what {
                    "killing" => life.killed = true,
                    "telling" => life.told = true,
                    "stayed" => self.wrong.push(format!("{worker} did not leave when told to")),
                    _ => life.ended = Some(how.join(" ")),
                }
                if *what != "telling" {
                    life.dying.get_or_insert(at);
                }
                return Some(());
            }
            ["dead", id, n, attempts, since] => {
                let (id, n, attempts) = (id.parse().ok()?, n.parse().ok()?, attempts.parse().ok()?);
                self.dead.push(Dead { id, n, attempts, at: log::parse(since)? });
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
                self.troubles.push(now(What::Reset, Whom::Slot(parse_slot(slot)?)));
                return Some(());
            }
            ["cut", slot] => {
                let from = at.saturating_sub(CUT_SEEN);
                let cut = now(What::Cut, Whom::Slot(parse_slot(slot)?));
                self.troubles.push(Trouble { from, ..cut });
                return Some(());
            }
            ["halting", worker] => (true, What::Halt, Whom::Worker(parse_worker(worker)?)),
            ["continued", worker] => (false, What::Halt, Whom::Worker(parse_worker(worker)?)),
            ["server-killed"] => (true, What::ServerKilled, Whom::Everyone),
            ["server-back", last] => {
                let killed = *open.get(&(What::ServerKilled, Whom::Everyone))?;
                self.restarts.push(Restart { killed, last: last.parse().ok()? });
                (false, What::ServerKilled, Whom::Everyone)
            }
            ["refusing", slot] => (true, What::Refused, Whom::Slot(parse_slot(slot)?)),
            ["accepting", slot] => (false, What::Refused, Whom::Slot(parse_slot(slot)?)),
            ["stalling", slot] => (true, What::Stalled, Whom::Slot(parse_slot(slot)?)),
            ["flowing", slot] => (false, What::Stalled, Whom::Slot(parse_slot(slot)?)),
            _ => return None,
        };
        if begins {
            open.insert((what, whom), at);
        } else {
            let from = open.remove(&(what, whom))?;
            self.troubles.push(Trouble { what, whom, from, until: at });
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
