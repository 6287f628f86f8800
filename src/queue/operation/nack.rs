//! Gives a pending entry back, for another attempt. An operation.
//!
//! | decision | XNACK (Redis 8.8) | otherwise |
//! |---|---|---|
//! | retry now | `XNACK FAIL` | `XCLAIM ~retry 0 id IDLE lease JUSTID` |
//! | retry later, below the lease | | `XCLAIM ~retry 0 id IDLE lease-wait JUSTID` |
//! | release | `XNACK SILENT` | `XCLAIM ~retry 0 id IDLE lease RETRYCOUNT attempt-1 JUSTID` |
//! | release of a job that was run alone | | the same, without its mark |
//!
//! With more than 10,000 pending entries, from Redis 8.4 on, `IDLE` is omitted, because it would be
//! slow at the server. The job then waits for a whole lease.
//!
//! Delays are waited for by the consumer, or in the wheel ([`delay`](super::delay)). Only a job that
//! a closing consumer cannot dead-letter is given back with one.
//!
//! A server that refuses XNACK, by its ACL or because it was renamed, is treated as an older one.
//!
//! None of these commands checks the owner. So they are sent only while the lease is valid, by the
//! time limit of the command, and not again when the outcome is unknown.

use super::clock;
use crate::command::{NackMode, XClaim, XNack};
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::policy::capabilities::is_denied;
use crate::queue::policy::delay::RETRY;
use crate::queue::shared::Shared;
use std::time::{Duration, Instant};

/// The way in which an entry is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GiveBack {
    /// For another attempt after this delay, at most a lease.
    Retry(Duration),
    /// As if it had never been delivered.
    Release,
    /// The same, for a job whose count at the server has the mark of one that was run alone.
    ReleaseAlone,
}

/// Gives the entry back, if that can be sent before the lease expires. `deliveries` is the number
/// of its deliveries, including the present one.
pub(crate) async fn send(
    shared: &Shared,
    id: EntryId,
    deliveries: u32,
    give_back: GiveBack,
    expiry: Instant,
) -> Result<(), Error> {
    let left = || expiry.saturating_duration_since(clock::now());
    let settings = &shared.settings;
    let (stream, group, lease) = (&settings.stream, &settings.group, settings.lease);
    let nacks = shared.capabilities().nack;
    let mode = match give_back {
        GiveBack::Retry(Duration::ZERO) => Some(NackMode::Fail),
        GiveBack::Retry(_) | GiveBack::ReleaseAlone => None,
        GiveBack::Release => Some(NackMode::Silent),
    };
    if let Some(mode) = mode.filter(|_| nacks) {
        let nack = shared.client.send(XNack::new(stream, group, mode, id));
        match nack.within(left()).await {
            Err(error) if is_denied(&error) => shared.denied.nack(),
            result => return result.map(drop),
        }
    }
    let many_pending = shared.has_many_pending().await?;
    let claim = |idle| {
        let claim = XClaim::new(stream, group, RETRY, Duration::ZERO, id);
        if many_pending { claim } else { claim.idle(idle) }
    };
    let claim = match give_back {
        GiveBack::Retry(wait) => claim(lease.saturating_sub(wait)),
        GiveBack::Release | GiveBack::ReleaseAlone => {
            claim(lease).retry_count(deliveries.saturating_sub(1).into())
        }
    };
    shared.client.send(claim.just_id()).within(left()).await.map(drop)
}
