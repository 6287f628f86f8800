//! The progress of a group: its counter, and its distance from the end. No I/O.

use super::super::Release;
use super::{Group, Stream};
use crate::id::EntryId;

impl Stream {
    /// Whether an entry after `start` was deleted from the middle of the stream.
    ///
    /// Valkey also reports a gap before the first entry.
    pub(crate) fn has_gap_from(&self, start: EntryId, release: Release) -> bool {
        if self.len() == 0 || self.max_deleted_id == EntryId::MIN {
            return false;
        }
        if self.first_id() > self.max_deleted_id && !release.is_valkey() {
            return false;
        }
        start <= self.max_deleted_id
    }

    /// Returns the number of entries that were ever added up to this id, if it can be known.
    pub(crate) fn added_up_to(&self, id: EntryId, release: Release) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.len() == 0 && id <= self.last_id {
            return Some(self.entries_added);
        }
        let is_newer = release.has(Release::Redis8_2) || release.is_valkey();
        if is_newer && id != EntryId::MIN && id < self.max_deleted_id {
            return None;
        }
        match id.cmp(&self.last_id) {
            std::cmp::Ordering::Equal => return Some(self.entries_added),
            std::cmp::Ordering::Greater => return None,
            std::cmp::Ordering::Less => {}
        }
        let first = self.first_id();
        if self.max_deleted_id != EntryId::MIN && self.max_deleted_id >= first {
            return None;
        }
        let before = self.entries_added.wrapping_sub(self.len());
        match id.cmp(&first) {
            std::cmp::Ordering::Less => Some(before),
            std::cmp::Ordering::Equal => Some(before.wrapping_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// Returns the number of entries that a group has yet to read, if it can be known.
    pub(crate) fn lag(&self, group: &Group, release: Release) -> Option<i64> {
        let added = as_signed(self.entries_added);
        if self.entries_added == 0 {
            return Some(0);
        }
        if release.has(Release::Redis8_2) {
            if self.len() == 0 {
                return Some(0);
            }
            let first = self.first_id();
            if group.last_id < first && self.max_deleted_id < first {
                return Some(as_signed(self.len()));
            }
        }
        if let Some(read) =
            group.entries_read.filter(|_| !self.has_gap_from(group.last_id, release))
        {
            return Some(added.wrapping_sub(as_signed(read)));
        }
        self.added_up_to(group.last_id, release).map(|read| added.wrapping_sub(as_signed(read)))
    }
}

/// Returns a counter as the server prints it.
pub(crate) const fn as_signed(counter: u64) -> i64 {
    i64::from_ne_bytes(counter.to_ne_bytes())
}

/// Returns a counter as the server keeps it.
pub(crate) const fn as_unsigned(counter: i64) -> u64 {
    u64::from_ne_bytes(counter.to_ne_bytes())
}
