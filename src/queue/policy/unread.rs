//! Counts entries that were trimmed before they were delivered to a group. No I/O.
//!
//! The stream reports how many entries were ever added, and the group how many it has read. What is
//! neither read nor in the stream is missing.
//!
//! | server | entries-read is | missing are | a gap begins after | and ends at |
//! |---|---|---|---|---|
//! | Redis 7.0 to 7.4 | the number of deliveries | all that the group ever missed | 0 | the number of missing entries |
//! | Redis 8.0, Valkey | the place of the last entry delivered | those after its position | that place | the place before the first entry left |
//!
//! Several consumers may see the same gap. So a name in the group says up to where one is counted:
//! `~lost:1200-6990`. The consumer that creates the name counts the difference. Gaps that begin at
//! different places have no entry in common: a consumer that counts an earlier gap later than others
//! counts a later one still counts all of it.

use crate::command::{GroupInfo, StreamInfo};
use crate::entry::Entry;

/// The prefix of the name that says up to which total entries are counted.
const PREFIX: &str = "~lost:";

/// The counts of one stream that a consumer keeps.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unread {
    /// Whether they cannot be read: a reply was too large, or a command was refused.
    pub(crate) is_unreadable: bool,
    /// The gap that this consumer counted last.
    pub(crate) counted: Option<Gap>,
}

/// Entries of a stream that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The place after which it begins.
    pub(crate) after: u64,
    /// The place at which it ends.
    pub(crate) to: u64,
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

/// Returns the gap of this many missing entries.
pub(crate) fn gap(group: &GroupInfo, stream: &StreamInfo, missing: u64, is_place: bool) -> Gap {
    if is_place {
        let before = stream.entries_added.unwrap_or_default().saturating_sub(stream.length);
        Gap { after: group.entries_read.unwrap_or_default(), to: before }
    } else {
        Gap { after: 0, to: missing }
    }
}

/// Returns the name that says that this gap is counted.
pub(crate) fn counted_name(Gap { after, to }: Gap) -> String {
    format!("{PREFIX}{after}-{to}")
}

/// Returns the gap that is counted, if this name says that.
pub(crate) fn counted(name: &[u8]) -> Option<Gap> {
    let rest = std::str::from_utf8(name.strip_prefix(PREFIX.as_bytes())?).ok()?;
    let (after, to) = rest.split_once('-')?;
    Some(Gap { after: after.parse().ok()?, to: to.parse().ok()? })
}

/// Returns how many entries of this gap are not among those that are counted.
pub(crate) fn uncounted(gap: Gap, counted: &[Gap]) -> u64 {
    let same = counted.iter().filter(|other| other.after == gap.after);
    let most = same.map(|other| other.to).max().unwrap_or_default();
    gap.to.saturating_sub(most.max(gap.after))
}

/// Returns those of the counted gaps whose names are no longer needed: those of which more is
/// counted, and all but the latest ones.
pub(crate) fn superseded(counted: &[Gap]) -> impl Iterator<Item = Gap> {
    let later = |gap: &Gap| {
        let mut places: Vec<u64> = counted.iter().map(|other| other.after).collect();
        places.retain(|after| *after > gap.after);
        places.sort_unstable();
        places.dedup();
        places.len()
    };
    let has_more = |gap: &Gap| counted.iter().any(|it| it.after == gap.after && it.to > gap.to);
    counted.iter().filter(move |gap| has_more(gap) || later(gap) >= KEPT).copied()
}

/// The number of gaps whose names are kept: consumers that have seen one of these may count it later
/// than others.
const KEPT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_contains_the_places_of_a_gap() {
        for (after, to) in [(0, 0), (0, 6_990), (1_200, u64::MAX)] {
            let gap = Gap { after, to };
            assert_eq!(counted(counted_name(gap).as_bytes()), Some(gap));
        }
        for name in ["~lost:", "~lost:7", "~lost:x-1", "lost:1-2", "~delay:1s", "~lost:-1", "a-b"] {
            assert_eq!(counted(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn gap_is_counted_beyond_what_was_counted_of_it() {
        let gaps = |gaps: &[(u64, u64)]| -> Vec<Gap> {
            gaps.iter().map(|(after, to)| Gap { after: *after, to: *to }).collect()
        };
        for (name, (after, to), others, expected) in [
            ("the first", (0, 10), &[][..], 10),
            ("the first, after others that were read", (5, 10), &[], 5),
            ("the same", (5, 10), &[(5, 10)], 0),
            ("more of the same", (5, 10), &[(5, 7), (5, 6)], 3),
            ("less of the same", (5, 10), &[(5, 12)], 0),
            ("before a later one", (5, 10), &[(12, 20)], 5),
            ("after an earlier one", (12, 20), &[(5, 10)], 8),
            ("removed after they were read", (12, 10), &[], 0),
        ] {
            assert_eq!(uncounted(Gap { after, to }, &gaps(others)), expected, "{name}");
        }
    }

    #[test]
    fn names_of_the_latest_gaps_are_kept() {
        let counted: Vec<Gap> = (0..10).map(|n| Gap { after: n * 10, to: n * 10 + 5 }).collect();
        let all: Vec<Gap> = counted.iter().copied().chain([Gap { after: 90, to: 93 }]).collect();
        let removed: Vec<Gap> = superseded(&all).collect();
        let expected = [(0, 5), (10, 15), (90, 93)].map(|(after, to)| Gap { after, to });
        assert_eq!(removed, expected);
    }
}
