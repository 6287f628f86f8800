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
    pub(super) fn is_referenced(&self, id: EntryId) -> bool {
        self.groups.values().any(|group| id > group.last_id || group.pending(id).is_some())
    }

    /// Removes an entry from the pending entries of all groups.
    pub(super) fn dereference(&mut self, id: EntryId) {
        for group in self.groups.values_mut() {
            group.remove(id);
        }
    }
}
