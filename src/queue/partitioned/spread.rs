//! Spread: which lane a job goes to. No I/O.
//!
//! A key always has the same lane. Clients in other languages can compute it:
//!
//! ```text
//! hash = 14695981039346656037
//! for each byte of the key:  hash = (hash ^ byte) * 1099511628211      (FNV-1a, 64 bits)
//! hash = (hash ^ (hash >> 32)) * 11400714819323198485                  (64 bits)
//! lane = ((hash >> 32) * lanes) >> 32
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time for which a lane gets no jobs without a key after one could not be added.
const AVOIDED: Duration = Duration::from_secs(1);

/// Returns the lane of a key.
pub(crate) fn lane_of(key: &[u8], lanes: usize) -> usize {
    let hash = key.iter().fold(14_695_981_039_346_656_037_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211)
    });
    let hash = (hash ^ (hash >> 32)).wrapping_mul(11_400_714_819_323_198_485);
    let lane = ((hash >> 32) * (lanes as u64)) >> 32;
    usize::try_from(lane).unwrap_or_default()
}

/// Hands out lanes in turn, those last that a job could not be added to.
#[derive(Debug)]
pub(crate) struct Spread {
    next: AtomicUsize,
    avoided: Mutex<Vec<Option<Instant>>>,
}

impl Spread {
    pub(crate) fn new(lanes: usize, first: usize) -> Self {
        Self { next: AtomicUsize::new(first), avoided: Mutex::new(vec![None; lanes]) }
    }

    /// Returns all lanes in the order in which a job tries them, and how many of them are good. `is_up`
    /// says which can be reached.
    pub(crate) fn order(&self, now: Instant, is_up: impl Fn(usize) -> bool) -> (Vec<usize>, usize) {
        let avoided = self.avoided.lock().unwrap_or_else(PoisonError::into_inner);
        let count = avoided.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed) % count.max(1);
        let all = (0..count).map(|nth| (first + nth) % count);
        let is_good = |lane: &usize| {
            let until = avoided.get(*lane).copied().flatten();
            is_up(*lane) && until.is_none_or(|until| until <= now)
        };
        let (mut order, others): (Vec<usize>, Vec<usize>) = all.partition(is_good);
        let good = order.len();
        order.extend(others);
        (order, good)
    }

    /// Records that no job could be added to a lane.
    pub(crate) fn avoid(&self, lane: usize, now: Instant) {
        let mut avoided = self.avoided.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = avoided.get_mut(lane) {
            *until = Some(now + AVOIDED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_has_the_lane_that_is_written_down() {
        let rows = [("", 16), ("customer:7", 16), ("customer:8", 16), ("a", 1), ("a", 7)];
        let lanes: Vec<_> =
            rows.iter().map(|(key, lanes)| lane_of(key.as_bytes(), *lanes)).collect();
        assert_eq!(lanes, [8, 7, 14, 0, 3]);
    }

    #[test]
    fn keys_are_spread_evenly() {
        for lanes in [1, 2, 3, 16, 100] {
            let mut counts = vec![0; lanes];
            (0..10_000).for_each(|n| counts[lane_of(format!("key:{n}").as_bytes(), lanes)] += 1);
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            let mean = 10_000 / lanes;
            assert!(
                *least > mean * 6 / 10 && *most < mean * 14 / 10 + 2,
                "{lanes}: {least} {most}"
            );
        }
    }

    #[test]
    fn lanes_come_in_turn_and_those_that_failed_last() {
        let (spread, now) = (Spread::new(3, 7), Instant::now());
        let all = |_| true;
        assert_eq!(spread.order(now, all), (vec![1, 2, 0], 3));
        assert_eq!(spread.order(now, all), (vec![2, 0, 1], 3));
        spread.avoid(0, now);
        assert_eq!(spread.order(now, all), (vec![1, 2, 0], 2));
        assert_eq!(spread.order(now, |lane| lane != 1), (vec![2, 1, 0], 1));
        assert_eq!(spread.order(now + AVOIDED, all), (vec![2, 0, 1], 3));
        assert_eq!(Spread::new(2, usize::MAX).order(now, |_| false), (vec![1, 0], 0));
    }
}
