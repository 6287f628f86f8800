//! The clocks of a queue: the process's own, which only goes forward, and the time of day. An
//! operation.
//!
//! The first one is tokio's, so that tests can pause it.

use crate::command::Raw;
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::policy::capabilities::is_denied;
use crate::queue::policy::server_time::ServerTime;
use crate::queue::shared::Shared;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Returns the time on the process's clock.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Asks the server for its time: `TIME`. Where that is not allowed, the ids that were seen before
/// show a time that is not ahead of the server's.
pub(crate) async fn ask(shared: &Shared) -> Result<(), Error> {
    let reply = match shared.client.send(Raw::new("TIME")).await {
        Ok(reply) => reply,
        Err(error) if is_denied(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let part = |place: usize| reply.as_list()?.get(place)?.as_str()?.parse::<u64>().ok();
    if let (Some(seconds), Some(micros)) = (part(0), part(1)) {
        let ms = seconds.saturating_mul(1_000).saturating_add(micros / 1_000);
        server_time(shared).reported(ms, now());
    }
    Ok(())
}

/// Returns the server's time of day; `None` if it is not known.
pub(crate) fn at_server(shared: &Shared) -> Option<SystemTime> {
    server_time(shared).id_of_age(Duration::ZERO, now())?.time()
}

/// Records an id that the server has just assigned.
pub(crate) fn id_assigned(shared: &Shared, id: EntryId) {
    server_time(shared).assigned(id, now(), unix_ms());
}

/// Records an id that the server assigned before.
pub(crate) fn id_seen(shared: &Shared, id: EntryId) {
    server_time(shared).seen(id, now(), unix_ms());
}

/// Returns the id that an entry of this age has, by the server's clock; `None` if that is not
/// known. The entry may be older, and is not younger.
pub(crate) fn id_of_age_at_server(shared: &Shared, age: Duration) -> Option<EntryId> {
    server_time(shared).id_of_age(age, now())
}

fn server_time(shared: &Shared) -> MutexGuard<'_, ServerTime> {
    shared.time.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the time of day in milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or_default()
}
