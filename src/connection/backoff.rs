//! How long to wait before connecting again. Pure.
//!
//! Full jitter: a random time below a bound that doubles with every attempt up to a ceiling. The randomness is inside the
//! bound, the first attempt's too, so that many clients that lost one server never come back in step. Only a connection
//! that lived for a while sets the bound back: a server that accepts and hangs up is not dialled in a tight loop.

use std::time::{Duration, Instant};

/// A connection that lived for this long was a good one.
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

    /// A connection stands.
    pub(super) fn connected(&mut self, now: Instant) {
        self.up_since = Some(now);
    }

    /// The connection is gone.
    pub(super) fn disconnected(&mut self, now: Instant) {
        let healthy = |since: Instant| now.saturating_duration_since(since) >= HEALTHY;
        if self.up_since.take().is_some_and(healthy) {
            self.bound = self.min;
        }
    }

    /// What went wrong will not pass by itself: the next attempts come at the slow end.
    pub(super) fn slow(&mut self) {
        self.bound = self.max;
    }

    /// The wait before the next attempt, given a random number from 0 to 1.
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
    fn the_bound_doubles_up_to_the_ceiling_and_jitter_stays_inside() {
        let mut backoff = Backoff::new(MIN, MAX);
        let bounds: Vec<u128> = (0..9).map(|_| backoff.delay(1.0).as_millis()).collect();
        assert_eq!(bounds, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(backoff.delay(0.0), Duration::ZERO);
        assert_eq!(backoff.delay(0.25), Duration::from_millis(250));
    }

    #[test]
    fn what_does_not_pass_by_itself_is_tried_at_the_slow_end() {
        let mut backoff = Backoff::new(MIN, MAX);
        backoff.slow();
        assert_eq!(backoff.delay(1.0), MAX);
    }

    #[test]
    fn only_a_connection_that_lived_sets_the_bound_back() {
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
