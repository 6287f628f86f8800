//! Keeper: the task that sends heartbeats in time, and cancels jobs whose heartbeats fail.

use crate::command::{XClaim, XClaimJustId, XPendingRange};
use crate::id::EntryId;
use crate::queue::consumer::state::Desk;
use crate::queue::first;
use crate::queue::policy::leases::Key;
use crate::queue::policy::plan::PAGE;
use crate::queue::shared::Core;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs until the consumer has ended.
pub(crate) async fn run(desk: Arc<Desk>) {
    let Some(lease) = desk.settings().map(|settings| settings.lease) else { return };
    let tick = lease / 24;
    while !desk.ended.is_cancelled() {
        let taken = desk.taken.notified();
        let next = desk.held().next();
        let wait = async {
            match next {
                // Never at once: a heartbeat without a reply is retried a little later.
                Some(at) => tokio::time::sleep_until((at.max(Instant::now() + tick)).into()).await,
                None => taken.await,
            }
        };
        first(wait, desk.ended.cancelled()).await;
        let now = Instant::now();
        desk.lapse(now);
        desk.forget_run(now, lease);
        let (beats, lapse) = {
            let held = desk.held();
            (held.due(now), held.next_lapse())
        };
        // The reply must arrive while there is time for another attempt, and expired leases are
        // reported in time.
        let limit = lease / 6;
        let work = async {
            beat(&desk, &beats.sure, limit).await;
            if !beats.doubtful.is_empty() {
                let ours = still_ours(&desk, &beats.doubtful, limit / 2).await;
                beat(&desk, &ours, limit / 2).await;
            }
        };
        let lapse = lapse.map_or(now + lease, |lapse| lapse.max(now));
        first(work, tokio::time::sleep_until(lapse.into())).await;
        desk.lapse(Instant::now());
    }
}

/// Renews these leases. Those of entries that are no longer pending are lost.
async fn beat(desk: &Desk, keys: &[Key], limit: Duration) {
    let sent = Instant::now();
    let me = desk.name();
    // Some may have been decided since they were due.
    let keys = desk.held().beatable(keys, sent);
    for (core, keys) in by_level(desk, &keys) {
        let ids: Vec<EntryId> = keys.iter().map(|key| key.1).collect();
        let claims = ids.chunks(PAGE).map(|ids| claim(core, &me, ids));
        let answers = tokio::time::timeout(limit, core.client.send_all(claims)).await;
        for (keys, answer) in keys.chunks(PAGE).zip(answers.unwrap_or_default()) {
            let (Ok(still), Some((level, _))) = (answer, keys.first()) else { continue };
            let still: Vec<Key> = still.into_iter().map(|id| (*level, id)).collect();
            let gone = desk.held().beaten(sent, keys, &still);
            desk.lose(gone, Instant::now());
        }
    }
}

fn claim<'a>(core: &'a Core, me: &'a [u8], ids: &'a [EntryId]) -> XClaimJustId<'a> {
    let (stream, group) = (&core.settings.stream, &core.settings.group);
    XClaim::new(stream, group, me, Duration::ZERO, ids).just_id()
}

/// Returns those that no other consumer has claimed. The others are lost.
async fn still_ours(desk: &Desk, keys: &[Key], limit: Duration) -> Vec<Key> {
    let asked = Instant::now();
    let me = desk.name();
    let mut ours = Vec::new();
    for (core, keys) in by_level(desk, keys) {
        let (stream, group) = (&core.settings.stream, &core.settings.group);
        let ask = |key: &Key| XPendingRange::new(stream, group, key.1..=key.1, 1);
        let answers = tokio::time::timeout(limit, core.client.send_all(keys.iter().map(ask))).await;
        for (key, answer) in keys.iter().zip(answers.unwrap_or_default()) {
            let Ok(answer) = answer else { continue };
            if answer.iter().any(|pending| pending.consumer == *me) {
                ours.push(*key);
            } else {
                let lost = desk.held().beaten(asked, &[*key], &[]);
                desk.lose(lost, Instant::now());
            }
        }
    }
    ours
}

/// Groups the keys by stream.
fn by_level<'a>(
    desk: &'a Desk,
    keys: &'a [Key],
) -> impl Iterator<Item = (&'a Arc<Core>, &'a [Key])> {
    // They are sorted by stream.
    keys.chunk_by(|a, b| a.0 == b.0).filter_map(|keys| Some((desk.core(keys.first()?.0)?, keys)))
}
