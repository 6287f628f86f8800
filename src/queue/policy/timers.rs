//! Timers: those that the mover of the wheel has read, and the next ones to read. No I/O.
//!
//! | a timer whose rung ends within a second | action |
//! |---|---|
//! | the job is due within [`HELD`] | it is held here: the job is moved at its time |
//! | later | it is moved to a shorter rung |
//!
//! Timers are deleted when the job was moved. A mover that takes over begins with the first of each
//! rung again.

use crate::id::EntryId;
use crate::queue::policy::delay::{HELD, RUNGS, Timer, hop, ms, rung};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The interval at which the rungs are read. Timers that end before the next time are read.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// The maximum number of timers that are held. When they are moved, more are read.
const MOST: usize = 10_000;

/// The maximum number of jobs that are moved at once. The server remembers 100 of them.
const BATCH: usize = 64;

/// The maximum bytes of jobs that are moved at once. A single one may be larger.
const BATCH_BYTES: u64 = 1 << 20;

/// A timer and its place.
pub(crate) type Placed = (usize, EntryId, Timer);

/// The timers that were read.
#[derive(Debug)]
pub(crate) struct Timers {
    /// For each rung, the last timer that was read.
    read: [EntryId; RUNGS],
    /// By the time at which the job is due.
    held: BTreeMap<(u64, usize, EntryId), Timer>,
}

impl Default for Timers {
    fn default() -> Self {
        Self { read: [EntryId::MIN; RUNGS], held: BTreeMap::new() }
    }
}

impl Timers {
    /// Returns the timer after which to read this rung.
    pub(crate) fn read(&self, rung: usize) -> EntryId {
        self.read.get(rung).copied().unwrap_or_default()
    }

    /// Returns the last id of this rung that is to be read now, by the server's clock.
    pub(crate) fn until(rung: usize, now: u64) -> EntryId {
        let end = now.saturating_add(ms(INTERVAL)).saturating_sub(hop(rung));
        EntryId::new(end, u64::MAX)
    }

    /// Whether more timers can be held.
    pub(crate) fn has_room(&self) -> bool {
        self.held.len() < MOST
    }

    /// Records an entry of a rung that was read; `None` if it is not a timer. Returns the rung that
    /// it is to be moved to, unless it is held.
    pub(crate) fn add(
        &mut self,
        rung: usize,
        id: EntryId,
        timer: Option<Timer>,
        now: u64,
    ) -> Option<usize> {
        if let Some(read) = self.read.get_mut(rung) {
            *read = id;
        }
        let timer = timer?;
        let left = timer.due.saturating_sub(now);
        if left > ms(HELD) {
            return Some(self::rung(left));
        }
        self.held.insert((timer.due, rung, id), timer);
        None
    }

    /// Returns the jobs that are due, at most as many as are moved at once.
    pub(crate) fn due(&self, now: u64) -> Vec<Placed> {
        let mut due = Vec::new();
        let mut bytes = 0_u64;
        for ((at, rung, id), timer) in self.held.iter().take(BATCH) {
            bytes = bytes.saturating_add(timer.bytes);
            if *at > now || (!due.is_empty() && bytes > BATCH_BYTES) {
                break;
            }
            due.push((*rung, *id, *timer));
        }
        due
    }

    /// Records that the job of a timer was moved.
    pub(crate) fn moved(&mut self, (rung, id, timer): Placed) {
        self.held.remove(&(timer.due, rung, id));
    }

    /// Returns when the next job is due, by the server's clock.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.held.keys().next().map(|(due, ..)| *due)
    }
}

/// The server's clock, as the mover knows it: not later than it is.
#[derive(Debug, Default)]
pub(crate) struct MoverClock(Option<(u64, Instant)>);

/// A clock that was set back by more than this goes on from where it was.
const SET_BACK: u64 = 1_000;

impl MoverClock {
    /// Records an id that the server has just assigned.
    pub(crate) fn assigned(&mut self, id: EntryId, now: Instant) {
        if self.ms(now).is_none_or(|ms| ms.saturating_sub(SET_BACK) <= id.ms()) {
            self.0 = Some((id.ms(), now));
        }
    }

    /// Returns the time in milliseconds; 0 if it is not known.
    pub(crate) fn now(&self, now: Instant) -> u64 {
        self.ms(now).unwrap_or_default()
    }

    fn ms(&self, now: Instant) -> Option<u64> {
        let (ms, at) = self.0?;
        let since = u64::try_from(now.saturating_duration_since(at).as_millis());
        Some(ms.saturating_add(since.unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(due: u64, bytes: u64) -> Timer {
        Timer { class: 0, job: EntryId::new(due, 9), due, bytes }
    }

    #[test]
    fn timer_is_held_when_its_job_is_due_soon_and_moved_to_a_shorter_rung_otherwise() {
        let mut timers = Timers::default();
        let now = 100_000;
        let rows = [
            (now - 5, None),
            (now, None),
            (now + 2_000, None),
            (now + 2_001, Some(1_500)),
            (now + 10_000, Some(7_593)),
        ];
        for (n, (due, expected)) in (1..).zip(rows) {
            let id = EntryId::new(n, 0);
            let moved = timers.add(5, id, Some(timer(due, 1)), now);
            assert_eq!(moved.map(hop), expected, "due {due}");
            assert_eq!(timers.read(5), id);
        }
        assert_eq!(timers.add(5, EntryId::new(9, 0), None, now), None);
        assert_eq!((timers.read(5), timers.read(4)), (EntryId::new(9, 0), EntryId::MIN));
        assert_eq!(timers.next_due(), Some(now - 5));
        let due: Vec<u64> = timers.due(now).iter().map(|(.., timer)| timer.due).collect();
        assert_eq!(due, [now - 5, now]);
        for placed in timers.due(now) {
            timers.moved(placed);
        }
        assert_eq!((timers.due(now), timers.next_due()), (vec![], Some(now + 2_000)));
    }

    #[test]
    fn timers_are_read_a_second_before_their_rung_ends() {
        assert_eq!(Timers::until(0, 100_000), EntryId::new(100_000, u64::MAX));
        assert_eq!(Timers::until(1, 100_000), EntryId::new(99_500, u64::MAX));
        assert_eq!(Timers::until(RUNGS - 1, 100_000), EntryId::new(0, u64::MAX));
    }

    #[test]
    fn jobs_are_moved_in_batches_of_limited_size() {
        let many = |bytes| {
            let mut timers = Timers::default();
            for n in 1..=200 {
                timers.add(0, EntryId::new(n, 0), Some(timer(n, bytes)), 1_000);
            }
            timers.due(1_000).len()
        };
        assert_eq!((many(1), many(BATCH_BYTES / 4), many(BATCH_BYTES * 2)), (64, 4, 1));
    }

    #[test]
    fn held_timers_are_limited() {
        let mut timers = Timers::default();
        for n in 1..=MOST as u64 {
            assert!(timers.has_room(), "{n}");
            timers.add(0, EntryId::new(n, 0), Some(timer(1, 1)), 1);
        }
        assert!(!timers.has_room());
    }

    #[test]
    fn clock_follows_the_server_and_is_not_set_back_far() {
        let (start, mut clock) = (Instant::now(), MoverClock::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(clock.now(start), 0);
        clock.assigned(EntryId::new(50_000, 3), at(0));
        assert_eq!(clock.now(at(2)), 52_000);
        // Our own clock is faster.
        clock.assigned(EntryId::new(51_990, 0), at(2));
        assert_eq!(clock.now(at(2)), 51_990);
        clock.assigned(EntryId::new(20_000, 0), at(3));
        assert_eq!(clock.now(at(3)), 52_990);
        clock.assigned(EntryId::new(90_000, 0), at(4));
        assert_eq!(clock.now(at(4)), 90_000);
    }
}
