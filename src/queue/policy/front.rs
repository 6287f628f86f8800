//! Front: which idle consumers wait on the stream itself. No I/O.
//!
//! Each XADD costs the server some 0.9 µs for every reader that is blocked on the stream (from
//! Redis 7.2 on). So of many idle consumers only a few block on it, the *front*. The others stand
//! aside: they block on a stream of their own, until one of the front passes its place on.
//!
//! | event | action |
//! |---|---|
//! | there are no more consumers than places | all are in the front |
//! | [`TERM`] is over | each consumer draws again: in the front with the probability places/consumers |
//! | a consumer of the front has no room for longer than [`PATIENCE`] | it passes its place on |
//! | a consumer that stands aside receives a place | it is in the front |
//! | it receives none within a term | it looks once for jobs |
//!
//! Nothing depends on the number being exact: a place that is lost with its consumer, or passed on
//! twice, is made up for by the draws. The consumer that does the maintenance is always in the
//! front, so there is one.

use std::time::{Duration, Instant};

/// The time after which a consumer draws again, and for which it stands aside.
pub(crate) const TERM: Duration = Duration::from_secs(15);

/// The time for which a consumer without room keeps its place: short jobs are done within it.
pub(crate) const PATIENCE: Duration = Duration::from_millis(20);

/// Whether one consumer is in the front.
#[derive(Debug)]
pub(crate) struct Front {
    /// The number of places.
    places: u32,
    is_in: bool,
    /// The time at which it was drawn or received.
    since: Option<Instant>,
}

impl Front {
    pub(crate) fn new(places: u32) -> Self {
        Self { places, is_in: true, since: None }
    }

    /// Whether the consumer may block on the stream. `random` is between 0 and 1.
    pub(crate) fn blocks(
        &mut self,
        consumers: u32,
        always: bool,
        now: Instant,
        random: f64,
    ) -> bool {
        if always || consumers <= self.places {
            (self.is_in, self.since) = (true, None);
        } else if self.since.is_none_or(|since| now.saturating_duration_since(since) >= TERM) {
            self.is_in = random * f64::from(consumers) < f64::from(self.places);
            self.since = Some(now);
        }
        self.is_in
    }

    /// Whether the consumer has a place that others wait for.
    pub(crate) fn has_place(&self, consumers: u32) -> bool {
        self.is_in && consumers > self.places
    }

    /// Records that the place was passed on.
    pub(crate) fn passed_on(&mut self, now: Instant) {
        (self.is_in, self.since) = (false, Some(now));
    }

    /// Records that a place was received.
    pub(crate) fn received(&mut self, now: Instant) {
        (self.is_in, self.since) = (true, Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_consumers_are_all_in_the_front() {
        let (mut front, now) = (Front::new(8), Instant::now());
        for consumers in [0, 1, 8] {
            assert!(front.blocks(consumers, false, now, 0.99) && !front.has_place(consumers));
        }
        assert!(front.blocks(1_000, true, now, 0.99), "the one that does the maintenance");
    }

    #[test]
    fn many_consumers_draw_once_in_a_term() {
        let start = Instant::now();
        for (random, expected) in [(0.0, true), (0.0399, true), (0.0401, false), (0.99, false)] {
            let mut front = Front::new(8);
            assert_eq!(front.blocks(200, false, start, random), expected, "{random}");
            let (before, other) = (start + TERM - Duration::from_millis(1), [0.99, 0.0]);
            let other = other[usize::from(!expected)];
            assert_eq!(front.blocks(200, false, before, other), expected, "{random}");
            assert_eq!(front.blocks(200, false, start + TERM, other), !expected, "{random}");
        }
    }

    #[test]
    fn place_is_passed_on_and_received() {
        let (mut front, now) = (Front::new(8), Instant::now());
        assert!(front.blocks(200, false, now, 0.0) && front.has_place(200));
        front.passed_on(now);
        assert!(!front.has_place(200) && !front.blocks(200, false, now, 0.0));
        front.received(now);
        assert!(front.has_place(200) && front.blocks(200, false, now, 0.99));
    }
}
