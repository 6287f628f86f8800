//! Delays: where a job waits, and the streams of the wheel. No I/O.
//!
//! | delay | place |
//! |---|---|
//! | below [`HELD`] | with its consumer, which renews the lease and has a timer of its own |
//! | longer | the wheel |
//!
//! # The wheel
//!
//! A job in the wheel is an entry of one of four streams, by the length of its delay. A *timer*, a
//! small entry that names the job, says when it is due. Timers are in streams of constant delay,
//! the *rungs*: those in a stream of 1.5 s were added in the order in which 1.5 s end for them. So
//! the first timers of each rung are the next ones, and no timer is ever added in the wrong place.
//! When its rung ends, a timer is moved to a shorter rung, or the job is added to its stream.
//!
//! ```text
//! {s}:delay:jobs:1m       * _wait 5000 _id 1-0 _stream s _to workers _tried 1 <the job's fields>
//! {s}:delay:after:3375    * job 1m/2-0 due 1700000005000 bytes 120
//! {s}:delay:mover         * by bourn-1f3a
//! ```
//!
//! A timer is only a reminder: it may exist twice, and the job may be gone. Deleting the job decides
//! who moves it.

use crate::id::EntryId;
use crate::queue::policy::recurrence;
use std::time::Duration;

/// The owner of an entry that was given back.
pub(crate) const RETRY: &[u8] = b"~retry";

/// The consumer whose existence says that the group has used the wheel.
pub(crate) const MARKER: &[u8] = b"~delay";

/// Shorter delays are waited for by the consumer itself. It is longer than the interval at which the
/// wheel is read, so that no timer is read too late.
pub(crate) const HELD: Duration = Duration::from_secs(2);

/// Whether a consumer of this name is none that runs jobs.
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    name == RETRY || name == MARKER || name == recurrence::MARKER
}

/// The number of rungs.
pub(crate) const RUNGS: usize = 37;

/// The delay of each rung in milliseconds: from a second to 25 days, each half as much again as
/// the one before.
#[expect(clippy::indexing_slicing, reason = "it is evaluated when the crate is compiled")]
const HOPS: [u64; RUNGS] = {
    let mut hops = [1_000; RUNGS];
    let mut rung = 1;
    while rung < RUNGS {
        hops[rung] = hops[rung - 1] * 3 / 2;
        rung += 1;
    }
    hops
};

/// Returns the delay of a rung in milliseconds.
pub(crate) fn hop(rung: usize) -> u64 {
    HOPS.get(rung).copied().unwrap_or(u64::MAX)
}

/// Returns the longest rung that is not longer than this delay in milliseconds.
pub(crate) fn rung(wait: u64) -> usize {
    HOPS.partition_point(|hop| *hop <= wait).saturating_sub(1)
}

/// The streams of waiting jobs: the suffix of the key, and the longest delay in milliseconds. Jobs
/// of similar delays are together, because a node of a stream is freed with its last entry.
pub(crate) const CLASSES: [(&str, u64); 4] =
    [("1m", 60_000), ("1h", 3_600_000), ("1d", 86_400_000), ("long", u64::MAX)];

/// Returns the class of a job with this delay in milliseconds.
pub(crate) fn class(wait: u64) -> usize {
    CLASSES.iter().position(|(_, most)| wait <= *most).unwrap_or_default()
}

/// A reminder of a waiting job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timer {
    /// The stream of the job: an index of [`CLASSES`].
    pub(crate) class: usize,
    /// The job's entry in it.
    pub(crate) job: EntryId,
    /// The time at which the job is due, in milliseconds of the server's clock.
    pub(crate) due: u64,
    /// The bytes of the job's fields.
    pub(crate) bytes: u64,
}

impl Timer {
    /// Returns the fields of the timer's entry.
    pub(crate) fn fields(&self) -> [(&'static str, String); 3] {
        let class = CLASSES.get(self.class).map_or("", |(name, _)| name);
        let job = format!("{class}/{}", self.job);
        [("job", job), ("due", self.due.to_string()), ("bytes", self.bytes.to_string())]
    }

    /// Returns the timer with these fields; `None` if they are not those of a timer.
    pub(crate) fn parse<'a>(
        mut fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Option<Self> {
        let mut next = |name: &str| {
            let (found, value) = fields.next()?;
            std::str::from_utf8(value).ok().filter(|_| found == name.as_bytes())
        };
        let (class, job) = next("job")?.split_once('/')?;
        Some(Self {
            class: CLASSES.iter().position(|(name, _)| *name == class)?,
            job: job.parse().ok()?,
            due: next("due")?.parse().ok()?,
            bytes: next("bytes")?.parse().ok()?,
        })
    }
}

/// Returns a duration in whole milliseconds, not less than it is.
pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_rung_that_is_not_too_long_is_chosen() {
        let rows = [
            (0, 1_000),
            (1_000, 1_000),
            (1_499, 1_000),
            (1_500, 1_500),
            (5_000, 3_375),
            (u64::MAX, hop(RUNGS - 1)),
        ];
        for (wait, expected) in rows {
            assert_eq!(hop(rung(wait)), expected, "{wait} ms");
        }
        let day = 24 * 3_600 * 1_000;
        assert!(hop(RUNGS - 1) > 20 * day && hop(RUNGS - 1) < 30 * day);
    }

    #[test]
    fn any_delay_needs_few_hops() {
        for (wait, most) in [(10_000, 6), (3_600_000, 14), (86_400_000, 18)] {
            let (mut left, mut hops) = (wait, 0);
            while left > 2_000 {
                left -= hop(rung(left));
                hops += 1;
            }
            assert!(hops <= most, "{wait} ms: {hops}");
        }
    }

    #[test]
    fn timer_survives_its_fields_and_others_are_no_timers() {
        for (wait, class) in [(0, "1m"), (60_000, "1m"), (60_001, "1h"), (u64::MAX, "long")] {
            let id = EntryId::new(1_700_000_000_000, 3);
            let timer = Timer { class: self::class(wait), job: id, due: 17, bytes: 9 };
            let fields = timer.fields();
            let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            assert_eq!(Timer::parse(fields), Some(timer), "{wait}");
            assert_eq!(CLASSES[timer.class].0, class, "{wait}");
        }
        let rows = [
            [("job", "2m/1-0"), ("due", "1"), ("bytes", "1")],
            [("job", "1m/x"), ("due", "1"), ("bytes", "1")],
            [("job", "1m"), ("due", "1"), ("bytes", "1")],
            [("job", "1m/1-0"), ("at", "1"), ("bytes", "1")],
            [("job", "1m/1-0"), ("due", "-1"), ("bytes", "1")],
        ];
        for row in rows {
            let fields = row.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            assert_eq!(Timer::parse(fields), None, "{row:?}");
        }
    }

    #[test]
    fn delay_is_rounded_up() {
        for (micros, expected) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2)] {
            assert_eq!(ms(Duration::from_micros(micros)), expected);
        }
        assert_eq!(ms(Duration::MAX), u64::MAX);
    }
}
