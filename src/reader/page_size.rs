//! The number of entries to request at once, based on the size of previous replies. No I/O.
//!
//! A reply larger than [`Config::reply_bytes`](crate::Config::reply_bytes) ends its connection and
//! returns nothing. So the first page is small, and later pages grow while they are far below the
//! target. A page that was too large or too slow is requested again with half the entries.

use crate::error::Error;
use crate::resp::ProtocolError;

/// Entries of the first page, when their size is not known yet.
const FIRST: u64 = 32;

/// The largest default target.
const MOST_BYTES: usize = 16 << 20;

/// The bounds of one page, set by the user.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageLimits {
    /// The maximum number of entries; 1 at least.
    pub(super) count: u64,
    /// The target size of one reply in bytes; 1 at least.
    pub(super) bytes: usize,
}

impl PageLimits {
    /// Returns the default for a connection with this limit on one reply.
    pub(super) fn new(reply_bytes: usize) -> Self {
        // The limit counts 32 bytes per element in addition: a reply of short fields counts six
        // times its size.
        Self { count: 1000, bytes: (reply_bytes / 8).clamp(1, MOST_BYTES) }
    }
}

/// The number of entries to request next.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSize(u64);

impl Default for PageSize {
    fn default() -> Self {
        Self(FIRST)
    }
}

/// The reaction to an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Retry with fewer entries.
    Smaller,
    /// Report that a single entry exceeds this limit.
    OneIsTooLarge {
        /// The limit on one reply, in bytes.
        limit: usize,
    },
    /// Report the error.
    Report,
}

impl PageSize {
    /// Returns the number of entries to request.
    pub(super) fn count(self, limits: PageLimits) -> u64 {
        self.0.min(limits.count)
    }

    /// Records a page: how many entries arrived, how many were requested, and the bytes of the
    /// reply.
    pub(super) fn succeeded(
        &mut self,
        entries: usize,
        asked: u64,
        bytes: usize,
        limits: PageLimits,
    ) {
        if bytes / 2 > limits.bytes {
            self.0 = (asked / 2).max(1);
        } else if entries as u64 >= asked && bytes <= limits.bytes / 4 {
            // Twice as many similar entries are at most half the target.
            self.0 = asked.saturating_mul(2).min(limits.count);
        }
    }

    /// Records an error after a request for `asked` entries.
    pub(super) fn failed(&mut self, asked: u64, error: &Error) -> Next {
        let limit = exceeded(error);
        // The reply may need more time than the timeout: make the next one shorter.
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

/// Returns the limit on one reply, if the error is that a reply exceeded it.
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
    fn page_doubles_while_it_is_far_below_the_target() {
        let rows = [
            ("full and small", 32, 1000, 64),
            ("not full", 31, 10, 32),
            ("above a quarter of the target", 32, 1001, 32),
            ("twice the target", 32, 8001, 32),
            ("above that", 32, 8002, 16),
        ];
        for (row, entries, bytes, expected) in rows {
            let mut size = PageSize::default();
            size.succeeded(entries, 32, bytes, LIMITS);
            assert_eq!(size.count(LIMITS), expected, "{row}");
        }
    }

    #[test]
    fn page_never_grows_above_the_configured_count() {
        let mut size = PageSize::default();
        let mut counts = Vec::new();
        for _ in 0..8 {
            let asked = size.count(LIMITS);
            size.succeeded(1000, asked, 1, LIMITS);
            counts.push(size.count(LIMITS));
        }
        assert_eq!(counts, [64, 128, 256, 512, 1000, 1000, 1000, 1000]);
        assert_eq!(size.count(PageLimits { count: 3, ..LIMITS }), 3);
    }

    #[test]
    fn page_is_halved_down_to_one_entry_which_is_reported() {
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
    fn slow_page_is_reported_and_the_next_one_is_smaller() {
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
    fn default_target_allows_for_the_overhead_that_the_limit_counts() {
        assert_eq!(PageLimits::new(512 << 20).bytes, 16 << 20);
        assert_eq!(PageLimits::new(1 << 20).bytes, 128 << 10);
        assert_eq!(PageLimits::new(1024).bytes, 128);
    }
}
