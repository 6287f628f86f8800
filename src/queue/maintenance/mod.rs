//! Maintenance: deleted pending entries, abandoned consumers, safe trimming; about every ten
//! seconds, in one consumer of a group. A task.
//!
//! `wheel` is another task, which moves delayed jobs at their time, and `recurring` one that adds
//! recurring ones.
//!
//! The consumer that has the turn runs it; the others look less often who that is.
//!
//! | step | method |
//! |---|---|
//! | entries that were deleted while pending | `XAUTOCLAIM s g me <longer than any idle time> cursor COUNT 100 JUSTID` lists and removes them (Redis 7.0) |
//! | entries that stay young, because the server's clock was set back | `XPENDING`, `XCLAIM ... IDLE` |
//! | the name of each consumer, where servers list only those that had a job (before Redis 7.2) | `XREADGROUP GROUP g me STREAMS s <the last id>`, every four leases |
//! | names of abandoned consumers | those created by bourn, with nothing pending and idle for ten leases, in two checks two leases apart |
//! | the first entry that is not done, where those that are done stay | `XINFO GROUPS s`, `XPENDING s g`: a lost group starts there again; every second, while this consumer settles jobs |
//! | dead letters beyond the limits of the queue | `XRANGE`, `XDEL` of its own letters |
//! | entries that every group has acknowledged | `XTRIM s MINID ~ m`, below everything that any group still needs, where there are several |
//! | entries beyond a lossy retention | `XTRIM s MAXLEN ~ n`, `XTRIM s MINID ~ now-age`, by the server's clock |

pub(crate) mod consumers;
mod deleted;
mod duty;
mod letters;
pub(crate) mod recurring;
mod stuck;
mod trimming;
pub(crate) mod wheel;

use crate::error::Error;
use crate::id::EntryId;
use crate::queue::first::first;
use crate::queue::maintenance::duty::Duty;
use crate::queue::operation::clock;
use crate::queue::policy::delay::MARKER;
use crate::queue::policy::plan::with_jitter;
use crate::queue::policy::recurrence;
use crate::queue::settings::CONSUMER_PREFIX;
use crate::queue::shared::Shared;
use crate::random;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The approximate time between two runs.
const INTERVAL: Duration = Duration::from_secs(10);

/// The approximate time between two looks of a consumer that does not have the turn.
const LOOK: Duration = Duration::from_secs(24);

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
    /// Our name, and when it was shown.
    shown: Option<(Arc<[u8]>, Instant)>,
}

impl Progress {
    /// Shows our name, if that is due.
    async fn show(&mut self, shared: &Shared, me: &Arc<[u8]>) -> Result<(), Error> {
        let (now, pause) = (clock::now(), shared.settings.lease * 4);
        let is_shown = |(name, at): &(Arc<[u8]>, Instant)| name == me && now < *at + pause;
        if !shared.capabilities().listed && !self.shown.as_ref().is_some_and(is_shown) {
            consumers::show(shared, me).await?;
            self.shown = Some((Arc::clone(me), now));
        }
        Ok(())
    }
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
    let mut duties: Vec<Duty> = levels.iter().map(|_| Duty::new()).collect();
    let (mut noted, mut pause) = (0, INTERVAL);
    loop {
        let until = clock::now() + with_jitter(pause, random::fraction());
        note_progress(levels, &settled, &mut noted, until, &stop).await;
        if stop.is_cancelled() {
            for (shared, duty) in levels.iter().zip(&duties) {
                duty.leave(shared).await;
            }
            return;
        }
        let each = levels.iter().enumerate().zip(&mut progress).zip(&mut duties);
        for (((level, shared), progress), duty) in each {
            let (me, lost) = (name(), |entries| lost(level, entries));
            // A failed step is repeated the next time; the task that fetches reports errors.
            let _ = progress.show(shared, &me).await;
            let _ = match duty.begins(shared, &me).await {
                Ok(true) => run_once(shared, &me, &lost, progress).await,
                Ok(false) => run_beside(shared, progress).await,
                Err(error) => Err(error),
            };
        }
        let is_alone =
            |(shared, duty): (&Arc<Shared>, &Duty)| duty.is_ours() || !shared.crowd.is_maintained();
        pause = if levels.iter().zip(&duties).any(is_alone) { INTERVAL } else { LOOK };
        // The second check of names that look abandoned: not before two leases, with jitter.
        for ((shared, progress), duty) in levels.iter().zip(&progress).zip(&duties) {
            if duty.is_ours() && !progress.abandoned.is_empty() {
                pause = pause.min(shared.settings.lease * 8 / 3);
            }
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

/// Does what each consumer does for itself.
async fn run_beside(shared: &Shared, progress: &mut Progress) -> Result<(), Error> {
    #[cfg(feature = "metrics")]
    {
        // The list has all consumers: with many of them, each process reads it less often.
        let consumers = usize::try_from(shared.crowd.consumers()).unwrap_or(usize::MAX);
        if random::below(consumers / 50 + 1) == 0 {
            let consumers = consumers::list(shared).await?;
            crate::queue::admin::metrics::measure(shared, &consumers, &mut progress.gauges).await?;
        }
    }
    #[cfg(not(feature = "metrics"))]
    let _ = progress;
    if !shared.settings.retention.deletes() {
        trimming::note_progress(shared).await?;
    }
    Ok(())
}

async fn run_once(
    shared: &Shared,
    me: &[u8],
    lost: &impl Fn(u64),
    progress: &mut Progress,
) -> Result<(), Error> {
    let settings = &shared.settings;
    let consumers = consumers::list(shared).await?;
    #[cfg(feature = "metrics")]
    crate::queue::admin::metrics::measure(shared, &consumers, &mut progress.gauges).await?;
    if !settings.retention.deletes() {
        trimming::note_progress(shared).await?;
    }
    let ours = |name: &[u8]| name.starts_with(CONSUMER_PREFIX);
    let live = consumers.iter().filter(|consumer| ours(&consumer.name)).count();
    shared.crowd.set_consumers(u32::try_from(live).unwrap_or(u32::MAX));
    if consumers.iter().any(|consumer| consumer.name == MARKER) {
        shared.wheel.used();
    }
    if consumers.iter().any(|consumer| consumer.name == recurrence::MARKER) {
        shared.recurring.used();
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
