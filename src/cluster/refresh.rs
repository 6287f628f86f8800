//! When the map of the cluster is read. No I/O.
//!
//! It is read at intervals, and soon after a reason: a redirect that changed a slot, a lost
//! connection, a cluster that is down. One read is in flight at a time. The first reason waits up to
//! 20 ms, at random: many clients see the same failover. The next read is 100 ms later at the
//! earliest, and later again while nothing changes.

use std::time::{Duration, Instant};

/// The longest random delay after a reason.
const SPREAD: Duration = Duration::from_millis(20);

/// The least and the greatest time between two reads. It doubles while nothing changes.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_millis(400);

#[derive(Debug)]
pub(super) struct Refresh {
    every: Duration,
    /// The time of the next regular read.
    regular: Instant,
    /// The time of the next read for a reason.
    wanted: Option<Instant>,
    /// The end of the last read.
    last: Option<Instant>,
    gap: Duration,
}

impl Refresh {
    /// Reads at once, and then at this interval.
    pub(super) fn new(every: Duration, now: Instant) -> Self {
        Self { every, regular: now, wanted: None, last: None, gap: SHORTEST }
    }

    /// Records a reason. `random` is from 0 to 1. Returns whether the next read is earlier now.
    pub(super) fn want(&mut self, now: Instant, random: f64) -> bool {
        if self.wanted.is_some() {
            return false;
        }
        if self.last.is_none_or(|last| now.saturating_duration_since(last) > LONGEST) {
            self.gap = SHORTEST;
        }
        let soon = now + SPREAD.mul_f64(random.clamp(0.0, 1.0));
        let at = self.last.map_or(soon, |last| soon.max(last + self.gap));
        self.wanted = Some(at);
        true
    }

    /// Returns the time of the next read.
    pub(super) fn next(&self) -> Instant {
        self.wanted.map_or(self.regular, |wanted| wanted.min(self.regular))
    }

    /// Records the start of a read: later reasons cause another one.
    pub(super) fn begun(&mut self) {
        self.wanted = None;
    }

    /// Records the end of a read. `random` is from 0 to 1.
    pub(super) fn done(&mut self, now: Instant, changed: bool, random: f64) {
        self.gap = if changed { SHORTEST } else { (self.gap * 2).min(LONGEST) };
        self.last = Some(now);
        // A reason that came meanwhile keeps its gap.
        self.wanted = self.wanted.map(|wanted| wanted.max(now + self.gap));
        let every = self.every.mul_f64(0.75 + random.clamp(0.0, 1.0) / 2.0);
        self.regular = now.checked_add(every).unwrap_or(now + LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVERY: Duration = Duration::from_secs(60);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn reason_is_followed_by_one_read_and_the_next_one_waits() {
        let start = Instant::now();
        let mut refresh = Refresh::new(EVERY, start);
        assert_eq!(refresh.next(), start, "the first read is at once");
        refresh.begun();
        refresh.done(start, true, 0.5);
        assert_eq!(refresh.next(), start + EVERY);
        let later = start + Duration::from_secs(10);
        assert!(refresh.want(later, 0.5));
        assert!(!refresh.want(later + MS, 0.0), "one read answers both");
        assert_eq!(refresh.next(), later + 10 * MS);
        refresh.begun();
        // Nothing changed: 200 ms, then 400 ms.
        refresh.done(later + 20 * MS, false, 0.0);
        assert!(refresh.want(later + 21 * MS, 0.0));
        assert_eq!(refresh.next(), later + 220 * MS);
        refresh.begun();
        refresh.want(later + 221 * MS, 0.0);
        refresh.done(later + 230 * MS, false, 0.0);
        assert_eq!(refresh.next(), later + 630 * MS);
        refresh.begun();
        refresh.done(later + 640 * MS, true, 1.0);
        assert_eq!(refresh.next(), later + 640 * MS + EVERY * 5 / 4);
        refresh.want(later + 650 * MS, 0.0);
        assert_eq!(refresh.next(), later + 740 * MS, "a change shortens the gap");
    }

    proptest! {
        #[test]
        fn two_reads_are_never_closer_than_the_gap(
            steps in prop::collection::vec((0..500_u64, any::<bool>(), 0.0..1.0), 1..200),
        ) {
            let mut now = Instant::now();
            let mut refresh = Refresh::new(EVERY, now);
            let mut last: Option<Instant> = None;
            for (ms, changed, random) in steps {
                now += Duration::from_millis(ms);
                refresh.want(now, random);
                prop_assert!(refresh.next() <= now + LONGEST + SPREAD);
                if refresh.next() <= now {
                    prop_assert!(last.is_none_or(|last| now - last >= SHORTEST));
                    refresh.begun();
                    refresh.done(now, changed, random);
                    last = Some(now);
                }
            }
        }
    }
}
