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
use std::time::Duration;
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
        let (beats, expiry) = {
            let leases = state.leases();
            (leases.due(now), leases.next_expiry())
        };
        // The reply must arrive while there is time for another attempt, and expired leases are
        // reported in time.
        let limit = lease / 6;
        let work = async {
            beat(&state, &beats.certain, limit).await;
            if !beats.uncertain.is_empty() {
                let ours = still_ours(&state, &beats.uncertain, limit / 2).await;
                beat(&state, &ours, limit / 2).await;
            }
        };
        let expiry = expiry.map_or(now + lease, |expiry| expiry.max(now));
        let expired = tokio::time::sleep_until(expiry.into());
        if let Either::Right(_) = either(pin!(work), expired).await {
            state.set_unanswered();
        }
        state.expire(clock::now());
    }
}

/// Renews these leases. Those of entries that are no longer pending end.
async fn beat(state: &State, keys: &[Key], limit: Duration) {
    let _on_their_way = state.heartbeat().await;
    let sent = clock::now();
    let me = state.name();
    // Some may have been decided since they were due.
    let keys = state.leases().still_due(keys, sent);
    for (shared, keys) in by_level(state, &keys) {
        let ids: Vec<EntryId> = keys.iter().map(|key| key.1).collect();
        let answers = timeout(limit, claim::renew(shared, &me, &ids)).await;
        if answers.as_ref().map_or(true, |answers| answers.iter().any(Result::is_err)) {
            state.set_unanswered();
        }
        for (keys, answer) in keys.chunks(PAGE).zip(answers.unwrap_or_default()) {
            let (Ok(still), Some((level, _))) = (answer, keys.first()) else { continue };
            let still: Vec<Key> = still.into_iter().map(|id| (*level, id)).collect();
            let gone = state.leases().renewed(sent, keys, &still);
            state.no_longer_pending(gone, clock::now());
        }
    }
}

/// Returns those that are pending for this consumer. The leases of the others end.
async fn still_ours(state: &State, keys: &[Key], limit: Duration) -> Vec<Key> {
    let asked = clock::now();
    let me = state.name();
    let mut ours = Vec::new();
    for (shared, keys) in by_level(state, keys) {
        let ids: Vec<EntryId> = keys.iter().map(|key| key.1).collect();
        let answers = timeout(limit, claim::owners(shared, &me, &ids)).await;
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
