//! Producer: adds jobs, exactly once where the server supports idempotent XADD (Redis 8.6).
//!
//! With IDMP each job is sent with the name of a lane and a number in it. Sending it again does not
//! add another entry, so an unknown outcome is resolved by sending the job again. A server
//! remembers the last 100 numbers of a lane for 100 s. Therefore a lane has at most 64 jobs in
//! flight, and gets no new jobs after an unknown outcome.

use crate::command::{Trim, XAdd};
use crate::error::{Error, Outcome};
use crate::id::EntryId;
use crate::queue::Queue;
use crate::queue::QueueError;
use crate::queue::SettingsError;
use crate::queue::codec::FieldList;
use crate::queue::consumer::settle;
use crate::queue::maintenance;
use crate::queue::settings::Retention;
use crate::queue::shared::Core;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The maximum number of jobs of one lane in flight.
const LANE: usize = 64;

/// The time for which a job is sent again under its number. The server forgets it after 100 s.
const AGAIN: Duration = Duration::from_secs(60);

/// Adds jobs to a queue. Clones are cheap.
///
/// ```no_run
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::Enqueue;
///
/// let producer = queue.producer();
/// let id = producer.enqueue(&"ada@example.com".to_owned()).await?;
/// let options = Enqueue::new().header("tenant", "acme");
/// let other = producer.enqueue_with(&"bob@example.com".to_owned(), options).await?;
/// println!("{id}, {other}");
/// # Ok(()) }
/// ```
pub struct Producer<T> {
    queue: Queue<T>,
    lanes: Arc<Mutex<Vec<Lane>>>,
}

/// A producer id of IDMP, and the numbers used with it.
#[derive(Debug)]
struct Lane {
    name: String,
    next: u64,
    on_their_way: usize,
    /// Whether the lane gets no new jobs, because the outcome of one is unknown.
    is_shut: bool,
}

/// Options of a job: headers and a unique key.
///
/// ```
/// # use bourn::queue::Enqueue;
/// let options = Enqueue::new().header("trace", "7f3a").unique("welcome:123");
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "an `Enqueue` does nothing until it is passed to `enqueue_with`"]
pub struct Enqueue {
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    unique: Option<Vec<u8>>,
}

impl Enqueue {
    /// Creates options without headers and without a unique key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header that the handler can read: [`Job::headers`](crate::queue::Job::headers).
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Adds the job only if no job with this key was added within the queue's window, done or not.
    /// Otherwise the id of that job is returned (`IDMP`, Redis 8.6).
    ///
    /// The window is 100 s and 100 keys, unless
    /// [`QueueBuilder::dedupe_window`](crate::queue::QueueBuilder::dedupe_window) sets another.
    pub fn unique(self, key: impl AsRef<[u8]>) -> Self {
        Self { unique: Some(key.as_ref().to_vec()), ..self }
    }
}

/// The IDMP producer id of unique jobs, shared by all producers.
const UNIQUE: &str = "bourn-unique";

/// The lane of a job, and its number in the lane.
#[derive(Debug)]
struct Number {
    lane: String,
    iid: String,
}

impl Number {
    /// Returns the command that adds the job under this number.
    fn add<'a>(&'a self, core: &'a Core, job: &'a FieldList) -> XAdd<'a> {
        add(core, job).idmp(&self.lane, &self.iid)
    }
}

impl<T: 'static> Producer<T> {
    pub(crate) fn new(queue: Queue<T>) -> Self {
        Self { queue, lanes: Arc::default() }
    }

    /// Adds a job: `XADD`.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before its first poll, no job is added. If it is dropped later, the
    /// job may be added.
    ///
    /// # Errors
    ///
    /// [`QueueError::Codec`] if the payload cannot be encoded. Otherwise [`QueueError::Redis`]: the
    /// job was not added unless the [`outcome`](QueueError::outcome) is unknown. On a server with
    /// IDMP (Redis 8.6) the outcome is unknown only if there was no reply for a minute.
    pub async fn enqueue(&self, payload: &T) -> Result<EntryId, QueueError> {
        self.enqueue_with(payload, Enqueue::new()).await
    }

    /// Adds a job with options: headers, a unique key.
    ///
    /// # Cancel safety
    ///
    /// As [`Producer::enqueue`].
    ///
    /// # Errors
    ///
    /// As [`Producer::enqueue`]; [`SettingsError::TooOld`] for [`Enqueue::unique`] on a server
    /// without IDMP.
    pub async fn enqueue_with(&self, payload: &T, options: Enqueue) -> Result<EntryId, QueueError> {
        let fields = self.queue.encoded_with(payload, &options.headers)?;
        let core = self.queue.core();
        core.opened().await?;
        let idmp = core.abilities().idmp;
        let Some(unique) = options.unique else {
            let mut ids = self.add(vec![fields], idmp).await;
            return ids.pop().unwrap_or(Err(QueueError::Stopped));
        };
        if !idmp {
            return Err(SettingsError::TooOld("unique jobs need XADD IDMP (Redis 8.6)").into());
        }
        let until = Instant::now() + AGAIN;
        let mut pause = settle::Pause::default();
        loop {
            let add = add(core, &fields).idmp(UNIQUE, &unique);
            match core.client.send(add).await {
                Err(error) if is_again(&error, until) && error.repeat_is_safe() => {
                    pause.wait().await;
                }
                result => return Ok(result?),
            }
        }
    }

    /// Adds many jobs in one pipeline. Each has its own result, in order.
    ///
    /// # Cancel safety
    ///
    /// As [`Producer::enqueue`], for each of them.
    pub async fn enqueue_all<'a>(
        &self,
        payloads: impl IntoIterator<Item = &'a T>,
    ) -> Vec<Result<EntryId, QueueError>>
    where
        T: 'a,
    {
        let encoded = payloads.into_iter().map(|payload| self.queue.encoded(payload));
        let encoded: Vec<_> = encoded.collect();
        let opened = self.queue.core().opened().await;
        if let Err(error) = opened {
            return encoded.into_iter().map(|_| Err(error.clone())).collect();
        }
        let idmp = self.queue.core().abilities().idmp;
        let mut results = Vec::with_capacity(encoded.len());
        let mut good = Vec::new();
        for encoded in encoded {
            match encoded {
                Ok(fields) => {
                    good.push(fields);
                    results.push(None);
                }
                Err(error) => results.push(Some(Err(error.into()))),
            }
        }
        let mut ids = self.add(good, idmp).await.into_iter();
        let stopped = || Err(QueueError::Stopped);
        let mut id = || ids.next().unwrap_or_else(stopped);
        results.into_iter().map(|result| result.unwrap_or_else(&mut id)).collect()
    }

    async fn add(&self, jobs: Vec<FieldList>, idmp: bool) -> Vec<Result<EntryId, QueueError>> {
        let core = self.queue.core();
        if !idmp {
            let added = match &*jobs {
                [job] => vec![core.client.send(add(core, job)).await],
                jobs => core.client.send_all(jobs.iter().map(|job| add(core, job))).await,
            };
            return added.into_iter().map(|added| Ok(added?)).collect();
        }
        let mut results = Vec::with_capacity(jobs.len());
        for jobs in jobs.chunks(LANE) {
            results.extend(self.add_numbered(jobs).await);
        }
        results
    }

    /// Adds at most as many jobs as a lane takes, and sends those with an unknown outcome again.
    async fn add_numbered(&self, jobs: &[FieldList]) -> Vec<Result<EntryId, QueueError>> {
        let core = self.queue.core();
        let numbers = Numbers::take(&self.lanes, jobs.len());
        let mut results = match (&*numbers.all, jobs) {
            // A single command is retried by the client itself.
            ([number], [job]) => vec![core.client.send(number.add(core, job)).await],
            (numbers, jobs) => {
                let adds = numbers.iter().zip(jobs);
                core.client.send_all(adds.map(|(number, job)| number.add(core, job))).await
            }
        };
        let until = Instant::now() + AGAIN;
        let mut pause = settle::Pause::default();
        loop {
            let again: Vec<usize> = (0..)
                .zip(&results)
                .filter(|(_, result)| result.as_ref().is_err_and(|error| is_again(error, until)))
                .map(|(place, _)| place)
                .collect();
            if again.is_empty() {
                break;
            }
            numbers.shut();
            pause.wait().await;
            let of = |place: &usize| Some((numbers.all.get(*place)?, jobs.get(*place)?));
            let adds = again.iter().filter_map(of).map(|(number, job)| number.add(core, job));
            for (place, result) in again.iter().zip(core.client.send_all(adds).await) {
                if let Some(slot) = results.get_mut(*place) {
                    // A retry that was never sent does not resolve the earlier unknown outcome:
                    // keep it.
                    let known = result.as_ref().map_or_else(Error::outcome, |_| Outcome::Unknown);
                    if result.is_ok() || known != Outcome::NotSent {
                        *slot = result;
                    }
                }
            }
        }
        results.into_iter().map(|result| Ok(result?)).collect()
    }
}

/// Whether a numbered job is to be sent again.
fn is_again(error: &Error, until: Instant) -> bool {
    error.outcome() == Outcome::Unknown && settle::is_transient(error) && Instant::now() < until
}

/// Returns the command that adds the job, trimmed as the queue's retention requires.
fn add<'a>(core: &'a Core, fields: &'a FieldList) -> XAdd<'a> {
    let add = XAdd::new(&core.settings.stream);
    let add = match core.settings.retention {
        Retention::DeleteOnAck | Retention::KeepUntilAllAcked => add,
        Retention::LossyMaxLen(entries) => add.trim(Trim::max_len(entries).approximate()),
        Retention::LossyMaxAge(age) => match maintenance::oldest(age) {
            Some(least) => add.trim(Trim::min_id(least).approximate()),
            None => add,
        },
    };
    add.fields(fields.iter())
}

/// The numbers of jobs in flight. Dropping it removes them from the lane's count.
struct Numbers {
    lanes: Arc<Mutex<Vec<Lane>>>,
    all: Vec<Number>,
}

impl Numbers {
    fn take(lanes: &Arc<Mutex<Vec<Lane>>>, count: usize) -> Self {
        let mut all = lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |lane: &Lane| !lane.is_shut && lane.on_their_way + count <= LANE;
        let fresh = || format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        if !all.iter().any(open) {
            all.push(Lane { name: fresh(), next: 0, on_their_way: 0, is_shut: false });
        }
        let mut numbers = Vec::with_capacity(count);
        if let Some(lane) = all.iter_mut().find(|lane| open(lane)) {
            lane.on_their_way += count;
            for _ in 0..count {
                lane.next += 1;
                numbers.push(Number { lane: lane.name.clone(), iid: lane.next.to_string() });
            }
        }
        drop(all);
        Self { lanes: Arc::clone(lanes), all: numbers }
    }

    fn with_lane(&self, change: impl FnOnce(&mut Vec<Lane>, usize)) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let name = self.all.first().map(|number| &number.lane);
        if let Some(place) = lanes.iter().position(|lane| Some(&lane.name) == name) {
            change(&mut lanes, place);
        }
    }

    /// Closes the lane for new jobs.
    fn shut(&self) {
        self.with_lane(|lanes, place| {
            if let Some(lane) = lanes.get_mut(place) {
                lane.is_shut = true;
            }
        });
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        let count = self.all.len();
        self.with_lane(|lanes, place| {
            let Some(lane) = lanes.get_mut(place) else { return };
            lane.on_their_way = lane.on_their_way.saturating_sub(count);
            if lane.is_shut && lane.on_their_way == 0 {
                lanes.swap_remove(place);
            }
        });
    }
}

impl<T> Clone for Producer<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), lanes: Arc::clone(&self.lanes) }
    }
}

impl<T: 'static> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("queue", &self.queue).finish_non_exhaustive()
    }
}
