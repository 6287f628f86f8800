//! The window in which a server recognizes a repeated `XADD IDMP`. No I/O.
//!
//! A server remembers the last 100 `iid`s of a producer for 100 s (IDMP-MAXSIZE, IDMP-DURATION).
//! Measured on Redis 8.6.2 and 8.10: 300 adds that were repeated in order were all added twice,
//! because each repeat of a forgotten add makes the server forget the next one. So a repeat outside
//! the window is never sent, and this client keeps a margin. Each reply requested since the first
//! attempt, of any command, counts as an `iid` of the same producer. Only 64 of 100 `iid`s and 80 s
//! of 100 s are used.
//!
//! The count is taken when the repeat is queued, under the lock that all callers share: requests
//! that are queued later run after it.

use crate::command::Safety;
use crate::error::Repeat;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The part of the server's window that this client uses.
#[derive(Debug, Clone, Copy)]
struct Limits {
    replies: u64,
    time: Duration,
}

/// Counts the replies requested on a client's connections.
#[derive(Debug, Clone)]
pub(crate) struct Sends {
    count: Arc<AtomicU64>,
    limits: Limits,
    /// Several connections count together.
    together: bool,
}

impl Default for Sends {
    fn default() -> Self {
        Self::new(100, Duration::from_secs(100))
    }
}

impl Sends {
    /// Creates a counter for a server that remembers this many `iid`s of a producer, for this time.
    pub(crate) fn new(iids: u64, duration: Duration) -> Self {
        let limits = Limits { replies: iids.saturating_mul(64) / 100, time: duration / 5 * 4 };
        Self { count: Arc::default(), limits, together: false }
    }

    /// Creates a counter for several connections: those of the nodes of a cluster.
    ///
    /// Their requests are counted together, because a slot and the `iid`s of its streams may move
    /// from one node to another between two attempts.
    pub(crate) fn together(iids: u64, duration: Duration) -> Self {
        Self { together: true, ..Self::new(iids, duration) }
    }

    /// Counts a request. Of one connection, only the thread that holds the shared lock calls this.
    #[inline]
    pub(super) fn add(&self, replies: usize) {
        if self.together {
            self.count.fetch_add(replies as u64, Relaxed);
            return;
        }
        self.count.store(self.get() + replies as u64, Relaxed);
    }

    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// Returns the place of a request after which `behind` replies were requested.
    pub(super) fn place(&self, behind: u64) -> Place {
        Place { sends: self.clone(), number: self.get().saturating_sub(behind), since: None }
    }
}

/// The position of a request among all queued ones, and the time of its call.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    sends: Sends,
    /// The count after it was queued.
    number: u64,
    /// The start of its call; `None` if it is not known.
    since: Option<Instant>,
}

impl Place {
    pub(super) fn begun(self, since: Option<Instant>) -> Self {
        Self { since, ..self }
    }

    /// Returns the highest count at which a repeat may be queued.
    pub(super) fn latest(&self) -> u64 {
        self.number.saturating_add(self.sends.limits.replies)
    }

    /// Returns the time after which a queued repeat must not be written.
    pub(super) fn until(&self) -> Option<Instant> {
        self.since?.checked_add(self.sends.limits.time)
    }

    /// Whether the server would recognize a repeat that is sent at this time.
    pub(super) fn is_open_at(&self, now: Instant) -> bool {
        self.sends.get() <= self.latest() && self.until().is_some_and(|until| now < until)
    }

    /// Returns whether a command of this safety may be repeated. `before` is its distance from the
    /// end of its request.
    pub(super) fn repeat(mut self, safety: Safety, before: u64) -> Repeat {
        match safety {
            Safety::ReadOnly | Safety::Idempotent => Repeat::SAFE,
            Safety::Windowed => {
                self.number = self.number.saturating_sub(before);
                Repeat::within(Arc::new(self))
            }
            Safety::Write => Repeat::UNSAFE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_open(place: &Place) -> bool {
        place.is_open_at(tokio::time::Instant::now().into_std())
    }

    fn place(sends: &Sends) -> Place {
        sends.place(0).begun(Some(tokio::time::Instant::now().into_std()))
    }

    #[tokio::test(start_paused = true)]
    async fn window_closes_with_the_65th_request_and_after_80_seconds() {
        let sends = Sends::default();
        sends.add(1);
        let first = place(&sends);
        sends.add(64);
        assert!(is_open(&first));
        sends.add(1);
        assert!(!is_open(&first));
        let second = place(&sends);
        tokio::time::advance(Duration::from_millis(79_999)).await;
        assert!(is_open(&second));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!is_open(&second));
        assert!(!is_open(&sends.place(0)), "when it began is not known");
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_count_together_share_the_window() {
        let sends = Sends::together(100, Duration::from_secs(100));
        let other = sends.clone();
        sends.add(1);
        let first = place(&sends);
        other.add(64);
        assert!(is_open(&first));
        other.add(1);
        assert!(!is_open(&first));
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_may_be_recognized_depends_on_the_window() {
        let sends = Sends::new(1000, Duration::from_secs(10));
        sends.add(100);
        let rows = [
            (Safety::ReadOnly, true, true),
            (Safety::Idempotent, true, true),
            (Safety::Windowed, true, false),
            (Safety::Write, false, false),
        ];
        let repeats = rows.map(|(safety, ..)| place(&sends).repeat(safety, 99));
        sends.add(640 - 99);
        for ((safety, before, _), repeat) in rows.iter().zip(&repeats) {
            assert_eq!(repeat.is_safe(), *before, "{safety:?}");
        }
        sends.add(1);
        for ((safety, _, after), repeat) in rows.iter().zip(&repeats) {
            assert_eq!(repeat.is_safe(), *after, "{safety:?}");
        }
    }
}
