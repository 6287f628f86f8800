//! Adds the jobs of recurring ones at their ticks. A task.
//!
//! Each consumer has this task; only that of the consumer that does the maintenance of its group adds
//! jobs. Once a second it looks whether recurring jobs were added, changed or removed. In a queue
//! that has none, the task sends nothing.

use crate::error::Error;
use crate::id::EntryId;
use crate::queue::event::QueueEvent;
use crate::queue::first::first;
use crate::queue::maintenance::wheel::within;
use crate::queue::operation::backoff::Backoff;
use crate::queue::operation::clock;
use crate::queue::operation::recurring::{self, LastTick, Stored};
use crate::queue::policy::recurrence::Ticks;
use crate::queue::shared::Shared;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// The interval at which changes are looked for.
const INTERVAL: Duration = Duration::from_secs(1);

/// The recurring jobs, as this consumer last read them.
#[derive(Debug, Default)]
struct Ticker {
    /// Their number and the last id, when they were read.
    version: Option<(u64, Option<EntryId>)>,
    jobs: Vec<Known>,
    next_look: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    stored: Stored,
    ticks: Ticks,
    last: LastTick,
}

/// Runs until stopped.
pub(crate) async fn run(shared: &Shared, stop: &CancellationToken) {
    first(shared.recurring.wait_for_use(), stop.cancelled()).await;
    let (mut ticker, mut backoff) = (Ticker::default(), Backoff::default());
    while !stop.is_cancelled() {
        if !leads(shared) {
            ticker = Ticker::default();
            first(wait_for_lead(shared), stop.cancelled()).await;
            continue;
        }
        // A tick that was begun is left to the next consumer.
        let Some(step) = within(ticker.step(shared, stop), stop).await else { return };
        match step {
            Ok(wait) => {
                backoff = Backoff::default();
                first(tokio::time::sleep(wait), stop.cancelled()).await;
            }
            Err(error) => {
                // A tick may have been begun.
                ticker = Ticker::default();
                shared.emit(QueueEvent::Interrupted { error: Arc::new(error) });
                first(backoff.wait(), stop.cancelled()).await;
            }
        }
    }
}

/// Whether this consumer does the maintenance of its group.
fn leads(shared: &Shared) -> bool {
    let until = *shared.leads.borrow();
    until.is_some_and(|until| clock::now() < until.into_std())
}

async fn wait_for_lead(shared: &Shared) {
    let mut changes = shared.leads.subscribe();
    while !leads(shared) && changes.changed().await.is_ok() {}
}

/// Returns the server's time of day in milliseconds; 0 if it is not known.
fn now(shared: &Shared) -> u64 {
    let now = clock::at_server(shared).and_then(|now| now.duration_since(UNIX_EPOCH).ok());
    now.and_then(|now| u64::try_from(now.as_millis()).ok()).unwrap_or_default()
}

impl Ticker {
    /// Adds the jobs that are due. Returns the time to wait.
    async fn step(&mut self, shared: &Shared, stop: &CancellationToken) -> Result<Duration, Error> {
        if self.next_look.is_none_or(|next| next <= clock::now()) {
            let version = recurring::version(shared).await?;
            if self.version != Some(version) {
                self.read(shared).await?;
                self.version = Some(version);
            }
            self.next_look = Some(clock::now() + INTERVAL);
        }
        if now(shared) == 0 && !self.jobs.is_empty() {
            clock::ask(shared).await?;
        }
        for job in &mut self.jobs {
            let last = job.ticks.by(job.last.by()).unwrap_or_default().max(job.stored.id().ms());
            if job.last.is_begun {
                // Its consumer died, or its reply was lost.
                recurring::add(shared, &job.stored, last).await?;
                job.last.is_begun = false;
            }
            let due = job.ticks.due(last, now(shared));
            if let Some(tick) = due.skipped {
                recurring::skip(shared, job.stored.id(), tick, job.last, now(shared)).await?;
                job.last.about = tick;
            }
            for tick in due.jobs {
                if stop.is_cancelled() || !leads(shared) {
                    return Ok(Duration::ZERO);
                }
                let id = job.stored.id();
                let begun = recurring::begin(shared, id, tick, job.last, now(shared)).await?;
                let Some(begun) = begun else {
                    // It was removed or changed, or another consumer has begun the tick.
                    self.version = None;
                    self.next_look = None;
                    return Ok(INTERVAL);
                };
                recurring::add(shared, &begun, tick).await?;
                job.last.about = tick;
            }
        }
        let now = now(shared);
        let next = self.jobs.iter().filter_map(|job| job.ticks.after(now)).min();
        let look = self.next_look.map_or(INTERVAL, |next| next - clock::now().min(next));
        Ok(next.map_or(look, |next| look.min(Duration::from_millis(next.saturating_sub(now)))))
    }

    /// Reads the recurring jobs and their last ticks.
    async fn read(&mut self, shared: &Shared) -> Result<(), Error> {
        self.jobs.clear();
        let (stored, _) = recurring::list(shared).await?;
        let mut last = BTreeMap::new();
        if !stored.is_empty() {
            last = recurring::last_ticks(shared, || now(shared)).await?;
        }
        for stored in stored {
            let id = stored.id();
            let recurrence = stored.recurrence.as_ref().ok_or("this version does not know it");
            let ticks = recurrence.map_err(str::to_owned).and_then(|it| it.ticks());
            let ticks = match ticks {
                Ok(ticks) => ticks,
                Err(reason) => {
                    let name = String::from_utf8_lossy(&stored.name).into();
                    shared.emit(QueueEvent::RecurrenceUnknown { name, reason: reason.into() });
                    continue;
                }
            };
            if !last.contains_key(&id) {
                recurring::create(shared, id).await?;
            }
            let last = last.get(&id).copied().unwrap_or_else(|| LastTick::none(id));
            self.jobs.push(Known { stored, ticks, last });
        }
        Ok(())
    }
}
