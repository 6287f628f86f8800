//! Consumer groups: who has which entries pending. No I/O.

use crate::id::EntryId;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// A consumer group.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) last_id: EntryId,
    /// The number of entries read, deleted ones too. `None`: not known.
    pub(crate) entries_read: Option<u64>,
    pending: BTreeMap<EntryId, Pending>,
    by_time: BTreeMap<Place, EntryId>,
    next_place: u64,
    pub(crate) consumers: BTreeMap<Bytes, Consumer>,
}

/// A pending entry.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    /// The owner. `None` after XNACK.
    pub(crate) consumer: Option<Bytes>,
    /// The time of the last delivery, 0 after XNACK.
    pub(crate) time: i64,
    pub(crate) count: i64,
    place: Place,
}

/// A pending entry's place in the order of delivery: entries without an owner, then by time, then by
/// the order of the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    owned: bool,
    time: i64,
    number: u64,
}

/// A consumer.
#[derive(Debug, Clone)]
pub(crate) struct Consumer {
    /// The time of its last command.
    pub(crate) seen: i64,
    /// The time at which it last got an entry.
    pub(crate) active: Option<i64>,
    pub(crate) pending: BTreeSet<EntryId>,
}

impl Consumer {
    const fn new(now: i64) -> Self {
        Self { seen: now, active: None, pending: BTreeSet::new() }
    }
}

impl Group {
    pub(crate) const fn new(last_id: EntryId, entries_read: Option<u64>) -> Self {
        Self {
            last_id,
            entries_read,
            pending: BTreeMap::new(),
            by_time: BTreeMap::new(),
            next_place: 0,
            consumers: BTreeMap::new(),
        }
    }

    /// Returns a pending entry.
    pub(crate) fn pending(&self, id: EntryId) -> Option<&Pending> {
        self.pending.get(&id)
    }

    /// Returns all pending entries in the order of their ids.
    pub(crate) const fn all_pending(&self) -> &BTreeMap<EntryId, Pending> {
        &self.pending
    }

    /// Returns the pending entries with the time of the last delivery, in its order; those without
    /// an owner come first.
    pub(crate) fn by_time(&self) -> impl Iterator<Item = (i64, EntryId)> {
        self.by_time.iter().map(|(place, id)| (place.time, *id))
    }

    /// Returns the number of pending entries without an owner.
    pub(crate) fn nacked(&self) -> usize {
        self.by_time.keys().take_while(|place| !place.owned).count()
    }

    /// Returns a consumer, and creates it if it does not exist.
    pub(crate) fn consumer(&mut self, name: &Bytes, now: i64) -> &mut Consumer {
        if !self.consumers.contains_key(name) {
            self.consumers.insert(name.clone(), Consumer::new(now));
        }
        self.consumers.get_mut(name).expect("it was inserted above")
    }

    /// Makes an entry pending, or changes one that is.
    pub(crate) fn set(&mut self, id: EntryId, consumer: Option<&Bytes>, time: i64, count: i64) {
        let place = Place { owned: consumer.is_some(), time, number: self.next_place };
        self.next_place += 1;
        self.by_time.insert(place, id);
        let pending = Pending { consumer: consumer.cloned(), time, count, place };
        let before = self.pending.insert(id, pending);
        let owner = before.as_ref().and_then(|before| before.consumer.as_ref());
        if let Some(before) = &before {
            self.by_time.remove(&before.place);
        }
        if owner != consumer || before.is_none() {
            if let Some(owner) = owner.and_then(|owner| self.consumers.get_mut(owner)) {
                owner.pending.remove(&id);
            }
            if let Some(owner) = consumer.and_then(|owner| self.consumers.get_mut(owner)) {
                owner.pending.insert(id);
            }
        }
    }

    /// Removes a pending entry.
    pub(crate) fn remove(&mut self, id: EntryId) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        self.by_time.remove(&pending.place);
        if let Some(owner) = pending.consumer.and_then(|owner| self.consumers.get_mut(&owner)) {
            owner.pending.remove(&id);
        }
        true
    }

    /// Removes a consumer with its pending entries, and returns their number.
    pub(crate) fn delete_consumer(&mut self, name: &[u8]) -> usize {
        let Some(consumer) = self.consumers.remove(name) else { return 0 };
        for id in &consumer.pending {
            self.remove(*id);
        }
        consumer.pending.len()
    }
}
