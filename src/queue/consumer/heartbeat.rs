//! Renews leases in time, and cancels jobs whose lease is lost. A task.

use crate::id::EntryId;
use crate::queue::consumer::state::State;
use crate::queue::first::{Either, either, first};
use crate::queue::operation::claim::{self, Owner};
use crate::queue::operation::clock;
use crate::queue::policy::leases::Key;
use crate::queue::policy::plan::PAGE;
use crate::queue::shared::Shared;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Runs until the consumer has ended.
pub(crate) async fn run(state: Arc<State>) {
    let Some(lease) = state.settings().map(|settings| settings.lease) else { return };
    let tick = lease / 24;
    while !state.ended.is_cancelled() {
        let leased = state.leased.notified();
        let next = state.leases().next_check();
        let wait = async {
            match next {
                // Never at once: a heartbeat without a reply is retried a little later.
                Some(at) => tokio::time::sleep_until((at.max(clock::now() + tick)).into()).await,
                None => leased.await,
            }
        };
        first(wait, state.ended.cancelled()).await;
        let now = clock::now();
        state.expire(now);
        state.forget_run(now, lease);
        let (due, expiry) = {
            let leases = state.leases();
            (leases.due(now), leases.next_expiry())
        };
        let work = beat(&state, &due, lease);
        // Expired leases are reported in time.
        let expiry = expiry.map_or(now + lease, |expiry| expiry.max(now));
        let expired = tokio::time::sleep_until(expiry.into());
        if let Either::Right(_) = either(pin!(work), expired).await {
            state.set_unanswered();
        }
        state.expire(clock::now());
    }
}

/// Renews these leases. Those of entries that belong to another consumer, or are no longer pending,
/// end.
async fn beat(state: &State, keys: &[Key], lease: Duration) {
    // The reply must arrive while there is time for another attempt.
    let limit = lease / 6;
    let left = renew(state, keys, true, limit).await;
    if !left.is_empty() {
        // They were claimed, settled or deleted by others. Or the server's clock was set back, and
        // their idle time is wrong.
        let ours = still_ours(state, &left, limit / 2).await;
        renew(state, &ours, false, limit / 2).await;
    }
}

/// Renews these leases; with `if_unclaimed`, those of entries whose idle time shows that no other
/// client has claimed them since. Returns the others.
async fn renew(state: &State, keys: &[Key], if_unclaimed: bool, limit: Duration) -> Vec<Key> {
    let _on_their_way = state.heartbeat().await;
    let sent = clock::now();
    let me = state.name();
    // Some may have been decided since they were due.
    let due = state.leases().still_due(keys, sent);
    let mut left = Vec::new();
    for due in due.chunk_by(|((level, _), _), ((other, _), _)| level == other) {
        let Some(((level, _), _)) = due.first() else { continue };
        let Some(shared) = state.shared(*level) else { continue };
        let pages = due.chunk_by(|(_, idle), (_, other)| idle == other || !if_unclaimed);
        let pages: Vec<(Duration, Vec<EntryId>)> = pages
            .flat_map(|page| page.chunks(PAGE))
            .map(|page| {
                let idle = page.first().map_or(sent, |(_, idle)| *idle);
                let idle = if if_unclaimed { least_idle(sent, idle) } else { Duration::ZERO };
                (idle, page.iter().map(|((_, id), _)| *id).collect())
            })
            .collect();
        let answers = timeout(limit, claim::renew(shared, &me, &pages)).await;
        if answers.as_ref().map_or(true, |answers| answers.iter().any(Result::is_err)) {
            state.set_unanswered();
        }
        let now = clock::now();
        for ((_, asked), answer) in pages.into_iter().zip(answers.unwrap_or_default()) {
            let Ok(renewed) = answer else { continue };
            let keys = asked.into_iter().map(|id| (*level, id));
            let (renewed, rest): (Vec<Key>, Vec<Key>) =
                keys.partition(|key| renewed.contains(&key.1));
            state.leases().renewed(sent, now, &renewed);
            left.extend(rest);
        }
    }
    left
}

/// Returns how long an entry has been idle at the server at least, if it was last confirmed then.
/// The clocks may run at slightly different rates, and the server counts whole milliseconds.
fn least_idle(now: Instant, confirmed: Instant) -> Duration {
    let idle = now.saturating_duration_since(confirmed);
    (idle - idle / 100).saturating_sub(Duration::from_millis(2))
}

/// Returns those that are pending for this consumer. The leases of the others end.
async fn still_ours(state: &State, keys: &[Key], limit: Duration) -> Vec<Key> {
    let asked = clock::now();
    let names = state.names();
    let mut ours = Vec::new();
    for (shared, keys) in by_level(state, keys) {
        let ids: Vec<EntryId> = keys.iter().map(|key| key.1).collect();
        let answers = timeout(limit, claim::owners(shared, &names, &ids)).await;
        for (key, answer) in keys.iter().zip(answers.unwrap_or_default()) {
            match answer {
                Ok(Owner::Us) => ours.push(*key),
                Ok(owner) => state.taken(owner, asked, *key),
                Err(_) => {}
            }
        }
    }
    ours
}

/// Groups the keys by stream.
fn by_level<'a>(
    state: &'a State,
    keys: &'a [Key],
) -> impl Iterator<Item = (&'a Arc<Shared>, &'a [Key])> {
    // They are sorted by stream.
    keys.chunk_by(|a, b| a.0 == b.0).filter_map(|keys| Some((state.shared(keys.first()?.0)?, keys)))
}
