//! Claims pending entries, and renews leases. An operation.
//!
//! Entries arrive on the consumer's own connection: a reply that exceeds the limit ends it, and no
//! other command is affected.
//!
//! The number of an attempt is read from the server after the claim, when no other consumer can
//! change it. It is never computed from an earlier listing.

use crate::command::{
    PendingEntry, Refs, XAck, XClaim, XClaimJustId, XDel, XDelEx, XInfoConsumers, XInfoGroups,
    XPendingRange, XRange,
};
use crate::entry::{Entries, Entry};
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::operation::backoff::{Backoff, is_transient};
use crate::queue::operation::clock;
use crate::queue::policy::capabilities::is_denied;
use crate::queue::policy::mark::{Mark, split_count};
use crate::queue::policy::plan::{LIST, PAGE};
use crate::queue::settings::Settings;
use crate::queue::shared::Shared;
use crate::reader::Reader;
use crate::resp::ProtocolError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An entry that now belongs to this consumer.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) entry: Entry,
    pub(crate) attempt: u32,
    /// The time before the command was sent that claimed it.
    pub(crate) since: Instant,
}

/// Returns the entries with the attempt numbers of the server. Entries that are no longer ours are
/// omitted.
pub(crate) async fn with_attempts(
    shared: &Shared,
    me: &[u8],
    since: Instant,
    entries: &Entries,
) -> Result<Vec<Claimed>, Error> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let (stream, group) = (&shared.settings.stream, &shared.settings.group);
    let ask = |id| XPendingRange::new(stream, group, id..=id, 1);
    let present = entries.iter().filter(|entry| !entry.is_deleted());
    let present: Vec<Entry> = present.map(|entry| entry.to_entry()).collect();
    let answers = shared.client.send_all(present.iter().map(|entry| ask(entry.id()))).await;
    let mut claimed = Vec::with_capacity(present.len());
    for (entry, answer) in present.into_iter().zip(answers) {
        let answer = answer?;
        let Some(pending) = answer.first().filter(|pending| pending.consumer == me) else {
            continue;
        };
        let attempt = u32::try_from(pending.deliveries.max(1)).unwrap_or(u32::MAX);
        claimed.push(Claimed { entry, attempt, since });
    }
    Ok(claimed)
}

/// Claims entries that were delivered to us in a reply that was lost, as listed by a request sent
/// at `asked`. They were not run, so this does not count as another delivery. Also returns whether
/// there was time for all of them. Adds the ids of deleted entries to `missing`.
pub(crate) async fn recover(
    shared: &Shared,
    reader: &mut Reader,
    me: &[u8],
    asked: Instant,
    lost: Vec<PendingEntry>,
    is_held: impl Fn(EntryId) -> bool,
    missing: &mut Vec<EntryId>,
) -> Result<(Vec<Claimed>, bool), Error> {
    let lease = shared.settings.lease;
    let mut counts: BTreeMap<u64, Vec<EntryId>> = BTreeMap::new();
    for entry in lost {
        counts.entry(entry.deliveries).or_default().push(entry.id);
    }
    let mut claimed = Vec::new();
    for (count, ids) in counts {
        for ids in ids.chunks(PAGE) {
            let since = clock::now();
            if since.saturating_duration_since(asked) > lease / 4 {
                return Ok((claimed, false));
            }
            let (stream, group) = (&shared.settings.stream, &shared.settings.group);
            let claim = XClaim::new(stream, group, me, Duration::ZERO, ids).retry_count(count);
            // A claim that arrives later would take an entry from another consumer.
            let left = (asked + lease / 4).saturating_duration_since(since);
            let entries = reader.send(claim).within(left).await?;
            claimed.extend(with_attempts(shared, me, since, &entries).await?);
            if entries.nulls() > 0 {
                missing.extend(ack_missing(shared, me, &is_held).await?);
            }
        }
    }
    Ok((claimed, true))
}

/// Returns the ids of entries whose jobs are in the wheel, among the first pending ones from this id
/// on: such a job is not lost with its entry. `None` if no entry is pending there. With delete on ack,
/// where missing entries are not counted, nothing is sent, and there are no ids.
pub(crate) async fn in_wheel(
    shared: &Shared,
    start: EntryId,
    most: u64,
) -> Result<Option<BTreeSet<EntryId>>, Error> {
    let Settings { stream, group, retention, .. } = &shared.settings;
    if retention.deletes() {
        return Ok(Some(BTreeSet::new()));
    }
    let list = shared.client.send(XPendingRange::new(stream, group, start.., most)).await?;
    let ids = list.iter().filter(|entry| is_in_wheel(entry)).map(|entry| entry.id);
    Ok((!list.is_empty()).then(|| ids.collect()))
}

fn is_in_wheel(entry: &PendingEntry) -> bool {
    let count = u32::try_from(entry.deliveries).unwrap_or(u32::MAX);
    split_count(count).1 == Mark::Delayed
}

/// Acknowledges deleted entries, and returns the ids of those whose jobs are not in the wheel. Redis
/// 6.2 claims them without their ids: they are the ones that are pending for us and not in the stream.
pub(crate) async fn ack_missing(
    shared: &Shared,
    me: &[u8],
    is_held: impl Fn(EntryId) -> bool,
) -> Result<Vec<EntryId>, Error> {
    let (stream, group) = (&shared.settings.stream, &shared.settings.group);
    // The server of another connection may have them.
    let connection = shared.client.connected_since();
    let mine = XPendingRange::new(stream, group, .., LIST).consumer(me);
    let mine = shared.client.send(mine).await?;
    let unknown: Vec<&PendingEntry> = mine.iter().filter(|entry| !is_held(entry.id)).collect();
    let ask = |entry: &&PendingEntry| XRange::new(stream, entry.id..=entry.id);
    let found = shared.client.send_all(unknown.iter().map(ask)).await;
    let (mut deleted, mut missing) = (Vec::new(), Vec::new());
    for (entry, found) in unknown.into_iter().zip(found) {
        if found?.is_empty() {
            deleted.push(entry.id);
            missing.extend(Some(entry.id).filter(|_| !is_in_wheel(entry)));
        }
    }
    for ids in deleted.chunks(PAGE) {
        let ack = XAck::new(stream, group, ids);
        let (acked,) = shared.client.transact((ack,)).on(connection).await?;
        acked?;
    }
    Ok(missing)
}

/// Deletes at-most-once entries before they are delivered: a group that is created again would
/// deliver them again. From Redis 8.2 on, those stay that another group has not read.
pub(crate) async fn delete(shared: &Shared, entries: &Entries) -> Result<(), Error> {
    if !shared.settings.retention.deletes() {
        return Ok(());
    }
    let ids: Vec<EntryId> = entries.ids().collect();
    for ids in ids.chunks(PAGE) {
        let mut backoff = Backoff::default();
        // Deleting twice does no harm; an error here would lose all of them.
        let mut ack_del = shared.capabilities().ack_del;
        while let Err(error) = delete_page(shared, ids, ack_del).await {
            if ack_del && is_denied(&error) {
                shared.denied.ack_del();
                ack_del = false;
                continue;
            }
            if !is_transient(&error) {
                return Err(error);
            }
            backoff.wait().await;
        }
    }
    Ok(())
}

async fn delete_page(shared: &Shared, ids: &[EntryId], ack_del: bool) -> Result<(), Error> {
    let stream = &shared.settings.stream;
    if ack_del {
        shared.client.send(XDelEx::new(stream, ids).refs(Refs::Acked)).await.map(drop)
    } else {
        shared.client.send(XDel::new(stream, ids)).await.map(drop)
    }
}

/// Renews the leases of these pages of entries, each if they were idle for at least that long.
/// Returns, for each page, the entries that were renewed.
pub(crate) async fn renew(
    shared: &Shared,
    me: &[u8],
    pages: &[(Duration, Vec<EntryId>)],
) -> Vec<Result<Vec<EntryId>, Error>> {
    shared.client.send_all(pages.iter().map(|(idle, ids)| heartbeat(shared, me, ids, *idle))).await
}

/// Delivers an entry of ours to us again, and sets its number of deliveries, if that can be sent
/// before the lease expires. False if the entry is no longer pending, or was deleted.
pub(crate) async fn deliver_again(
    shared: &Shared,
    me: &[u8],
    id: EntryId,
    deliveries: u32,
    expiry: Instant,
) -> Result<bool, Error> {
    let left = || expiry.saturating_duration_since(clock::now());
    let (stream, group) = (&shared.settings.stream, &shared.settings.group);
    // XCLAIM JUSTID of Redis 6.2 returns entries that were deleted, and they stay pending.
    if !shared.capabilities().deleted {
        let look = XRange::new(stream, id..=id).count(1);
        if shared.client.send(look).within(left()).await?.is_empty() {
            shared.client.send(XAck::new(stream, group, id)).within(left()).await?;
            return Ok(false);
        }
    }
    let claim = XClaim::new(stream, group, me, Duration::ZERO, id).retry_count(deliveries.into());
    Ok(!shared.client.send(claim.just_id()).within(left()).await?.is_empty())
}

/// Renews one lease that expires then. False if the entry is no longer pending.
pub(crate) async fn renew_one(
    shared: &Shared,
    me: &[u8],
    id: EntryId,
    expiry: Instant,
) -> Result<bool, Error> {
    let left = expiry.saturating_duration_since(clock::now());
    let ids = [id];
    let claim = heartbeat(shared, me, &ids, Duration::ZERO);
    Ok(!shared.client.send(claim).within(left).await?.is_empty())
}

fn heartbeat<'a>(
    shared: &'a Shared,
    me: &'a [u8],
    ids: &'a [EntryId],
    idle: Duration,
) -> XClaimJustId<'a> {
    let (stream, group) = (&shared.settings.stream, &shared.settings.group);
    XClaim::new(stream, group, me, idle, ids).just_id()
}

/// Returns the limit of a reply, if the reply exceeded it.
pub(crate) fn reply_limit(error: &Error) -> Option<usize> {
    match error {
        Error::Protocol { source: ProtocolError::TooLarge { limit }, .. } => Some(*limit),
        _ => None,
    }
}

/// The name of this consumer, and the one before: entries may still be pending for that.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) current: Arc<[u8]>,
    former: Arc<[u8]>,
}

impl Names {
    pub(crate) fn new(name: Arc<[u8]>) -> Self {
        Self { former: Arc::clone(&name), current: name }
    }

    pub(crate) fn change(&mut self, name: Arc<[u8]>) {
        self.former = std::mem::replace(&mut self.current, name);
    }

    pub(crate) fn current(&self) -> &[u8] {
        &self.current
    }

    fn contain(&self, name: &[u8]) -> bool {
        *name == *self.current || *name == *self.former
    }
}

/// The consumer for which an entry is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Us,
    /// Another consumer claimed it.
    Other,
    /// It is no longer pending: it was settled.
    None,
    /// It is not pending, because the group was created again.
    Unsettled,
}

/// Returns, for each entry, for which consumer it is pending.
pub(crate) async fn owners(
    shared: &Shared,
    names: &Names,
    ids: &[EntryId],
) -> Vec<Result<Owner, Error>> {
    let listed = shared.client.send_all(ids.iter().map(|id| list_one(shared, *id))).await;
    listed.into_iter().map(|pending| Ok(owner(names, &pending?))).collect()
}

/// Returns for which consumer this entry is pending.
pub(crate) async fn owner_of(shared: &Shared, names: &Names, id: EntryId) -> Result<Owner, Error> {
    Ok(owner(names, &shared.client.send(list_one(shared, id)).await?))
}

/// Whether an entry that was delivered to this consumer, and is not pending, was settled.
///
/// A group that was created again has not read the entry yet. Or it starts behind the entry, and does
/// not have this consumer: then the entry is never delivered again. The same holds if the consumer
/// was deleted.
pub(crate) async fn is_settled(shared: &Shared, names: &Names, id: EntryId) -> Result<bool, Error> {
    let (stream, group) = (&shared.settings.stream, &shared.settings.group);
    let both = (XInfoGroups::new(stream), XInfoConsumers::new(stream, group));
    let (groups, consumers) = shared.client.send_all(both).await;
    let (groups, consumers) = (groups?, consumers?);
    let own = groups.iter().find(|info| info.name == **group);
    let has_read = own.is_some_and(|own| own.last_delivered_id >= id);
    Ok(has_read && consumers.iter().any(|consumer| names.contain(&consumer.name)))
}

fn list_one(shared: &Shared, id: EntryId) -> XPendingRange<'_> {
    XPendingRange::new(&shared.settings.stream, &shared.settings.group, id..=id, 1)
}

fn owner(names: &Names, pending: &[PendingEntry]) -> Owner {
    match pending.first() {
        Some(pending) if names.contain(&pending.consumer) => Owner::Us,
        Some(_) => Owner::Other,
        None => Owner::None,
    }
}
