//! The kinds of retention, and the names under which a group's kind is recorded at the server.
//! No I/O.
//!
//! A queue records the kind as a consumer of its group that never reads. The queues of all groups of
//! a stream must have the same kind: one that deletes takes away what another has not read.
//!
//! | consumer | retention |
//! |---|---|
//! | `~retention:delete` | `DeleteOnAck` |
//! | `~retention:keep` | `KeepUntilAllAcked` |
//! | `~retention:lossy` | `LossyMaxLen`, `LossyMaxAge` |
//!
//! A group without such a consumer belongs to another client.

use std::fmt;

/// The kind of a retention: which entries are deleted, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetentionKind {
    Delete,
    Keep,
    Lossy,
}

impl RetentionKind {
    pub(crate) const ALL: [Self; 3] = [Self::Delete, Self::Keep, Self::Lossy];

    /// Returns the name of the consumer that records this kind.
    pub(crate) fn marker(self) -> &'static str {
        match self {
            Self::Delete => "~retention:delete",
            Self::Keep => "~retention:keep",
            Self::Lossy => "~retention:lossy",
        }
    }

    /// Returns the kind that a consumer of this name records.
    pub(crate) fn of_marker(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.marker().as_bytes() == name)
    }
}

/// As the variants of [`Retention`](crate::queue::Retention).
impl fmt::Display for RetentionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delete => "DeleteOnAck",
            Self::Keep => "KeepUntilAllAcked",
            Self::Lossy => "LossyMaxLen or LossyMaxAge",
        })
    }
}
