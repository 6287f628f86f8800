//! Janitor: ghosts, empty consumers, safe trimming; every ten seconds or so, in every consumer.
//!
//! With many consumers each of them does it now and then, so that together they do it about as often as one would.
//!
//! | what | how |
//! |---|---|
//! | entries that were deleted while pending | `XAUTOCLAIM s g me <longer than anything> cursor COUNT 100 JUSTID` lists them and lets them go (Redis 7.0) |
//! | names of consumers that are gone | those that bourn made up, with nothing pending and silent for ten leases, in two looks that far apart |
//! | what every group has acknowledged | `XTRIM s MINID ~ m`, below everything that any group still needs |
//! | what a lossy retention has no room for | `XTRIM s MAXLEN ~ n`, `XTRIM s MINID ~ now-age` |

use super::core::Core;
use super::desk::{Desk, OURS};
use super::event::QueueEvent;
use super::first;
use super::park;
use super::plan::{LOOK, about};
use super::settings::{Retention, Settings};
use super::stats;
use crate::command::{
    PendingEntry, Trim, XAutoClaim, XClaim, XGroupDelConsumer, XInfoConsumers, XInfoGroups,
    XInfoStream, XPending, XPendingRange, XTrim,
};
use crate::error::Error;
use crate::id::EntryId;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(10);

/// How many pages of pending entries are looked through each time.
const PAGES: usize = 10;

/// Longer than any entry was ever idle, in milliseconds that a server takes.
const NEVER: Duration = Duration::from_millis(9_000_000_000_000_000);

/// What it has seen before.
#[derive(Debug, Default)]
struct Seen {
    /// Where the search for ghosts goes on.
    cursor: Option<EntryId>,
    /// Entries that were gone before the group was given them.
    skipped: u64,
    /// Consumers that have a gauge.
    #[cfg(feature = "metrics")]
    gauges: Vec<String>,
    /// Consumers that looked dead, and since when.
    dead: HashMap<Vec<u8>, Instant>,
}

/// Until told to stop.
pub(super) async fn run(desk: Arc<Desk>, stop: CancellationToken) {
    let mut seen: Vec<Seen> = desk.levels.iter().map(|_| Seen::default()).collect();
    while !stop.is_cancelled() {
        first(tokio::time::sleep(about(EVERY, fastrand::f64())), stop.cancelled()).await;
        if stop.is_cancelled() {
            return;
        }
        for ((level, core), seen) in desk.levels.iter().enumerate().zip(&mut seen) {
            // What could not be done is done the next time; the reader tells what is wrong.
            let _ = tidy(&desk, core, level, seen).await;
        }
    }
}

async fn tidy(desk: &Desk, core: &Core, level: usize, seen: &mut Seen) -> Result<(), Error> {
    let (stream, group) = (&core.settings.stream, &core.settings.group);
    let consumers = core.client.send(XInfoConsumers::new(stream, group)).await?;
    #[cfg(feature = "metrics")]
    super::metrics::measure(core, &consumers, &mut seen.gauges).await?;
    let live = consumers.iter().filter(|consumer| consumer.name.starts_with(OURS)).count();
    if fastrand::usize(..live.max(1)) > 0 {
        return Ok(());
    }
    if core.abilities().deleted && !core.settings.at_most_once {
        ghosts(desk, core, level, seen).await?;
    }
    let (now, horizon) = (Instant::now(), core.settings.lease * 10);
    let me = desk.name();
    let dead: Vec<Vec<u8>> = consumers
        .iter()
        .filter(|consumer| consumer.pending == 0 && consumer.idle >= horizon)
        .filter(|consumer| consumer.name.starts_with(OURS) && consumer.name != *me)
        .map(|consumer| consumer.name.to_vec())
        .collect();
    seen.dead.retain(|name, _| dead.contains(name));
    for name in dead {
        let since = *seen.dead.entry(name.clone()).or_insert(now);
        if now.saturating_duration_since(since) >= horizon {
            remove(core, &name).await?;
            core.tell(QueueEvent::ConsumerRemoved { name: name.into() });
        }
    }
    if core.settings.retention.is_lossy() {
        skipped(desk, core, level, seen).await?;
    }
    trim(core).await
}

/// Counts what a lossy retention took away before anyone had it.
async fn skipped(desk: &Desk, core: &Core, level: usize, seen: &mut Seen) -> Result<(), Error> {
    let Settings { stream, group, .. } = &core.settings;
    let ask = (XInfoGroups::new(stream), XInfoStream::new(stream));
    let (groups, info) = core.client.transact(ask).await?;
    let (groups, info) = (groups?, info?);
    let own = groups.iter().find(|info| info.name == **group);
    let now = own.and_then(|own| stats::skipped(own, &info)).unwrap_or_default();
    let more = now.saturating_sub(seen.skipped);
    seen.skipped = now;
    desk.count_lost(level, more);
    Ok(())
}

/// Lets go of what is pending and no longer in the stream.
async fn ghosts(desk: &Desk, core: &Core, level: usize, seen: &mut Seen) -> Result<(), Error> {
    let (stream, group, me) = (&core.settings.stream, &core.settings.group, desk.name());
    for _ in 0..PAGES {
        let start = seen.cursor.unwrap_or(EntryId::MIN);
        // 100 without COUNT.
        let look = XAutoClaim::new(stream, group, &*me, NEVER, start).just_id();
        let page = core.client.send(look).await?;
        desk.vanished(level, page.deleted.as_deref().unwrap_or_default());
        seen.cursor = page.cursor;
        if page.cursor.is_none() {
            break;
        }
    }
    Ok(())
}

/// Trims what nobody needs any more, or what there is no room for.
async fn trim(core: &Core) -> Result<(), Error> {
    let stream = &core.settings.stream;
    let trim = match core.settings.retention {
        Retention::DeleteOnAck => return Ok(()),
        Retention::KeepUntilAllAcked => match needed(core).await? {
            Some(least) => Trim::min_id(least),
            None => return Ok(()),
        },
        Retention::LossyMaxLen(entries) => Trim::max_len(entries),
        Retention::LossyMaxAge(age) => match oldest(age) {
            Some(least) => Trim::min_id(least),
            None => return Ok(()),
        },
    };
    core.client.send(XTrim::new(stream, trim.approximate())).await.map(drop)
}

/// The id that an entry of this age has by our clock.
pub(super) fn oldest(age: Duration) -> Option<EntryId> {
    std::time::SystemTime::now().checked_sub(age).map(EntryId::from_time)
}

/// The least id that any group still needs: of what is pending in it, and of what it has not read.
async fn needed(core: &Core) -> Result<Option<EntryId>, Error> {
    let stream = &core.settings.stream;
    let groups = core.client.send(XInfoGroups::new(stream)).await?;
    let pending = groups.iter().map(|group| XPending::new(stream, &group.name));
    let pending = core.client.send_all(pending).await;
    let mut least: Option<EntryId> = None;
    for (group, pending) in groups.iter().zip(pending) {
        let unread = group.last_delivered_id.next().unwrap_or(EntryId::MAX);
        let needs = pending?.min.map_or(unread, |min| min.min(unread));
        least = Some(least.map_or(needs, |least| least.min(needs)));
    }
    Ok(least)
}

/// Removes our own name, at the end.
pub(super) async fn leave(desk: &Desk) {
    let me = desk.name();
    for core in desk.levels.iter().filter(|core| !core.settings.at_most_once) {
        // A name that is left behind is removed by another consumer's janitor.
        let _ = remove(core, &me).await;
    }
    for core in desk.levels.iter().filter(|core| core.settings.at_most_once) {
        let (stream, group) = (&core.settings.stream, &core.settings.group);
        let _ = core.client.send(XGroupDelConsumer::new(stream, group, &*me)).await;
    }
}

/// Removes a consumer that has nothing pending. Should it have been given something in this very moment, that is put back.
async fn remove(core: &Core, name: &[u8]) -> Result<(), Error> {
    let (stream, group) = (&core.settings.stream, &core.settings.group);
    let look = || XPendingRange::new(stream, group, .., LOOK);
    if !core.client.send(look().consumer(name)).await?.is_empty() {
        return Ok(());
    }
    let del = XGroupDelConsumer::new(stream, group, name);
    let (held, deleted) = core.client.transact((look().consumer(name), del)).await?;
    let (held, _): (Vec<PendingEntry>, u64) = (held?, deleted?);
    let mut counts: BTreeMap<u64, Vec<EntryId>> = BTreeMap::new();
    for entry in held {
        counts.entry(entry.deliveries).or_default().push(entry.id);
    }
    for (count, ids) in counts {
        let claim = XClaim::new(stream, group, park::RETRY, Duration::ZERO, &ids);
        let claim = claim.retry_count(count).force();
        core.client.send(claim.just_id()).await?;
    }
    Ok(())
}
