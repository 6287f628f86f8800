//! The unix clock of the server. No I/O.
//!
//! It runs with the monotonic clock that is given to it, and can be moved without it.

use std::time::{Duration, Instant, SystemTime};

/// A moment that is never reached: thirty years away.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The unix clock of the server.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    start: Instant,
    now: Instant,
    /// The unix time at the start, in milliseconds, with the moves since then.
    unix_ms: i64,
}

impl Clock {
    /// Creates a clock that shows this time now.
    pub(super) fn new(now: Instant, time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { start: now, now, unix_ms: ms(since) }
    }

    /// Advances to a moment of the monotonic clock. An earlier moment changes nothing.
    pub(super) fn advance_to(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Returns the moment of the monotonic clock.
    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// Returns the unix time in milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        let ran = ms(self.now.saturating_duration_since(self.start));
        u64::try_from(self.unix_ms.saturating_add(ran)).unwrap_or_default()
    }

    /// Moves the unix clock, forward or back.
    pub(super) fn move_by(&mut self, by: Duration, forward: bool) {
        let by = if forward { ms(by) } else { -ms(by) };
        self.unix_ms = self.unix_ms.saturating_add(by);
    }

    /// Returns the moment at which the unix clock shows this time.
    pub(super) fn moment(&self, unix_ms: u64) -> Instant {
        let ahead = i64::try_from(unix_ms).unwrap_or(i64::MAX).saturating_sub(self.unix_ms);
        self.start
            .checked_add(Duration::from_millis(u64::try_from(ahead).unwrap_or_default()))
            .filter(|moment| *moment < self.far())
            .unwrap_or_else(|| self.far())
    }

    /// Returns the moment after a time.
    pub(super) fn after(&self, time: Duration) -> Instant {
        self.now.checked_add(time.min(FAR)).unwrap_or(self.now)
    }

    fn far(&self) -> Instant {
        self.after(FAR)
    }
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_time_follows_the_monotonic_clock_and_moves() {
        let start = Instant::now();
        let mut clock =
            Clock::new(start, SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000));
        clock.advance_to(start + Duration::from_micros(2_900));
        assert_eq!(clock.now_ms(), 1_000_002);
        clock.move_by(Duration::from_secs(60), true);
        assert_eq!(clock.now_ms(), 1_060_002);
        assert_eq!(clock.moment(1_060_010), start + Duration::from_millis(10));
        clock.move_by(Duration::from_secs(2_000), false);
        assert_eq!(clock.now_ms(), 0, "the clock does not go below 1970");
        clock.advance_to(start);
        assert_eq!(clock.now(), start + Duration::from_micros(2_900));
    }
}
