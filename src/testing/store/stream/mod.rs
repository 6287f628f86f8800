//! Streams: entries in nodes, groups, and the pairs of idempotent XADD. No I/O.

mod group;
mod idmp;
mod lag;
mod listpack;
mod nodes;
mod radix;

pub(super) use group::{Consumer, Group};
pub(super) use idmp::{Idmp, automatic_iid};
pub(super) use lag::{as_signed, as_unsigned};
pub(super) use nodes::{Fields, NodeLimits, Nodes};

use super::Release;
use crate::id::EntryId;
use bytes::Bytes;
use std::collections::BTreeMap;

/// A stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Stream {
    pub(super) nodes: Nodes,
    pub(super) last_id: EntryId,
    pub(super) max_deleted_id: EntryId,
    /// The number of entries that were ever added. XSETID sets it.
    pub(super) entries_added: u64,
    pub(super) groups: BTreeMap<Bytes, Group>,
    pub(super) idmp: Idmp,
    /// The smallest last id of the groups, as Redis 8.2 remembers it: see [`Stream::move_group`].
    least_read: Option<EntryId>,
}

impl Stream {
    /// Returns the number of entries.
    pub(super) const fn len(&self) -> u64 {
        self.nodes.len()
    }

    /// Returns the id of the first entry. `0-0` if there is none.
    pub(super) fn first_id(&self) -> EntryId {
        self.nodes.first().map_or(EntryId::MIN, |(id, _)| id)
    }

    /// Returns the id of the last entry that there is.
    pub(super) fn last_entry_id(&self) -> Option<EntryId> {
        self.nodes.last().map(|(id, _)| id)
    }

    /// Deletes an entry, and records it as deleted in the middle of the stream.
    pub(super) fn delete(&mut self, id: EntryId) -> bool {
        let deleted = self.nodes.remove(id);
        if deleted {
            self.max_deleted_id = self.max_deleted_id.max(id);
        }
        deleted
    }

    /// Whether a group has yet to read this entry or has it pending.
    pub(super) fn is_referenced(&mut self, id: EntryId, release: Release) -> bool {
        let least = self.groups.values().map(|group| group.last_id).min();
        let least = match least {
            Some(least) if release == Release::Redis8_2 => *self.least_read.get_or_insert(least),
            Some(least) => least,
            None => return false,
        };
        id > least || self.groups.values().any(|group| group.pending(id).is_some())
    }

    /// Sets the last id of a group, and returns the group.
    ///
    /// Redis 8.2 remembers the smallest one until a group is created, set below it or moved from it.
    /// It does not forget that of a destroyed group.
    pub(super) fn move_group(&mut self, name: &[u8], last_id: EntryId) -> Option<&mut Group> {
        let group = self.groups.get_mut(name)?;
        let from = std::mem::replace(&mut group.last_id, last_id);
        self.least_read = self.least_read.filter(|least| from != *least && last_id >= *least);
        Some(group)
    }

    /// Adds a group.
    pub(super) fn add_group(&mut self, name: Bytes, group: Group) {
        self.groups.insert(name, group);
        self.least_read = None;
    }

    /// Removes an entry from the pending entries of all groups.
    pub(super) fn dereference(&mut self, id: EntryId) {
        for group in self.groups.values_mut() {
            group.remove(id);
        }
    }
}
