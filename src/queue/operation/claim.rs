//! Claimed: claimed entries, with the number of the attempt.
//!
//! The number is read from the server after the claim, when no other consumer can change it. It is
//! never computed from an earlier listing.

use crate::command::{PendingEntry, XAck, XClaim, XDel, XPendingRange, XRange};
use crate::entry::{Entries, Entry};
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::consumer::state::Desk;
use crate::queue::policy::plan::{LOOK, PAGE};
use crate::queue::shared::Core;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// An entry that now belongs to this consumer.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) entry: Entry,
    pub(crate) attempt: u32,
    /// The time before the command was sent that claimed it.
    pub(crate) since: Instant,
}

/// Returns the entries with the attempt numbers of the server. Entries that are no longer ours are
/// omitted.
pub(crate) async fn with_attempts(
    core: &Core,
    me: &[u8],
    since: Instant,
    entries: &Entries,
) -> Result<Vec<Taken>, Error> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let (stream, group) = (&core.settings.stream, &core.settings.group);
    let ask = |id| XPendingRange::new(stream, group, id..=id, 1);
    let asked: Vec<Entry> =
        entries.iter().filter(|entry| !entry.is_deleted()).map(|entry| entry.to_entry()).collect();
    let answers = core.client.send_all(asked.iter().map(|entry| ask(entry.id()))).await;
    let mut taken = Vec::with_capacity(asked.len());
    for (entry, answer) in asked.into_iter().zip(answers) {
        let answer = answer?;
        let Some(pending) = answer.first().filter(|pending| pending.consumer == me) else {
            continue;
        };
        let attempt = u32::try_from(pending.deliveries.max(1)).unwrap_or(u32::MAX);
        taken.push(Taken { entry, attempt, since });
    }
    Ok(taken)
}

/// Claims entries that were idle for this long. This counts as another delivery.
pub(crate) async fn take(
    desk: &Desk,
    core: &Core,
    level: usize,
    me: &[u8],
    least: Duration,
    ids: &[EntryId],
) -> Result<Vec<Taken>, Error> {
    let since = Instant::now();
    let claim = XClaim::new(&core.settings.stream, &core.settings.group, me, least, ids);
    let entries = core.client.send(claim).await?;
    let taken = with_attempts(core, me, since, &entries).await?;
    if entries.nulls() > 0 {
        clear_nulls(desk, core, level, me).await?;
    }
    Ok(taken)
}

/// Claims entries that were delivered to us in a reply that was lost, as listed by a request sent
/// at `asked`. They were not run, so this does not count as another delivery. Also returns whether
/// there was time for all of them.
pub(crate) async fn recover(
    desk: &Desk,
    core: &Core,
    level: usize,
    me: &[u8],
    asked: Instant,
    lost: Vec<PendingEntry>,
) -> Result<(Vec<Taken>, bool), Error> {
    let lease = core.settings.lease;
    let mut counts: BTreeMap<u64, Vec<EntryId>> = BTreeMap::new();
    for entry in lost {
        counts.entry(entry.deliveries).or_default().push(entry.id);
    }
    let mut taken = Vec::new();
    for (count, ids) in counts {
        for ids in ids.chunks(PAGE) {
            let since = Instant::now();
            if since.saturating_duration_since(asked) > lease / 4 {
                return Ok((taken, false));
            }
            let (stream, group) = (&core.settings.stream, &core.settings.group);
            let claim = XClaim::new(stream, group, me, Duration::ZERO, ids).retry_count(count);
            let entries = core.client.send(claim).await?;
            taken.extend(with_attempts(core, me, since, &entries).await?);
            if entries.nulls() > 0 {
                clear_nulls(desk, core, level, me).await?;
            }
        }
    }
    Ok((taken, true))
}

/// Acknowledges deleted entries. Redis 6.2 claims them without their ids: they are the ones that
/// are pending for us and not in the stream.
pub(crate) async fn clear_nulls(
    desk: &Desk,
    core: &Core,
    level: usize,
    me: &[u8],
) -> Result<(), Error> {
    let (stream, group) = (&core.settings.stream, &core.settings.group);
    let mine = XPendingRange::new(stream, group, .., LOOK).consumer(me);
    let mine = core.client.send(mine).await?;
    let unknown: Vec<EntryId> = {
        let held = desk.held();
        let ids = mine.iter().map(|entry| entry.id);
        ids.filter(|id| !held.holds((level, *id))).collect()
    };
    let ask = |id: &EntryId| XRange::new(stream, *id..=*id);
    let found = core.client.send_all(unknown.iter().map(ask)).await;
    let mut gone = Vec::new();
    for (id, found) in unknown.iter().zip(found) {
        if found?.is_empty() {
            gone.push(*id);
        }
    }
    for ids in gone.chunks(PAGE) {
        core.client.send(XAck::new(stream, group, ids)).await?;
    }
    desk.vanished(level, &gone);
    Ok(())
}

/// Deletes at-most-once entries before they are delivered: a group that is created again would
/// deliver them again.
pub(crate) async fn delete(desk: &Desk, level: usize, entries: &Entries) -> Result<(), Error> {
    let Some(core) = desk.core(level).filter(|core| core.settings.retention.deletes()) else {
        return Ok(());
    };
    let ids: Vec<EntryId> = entries.ids().collect();
    for ids in ids.chunks(PAGE) {
        let mut pause = crate::queue::consumer::settle::Pause::default();
        // Deleting twice does no harm; an error here would lose all of them.
        while let Err(error) = core.client.send(XDel::new(&core.settings.stream, ids)).await {
            if !crate::queue::consumer::settle::is_transient(&error) {
                return Err(error);
            }
            pause.wait().await;
        }
    }
    Ok(())
}
