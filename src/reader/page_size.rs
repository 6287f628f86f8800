//! The number of entries to ask for at once, from the size of the replies before. Pure.
//!
//! A reply that is larger than [`Config::reply_bytes`](crate::Config::reply_bytes) ends its connection and carries nothing. So the
//! first page is small, later ones grow while they are far below the target, and a reply that was too large or too slow
//! is asked for again with half the entries.

use crate::error::Error;
use crate::resp::ProtocolError;

/// Entries of the first page. Nothing is known about their size yet.
const FIRST: u64 = 32;

/// The largest target by default.
const MOST_BYTES: usize = 16 << 20;

/// The bounds of one page, which users may change.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageLimits {
    /// At most this many entries; 1 at least.
    pub(super) count: u64,
    /// The target for the bytes of one reply; 1 at least.
    pub(super) bytes: usize,
}

impl PageLimits {
    /// The default for a connection with this limit on one reply.
    pub(super) fn new(reply_bytes: usize) -> Self {
        // The limit counts 32 bytes more for each element: a reply of short fields costs six times its bytes.
        Self { count: 1000, bytes: (reply_bytes / 8).clamp(1, MOST_BYTES) }
    }
}

/// The number of entries to ask for now.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSize(u64);

impl Default for PageSize {
    fn default() -> Self {
        Self(FIRST)
    }
}

/// What to do after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask again, for fewer entries.
    Smaller,
    /// Report that one entry alone is larger than this limit.
    OneIsTooLarge {
        /// Bytes of one reply.
        limit: usize,
    },
    /// Report the error.
    Report,
}

impl PageSize {
    /// Returns the number of entries to ask for.
    pub(super) fn count(self, limits: PageLimits) -> u64 {
        self.0.min(limits.count)
    }

    /// Takes note of a page: how many entries came for how many were asked for, in a reply of how many bytes.
    pub(super) fn came(&mut self, entries: usize, asked: u64, bytes: usize, limits: PageLimits) {
        if bytes / 2 > limits.bytes {
            self.0 = (asked / 2).max(1);
        } else if entries as u64 >= asked && bytes <= limits.bytes / 4 {
            // Twice as many are half the target at most, if they are like these.
            self.0 = asked.saturating_mul(2).min(limits.count);
        }
    }

    /// Takes note of an error after so many entries were asked for.
    pub(super) fn failed(&mut self, asked: u64, error: &Error) -> Next {
        let limit = exceeded(error);
        // A reply may take longer than there is time: the next one is to be shorter.
        if limit.is_some() || matches!(error, Error::TimedOut { .. }) {
            self.0 = (asked / 2).max(1);
        }
        match limit {
            Some(limit) if asked <= 1 => Next::OneIsTooLarge { limit },
            Some(_) => Next::Smaller,
            None => Next::Report,
        }
    }
}

/// Returns the limit on one reply, if the error is that the reply was larger.
pub(super) fn exceeded(error: &Error) -> Option<usize> {
    match error {
        Error::Protocol { source: ProtocolError::TooLarge { limit }, .. } => Some(*limit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LIMITS: PageLimits = PageLimits { count: 1000, bytes: 4000 };

    fn too_large() -> Error {
        Error::Protocol { command: "XREAD", source: ProtocolError::TooLarge { limit: 9 } }
    }

    #[test]
    fn a_page_doubles_while_it_is_far_below_the_target() {
        let rows = [
            ("full and small", 32, 1000, 64),
            ("not full", 31, 10, 32),
            ("above a quarter of the target", 32, 1001, 32),
            ("twice the target", 32, 8001, 32),
            ("above that", 32, 8002, 16),
        ];
        for (row, entries, bytes, expected) in rows {
            let mut size = PageSize::default();
            size.came(entries, 32, bytes, LIMITS);
            assert_eq!(size.count(LIMITS), expected, "{row}");
        }
    }

    #[test]
    fn a_page_never_grows_above_the_count_that_was_set() {
        let mut size = PageSize::default();
        let mut counts = Vec::new();
        for _ in 0..8 {
            let asked = size.count(LIMITS);
            size.came(1000, asked, 1, LIMITS);
            counts.push(size.count(LIMITS));
        }
        assert_eq!(counts, [64, 128, 256, 512, 1000, 1000, 1000, 1000]);
        assert_eq!(size.count(PageLimits { count: 3, ..LIMITS }), 3);
    }

    #[test]
    fn a_page_is_halved_down_to_one_entry_which_is_reported() {
        let (mut size, mut counts) = (PageSize::default(), Vec::new());
        loop {
            let asked = size.count(LIMITS);
            counts.push(asked);
            match size.failed(asked, &too_large()) {
                Next::Smaller => {}
                next => {
                    assert_eq!(next, Next::OneIsTooLarge { limit: 9 });
                    break;
                }
            }
        }
        assert_eq!(counts, [32, 16, 8, 4, 2, 1]);
    }

    #[test]
    fn a_page_that_is_too_slow_is_reported_and_the_next_one_is_smaller() {
        let mut size = PageSize::default();
        let slow = Error::TimedOut {
            command: "XREAD",
            waited: Duration::from_secs(5),
            repeat: crate::error::Repeat::SAFE,
        };
        assert_eq!(size.failed(32, &slow), Next::Report);
        assert_eq!(size.count(LIMITS), 16);
        assert_eq!(size.failed(1, &slow), Next::Report);
        assert_eq!(size.count(LIMITS), 1);
        let other = Error::Protocol { command: "XREAD", source: ProtocolError::Length };
        assert_eq!(size.failed(1, &other), Next::Report);
    }

    #[test]
    fn the_default_target_leaves_room_for_what_the_limit_counts_beside_bytes() {
        assert_eq!(PageLimits::new(512 << 20).bytes, 16 << 20);
        assert_eq!(PageLimits::new(1 << 20).bytes, 128 << 10);
        assert_eq!(PageLimits::new(1024).bytes, 128);
    }
}
