//! The results that callers got, compared with the commands that the server saw.

use super::server::Seen;
use super::world::Shared;
use bourn::{Code, Error, Outcome};
use std::sync::{Arc, Mutex, MutexGuard};

/// The kind of a command, and thereby how often it may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Adds an entry.
    Add,
    /// Adds an entry once, however often it is sent.
    AddOnce,
    /// Changes nothing, but is not known to be safe to repeat.
    Echo,
    /// Changes nothing.
    Read,
}

/// The end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// No result yet, or the caller dropped the future.
    Open,
    /// A reply, with the id if an entry was added.
    Confirmed(Option<u64>),
    Failed(Outcome),
}

/// One command.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    kind: Kind,
    /// The first line of the transaction that the command belongs to.
    transaction: Option<u64>,
    /// The command may be retried.
    repeats: bool,
    /// The future was polled.
    begun: bool,
    end: End,
}

/// All commands, by number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<Line>>>);

impl Ledger {
    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.0.lock().unwrap()
    }

    /// Adds a command; returns its number.
    pub(crate) fn open(&self, kind: Kind, transaction: Option<u64>, repeats: bool) -> u64 {
        let mut lines = self.lines();
        lines.push(Line { kind, transaction, repeats, begun: false, end: End::Open });
        lines.len() as u64 - 1
    }

    /// Returns the number of the next command.
    pub(crate) fn next(&self) -> u64 {
        self.lines().len() as u64
    }

    pub(crate) fn begin(&self, numbers: &[u64]) {
        let mut lines = self.lines();
        numbers.iter().for_each(|n| lines[index(*n)].begun = true);
    }

    /// Records a result; returns an error that may never occur.
    pub(crate) fn note(&self, n: u64, result: Result<Option<u64>, &Error>) -> Option<String> {
        let end = match result {
            Ok(id) => End::Confirmed(id),
            Err(error) => End::Failed(error.outcome()),
        };
        self.lines()[index(n)].end = end;
        let states = [Code::Loading, Code::Busy, Code::ReadOnly, Code::Oom, Code::ExecAbort];
        match result {
            Err(error @ Error::Decode { .. }) => {
                Some(format!("#{n}: {error:?}: the reply of another command?"))
            }
            Err(error @ Error::Server(refusal)) if !states.contains(refusal.code()) => {
                Some(format!("#{n}: {error:?}: the server sent no such error"))
            }
            _ => None,
        }
    }

    /// Returns the ids and numbers of the confirmed entries.
    pub(crate) fn confirmed(&self) -> Vec<(u64, u64)> {
        let lines = self.lines();
        let ids = lines.iter().zip(0..).filter_map(|(line, n)| match line.end {
            End::Confirmed(Some(id)) => Some((id, n)),
            _ => None,
        });
        ids.collect()
    }

    /// Returns the number of commands by end: confirmed, not sent, not applied, unknown, dropped.
    pub(crate) fn ends(&self) -> [usize; 5] {
        let mut ends = [0; 5];
        for line in self.lines().iter() {
            ends[match line.end {
                End::Confirmed(_) => 0,
                End::Failed(Outcome::NotSent) => 1,
                End::Failed(Outcome::NotApplied) => 2,
                End::Failed(Outcome::Unknown) => 3,
                End::Open => 4,
            }] += 1;
        }
        ends
    }

    /// Returns every contradiction between callers and server.
    pub(crate) fn disagreements(&self, shared: &Shared) -> Vec<String> {
        let world = shared.lock();
        let left_over: Vec<String> = world.links.iter().map(|link| link.left_over()).collect();
        let lines = self.lines();
        let mut wrong = Vec::new();
        for (line, n) in lines.iter().zip(0..) {
            let seen = world.server.seen.get(&n).cloned().unwrap_or_default();
            let name = format!("#{n:06}");
            // Bytes that were written and not read may have run, as far as the client can know.
            let left_over = left_over.iter().filter(|text| text.contains(&name)).count();
            if let Some(rule) = line.broken(&seen, left_over) {
                wrong.push(format!("{name}: {rule}: {line:?}, {seen:?}, {left_over} left over"));
            }
            let first = line.transaction.and_then(|first| world.server.seen.get(&first));
            if line.transaction.is_some()
                && first.map_or(0, |f| f.stored.len()) != seen.stored.len()
            {
                wrong.push(format!("{name}: half a transaction"));
            }
        }
        wrong
    }
}

impl Line {
    /// Returns the rule that is broken, if any.
    fn broken(&self, seen: &Seen, left_over: usize) -> Option<&'static str> {
        let sent = seen.ran + left_over;
        let adds = matches!(self.kind, Kind::Add | Kind::AddOnce);
        if seen.stored.len() > 1 {
            return Some("stored twice");
        }
        // A repeat comes at once, and others after pauses that double from 10 ms at least: no more
        // fit into the time.
        if sent > if self.repeats { 8 } else { 1 } {
            return Some("sent too often");
        }
        if !self.begun && sent + seen.refused > 0 {
            return Some("sent before its future was polled");
        }
        match self.end {
            End::Confirmed(id) if adds && seen.stored.first() != id.as_ref() => {
                Some("confirmed, and not what is stored")
            }
            End::Confirmed(_) if self.kind == Kind::Echo && seen.ran != 1 => {
                Some("answered, and did not run once")
            }
            End::Failed(Outcome::NotSent) if sent > 0 => Some("sent, and reported as not sent"),
            End::Failed(Outcome::NotApplied) if adds && !seen.stored.is_empty() => {
                Some("stored, and reported as not applied")
            }
            End::Failed(Outcome::NotApplied) if seen.refused == 0 => {
                Some("reported as refused, and was not")
            }
            _ => None,
        }
    }
}

/// Returns the index of a command's line.
fn index(n: u64) -> usize {
    usize::try_from(n).expect("a few lines")
}
