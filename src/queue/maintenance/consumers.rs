//! Removes the names of consumers: our own at the end, and abandoned ones. An operation.

use crate::command::{
    ConsumerInfo, PendingEntry, XClaim, XGroupDelConsumer, XInfoConsumers, XPendingRange,
    XReadGroup,
};
use crate::error::Error;
use crate::id::{EntryId, GroupFrom};
use crate::queue::event::QueueEvent;
use crate::queue::operation::backoff::{Backoff, is_transient};
use crate::queue::operation::clock;
use crate::queue::policy::delay;
use crate::queue::policy::plan::LIST;
use crate::queue::policy::retention_kind::RetentionKind;
use crate::queue::policy::unread;
use crate::queue::settings::CONSUMER_PREFIX;
use crate::queue::shared::Shared;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Lists the consumers of the group.
pub(crate) async fn list(shared: &Shared) -> Result<Vec<ConsumerInfo>, Error> {
    let list = XInfoConsumers::new(&shared.settings.stream, &shared.settings.group);
    let mut consumers = shared.client.send(list).await?;
    consumers.retain(|info| {
        RetentionKind::of_marker(&info.name).is_none() && unread::counted(&info.name).is_none()
    });
    Ok(consumers)
}

/// Makes our name listed, and active, where reads without a result do not. There are no pending
/// entries to be read after the last possible id.
pub(crate) async fn show(shared: &Shared, me: &[u8]) -> Result<(), Error> {
    let (stream, last) = (&shared.settings.stream, GroupFrom::Pending(EntryId::MAX));
    let read = XReadGroup::new(&shared.settings.group, me).stream(stream, last);
    shared.client.send(read).await.map(drop)
}

/// Removes consumers that have nothing pending and were idle for ten leases, in two checks at least
/// two leases apart: after a jump of the server's clock, those that are there read in between.
/// `abandoned` holds those found before, and since when.
pub(crate) async fn remove_abandoned(
    shared: &Shared,
    me: &[u8],
    consumers: &[ConsumerInfo],
    abandoned: &mut BTreeMap<Vec<u8>, Instant>,
) -> Result<(), Error> {
    let (now, horizon) = (clock::now(), shared.settings.lease * 10);
    let found: Vec<Vec<u8>> = consumers
        .iter()
        .filter(|consumer| consumer.pending == 0 && consumer.idle >= horizon)
        .filter(|consumer| consumer.name.starts_with(CONSUMER_PREFIX) && consumer.name != *me)
        .map(|consumer| consumer.name.to_vec())
        .collect();
    abandoned.retain(|name, _| found.contains(name));
    for name in found {
        let since = *abandoned.entry(name.clone()).or_insert(now);
        let is_due = now.saturating_duration_since(since) >= shared.settings.lease * 2;
        if is_due && remove(shared, &name).await? {
            shared.emit(QueueEvent::ConsumerRemoved { name: name.into() });
        }
    }
    Ok(())
}

/// Removes our own consumer names, at the end.
pub(crate) async fn leave(levels: &[Arc<Shared>], me: &[u8]) {
    for shared in levels.iter().filter(|shared| !shared.settings.at_most_once) {
        // If the name stays, another consumer removes it.
        let _ = remove(shared, me).await;
    }
    for shared in levels.iter().filter(|shared| shared.settings.at_most_once) {
        let (stream, group) = (&shared.settings.stream, &shared.settings.group);
        let _ = shared.client.send(XGroupDelConsumer::new(stream, group, me)).await;
    }
}

/// Removes a consumer that has nothing pending. An entry that is delivered to it at that moment is
/// kept for a retry. False if it had something pending, or was removed before.
async fn remove(shared: &Shared, name: &[u8]) -> Result<bool, Error> {
    let (stream, group) = (&shared.settings.stream, &shared.settings.group);
    let list = || XPendingRange::new(stream, group, .., LIST);
    // After a failover it may have entries pending that it had acknowledged.
    let connection = shared.client.connected_since();
    if !shared.client.send(list().consumer(name)).await?.is_empty() {
        return Ok(false);
    }
    let del = XGroupDelConsumer::new(stream, group, name);
    let known = XInfoConsumers::new(stream, group);
    let (held, known, deleted) =
        shared.client.transact((list().consumer(name), known, del)).on(connection).await?;
    let (held, _): (Vec<PendingEntry>, u64) = (held?, deleted?);
    let is_removed = known?.iter().any(|consumer| consumer.name == *name);
    let mut counts: BTreeMap<u64, Vec<EntryId>> = BTreeMap::new();
    for entry in held {
        counts.entry(entry.deliveries).or_default().push(entry.id);
    }
    for (count, ids) in counts {
        let claim = XClaim::new(stream, group, delay::RETRY, Duration::ZERO, &ids);
        let claim = claim.retry_count(count).force();
        let claim = claim.just_id();
        let mut backoff = Backoff::default();
        // They are pending for no consumer until they are put back.
        while let Err(error) = shared.client.send(claim.clone()).await {
            if !is_transient(&error) {
                return Err(error);
            }
            backoff.wait().await;
        }
    }
    Ok(is_removed)
}
