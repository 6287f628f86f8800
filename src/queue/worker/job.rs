//! A job as a handler receives it. Part of the tasks.

use crate::entry::Entry;
use crate::id::EntryId;
use crate::queue::codec::headers::Headers;
use crate::queue::codec::origin;
use crate::queue::consumer::in_flight::InFlight;
use crate::queue::consumer::lease::Lease;
use crate::queue::shared::Shared;
use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

/// A running job: the payload and the [`JobInfo`].
///
/// ```no_run
/// # async fn f(
/// #     queue: &bourn::queue::Queue<String>,
/// #     stop: impl Future<Output = ()> + Send,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::{Fail, Job};
///
/// let send = |job: Job<String>| async move {
///     println!("{}, attempt {}: {}", job.id(), job.attempt(), *job);
///     if job.is_empty() { Err(Fail::dead("no address")) } else { Ok(()) }
/// };
/// queue.worker().run(stop, send).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Job<T> {
    payload: T,
    info: Arc<JobInfo>,
}

impl<T> Job<T> {
    pub(crate) fn new(payload: T, info: Arc<JobInfo>) -> Self {
        Self { payload, info }
    }

    /// Returns the payload. A job also derefs to it.
    #[must_use]
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// Returns the payload by value.
    #[must_use]
    pub fn into_payload(self) -> T {
        self.payload
    }

    /// Returns the metadata of the job.
    #[must_use]
    pub fn info(&self) -> &Arc<JobInfo> {
        &self.info
    }

    /// As [`JobInfo::id`].
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.info.id()
    }

    /// As [`JobInfo::original_id`].
    #[must_use]
    pub fn original_id(&self) -> EntryId {
        self.info.original_id()
    }

    /// As [`JobInfo::attempt`].
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.info.attempt()
    }

    /// As [`JobInfo::headers`].
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.info.headers()
    }

    /// As [`JobInfo::entry`].
    #[must_use]
    pub fn entry(&self) -> &Entry {
        self.info.entry()
    }

    /// As [`JobInfo::lease`].
    #[must_use]
    pub fn lease(&self) -> &Lease {
        self.info.lease()
    }

    /// As [`JobInfo::idempotency_key`].
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        self.info.idempotency_key()
    }
}

impl<T> Deref for Job<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.payload
    }
}

/// The metadata of a job, without its payload.
///
/// ```no_run
/// # async fn f(job: bourn::queue::Job<String>) -> Result<(), Box<dyn std::error::Error>> {
/// // Shared by the handler and the middleware.
/// let info = std::sync::Arc::clone(job.info());
/// println!("{} of {}", info.id(), info.stream().escape_ascii());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct JobInfo {
    origin: Origin,
    attempt: u32,
    entry: Entry,
    lease: Lease,
}

/// The queue of a job.
#[derive(Debug)]
pub(super) enum Origin {
    Queue(Arc<Shared>),
    /// None, in a unit test.
    #[cfg(feature = "testing")]
    Test {
        stream: Box<[u8]>,
        group: Box<[u8]>,
    },
}

impl JobInfo {
    pub(crate) fn of(job: &InFlight, shared: Arc<Shared>) -> Self {
        Self::new(Origin::Queue(shared), job.attempt, job.entry.clone(), job.lease.clone())
    }

    pub(super) fn new(origin: Origin, attempt: u32, entry: Entry, lease: Lease) -> Self {
        Self { origin, attempt, entry, lease }
    }

    #[cfg(feature = "tracing")]
    pub(crate) fn propagator(&self) -> Option<&crate::queue::codec::propagate::Propagator> {
        match &self.origin {
            Origin::Queue(shared) => shared.settings.propagator.as_ref(),
            #[cfg(feature = "testing")]
            Origin::Test { .. } => None,
        }
    }

    /// Returns the key of the stream that it came from.
    #[must_use]
    pub fn stream(&self) -> &[u8] {
        match &self.origin {
            Origin::Queue(shared) => &shared.settings.stream,
            #[cfg(feature = "testing")]
            Origin::Test { stream, .. } => stream,
        }
    }

    /// Returns the group that it was delivered to.
    #[must_use]
    pub fn group(&self) -> &[u8] {
        match &self.origin {
            Origin::Queue(shared) => &shared.settings.group,
            #[cfg(feature = "testing")]
            Origin::Test { group, .. } => group,
        }
    }

    /// Returns the id of its entry. A job that was redriven, or delayed for 2 s or longer, has
    /// another entry.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.entry.id()
    }

    /// Returns the id of its first entry, the same for every attempt, also after a redrive.
    #[must_use]
    pub fn original_id(&self) -> EntryId {
        origin::of_job(self.entry.fields(), self.id(), self.stream()).0
    }

    /// Returns the number of the attempt, starting at 1, as the server counts.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns when it was enqueued, by the server's clock, in milliseconds.
    #[must_use]
    pub fn enqueued_at(&self) -> SystemTime {
        self.original_id().time().unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Returns the headers that were set when it was enqueued.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(self.entry.by_ref())
    }

    /// Returns the entry itself, with the queue's own fields and those of other producers whose
    /// names begin with `_`.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Returns the lease, which shows whether the job still belongs to this worker.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Returns a key that is unique to the job and the same for every attempt, also after a
    /// redrive: stream, group and [`original_id`](Self::original_id).
    ///
    /// For a job that [`ack_then`](crate::queue::Acker::ack_then) added: stream, group, and those of
    /// the job before it. A second next job of the same job has the same key.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        origin::idempotency_key(self.entry.fields(), self.id(), self.stream(), self.group())
    }
}
