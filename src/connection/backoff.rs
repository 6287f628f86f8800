//! The delay before an attempt to reconnect. No I/O.
//!
//! Full jitter: a random delay below a bound that doubles with each attempt up to a maximum. The
//! first delay is random too, so clients that lost one server never reconnect in step. The bound is
//! reset only after a connection that lasted: a server that accepts and closes is not dialled in a
//! tight loop.

use std::time::{Duration, Instant};

/// The minimum lifetime of a healthy connection.
const HEALTHY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    bound: Duration,
    up_since: Option<Instant>,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, bound: min, up_since: None }
    }

    /// Records that a connection was established.
    pub(super) fn connected(&mut self, now: Instant) {
        self.up_since = Some(now);
    }

    /// Records that the connection was lost.
    pub(super) fn disconnected(&mut self, now: Instant) {
        let healthy = |since: Instant| now.saturating_duration_since(since) >= HEALTHY;
        if self.up_since.take().is_some_and(healthy) {
            self.bound = self.min;
        }
    }

    /// Raises the bound to the maximum, after a permanent error.
    pub(super) fn slow(&mut self) {
        self.bound = self.max;
    }

    /// Returns the delay before the next attempt, given a random number from 0 to 1.
    pub(super) fn delay(&mut self, random: f64) -> Duration {
        let bound = self.bound;
        self.bound = bound.saturating_mul(2).min(self.max);
        bound.mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(10);
    const MAX: Duration = Duration::from_secs(1);

    #[test]
    fn bound_doubles_up_to_the_maximum_and_jitter_stays_below_it() {
        let mut backoff = Backoff::new(MIN, MAX);
        let bounds: Vec<u128> = (0..9).map(|_| backoff.delay(1.0).as_millis()).collect();
        assert_eq!(bounds, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(backoff.delay(0.0), Duration::ZERO);
        assert_eq!(backoff.delay(0.25), Duration::from_millis(250));
    }

    #[test]
    fn permanent_error_raises_the_bound_to_the_maximum() {
        let mut backoff = Backoff::new(MIN, MAX);
        backoff.slow();
        assert_eq!(backoff.delay(1.0), MAX);
    }

    #[test]
    fn bound_is_reset_only_after_a_healthy_connection() {
        let start = Instant::now();
        let mut backoff = Backoff::new(MIN, MAX);
        backoff.delay(1.0);
        backoff.connected(start);
        backoff.disconnected(start + HEALTHY - Duration::from_millis(1));
        assert_eq!(backoff.delay(1.0).as_millis(), 20);
        backoff.connected(start);
        backoff.disconnected(start + HEALTHY);
        assert_eq!(backoff.delay(1.0).as_millis(), 10);
    }
}
