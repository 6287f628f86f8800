//! What a server does with what is pending: reads, claims, lists.

use super::ledger::Ledger;
use super::server::{Group, Ms, Pending, Server};
use super::wire::{Claim, Command, Given, Reply};
use crate::command::PendingEntry;
use crate::id::EntryId;
use crate::queue::policy::leases::Key;
use crate::queue::policy::plan::Read;
use bytes::Bytes;
use std::ops::Bound;
use std::time::Duration;

/// When what is nobody's was given: so long ago that anybody may claim it.
const LONG_AGO: Ms = 0;

impl Server {
    pub(super) fn pending(
        &mut self,
        level: usize,
        command: &Command,
        now: Ms,
        ledger: &mut Ledger,
    ) -> Reply {
        let Some(group) = self.group(level) else { return Reply::NoGroup };
        match command {
            Command::Sweep { me, least, cursor, count, .. } => {
                self.sweep((level, *cursor), me, *least, *count, now, ledger)
            }
            Command::Claim(claim) => self.claim(claim, now, ledger),
            Command::Nack { id, silent, .. } => {
                let Some(pending) = group.pending.get_mut(id) else { return Reply::Done };
                let before = pending.count;
                pending.count = before.saturating_sub(u64::from(*silent));
                (pending.owner, pending.at) = (Bytes::new(), LONG_AGO);
                let after = pending.count;
                ledger.counted(self.job(level, *id), before, after);
                Reply::Done
            }
            Command::Owners { .. } => {
                let mut owners: Vec<Bytes> = Vec::new();
                // Of what is nobody's it says nothing but in the sum.
                for pending in group.pending.values().filter(|pending| !pending.owner.is_empty()) {
                    if !owners.contains(&pending.owner) {
                        owners.push(pending.owner.clone());
                    }
                }
                Reply::Owners(owners)
            }
            Command::Pending { owner, after, count, .. } => {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                let page = group.pending.range((from, Bound::Unbounded));
                let page = page.filter(|(_, pending)| pending.owner == *owner);
                Reply::Pending(page.take(*count).map(|one| listed(one, now)).collect())
            }
            Command::Whose { id, .. } => {
                let found = group.pending.get_key_value(id);
                Reply::Pending(found.into_iter().map(|one| listed(one, now)).collect())
            }
            _ => Reply::Done,
        }
    }

    /// XREADGROUP; `None` if there is nothing.
    pub(super) fn read(
        &mut self,
        me: &Bytes,
        read: &Read,
        now: Ms,
        ledger: &mut Ledger,
    ) -> Option<Reply> {
        if read.levels.iter().any(|level| self.group(*level).is_none()) {
            return Some(Reply::NoGroup);
        }
        let mut given = Vec::new();
        let most = read.max_count.unwrap_or(usize::MAX);
        for level in &read.levels {
            let count = read.count.min(most - given.len());
            let before = given.len();
            if let Some(least) = read.claim {
                for id in self.idle_longest(*level, least, count, now) {
                    given.extend(self.give((*level, id), me, now, true, ledger));
                }
            }
            for _ in given.len()..before + count {
                let Some(id) = self.next_new(*level) else { break };
                given.extend(self.give((*level, id), me, now, true, ledger));
            }
        }
        (!given.is_empty()).then_some(Reply::Entries(given))
    }

    /// What CLAIM finds: what was idle for the longest time comes first, and what was deleted is passed over.
    fn idle_longest(
        &mut self,
        level: usize,
        least: Duration,
        most: usize,
        now: Ms,
    ) -> Vec<EntryId> {
        let Some(stream) = &self.streams[level] else { return Vec::new() };
        let pending = stream.group.iter().flat_map(|group| &group.pending);
        let mut idle: Vec<_> = pending
            .filter(|(id, pending)| {
                pending.is_idle_for(least, now) && stream.entries.contains_key(id)
            })
            .map(|(id, pending)| (pending.at, *id))
            .collect();
        idle.sort_unstable();
        idle.into_iter().take(most).map(|(_, id)| id).collect()
    }

    fn next_new(&mut self, level: usize) -> Option<EntryId> {
        let stream = self.streams[level].as_mut()?;
        let group = stream.group.as_mut()?;
        let (id, _) =
            stream.entries.range((Bound::Excluded(group.last), Bound::Unbounded)).next()?;
        group.last = *id;
        Some(*id)
    }

    /// Makes an entry this consumer's; `counts` if it is a delivery.
    fn give(
        &mut self,
        (level, id): Key,
        me: &Bytes,
        now: Ms,
        counts: bool,
        ledger: &mut Ledger,
    ) -> Option<Given> {
        let job = self.job(level, id);
        let group = self.group(level)?;
        let new = Pending { owner: me.clone(), at: now, count: 0 };
        let pending = group.pending.entry(id).or_insert(new);
        let before = pending.count;
        (pending.owner, pending.at) = (me.clone(), now);
        pending.count += u64::from(counts);
        let after = pending.count;
        ledger.counted(job, before, after);
        Some(Given { level, id, job, before })
    }

    /// Whether it is pending and was deleted, which Redis notices since 7.0.
    fn is_cleared(&mut self, (level, id): Key) -> bool {
        let gone = self.capabilities.deleted && self.job(level, id).is_none();
        gone && self.ack(level, id)
    }

    fn sweep(
        &mut self,
        (level, cursor): Key,
        me: &Bytes,
        least: Duration,
        count: usize,
        now: Ms,
        ledger: &mut Ledger,
    ) -> Reply {
        let list = |group: &mut Group| group.pending.range(cursor..).map(|(id, _)| *id).collect();
        let ids: Vec<EntryId> = self.group(level).map(list).unwrap_or_default();
        let (mut given, mut left) = (Vec::new(), count);
        let mut ids = ids.into_iter();
        for id in ids.by_ref().take(count * 10) {
            if self.is_cleared((level, id)) {
                left -= 1;
            } else if self.group(level).is_some_and(|g| g.pending[&id].is_idle_for(least, now)) {
                given.extend(self.give((level, id), me, now, true, ledger));
                left -= 1;
            }
            if left == 0 {
                break;
            }
        }
        Reply::Swept(given, ids.next())
    }

    fn claim(&mut self, claim: &Claim, now: Ms, ledger: &mut Ledger) -> Reply {
        let mut given = Vec::new();
        for id in &claim.ids {
            let key = (claim.level, *id);
            let Some(group) = self.group(claim.level) else { return Reply::NoGroup };
            let Some(pending) = group.pending.get(id) else { continue };
            if !pending.is_idle_for(claim.least, now) || self.is_cleared(key) {
                continue;
            }
            let counts = !claim.just_id && claim.count.is_none();
            given.extend(self.give(key, &claim.me, now, counts, ledger));
            let job = self.job(key.0, key.1);
            let group = self.group(claim.level);
            let Some(pending) = group.and_then(|group| group.pending.get_mut(id)) else { continue };
            pending.at = now - claim.idle.map_or(0, super::server::ms);
            if let Some(count) = claim.count {
                ledger.counted(job, pending.count, count);
                pending.count = count;
            }
        }
        if claim.just_id {
            return Reply::Ids(given.iter().map(|given| given.id).collect());
        }
        Reply::Entries(given)
    }
}

fn listed((id, pending): (&EntryId, &Pending), now: Ms) -> PendingEntry {
    let idle = u64::try_from(pending.idle(now)).unwrap_or_default();
    let nobodys = pending.owner.is_empty();
    PendingEntry {
        id: *id,
        consumer: pending.owner.clone(),
        idle: (!nobodys).then_some(Duration::from_millis(idle)),
        deliveries: pending.count,
    }
}
