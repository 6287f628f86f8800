//! Maintenance: deleted pending entries, abandoned consumers, safe trimming; about every ten
//! seconds, in every consumer. A task.
//!
//! `wheel` is another task, which moves delayed jobs at their time.
//!
//! With many consumers each one runs it less often, so that the total rate stays that of one.
//!
//! | step | method |
//! |---|---|
//! | entries that were deleted while pending | `XAUTOCLAIM s g me <longer than any idle time> cursor COUNT 100 JUSTID` lists and removes them (Redis 7.0) |
//! | entries that stay young, because the server's clock was set back | `XPENDING`, `XCLAIM ... IDLE` |
//! | names of abandoned consumers | those created by bourn, with nothing pending and idle for ten leases, in two checks that far apart |
//! | the first entry that is not done, where those that are done stay | `XINFO GROUPS s`, `XPENDING s g`: a lost group starts there again; every second, while this consumer settles jobs |
//! | dead letters beyond the limits of the queue | `XRANGE`, `XDEL` of its own letters |
//! | entries that every group has acknowledged | `XTRIM s MINID ~ m`, below everything that any group still needs, where there are several |
//! | entries beyond a lossy retention | `XTRIM s MAXLEN ~ n`, `XTRIM s MINID ~ now-age`, by the server's clock |

pub(crate) mod consumers;
mod deleted;
mod letters;
mod stuck;
mod trimming;
pub(crate) mod wheel;

use crate::command::XInfoConsumers;
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::first::first;
use crate::queue::operation::clock;
use crate::queue::policy::delay::MARKER;
use crate::queue::policy::plan::with_jitter;
use crate::queue::policy::retention_kind::RetentionKind;
use crate::queue::policy::unread;
use crate::queue::settings::CONSUMER_PREFIX;
use crate::queue::shared::Shared;
use crate::random;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The approximate time between two runs.
const INTERVAL: Duration = Duration::from_secs(10);

/// The time between two looks at what the group has acknowledged, while this consumer settles jobs.
const PROGRESS: Duration = Duration::from_secs(1);

/// The state of one stream that is kept between runs.
#[derive(Debug, Default)]
struct Progress {
    /// The cursor of the scan for deleted entries.
    cursor: Option<EntryId>,
    /// Consumers that have a gauge.
    #[cfg(feature = "metrics")]
    gauges: Vec<String>,
    /// Entries whose idle time stands still.
    stuck: stuck::Stuck,
    /// Consumers that look abandoned, and since when.
    abandoned: BTreeMap<Vec<u8>, Instant>,
}

/// Runs until stopped. `name` returns the consumer's name, `settled` the number of jobs that it has
/// settled; `lost` is called with the stream and the number of entries that were lost.
pub(crate) async fn run(
    levels: &[Arc<Shared>],
    name: impl Fn() -> Arc<[u8]>,
    settled: impl Fn() -> u64,
    lost: impl Fn(usize, u64),
    stop: CancellationToken,
) {
    let mut progress: Vec<Progress> = levels.iter().map(|_| Progress::default()).collect();
    let mut noted = 0;
    loop {
        let until = clock::now() + with_jitter(INTERVAL, random::fraction());
        note_progress(levels, &settled, &mut noted, until, &stop).await;
        if stop.is_cancelled() {
            return;
        }
        for ((level, shared), progress) in levels.iter().enumerate().zip(&mut progress) {
            let lost = |entries| lost(level, entries);
            // A failed step is repeated the next time; the task that fetches reports errors.
            let _ = run_once(shared, &name(), &lost, progress).await;
        }
    }
}

/// Notes what was acknowledged in the streams that keep it, whenever jobs were settled since it was
/// noted, until this time.
async fn note_progress(
    levels: &[Arc<Shared>],
    settled: impl Fn() -> u64,
    noted: &mut u64,
    until: Instant,
    stop: &CancellationToken,
) {
    let keeps = |shared: &&Arc<Shared>| !shared.settings.retention.deletes();
    let pause = if levels.iter().any(|shared| keeps(&shared)) { PROGRESS } else { INTERVAL * 2 };
    while clock::now() < until && !stop.is_cancelled() {
        let next = until.min(clock::now() + pause);
        first(tokio::time::sleep_until(next.into()), stop.cancelled()).await;
        if next < until && *noted != settled() && !stop.is_cancelled() {
            *noted = settled();
            for shared in levels.iter().filter(keeps) {
                // A failed look is repeated with the next run.
                let _ = trimming::note_progress(shared).await;
            }
        }
    }
}

async fn run_once(
    shared: &Shared,
    me: &[u8],
    lost: &impl Fn(u64),
    progress: &mut Progress,
) -> Result<(), Error> {
    let settings = &shared.settings;
    let list = XInfoConsumers::new(&settings.stream, &settings.group);
    let mut consumers = shared.client.send(list).await?;
    consumers.retain(|info| {
        RetentionKind::of_marker(&info.name).is_none() && unread::counted(&info.name).is_none()
    });
    #[cfg(feature = "metrics")]
    crate::queue::admin::metrics::measure(shared, &consumers, &mut progress.gauges).await?;
    if !settings.retention.deletes() {
        trimming::note_progress(shared).await?;
    }
    let ours = |name: &[u8]| name.starts_with(CONSUMER_PREFIX);
    let live = consumers.iter().filter(|consumer| ours(&consumer.name)).count();
    shared.wheel.set_consumers(live);
    if consumers.iter().any(|consumer| consumer.name == MARKER) {
        shared.wheel.used();
    }
    if random::below(live) > 0 {
        return Ok(());
    }
    if shared.capabilities().deleted && !settings.at_most_once {
        let mut missing = Vec::new();
        let cleared = deleted::clear(shared, me, &mut progress.cursor, &mut missing).await;
        // With delete on ack these are left by an interrupted acknowledgement.
        if !settings.retention.deletes() {
            lost(u64::try_from(missing.len()).unwrap_or(u64::MAX));
        }
        cleared?;
    }
    if !settings.at_most_once {
        stuck::free(shared, &mut progress.stuck).await?;
    }
    letters::limit(shared).await?;
    consumers::remove_abandoned(shared, me, &consumers, &mut progress.abandoned).await?;
    trimming::trim(shared).await
}
