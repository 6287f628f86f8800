//! Sets, lists and removes the recurring jobs of a queue. An operation.

use crate::queue::error::{QueueError, SettingsError};
use crate::queue::operation::clock;
use crate::queue::operation::recurring::{self, LastTick};
use crate::queue::policy::recurrence::Recurrence;
use crate::queue::shared::{Queue, Shared};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The recurring jobs of a queue. Created by [`Queue::recurring`].
///
/// A recurring job is stored at the server, with its payload. One worker of the queue adds a job at
/// each of its ticks, by the server's clock: exactly one, whatever the number of workers, and also if
/// workers die. While no worker runs, none is added; [`Missed`](crate::queue::Missed) is the choice for
/// the ticks that pass meanwhile. A failover that loses what the server had acknowledged can add
/// the job of a tick again.
///
/// The job has two headers, `recurring` with the name and `tick` with the time in milliseconds since
/// 1970, and is otherwise like one that was enqueued. All groups of the stream get it.
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::{Missed, Recurrence};
///
/// // At the start of each process: nothing changes if it is set already.
/// let hourly = Recurrence::every(Duration::from_secs(3_600)).missed(Missed::Skip);
/// queue.recurring().set("report", &hourly, &"all".to_owned()).await?;
/// for job in queue.recurring().list().await? {
///     println!("{}: last {:?}, next {:?}", job.name, job.last, job.next);
/// }
/// queue.recurring().remove("report").await?;
/// # Ok(()) }
/// ```
pub struct Recurring<T> {
    queue: Queue<T>,
}

/// A recurring job, as the server has it.
///
/// ```no_run
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// if let Some(digest) = queue.recurring().get("digest").await? {
///     println!("{:?}", digest.next);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecurringJob {
    /// Its name.
    pub name: String,
    /// Its ticks; `None` if a newer version of this crate has set it.
    pub recurrence: Option<Recurrence>,
    /// The last tick, whether a job was added for it or it was skipped; `None` if there was none.
    pub last: Option<SystemTime>,
    /// The next tick; `None` if it is not known.
    pub next: Option<SystemTime>,
}

impl<T: 'static> Queue<T> {
    /// Adds a job at an interval: sets a recurring job of this name. The ticks are the multiples of
    /// the interval since 1970.
    ///
    /// # Cancel safety
    ///
    /// As [`Recurring::set`].
    ///
    /// # Errors
    ///
    /// As [`Recurring::set`].
    pub async fn every(
        &self,
        name: &str,
        interval: Duration,
        payload: &T,
    ) -> Result<(), QueueError> {
        self.recurring().set(name, &Recurrence::every(interval), payload).await
    }

    /// Adds a job at the times of a cron text in a time zone: sets a recurring job of this name.
    ///
    /// ```no_run
    /// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
    /// queue.cron("digest", "0 7 * * Mon-Fri", "Europe/Berlin", &"all".to_owned()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As [`Recurring::set`].
    ///
    /// # Errors
    ///
    /// As [`Recurring::set`].
    #[cfg(feature = "cron")]
    pub async fn cron(
        &self,
        name: &str,
        text: &str,
        zone: &str,
        payload: &T,
    ) -> Result<(), QueueError> {
        self.recurring().set(name, &Recurrence::cron(text, zone), payload).await
    }

    /// Returns a handle to the recurring jobs: to set, list and remove them.
    #[must_use]
    pub fn recurring(&self) -> Recurring<T> {
        Recurring { queue: self.clone() }
    }
}

impl<T: 'static> Recurring<T> {
    fn shared(&self) -> &Shared {
        self.queue.shared()
    }

    /// Sets a recurring job: `XADD` to a stream of its own. If one of this name is set already,
    /// nothing changes if it is the same; otherwise it is replaced, and only
    /// ticks after this call count.
    ///
    /// Workers of other processes learn of the first one within about ten seconds, and of changes
    /// within a second. All workers must know its recurrence, so cron texts need the feature `cron` in
    /// each of them; one that does not know it emits
    /// [`QueueEvent::RecurrenceUnknown`](crate::queue::QueueEvent::RecurrenceUnknown).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the job may be set. It can be set again.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Recurrence`] if the name is empty, or if the recurrence is invalid or has no
    /// tick; [`QueueError::Codec`] if the payload cannot be encoded; [`QueueError::Redis`].
    pub async fn set(
        &self,
        name: &str,
        recurrence: &Recurrence,
        payload: &T,
    ) -> Result<(), QueueError> {
        let shared = self.shared();
        let wrong = |reason: String| QueueError::from(SettingsError::Recurrence(reason.into()));
        if name.is_empty() {
            return Err(wrong("its name is empty".to_owned()));
        }
        let ticks = recurrence.ticks().map_err(wrong)?;
        if ticks.after(clock::unix_ms()).is_none() {
            return Err(wrong(format!("{recurrence} has no tick")));
        }
        let fields = self.queue.payload_fields(payload)?;
        shared.opened().await?;
        Ok(recurring::set(shared, name.as_bytes(), recurrence, &fields).await?)
    }

    /// Returns all recurring jobs, in the order of their names: `XRANGE`, `XPENDING`, `TIME`.
    ///
    /// # Cancel safety
    ///
    /// Read-only.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`].
    pub async fn list(&self) -> Result<Vec<RecurringJob>, QueueError> {
        let shared = self.shared();
        let (stored, _) = recurring::list(shared).await?;
        if stored.is_empty() {
            return Ok(Vec::new());
        }
        clock::ask(shared).await?;
        let now = || {
            let now = clock::at_server(shared).unwrap_or_else(SystemTime::now);
            let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            u64::try_from(now).unwrap_or_default()
        };
        let last = recurring::last_ticks(shared, now).await?;
        let job = |stored: recurring::Stored| {
            let id = stored.id();
            let ticks = stored.recurrence.as_ref().and_then(|it| it.ticks().ok());
            let tick = last.get(&id).copied().unwrap_or_else(|| LastTick::none(id));
            let tick = ticks.as_ref().and_then(|ticks| ticks.by(tick.by()));
            let next = ticks.as_ref().and_then(|ticks| ticks.after(now().max(id.ms())));
            let time = |ms| UNIX_EPOCH + Duration::from_millis(ms);
            RecurringJob {
                name: String::from_utf8_lossy(&stored.name).into_owned(),
                recurrence: stored.recurrence,
                last: tick.filter(|tick| *tick > id.ms()).map(time),
                next: next.map(time),
            }
        };
        Ok(stored.into_iter().map(job).collect())
    }

    /// Returns the recurring job of this name, as [`Recurring::list`] does.
    ///
    /// # Cancel safety
    ///
    /// Read-only.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`].
    pub async fn get(&self, name: &str) -> Result<Option<RecurringJob>, QueueError> {
        Ok(self.list().await?.into_iter().find(|job| job.name == name))
    }

    /// Removes the recurring job of this name: `XDEL`. Returns whether there was one. No job is added
    /// for it after this call; those that were added stay.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the job may be removed.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`].
    pub async fn remove(&self, name: &str) -> Result<bool, QueueError> {
        Ok(recurring::remove(self.shared(), name.as_bytes()).await?)
    }
}

impl<T: 'static> fmt::Debug for Recurring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recurring").field(&self.queue).finish()
    }
}
