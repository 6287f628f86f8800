//! A server, as far as a queue knows it: streams, one group of each, who was given what and when.
//!
//! What differs between versions is decided by the capabilities, as it is for the real ones. Its clock is told with each command.

use super::ledger::Ledger;
use super::wire::{Claim, Command, Reply};
use crate::id::EntryId;
use crate::queue::policy::capabilities::Capabilities;
use crate::queue::policy::leases::Key;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// Milliseconds of the server's clock.
pub(super) type Ms = i64;

#[derive(Debug, Clone, Default)]
pub(super) struct Server {
    pub(super) capabilities: Capabilities,
    /// Each of them may be missing.
    pub(super) streams: Vec<Option<Stream>>,
    pub(super) letters: Vec<Letter>,
    /// Which entry was added for a job, where the server remembers.
    added: BTreeMap<usize, EntryId>,
    /// No id is given twice, whatever is lost and wherever the clock goes.
    newest: EntryId,
    copies: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Stream {
    /// The jobs.
    pub(super) entries: BTreeMap<EntryId, usize>,
    pub(super) group: Option<Group>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) last: EntryId,
    pub(super) pending: BTreeMap<EntryId, Pending>,
}

#[derive(Debug, Clone)]
pub(super) struct Pending {
    /// Nobody's, if XNACK gave it back.
    pub(super) owner: Bytes,
    /// When it was given; long ago if it is nobody's.
    pub(super) at: Ms,
    pub(super) count: u64,
}

/// A dead letter.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) copy: u64,
    pub(super) job: usize,
    /// The entry that it was, for a server that remembers.
    from: Key,
    pub(super) by: u64,
}

impl Pending {
    pub(super) fn idle(&self, now: Ms) -> Ms {
        (now - self.at).max(0)
    }

    pub(super) fn is_idle_for(&self, least: Duration, now: Ms) -> bool {
        self.idle(now) >= ms(least)
    }
}

pub(super) fn ms(time: Duration) -> Ms {
    // As the commands do: rounded up.
    Ms::try_from(time.as_micros().div_ceil(1_000)).unwrap_or(Ms::MAX)
}

impl Server {
    pub(super) fn new(levels: usize, capabilities: Capabilities) -> Self {
        Self { capabilities, streams: vec![None; levels], ..Self::default() }
    }

    /// Runs a command; `None` if it is a read that waits.
    pub(super) fn run(&mut self, command: &Command, now: Ms, ledger: &mut Ledger) -> Option<Reply> {
        Some(match command {
            Command::Read { me, read } => return self.read(me, read, now, ledger),
            Command::Add { level, job, once } => self.add((*level, *job, *once), now),
            Command::Create { level } => {
                let stream = self.streams[*level].get_or_insert_default();
                stream.group.get_or_insert_default();
                Reply::Done
            }
            Command::Exists { level, id } => Reply::Exists(self.job(*level, *id).is_some()),
            Command::Delete { level, ids } => {
                ids.iter().for_each(|id| self.delete(*level, *id, ledger));
                Reply::Done
            }
            Command::Ack { level, ids } => {
                for id in ids {
                    self.ack(*level, *id);
                }
                Reply::Done
            }
            Command::AckDel { level, ids } => {
                for id in ids {
                    self.ack_del(*level, *id, ledger);
                }
                Reply::Done
            }
            Command::Bury { level, id, job, by } => self.bury((*level, *id), *job, *by, ledger),
            Command::MadeBy { copy } => {
                let letter = self.letters.iter().find(|letter| letter.copy == *copy);
                Reply::MadeBy(letter.map(|letter| letter.by))
            }
            Command::Spare { copy } => {
                self.letters.retain(|letter| letter.copy != *copy);
                Reply::Done
            }
            Command::Sweep { level, .. }
            | Command::Claim(Claim { level, .. })
            | Command::Nack { level, .. }
            | Command::Owners { level }
            | Command::Pending { level, .. }
            | Command::Whose { level, .. } => self.pending(*level, command, now, ledger),
        })
    }

    pub(super) fn group(&mut self, level: usize) -> Option<&mut Group> {
        self.streams[level].as_mut()?.group.as_mut()
    }

    fn add(&mut self, job: (usize, usize, bool), now: Ms) -> Reply {
        let (level, job, once) = job;
        if once && self.added.contains_key(&job) {
            return Reply::Added;
        }
        let time = EntryId::new(now.unsigned_abs(), 0);
        let id = if time > self.newest { time } else { self.newest.next().expect("an id") };
        self.newest = id;
        if once {
            self.added.insert(job, id);
        }
        self.streams[level].get_or_insert_default().entries.insert(id, job);
        Reply::Added
    }

    fn delete(&mut self, level: usize, id: EntryId, ledger: &mut Ledger) {
        let stream = self.streams[level].as_mut();
        if let Some(job) = stream.and_then(|stream| stream.entries.remove(&id)) {
            ledger.deleted(job);
        }
    }

    /// Whether it was pending.
    pub(super) fn ack(&mut self, level: usize, id: EntryId) -> bool {
        self.group(level).is_some_and(|group| group.pending.remove(&id).is_some())
    }

    fn ack_del(&mut self, level: usize, id: EntryId, ledger: &mut Ledger) -> bool {
        let pending = self.ack(level, id);
        if pending {
            self.delete(level, id, ledger);
        }
        pending
    }

    fn bury(&mut self, from: Key, job: usize, by: u64, ledger: &mut Ledger) -> Reply {
        let (level, id) = from;
        let known =
            self.letters.iter().find(|letter| letter.from == from).map(|letter| letter.copy);
        let copy = known.filter(|_| self.capabilities.idmp).unwrap_or_else(|| {
            self.copies += 1;
            self.letters.push(Letter { copy: self.copies, job, from, by });
            self.copies
        });
        let acked = self.ack(level, id);
        let stream = self.streams[level].as_mut();
        let deleted = stream.is_some_and(|stream| stream.entries.remove(&id).is_some());
        if acked || deleted {
            ledger.buried(job);
        }
        Reply::Moved { copy, acked, deleted }
    }

    /// What of these is left after a crash that loses what came after `saved`.
    pub(super) fn rolled_back(&self, saved: &Self) -> Self {
        Self {
            capabilities: self.capabilities,
            newest: self.newest,
            copies: self.copies,
            ..saved.clone()
        }
    }

    /// When the next pending entry may be claimed that has to be idle for so long.
    pub(super) fn next_due(&self, least: Duration) -> Option<Ms> {
        let groups = self.streams.iter().flatten().filter_map(|stream| stream.group.as_ref());
        let due = |pending: &Pending| pending.at.saturating_add(ms(least));
        groups.flat_map(|group| group.pending.values()).map(due).min()
    }

    pub(super) fn job(&self, level: usize, id: EntryId) -> Option<usize> {
        self.streams[level].as_ref()?.entries.get(&id).copied()
    }

    /// Everything that is pending.
    pub(super) fn all_pending(&self) -> impl Iterator<Item = (Key, &Pending)> {
        self.streams.iter().enumerate().flat_map(|(level, stream)| {
            let group = stream.as_ref().and_then(|stream| stream.group.as_ref());
            let pending = group.into_iter().flat_map(|group| &group.pending);
            pending.map(move |(id, pending)| ((level, *id), pending))
        })
    }

    /// Whether all is done.
    pub(super) fn is_empty(&self) -> bool {
        let mut streams = self.streams.iter().flatten();
        self.all_pending().next().is_none() && streams.all(|stream| stream.entries.is_empty())
    }
}
