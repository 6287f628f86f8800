//! Counts entries that were trimmed before they were delivered to a group. No I/O.
//!
//! The stream reports how many entries were ever added, and the group how many it has read. What is
//! neither read nor in the stream is missing.
//!
//! | server | entries-read is | missing are | the total that is counted |
//! |---|---|---|---|
//! | Redis 7.0 to 7.4 | the number of deliveries | all that the group ever missed | the same |
//! | Redis 8.0, Valkey | the place of the last entry delivered | those after its position | the place before the first entry left |
//!
//! Each consumer sees the same numbers. So a name in the group says up to which total the missing
//! entries are counted: `~lost:6990`. The consumer that creates the name counts the difference.

use crate::command::{GroupInfo, StreamInfo};
use crate::entry::Entry;

/// The prefix of the name that says up to which total entries are counted.
const PREFIX: &str = "~lost:";

/// The counts of one stream that a consumer keeps.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unread {
    /// Whether they cannot be read: a reply was too large, or a command was refused.
    pub(crate) is_unreadable: bool,
    /// The total up to which entries were counted when this consumer last asked.
    pub(crate) total: u64,
}

/// Returns how many entries are missing; `None` if that cannot be known.
pub(crate) fn missing(group: &GroupInfo, stream: &StreamInfo) -> Option<u64> {
    let (read, added) = (group.entries_read?, stream.entries_added?);
    let last = group.last_delivered_id;
    let first = stream.first_entry.as_ref().map(Entry::id);
    let left = if first.is_none_or(|first| first > last) {
        stream.length
    } else if last >= stream.last_generated_id {
        0
    } else {
        // It is not known how many of the stream the group has read.
        return None;
    };
    Some(added.saturating_sub(read).saturating_sub(left))
}

/// Returns the total up to which missing entries are counted when these are. It never decreases.
pub(crate) fn total(missing: u64, stream: &StreamInfo, is_place: bool) -> u64 {
    let before = stream.entries_added.unwrap_or_default().saturating_sub(stream.length);
    if is_place { before } else { missing }
}

/// Returns the name that says that entries are counted up to this total.
pub(crate) fn counted_name(entries: u64) -> String {
    format!("{PREFIX}{entries}")
}

/// Returns the total up to which entries are counted, if this name says that.
pub(crate) fn counted(name: &[u8]) -> Option<u64> {
    name.strip_prefix(PREFIX.as_bytes())
        .and_then(|rest| std::str::from_utf8(rest).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_contains_the_number_of_entries() {
        for entries in [0, 6_990, u64::MAX] {
            assert_eq!(counted(counted_name(entries).as_bytes()), Some(entries));
        }
        for name in ["~lost:", "~lost:x", "lost:1", "~delay:1s", "~lost:-1", "bourn-a"] {
            assert_eq!(counted(name.as_bytes()), None, "{name}");
        }
    }
}
