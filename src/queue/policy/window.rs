//! The window in which a stream recognises a job that is sent again: for how long it remembers the
//! ids of each producer, and how many of them (IDMP-DURATION, IDMP-MAXSIZE). No I/O.
//!
//! A producer sends a job with an unknown outcome again for a minute, with at most 64 jobs of its
//! producer id in flight. The client repeats within
//! [`Config::idmp_window`](crate::Config::idmp_window).

use std::time::Duration;

/// For how long a stream remembers ids, and how many of each producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) time: Duration,
    pub(crate) ids: u64,
}

impl Window {
    /// The least that a queue needs: the server's defaults.
    pub(crate) const LEAST: Self = Self { time: Duration::from_secs(100), ids: 100 };

    /// The most that a server accepts.
    pub(crate) const MOST: Self = Self { time: Duration::from_secs(86_400), ids: 10_000 };

    /// Returns what a queue needs whose client repeats within this window.
    pub(crate) fn needed(client: Self) -> Self {
        let needed = client.union(Self::LEAST);
        Self { time: needed.time.min(Self::MOST.time), ids: needed.ids.min(Self::MOST.ids) }
    }

    /// Whether each id is remembered that the other window would remember.
    pub(crate) fn covers(self, other: Self) -> bool {
        self.time >= other.time && self.ids >= other.ids
    }

    /// Returns the smallest window that covers both.
    pub(crate) fn union(self, other: Self) -> Self {
        Self { time: self.time.max(other.time), ids: self.ids.max(other.ids) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_needs_its_own_repeats_and_those_of_its_client() {
        let window = |seconds, ids| Window { time: Duration::from_secs(seconds), ids };
        let rows = [
            ((1, 1), (100, 100)),
            ((600, 50), (600, 100)),
            ((50, 600), (100, 600)),
            ((1_000_000, 1_000_000), (86_400, 10_000)),
        ];
        for (client, expected) in rows {
            let (client, expected) = (window(client.0, client.1), window(expected.0, expected.1));
            assert_eq!(Window::needed(client), expected, "{client:?}");
        }
        for (other, covered) in [((100, 100), true), ((101, 100), false), ((100, 101), false)] {
            assert_eq!(Window::LEAST.covers(window(other.0, other.1)), covered, "{other:?}");
        }
    }
}
