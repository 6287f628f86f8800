//! Reads the timers of the wheel, and moves the jobs that are due. An operation.
//!
//! | step | commands |
//! |---|---|
//! | look at the start, and when the group was created, whether the wheel is used | `XREVRANGE {s}:delay:mover + - COUNT 1`, `XREAD COUNT 1 STREAMS` of all rungs |
//! | read the rungs, each second | `XREAD COUNT 1 STREAMS` of all rungs; `XRANGE` of those with timers |
//! | move a timer to a shorter rung | `XADD`, then `XDEL` |
//! | move jobs, up to 64 at once | `XRANGE {s}:delay:jobs:1m id id`; `XADD s`; then `MULTI`, `XDEL` of the jobs and the timers, `EXEC` |
//!
//! A job is added to its stream first, and deleted after. A mover that dies in between leaves both.
//! With IDMP (Redis 8.6) the next mover adds the same entry again. Without it, the next mover looks
//! for the first copy in the stream: it is there unless it was done already.

use crate::command::{XAdd, XDel, XRange, XRead};
use crate::entry::{Entry, Fields};
use crate::error::Error;
use crate::id::{EntryId, ReadFrom};
use crate::queue::codec::origin::{self, Address, producer_id};
use crate::queue::operation::turn;
use crate::queue::policy::delay::{RUNGS, Timer};
use crate::queue::policy::plan::{LIST, PAGE};
use crate::queue::policy::timers::{Placed, Timers};
use crate::queue::shared::Shared;
use std::collections::BTreeMap;

/// The maximum number of pages that are searched for copies.
const PAGES: usize = 20;

/// Reads the timers whose rungs end now, and moves those of jobs that are due much later. `now` is
/// the time of the server. Returns whether there may be more.
pub(crate) async fn read(shared: &Shared, timers: &mut Timers, now: u64) -> Result<bool, Error> {
    let keys = rungs(shared);
    let mut heads = XRead::new().count(1);
    for (rung, key) in keys.iter().enumerate() {
        heads = heads.stream(key, ReadFrom::After(timers.read(rung)));
    }
    let mut has_more = false;
    for head in shared.client.send(heads).await?.streams() {
        let Some(rung) = keys.iter().position(|key| key == head.key()) else { continue };
        let (Some(first), until) = (head.entries().ids().next(), Timers::until(rung, now)) else {
            continue;
        };
        if first > until || !timers.has_room() {
            continue;
        }
        let key = shared.settings.rung_key(rung);
        let page = shared.client.send(XRange::new(&key, first..=until).count(LIST)).await?;
        let found = page.iter().filter_map(|entry| {
            let timer = Timer::parse(entry.fields());
            timers.add(rung, entry.id(), timer, now).zip(timer).map(|to| (entry.id(), to))
        });
        let moved: Vec<(EntryId, (usize, Timer))> = found.collect();
        has_more |= page.len() as u64 >= LIST;
        for moved in moved.chunks(PAGE) {
            shorten(shared, &key, moved).await?;
        }
    }
    Ok(has_more && timers.has_room())
}

/// Moves timers of this rung to shorter ones. If the connection changes, the old ones stay: the
/// server may have lost the new ones.
async fn shorten(
    shared: &Shared,
    from: &[u8],
    timers: &[(EntryId, (usize, Timer))],
) -> Result<(), Error> {
    let connection = shared.client.connected_since();
    let add = |(_, (rung, timer)): &(EntryId, (usize, Timer))| {
        XAdd::new(shared.settings.rung_key(*rung)).fields(timer.fields())
    };
    for added in shared.client.send_all(timers.iter().map(add)).await {
        added?;
    }
    let ids: Vec<EntryId> = timers.iter().map(|(id, _)| *id).collect();
    let (deleted,) = shared.client.transact((XDel::new(from, &ids),)).on(connection).await?;
    deleted.map(drop)
}

/// Moves these jobs to their stream. Those that may have been moved before are looked for first, if
/// `is_uncertain`. If the connection changes, the server may have lost what was added: nothing is
/// deleted then, and an error is returned.
pub(crate) async fn move_jobs(
    shared: &Shared,
    due: &[Placed],
    is_uncertain: bool,
) -> Result<(), Error> {
    let settings = &shared.settings;
    let connection = shared.client.connected_since();
    let mut ids: BTreeMap<usize, Vec<EntryId>> = BTreeMap::new();
    let mut rungs: BTreeMap<usize, Vec<EntryId>> = BTreeMap::new();
    let mut times = BTreeMap::new();
    for (rung, timer_id, timer) in due {
        times.insert((timer.class, timer.job), timer.due);
        ids.entry(timer.class).or_default().push(timer.job);
        rungs.entry(*rung).or_default().push(*timer_id);
    }
    let mut jobs: Vec<(usize, Entry)> = Vec::with_capacity(due.len());
    for (class, ids) in &mut ids {
        // There may be two timers of one job.
        ids.sort_unstable();
        ids.dedup();
        let key = settings.waiting_key(*class);
        let found = shared.client.send_all(ids.iter().map(|id| XRange::new(&key, *id..=*id)));
        for found in found.await {
            // A job that is missing was moved or cancelled.
            jobs.extend(found?.first().map(|entry| (*class, entry.to_entry())));
        }
    }
    let mut copied = BTreeMap::new();
    let idmp = shared.capabilities().idmp;
    if is_uncertain && !idmp {
        let first = due.iter().map(|(.., timer)| timer.due).min().unwrap_or_default();
        copied = find_copies(shared, EntryId::new(first.saturating_sub(1), 0)).await?;
    }
    let pid = producer_id("due", &settings.stream, &settings.group);
    let iids: Vec<String> =
        jobs.iter().map(|(class, entry)| format!("{class}/{}", entry.id())).collect();
    let adds = jobs.iter().zip(&iids).filter_map(|((class, entry), iid)| {
        let fields = origin::without_wait(entry.fields())?;
        let copy = copied.get(&attempt_of(shared, fields.clone())?);
        let due = times.get(&(*class, entry.id())).copied().unwrap_or_default();
        // One from before is of an attempt before a redrive.
        if copy.is_some_and(|copy| copy.ms() >= due.saturating_sub(1)) {
            return None;
        }
        let add = XAdd::new(&settings.stream).fields(fields);
        Some(if idmp { add.idmp(&pid, iid) } else { add })
    });
    for added in shared.client.send_all(adds.collect::<Vec<_>>()).await {
        added?;
    }
    let jobs = ids.iter().map(|(class, ids)| (settings.waiting_key(*class), ids));
    let timers = rungs.iter().map(|(rung, ids)| (settings.rung_key(*rung), ids));
    let deletes: Vec<_> = jobs.chain(timers).map(|(key, ids)| XDel::new(key, ids)).collect();
    for deleted in shared.client.transact(deletes).on(connection).await? {
        deleted?;
    }
    Ok(())
}

/// Returns the job and the number of its attempts, which only entries before and after a redrive have
/// in common.
fn attempt_of(shared: &Shared, fields: Fields<'_>) -> Option<(EntryId, u32)> {
    let (address, _) = Address::split(fields, &shared.settings.stream)?;
    (*address.group == *shared.settings.group).then_some((address.id, address.tried))
}

/// Returns the jobs that were added to the stream from this id on, and are still in it: the last id of
/// each.
async fn find_copies(
    shared: &Shared,
    from: EntryId,
) -> Result<BTreeMap<(EntryId, u32), EntryId>, Error> {
    let (mut copies, mut next) = (BTreeMap::new(), Some(from));
    for _ in 0..PAGES {
        let Some(from) = next else { break };
        let page = XRange::new(&shared.settings.stream, from..).count(PAGE as u64);
        let page = shared.client.send(page).await?;
        let found = page.iter();
        copies.extend(found.filter_map(|it| Some((attempt_of(shared, it.fields())?, it.id()))));
        next = page.last().and_then(|entry| entry.id().next());
    }
    Ok(copies)
}

/// Whether the wheel of this queue was ever used. A server that has lost data may have timers and no
/// record.
pub(crate) async fn is_used(shared: &Shared) -> Result<bool, Error> {
    let (key, rungs) = (shared.settings.mover_key(), rungs(shared));
    let mut timers = XRead::new().count(1);
    for rung in &rungs {
        timers = timers.stream(rung, ReadFrom::START);
    }
    let (last, timers) = shared.client.send_all((turn::last_record(&key), timers)).await;
    Ok(!last?.is_empty() || !timers?.is_empty())
}

fn rungs(shared: &Shared) -> Vec<Vec<u8>> {
    (0..RUNGS).map(|rung| shared.settings.rung_key(rung)).collect()
}
