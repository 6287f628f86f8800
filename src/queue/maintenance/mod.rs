//! Janitor: deleted pending entries, abandoned consumers, safe trimming; about every ten seconds,
//! in every consumer.
//!
//! With many consumers each one runs it less often, so that the total rate stays that of one.
//!
//! | task | method |
//! |---|---|
//! | entries that were deleted while pending | `XAUTOCLAIM s g me <longer than any idle time> cursor COUNT 100 JUSTID` lists and removes them (Redis 7.0) |
//! | names of abandoned consumers | those created by bourn, with nothing pending and idle for ten leases, in two checks that far apart |
//! | entries that every group has acknowledged | `XTRIM s MINID ~ m`, below everything that any group still needs |
//! | entries beyond a lossy retention | `XTRIM s MAXLEN ~ n`, `XTRIM s MINID ~ now-age` |

use crate::command::{
    PendingEntry, Trim, XAutoClaim, XClaim, XGroupDelConsumer, XInfoConsumers, XInfoGroups,
    XInfoStream, XPending, XPendingRange, XTrim,
};
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::admin::stats;
use crate::queue::consumer::state::{Desk, OURS};
use crate::queue::event::QueueEvent;
use crate::queue::first;
use crate::queue::policy::delay;
use crate::queue::policy::plan::{LOOK, about};
use crate::queue::settings::{Retention, Settings};
use crate::queue::shared::Core;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(10);

/// The number of pages of pending entries to scan each time.
const PAGES: usize = 10;

/// Longer than any idle time, in milliseconds that a server accepts.
const NEVER: Duration = Duration::from_millis(9_000_000_000_000_000);

/// The state kept between runs.
#[derive(Debug, Default)]
struct Seen {
    /// The cursor of the scan for deleted entries.
    cursor: Option<EntryId>,
    /// Entries that were deleted before they were delivered to the group.
    skipped: u64,
    /// Consumers that have a gauge.
    #[cfg(feature = "metrics")]
    gauges: Vec<String>,
    /// Consumers that looked abandoned, and since when.
    dead: HashMap<Vec<u8>, Instant>,
}

/// Runs until stopped.
pub(crate) async fn run(desk: Arc<Desk>, stop: CancellationToken) {
    let mut seen: Vec<Seen> = desk.levels.iter().map(|_| Seen::default()).collect();
    while !stop.is_cancelled() {
        first(tokio::time::sleep(about(EVERY, fastrand::f64())), stop.cancelled()).await;
        if stop.is_cancelled() {
            return;
        }
        for ((level, core), seen) in desk.levels.iter().enumerate().zip(&mut seen) {
            // A failed task is repeated the next time; the reader reports errors.
            let _ = tidy(&desk, core, level, seen).await;
        }
    }
}

async fn tidy(desk: &Desk, core: &Core, level: usize, seen: &mut Seen) -> Result<(), Error> {
    let (stream, group) = (&core.settings.stream, &core.settings.group);
    let consumers = core.client.send(XInfoConsumers::new(stream, group)).await?;
    #[cfg(feature = "metrics")]
    crate::queue::admin::metrics::measure(core, &consumers, &mut seen.gauges).await?;
    let live = consumers.iter().filter(|consumer| consumer.name.starts_with(OURS)).count();
    if fastrand::usize(..live.max(1)) > 0 {
        return Ok(());
    }
    if core.abilities().deleted && !core.settings.at_most_once {
        clear_deleted(desk, core, level, seen).await?;
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
            core.emit(QueueEvent::ConsumerRemoved { name: name.into() });
        }
    }
    if core.settings.retention.is_lossy() {
        skipped(desk, core, level, seen).await?;
    }
    trim(core).await
}

/// Counts entries that a lossy retention deleted before they were delivered.
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

/// Removes pending entries that are no longer in the stream.
async fn clear_deleted(
    desk: &Desk,
    core: &Core,
    level: usize,
    seen: &mut Seen,
) -> Result<(), Error> {
    let (stream, group, me) = (&core.settings.stream, &core.settings.group, desk.name());
    for _ in 0..PAGES {
        let start = seen.cursor.unwrap_or(EntryId::MIN);
        // The server uses 100 without COUNT.
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

/// Trims entries that no group needs any more, or that exceed the retention.
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

/// Returns the id that an entry of this age has by the local clock.
pub(crate) fn oldest(age: Duration) -> Option<EntryId> {
    std::time::SystemTime::now().checked_sub(age).map(EntryId::from_time)
}

/// Returns the lowest id that any group still needs, pending or not yet read.
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

/// Removes our own consumer names, at the end.
pub(crate) async fn leave(desk: &Desk) {
    let me = desk.name();
    for core in desk.levels.iter().filter(|core| !core.settings.at_most_once) {
        // If the name stays, the janitor of another consumer removes it.
        let _ = remove(core, &me).await;
    }
    for core in desk.levels.iter().filter(|core| core.settings.at_most_once) {
        let (stream, group) = (&core.settings.stream, &core.settings.group);
        let _ = core.client.send(XGroupDelConsumer::new(stream, group, &*me)).await;
    }
}

/// Removes a consumer that has nothing pending. An entry that is delivered to it at that moment is
/// kept for a retry.
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
        let claim = XClaim::new(stream, group, delay::RETRY, Duration::ZERO, &ids);
        let claim = claim.retry_count(count).force();
        core.client.send(claim.just_id()).await?;
    }
    Ok(())
}
