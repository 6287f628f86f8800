//! Adds jobs, exactly once where the server supports idempotent XADD (Redis 8.6). An
//! operation.
//!
//! With IDMP each job is sent with the name of a lane and a number in it. Sending it again does not
//! add another entry, so an unknown outcome is resolved by sending the job again. A server
//! remembers the last 100 numbers of a lane for 100 s. Therefore a lane has at most 64 jobs in
//! flight, and gets no new jobs after an unknown outcome. All producers of a queue share its lanes; a
//! large batch takes several of them at once.
//!
//! Only an id resolves an unknown outcome. A later refusal, such as LOADING, does not say whether
//! the first attempt was applied: the job is sent again until its time is over.

use crate::client::{Client, Durability, Durable, DurableError, Kept};
use crate::command::{Trim, XAdd};
use crate::error::{Code, Error, Outcome};
use crate::id::EntryId;
use crate::queue::codec::FieldList;
use crate::queue::error::{QueueError, SettingsError};
use crate::queue::lanes::{LANE, LANES, Number, Numbers};
use crate::queue::operation::backoff::{Backoff, is_transient};
use crate::queue::operation::clock;
use crate::queue::operation::failures::Failures;
use crate::queue::settings::Retention;
use crate::queue::shared::{Queue, Shared};
use std::fmt;
use std::time::{Duration, Instant};

/// The time for which a job is sent again under its number, since it was first sent. The server
/// forgets the number after 100 s.
const RETRY_TIME: Duration = Duration::from_secs(60);

/// Adds jobs to a queue. It costs nothing to create one for each job, or to clone it: all producers
/// of a queue share the names by which the server recognises a job that is sent again.
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
    durability: Option<Durability>,
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
    key: Option<Vec<u8>>,
    durability: Option<Durability>,
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

    /// Sets the key that chooses the lane of a [`Partitioned`](crate::queue::Partitioned) queue: jobs
    /// with the same key have the same lane. Without effect in a queue of one stream.
    pub fn key(self, key: impl AsRef<[u8]>) -> Self {
        Self { key: Some(key.as_ref().to_vec()), ..self }
    }

    /// Returns the key that chooses the lane. That of a unique job must always have the same.
    pub(crate) fn lane_key(&self) -> Option<&[u8]> {
        self.key.as_deref().or(self.unique.as_deref())
    }

    /// Waits until replicas or disks have the job, as [`Producer::durable`] does.
    pub fn durable(self, durability: Durability) -> Self {
        Self { durability: Some(durability), ..self }
    }
}

/// The IDMP producer id of unique jobs, shared by all producers.
const UNIQUE: &str = "bourn-unique";

impl<T: 'static> Queue<T> {
    /// Creates a producer, which adds jobs.
    #[must_use]
    pub fn producer(&self) -> Producer<T> {
        Producer::new(self.clone())
    }
}

impl<T: 'static> Producer<T> {
    fn new(queue: Queue<T>) -> Self {
        Self { queue, durability: None }
    }

    /// Returns a producer that waits until replicas or disks have each job: `WAIT` (Redis 3.0) or
    /// `WAITAOF` (Redis 7.2, every Valkey).
    ///
    /// Such jobs are added on another connection, which all producers of the queue share. Those of
    /// many tasks are sent together, with one wait behind them.
    ///
    /// ```no_run
    /// # use bourn::{Durability, queue::{Queue, QueueError}};
    /// # use std::time::Duration;
    /// # async fn f(queue: &Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
    /// let two = Durability::replicas(2, Duration::from_millis(500));
    /// match queue.producer().durable(two).enqueue(&"ada@example.com".to_owned()).await {
    ///     Ok(id) => println!("{id} is on two replicas"),
    ///     Err(QueueError::NotKept { id, reason }) => println!("{id} was added: {reason}"),
    ///     Err(error) => println!("{error}"),
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn durable(self, durability: Durability) -> Self {
        Self { durability: Some(durability), ..self }
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
    /// IDMP (Redis 8.6) an attempt with an unknown outcome is repeated for a minute, also while the
    /// server loads its data. The outcome is known once the server has replied with an id.
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
    /// without IDMP; [`QueueError::NotKept`] for [`Enqueue::durable`] if the job was added, and too
    /// few have it.
    pub async fn enqueue_with(&self, payload: &T, options: Enqueue) -> Result<EntryId, QueueError> {
        let fields = self.queue.encoded_with(payload, &options.headers)?;
        let shared = self.queue.shared();
        shared.opened().await?;
        let idmp = shared.capabilities().idmp;
        let durability = options.durability.or(self.durability);
        let Some(unique) = options.unique else {
            let mut ids = self.add(vec![fields], idmp, durability).await;
            return ids.pop().unwrap_or(Err(QueueError::Stopped));
        };
        if durability.is_some() {
            let reason = "a unique job cannot be durable: if the server has it already, it writes \
                          nothing, and a wait says nothing about the job";
            return Err(SettingsError::Value(reason).into());
        }
        if !shared.has_idmp() {
            return Err(SettingsError::TooOld("unique jobs need XADD IDMP (Redis 8.6)").into());
        }
        if !idmp {
            // The stream forgets too soon: as a transaction, which the client does not repeat.
            let (added,) =
                shared.client.transact((add(shared, &fields).idmp(UNIQUE, &unique),)).await?;
            return Ok(added?);
        }
        let until = clock::now() + RETRY_TIME;
        let command = || add(shared, &fields).idmp(UNIQUE, &unique);
        let mut error = match shared.client.send(command()).await {
            Ok(id) => return Ok(id),
            Err(error) => error,
        };
        let mut failures = Failures::default();
        let mut backoff = Backoff::default();
        loop {
            failures.add(&error);
            let may_pass = is_transient(&error);
            error = failures.error(error);
            let left = until.saturating_duration_since(clock::now());
            let is_unknown = error.outcome() == Outcome::Unknown;
            if !is_unknown || !may_pass || !error.repeat_is_safe() || left.is_zero() {
                return Err(error.into());
            }
            backoff.wait().await;
            // As a batch, which the client does not repeat: each request that is refused counts
            // against the number for which a repeat is safe.
            match shared.client.send_all([command()]).within(left).await.pop() {
                Some(Err(last)) => error = last,
                Some(Ok(id)) => return Ok(id),
                None => return Err(QueueError::Stopped),
            }
        }
    }

    /// Adds many jobs in one pipeline. Each has its own result, in order. Where the server has IDMP,
    /// there are at most 10,240 in flight.
    ///
    /// A server that loads its data, or is not ready in another way, is waited for, as
    /// [`Producer::enqueue`] does.
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
        let opened = self.queue.shared().opened().await;
        if let Err(error) = opened {
            return encoded.into_iter().map(|_| Err(error.clone())).collect();
        }
        let idmp = self.queue.shared().capabilities().idmp;
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
        let mut ids = self.add(good, idmp, self.durability).await.into_iter();
        let stopped = || Err(QueueError::Stopped);
        let mut id = || ids.next().unwrap_or_else(stopped);
        results.into_iter().map(|result| result.unwrap_or_else(&mut id)).collect()
    }

    /// Adds these jobs, and records the server's time from their ids.
    async fn add(
        &self,
        jobs: Vec<FieldList>,
        idmp: bool,
        durability: Option<Durability>,
    ) -> Vec<Result<EntryId, QueueError>> {
        let added = self.add_all(jobs, idmp, durability).await;
        if let Some(Ok(last)) = added.iter().rev().find(|added| added.is_ok()) {
            clock::id_assigned(self.queue.shared(), *last);
        }
        added
    }

    async fn add_all(
        &self,
        jobs: Vec<FieldList>,
        idmp: bool,
        durability: Option<Durability>,
    ) -> Vec<Result<EntryId, QueueError>> {
        let shared = self.queue.shared();
        let durable = durability.map(|durability| shared.durable(durability));
        if !idmp {
            let added = match (&durable, &*jobs) {
                (Some(durable), jobs) => {
                    let added = durable.add_new(jobs.iter().map(|job| add(shared, job))).await;
                    return added.into_iter().map(|added| Ok(added?.id)).collect();
                }
                (None, [job]) => vec![shared.client.send(add(shared, job)).await],
                (None, jobs) => {
                    send_ready(&shared.client, jobs, |job| add(shared, job), &mut None).await
                }
            };
            return added.into_iter().map(|added| Ok(added?)).collect();
        }
        let mut results = Vec::with_capacity(jobs.len());
        let mut not_ready_until = None;
        for jobs in jobs.chunks(LANE * LANES) {
            results.extend(self.send_numbered(jobs, &mut not_ready_until, durable.as_ref()).await);
        }
        results
    }

    /// Adds as many jobs as are in flight at once at most, and sends those with an unknown outcome again.
    async fn send_numbered(
        &self,
        jobs: &[FieldList],
        not_ready_until: &mut Option<Instant>,
        durable: Option<&Durable>,
    ) -> Vec<Result<EntryId, QueueError>> {
        let shared = self.queue.shared();
        let until = clock::now() + RETRY_TIME;
        let lanes = if durable.is_some() { &shared.durable_lanes } else { &shared.lanes };
        let numbers = Numbers::take(lanes, jobs.len());
        // The jobs that may be lost.
        let mut doubts = Vec::new();
        let mut results = match (durable, &*numbers.all, jobs) {
            (Some(durable), numbers, jobs) => {
                let all = numbers.iter().zip(jobs);
                let adds = all.map(|(number, job)| add_numbered(shared, number, job));
                let added = durable.add_new(adds).await;
                doubts.extend(added.iter().map(|added| added.as_ref().err().cloned()));
                added.into_iter().map(added_at_least).collect()
            }
            // A single command is retried by the client itself.
            (None, [number], [job]) => {
                vec![shared.client.send(add_numbered(shared, number, job)).await]
            }
            (None, numbers, jobs) => {
                let all: Vec<_> = numbers.iter().zip(jobs).collect();
                send_ready(
                    &shared.client,
                    &all,
                    |(number, job)| add_numbered(shared, number, job),
                    not_ready_until,
                )
                .await
            }
        };
        let is_unresolved =
            |error: &Error| error.outcome() == Outcome::Unknown && is_transient(error);
        let mut unresolved: Vec<usize> = (0..)
            .zip(&results)
            .filter(|(_, result)| result.as_ref().is_err_and(is_unresolved))
            .map(|(place, _)| place)
            .collect();
        let mut backoff = Backoff::default();
        while !unresolved.is_empty() {
            let left = until.saturating_duration_since(clock::now());
            if left.is_zero() {
                break;
            }
            unresolved.iter().for_each(|place| numbers.close(*place));
            backoff.wait().await;
            let of = |place: &usize| Some((numbers.all.get(*place)?, jobs.get(*place)?));
            let adds = unresolved.iter().filter_map(of);
            let adds = adds.map(|(number, job)| add_numbered(shared, number, job));
            let sent = shared.client.send_all(adds).within(left).await;
            let mut still = Vec::new();
            for (place, result) in unresolved.into_iter().zip(sent) {
                match result {
                    Ok(id) => {
                        if let Some(slot) = results.get_mut(place) {
                            *slot = Ok(id);
                        }
                    }
                    // The first error stays: a retry that fails does not resolve it.
                    Err(error) if is_transient(&error) => still.push(place),
                    Err(_) => {}
                }
            }
            unresolved = still;
        }
        let mut doubts = doubts.into_iter();
        let result = |result: Result<EntryId, Error>| match (result?, doubts.next().flatten()) {
            (id, None) => Ok(id),
            // It was sent again on another connection, and nothing was waited for.
            (id, Some(DurableError::Redis(error))) => {
                Err(DurableError::NotKept { id, kept: None, reason: Some(error) }.into())
            }
            (_, Some(error)) => Err(error.into()),
        };
        results.into_iter().map(result).collect()
    }
}

/// Returns the id of a job that was added, kept or not.
fn added_at_least(added: Result<Kept, DurableError>) -> Result<EntryId, Error> {
    match added {
        Ok(Kept { id, .. }) | Err(DurableError::NotKept { id, .. }) => Ok(id),
        Err(DurableError::Redis(error)) => Err(error),
    }
}

/// Sends a batch. Those that a server refuses because it is not ready are sent again until the
/// command timeout, as the client does with a single command. Batches in a row share that time.
async fn send_ready<'a, J>(
    client: &Client,
    jobs: &'a [J],
    add: impl Fn(&'a J) -> XAdd<'a>,
    until: &mut Option<Instant>,
) -> Vec<Result<EntryId, Error>> {
    let mut results = client.send_all(jobs.iter().map(&add)).await;
    let mut backoff = Backoff::default();
    loop {
        let refused = |(_, result): &(usize, &Result<EntryId, Error>)| {
            result.as_ref().is_err_and(is_not_ready)
        };
        let again: Vec<usize> =
            (0..).zip(&results).filter(refused).map(|(place, _)| place).collect();
        if again.is_empty() {
            *until = None;
            return results;
        }
        let until = *until.get_or_insert_with(|| clock::now() + client.command_timeout());
        let left = until.saturating_duration_since(clock::now());
        if left.is_zero() || !client.repeats() {
            return results;
        }
        backoff.wait().await;
        let adds = again.iter().filter_map(|place| jobs.get(*place)).map(&add);
        let sent = client.send_all(adds).within(left).await;
        for (place, result) in again.into_iter().zip(sent) {
            if let Some(slot) = results.get_mut(place) {
                *slot = result;
            }
        }
    }
}

/// Whether the server refused the command because it is not ready, and will be.
fn is_not_ready(error: &Error) -> bool {
    let is_refused = error.outcome() == Outcome::NotApplied;
    is_refused
        && matches!(
            error.code(),
            Some(
                Code::Loading | Code::Busy | Code::MasterDown | Code::TryAgain | Code::ClusterDown
            )
        )
}

/// Returns the command that adds the job under this number.
fn add_numbered<'a>(shared: &'a Shared, number: &'a Number, job: &'a FieldList) -> XAdd<'a> {
    add(shared, job).idmp(&*number.lane, number.iid)
}

/// Returns the command that adds the job, trimmed as the queue's retention requires.
fn add<'a>(shared: &'a Shared, fields: &'a FieldList) -> XAdd<'a> {
    let add = XAdd::new(&shared.settings.stream);
    let add = match shared.settings.retention {
        Retention::DeleteOnAck | Retention::KeepUntilAllAcked => add,
        Retention::LossyMaxLen(entries) => add.trim(Trim::max_len(entries).approximate()),
        Retention::LossyMaxAge(age) => match clock::id_of_age_at_server(shared, age) {
            Some(least) => add.trim(Trim::min_id(least).approximate()),
            None => add,
        },
    };
    add.fields(fields.iter())
}

impl<T> Clone for Producer<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), durability: self.durability }
    }
}

impl<T: 'static> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("queue", &self.queue).finish_non_exhaustive()
    }
}
