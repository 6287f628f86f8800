//! Turn: which consumer moves the jobs of the wheel, or does the maintenance of a group, one at a time.
//! No I/O.
//!
//! The consumer whose record is the last one of a stream has the turn, and adds another record at an
//! interval. A record that stays the last one for longer says that its consumer is dead. The next
//! one is added with the id directly after it: of several consumers that try, the server
//! accepts one.
//!
//! No clock of another machine is needed: how long a record has been the last one is measured by
//! the consumer that looks.

use crate::id::EntryId;
use std::time::{Duration, Instant};

/// The times of a turn.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// The time after which a record that is not followed by another is abandoned.
    abandoned: Duration,
    /// The time for which a consumer relies on its own record, from before it was sent. The rest is
    /// a margin for commands that are on their way.
    valid: Duration,
}

/// Those of the mover, which adds a record each second.
const MOVER: Times = Times { abandoned: Duration::from_secs(5), valid: Duration::from_secs(3) };

/// Those of the maintenance, with a record about every ten seconds.
const MAINTENANCE: Times =
    Times { abandoned: Duration::from_secs(18), valid: Duration::from_secs(15) };

/// The last record of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: EntryId,
    /// Whether its consumer has left.
    pub(crate) is_free: bool,
}

/// The facts about the group that the consumer with the turn knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Note {
    /// The number of its consumers; 0 if it is not known.
    pub(crate) consumers: u32,
    /// Whether jobs wait in the wheel.
    pub(crate) delays: bool,
    /// Whether the queue has recurring jobs.
    pub(crate) recurring: bool,
}

/// The turn, as one consumer knows it.
#[derive(Debug)]
pub(crate) struct Turn {
    times: Times,
    /// The last record, and since when it is known.
    seen: Option<(EntryId, Instant)>,
    /// The time at which our own last record was sent.
    ours: Option<Instant>,
}

impl Turn {
    /// The turn of the consumer that moves the jobs of the wheel.
    pub(crate) fn of_mover() -> Self {
        Self { times: MOVER, seen: None, ours: None }
    }

    /// The turn of the consumer that does the maintenance of a group.
    pub(crate) fn of_maintenance() -> Self {
        Self { times: MAINTENANCE, ..Self::of_mover() }
    }

    /// Whether we have the turn, as far as we know.
    pub(crate) fn is_ours(&self) -> bool {
        self.ours.is_some()
    }

    /// Whether we may act on it.
    pub(crate) fn is_valid(&self, now: Instant) -> bool {
        self.valid_until().is_some_and(|until| now < until)
    }

    /// Returns the time until which we may act on it.
    pub(crate) fn valid_until(&self) -> Option<Instant> {
        self.ours.map(|sent| sent + self.times.valid)
    }

    /// Records the last record, as seen now. Returns the id with which to add our own, if it is
    /// our turn.
    pub(crate) fn saw(&mut self, last: Option<Record>, now: Instant) -> Option<EntryId> {
        let Some(Record { id, is_free }) = last else {
            self.seen = None;
            return EntryId::MIN.next();
        };
        let since = match self.seen {
            Some((seen, since)) if seen == id => since,
            _ => now,
        };
        self.seen = Some((id, since));
        if is_free || now.saturating_duration_since(since) >= self.times.abandoned {
            id.next()
        } else {
            None
        }
    }

    /// Records that our record was added by a command sent at `sent`.
    pub(crate) fn renewed(&mut self, sent: Instant) {
        self.ours = Some(sent);
    }

    /// Records that another consumer has the turn.
    pub(crate) fn lost(&mut self) {
        (self.seen, self.ours) = (None, None);
    }
}

impl Default for Turn {
    fn default() -> Self {
        Self::of_mover()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(ms: u64) -> Option<Record> {
        Some(Record { id: EntryId::new(ms, 0), is_free: false })
    }

    #[test]
    fn turn_is_taken_from_nobody_from_one_that_left_and_from_one_that_died() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut turn = Turn::of_mover();
        assert_eq!(turn.saw(None, at(0)), Some(EntryId::new(0, 1)));
        let rows = [
            (0, record(7), None),
            (4, record(7), None),
            (5, record(7), Some(EntryId::new(7, 1))),
            (6, record(8), None),
            (10, record(8), None),
            (11, record(8), Some(EntryId::new(8, 1))),
            (12, record(9), None),
        ];
        for (seconds, last, expected) in rows {
            assert_eq!(turn.saw(last, at(seconds)), expected, "after {seconds} s");
        }
        let free = Some(Record { id: EntryId::new(10, 0), is_free: true });
        assert_eq!(turn.saw(free, at(13)), Some(EntryId::new(10, 1)));
    }

    #[test]
    fn turn_ends_before_another_consumer_may_take_it() {
        let start = Instant::now();
        let mut turn = Turn::of_mover();
        assert!(!turn.is_ours() && !turn.is_valid(start));
        turn.renewed(start);
        assert!(turn.is_ours() && turn.is_valid(start + Duration::from_secs(2)));
        assert!(!turn.is_valid(start + MOVER.abandoned - Duration::from_secs(1)));
        turn.lost();
        assert!(!turn.is_ours() && !turn.is_valid(start));
    }
}
