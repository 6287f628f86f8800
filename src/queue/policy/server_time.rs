//! The server's time of day, from the ids that it assigned. No I/O.
//!
//! The clocks of two machines may differ by hours, and the age of an entry counts from its id. So
//! an age is never measured by the local clock.

use crate::id::EntryId;
use std::time::{Duration, Instant};

/// An id this far ahead of the local clock was not assigned by a clock, in milliseconds: a day.
const UNLIKELY: u64 = 24 * 3_600_000;

/// The server's time, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct ServerTime(Option<(u64, Instant)>);

impl ServerTime {
    /// Records the time that the server reported.
    pub(crate) fn reported(&mut self, ms: u64, now: Instant) {
        self.0 = Some((ms, now));
    }

    /// Records an id that the server has just assigned. `local_ms` is the local time since 1970.
    pub(crate) fn assigned(&mut self, id: EntryId, now: Instant, local_ms: u64) {
        self.0 = (id.ms() < local_ms.saturating_add(UNLIKELY)).then_some((id.ms(), now));
    }

    /// Records an id that the server assigned before: its time is this at least.
    pub(crate) fn seen(&mut self, id: EntryId, now: Instant, local_ms: u64) {
        if self.ms(now).is_none_or(|ms| ms < id.ms()) && id.ms() < local_ms.saturating_add(UNLIKELY)
        {
            self.0 = Some((id.ms(), now));
        }
    }

    /// Returns the id that an entry of this age has; `None` if the time is not known.
    pub(crate) fn id_of_age(&self, age: Duration, now: Instant) -> Option<EntryId> {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Some(EntryId::new(self.ms(now)?.saturating_sub(age), 0))
    }

    fn ms(&self, now: Instant) -> Option<u64> {
        let (ms, at) = self.0?;
        let since = now.saturating_duration_since(at).as_millis();
        Some(ms.saturating_add(u64::try_from(since).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn age_counts_from_the_ids_and_not_from_the_local_clock() {
        let (now, mut time) = (Instant::now(), ServerTime::default());
        let local = 100_000_000;
        assert_eq!(time.id_of_age(SECOND, now), None);
        // The server is 90,000 s behind.
        time.seen(EntryId::new(10_000_000, 5), now, local);
        let later = now + SECOND;
        assert_eq!(time.id_of_age(SECOND * 3, later), Some(EntryId::new(9_998_000, 0)));
        time.seen(EntryId::new(10_000_500, 0), later, local);
        assert_eq!(time.id_of_age(SECOND, later), Some(EntryId::new(10_000_000, 0)));
        time.assigned(EntryId::new(10_000_500, 1), later, local);
        assert_eq!(time.id_of_age(SECOND, later), Some(EntryId::new(9_999_500, 0)));
        // An id of another kind says nothing, and makes no entry look old.
        time.seen(EntryId::new(u64::MAX, 0), later, local);
        assert_eq!(time.id_of_age(SECOND, later), Some(EntryId::new(9_999_500, 0)));
        time.assigned(EntryId::new(u64::MAX, 1), later, local);
        assert_eq!(time.id_of_age(SECOND, later), None);
        // The server's clock is what it reports, however far ahead.
        time.reported(10 * UNLIKELY, now);
        assert_eq!(time.id_of_age(SECOND, later), Some(EntryId::new(10 * UNLIKELY, 0)));
    }
}
