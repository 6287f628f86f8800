//! Gives a pending entry back, for another attempt. An operation.
//!
//! | decision | XNACK (Redis 8.8) | otherwise |
//! |---|---|---|
//! | retry now | `XNACK FAIL` | `XCLAIM ~retry 0 id IDLE lease JUSTID` |
//! | retry later, below the lease | | `XCLAIM ~retry 0 id IDLE lease-wait JUSTID` |
//! | retry later, beyond it | | `XCLAIM ~delay:b 0 id IDLE b-wait RETRYCOUNT attempt JUSTID` |
//! | release | `XNACK SILENT` | `XCLAIM ~retry 0 id IDLE lease RETRYCOUNT attempt-1 JUSTID` |
//!
//! With more than 10,000 pending entries, from Redis 8.4 on, `IDLE` is omitted, because it would be
//! slow at the server. The job then waits for a whole lease, or for the duration of its delay
//! bucket.
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
use crate::queue::policy::delay;
use crate::queue::shared::Shared;
use std::time::{Duration, Instant};

/// The way in which an entry is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GiveBack {
    /// For another attempt after this delay.
    Retry(Duration),
    /// As if it had never been delivered.
    Release,
}

/// Gives the entry back, if that can be sent before the lease expires. `attempt` is the number of
/// its present attempt.
pub(crate) async fn send(
    shared: &Shared,
    id: EntryId,
    attempt: u32,
    give_back: GiveBack,
    expiry: Instant,
) -> Result<(), Error> {
    let left = || expiry.saturating_duration_since(clock::now());
    let settings = &shared.settings;
    let (stream, group, lease) = (&settings.stream, &settings.group, settings.lease);
    // A consumer that reads without CLAIM is not woken by XNACK, and does not see entries without
    // an owner.
    let nacks = shared.capabilities().nack && !settings.uses_buckets();
    let mode = match give_back {
        GiveBack::Retry(Duration::ZERO) => Some(NackMode::Fail),
        GiveBack::Retry(_) => None,
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
    let claim = |owner, idle| {
        let claim = XClaim::new(stream, group, owner, Duration::ZERO, id);
        if many_pending { claim } else { claim.idle(idle) }
    };
    let claim = match give_back {
        GiveBack::Retry(wait) => {
            let wait = wait.min(settings.longest_possible_delay());
            let (owner, idle) = delay::placement(wait, lease);
            let claim = claim(owner, idle);
            match delay::bucket_delay(owner) {
                Some(_) => claim.retry_count(attempt.into()),
                None => claim,
            }
        }
        GiveBack::Release => {
            claim(delay::RETRY, lease).retry_count(attempt.saturating_sub(1).into())
        }
    };
    shared.client.send(claim.just_id()).within(left()).await.map(drop)
}
