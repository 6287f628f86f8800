//! The clocks of a queue: the process's own, which only goes forward, and the time of day. An
//! operation.
//!
//! The first one is tokio's, so that tests can pause it.

use crate::id::EntryId;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Returns the time on the process's clock.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Returns the id that an entry of this age has, by the time of day.
pub(crate) fn id_of_age(age: Duration) -> Option<EntryId> {
    SystemTime::now().checked_sub(age).map(EntryId::from_time)
}

/// Returns the time of day in milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or_default()
}
