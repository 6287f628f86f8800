//! Job: what a handler is given.

use super::super::core::Core;
use super::super::delivery::Acker;
use super::super::headers::Headers;
use super::super::hold::Lease;
use crate::entry::Entry;
use crate::id::EntryId;
use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

/// A job that is being done: the payload, and what there is to know about it.
#[derive(Debug)]
pub struct Job<T> {
    payload: T,
    info: Arc<JobInfo>,
}

impl<T> Job<T> {
    pub(super) fn new(payload: T, info: Arc<JobInfo>) -> Self {
        Self { payload, info }
    }

    /// What is to be done. A job also derefs to it.
    #[must_use]
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// What is to be done, taken out.
    #[must_use]
    pub fn into_payload(self) -> T {
        self.payload
    }

    /// What there is to know about the job.
    #[must_use]
    pub fn info(&self) -> &Arc<JobInfo> {
        &self.info
    }

    /// As [`JobInfo::id`].
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.info.id()
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

/// What there is to know about a job beside its payload.
#[derive(Debug)]
pub struct JobInfo {
    core: Arc<Core>,
    id: EntryId,
    attempt: u32,
    entry: Entry,
    lease: Lease,
}

impl JobInfo {
    pub(super) fn of(acker: &Acker, core: Arc<Core>) -> Self {
        let (id, attempt) = (acker.id(), acker.attempt());
        Self { core, id, attempt, entry: acker.entry().clone(), lease: acker.lease().clone() }
    }

    #[cfg(feature = "tracing")]
    pub(super) fn propagator(&self) -> Option<&super::super::propagate::Propagator> {
        self.core.settings.propagator.as_ref()
    }

    /// The stream that it came from.
    #[must_use]
    pub fn stream(&self) -> &[u8] {
        &self.core.settings.stream
    }

    /// The group that it was delivered to.
    #[must_use]
    pub fn group(&self) -> &[u8] {
        &self.core.settings.group
    }

    /// The id of its entry, the same for every attempt.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// Which attempt it is, the first being 1, as the server counts.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When it was enqueued, by the server's clock, to the millisecond.
    #[must_use]
    pub fn enqueued_at(&self) -> SystemTime {
        self.id.time().unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// What was said about it when it was enqueued.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(self.entry.by_ref())
    }

    /// Whether it is still ours to do.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// What tells it from every other job, the same for every attempt: stream, group and id.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        self.core.idempotency_key(self.id)
    }
}
