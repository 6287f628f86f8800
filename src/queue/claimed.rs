//! Claimed: what was taken over, with the number of its attempt.
//!
//! The number is read from the server after the claim, when nobody else can change it any more; never reckoned from what was
//! listed before.

use super::core::Core;
use super::desk::Desk;
use super::plan::{LOOK, PAGE};
use crate::command::{PendingEntry, XAck, XClaim, XDel, XPendingRange, XRange};
use crate::entry::{Entries, Entry};
use crate::error::Error;
use crate::id::EntryId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// An entry that is ours now.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) entry: Entry,
    pub(super) attempt: u32,
    /// Before the command was sent that made it ours.
    pub(super) since: Instant,
}

/// The number of each entry's attempt, as the server has it. Entries that are no longer ours are left out.
pub(super) async fn with_attempts(
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

/// Claims these, which were idle for so long; they count as delivered once more.
pub(super) async fn take(
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

/// Takes what the server delivered to us in a reply that never came, as it was listed by an answer that was asked for then. It
/// was not run, so it does not count as delivered once more. And whether there was time for all of it.
pub(super) async fn recover(
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

/// Redis 6.2 claims entries that were deleted, and does not say which. They are pending for us, and nowhere else.
pub(super) async fn clear_nulls(
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

/// Deletes what was delivered at most once, before anyone sees it: a group that is made anew would deliver it again.
pub(super) async fn delete(desk: &Desk, level: usize, entries: &Entries) -> Result<(), Error> {
    let Some(core) = desk.core(level).filter(|core| core.settings.retention.deletes()) else {
        return Ok(());
    };
    let ids: Vec<EntryId> = entries.ids().collect();
    for ids in ids.chunks(PAGE) {
        let mut pause = super::clerk::Pause::default();
        // Deleting twice does no harm; giving up would lose them all.
        while let Err(error) = core.client.send(XDel::new(&core.settings.stream, ids)).await {
            if !super::clerk::helps(&error) {
                return Err(error);
            }
            pause.wait().await;
        }
    }
    Ok(())
}
