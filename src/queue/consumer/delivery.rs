//! A delivered job, and its settlement: ack, nack, extend, dead-letter. Part of the tasks.

use crate::entry::Entry;
use crate::id::EntryId;
use crate::queue::cause::{DeadLetterCause, Reason};
use crate::queue::codec::headers::Headers;
use crate::queue::codec::origin;
use crate::queue::consumer::failure;
use crate::queue::consumer::in_flight::{Action, InFlight};
use crate::queue::consumer::lease::Lease;
use crate::queue::error::{QueueError, SettingsError};
use crate::queue::operation::ack::Acked;
use crate::queue::operation::claim::{self, Owner};
use crate::queue::operation::clock;
use crate::queue::policy::decision::Decision;
use crate::queue::policy::retry_policy::Verdict;
use crate::queue::shared::{Queue, Shared};
use crate::random;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The decision on a job that is not done.
///
/// ```
/// # use bourn::queue::Nack;
/// # use std::time::Duration;
/// let later = Nack::after(Duration::from_secs(10)).because("the mail server is busy");
/// let never = Nack::dead("no such user");
/// # let _ = (later, never);
/// ```
#[derive(Debug, Clone)]
#[must_use = "a `Nack` does nothing until it is passed to `nack`"]
pub struct Nack {
    kind: Kind,
    why: Option<Arc<str>>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Verdict(Verdict),
    Now,
    Release,
}

impl Nack {
    fn of(kind: Kind) -> Self {
        Self { kind, why: None }
    }

    /// Retries at once. Moves the job to the dead-letter stream if this was the last attempt.
    pub fn now() -> Self {
        Self::of(Kind::Now)
    }

    /// Retries after this delay. Moves the job to the dead-letter stream if this was the last
    /// attempt. The delay may be of any length.
    pub fn after(wait: Duration) -> Self {
        Self::of(Kind::Verdict(Verdict::RetryAfter(wait)))
    }

    /// Retries after the policy's delay. Moves the job to the dead-letter stream if this was the
    /// last attempt.
    pub fn policy() -> Self {
        Self::of(Kind::Verdict(Verdict::Retry))
    }

    /// Moves the job to the dead-letter stream.
    pub fn dead(why: impl Into<Arc<str>>) -> Self {
        Self::of(Kind::Verdict(Verdict::Dead)).because(why)
    }

    /// Releases the job as if it had never been delivered, for a consumer that stops.
    pub fn release() -> Self {
        Self::of(Kind::Release)
    }

    /// Sets the reason. It is recorded if the job becomes a dead letter.
    pub fn because(self, why: impl Into<Arc<str>>) -> Self {
        Self { why: Some(why.into()), ..self }
    }
}

/// A job in flight. Call [`Delivery::ack`] when it is done, [`Delivery::nack`] when it is not.
///
/// Heartbeats renew its lease until then. If it is dropped without either, the job is retried at
/// once, and [`Report::dropped`](crate::queue::Report::dropped) counts it.
///
/// ```no_run
/// # async fn f(
/// #     delivery: bourn::queue::Delivery<String>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::Nack;
///
/// match delivery.payload().parse::<u64>() {
///     Ok(_) => {
///         delivery.ack().await?;
///     }
///     Err(error) => delivery.nack(Nack::dead(error.to_string())).await?,
/// }
/// # Ok(()) }
/// ```
pub struct Delivery<T> {
    payload: T,
    acker: Acker,
}

impl<T> Delivery<T> {
    pub(crate) fn new(payload: T, job: InFlight) -> Self {
        Self { payload, acker: Acker { job } }
    }

    /// Returns the payload.
    #[must_use]
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// Splits the delivery into the payload and the [`Acker`].
    #[must_use]
    pub fn split(self) -> (T, Acker) {
        (self.payload, self.acker)
    }

    /// As [`Acker::ack`].
    pub fn ack(self) -> impl Future<Output = Result<Acked, QueueError>> + Send + use<T> {
        self.acker.ack()
    }

    /// As [`Acker::ack_then`].
    pub fn ack_then<U: 'static>(
        self,
        out: &Queue<U>,
        payload: &U,
    ) -> impl Future<Output = Result<(Acked, Option<EntryId>), QueueError>> + Send + use<T, U> {
        self.acker.ack_then(out, payload)
    }

    /// As [`Acker::nack`].
    pub fn nack(self, nack: Nack) -> impl Future<Output = Result<(), QueueError>> + Send + use<T> {
        self.acker.nack(nack)
    }
}

/// A [`Delivery`] without the payload, which settles the job.
///
/// ```no_run
/// # async fn f(
/// #     delivery: bourn::queue::Delivery<String>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// // The payload goes to the work; the acker stays with its caller.
/// let (payload, acker) = delivery.split();
/// let work = tokio::spawn(async move { println!("{payload}") });
/// tokio::select! {
///     result = work => {
///         result?;
///         acker.ack().await?;
///     }
///     () = acker.lease().lost() => println!("{} runs elsewhere now", acker.id()),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Acker {
    pub(crate) job: InFlight,
}

impl Acker {
    /// Acknowledges the job as done.
    ///
    /// Acknowledgements of about the same time are sent together. If the connection is lost, they
    /// are sent again, for the duration of a lease. An acknowledgement is sent even after the lease
    /// was lost, because the job *is* done.
    ///
    /// # Cancel safety
    ///
    /// The decision is made when this is called. Dropping the future does not undo it.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`] if the server refuses it, or does not confirm it within the duration of
    /// a lease: the job will be delivered again. [`QueueError::Stopped`] if the consumer ended
    /// before.
    pub fn ack(self) -> impl Future<Output = Result<Acked, QueueError>> + Send + use<> {
        let settled = self.job.settle_and_wait(Action::Decide(Decision::Done));
        async move { Ok(settled.await?.0) }
    }

    /// Adds the next job and acknowledges this one. Both queues must have been opened with
    /// the same client, and in a cluster be in the same slot.
    ///
    /// The next job is added first, in a transaction that also marks this one, and this one is
    /// acknowledged after that. So neither is lost, whenever the process ends, and also where the
    /// key of the other queue holds another type. If the process ends in between, this job runs
    /// again, and its next `ack_then` recognises the next job that is there: by its fields `_id`,
    /// `_from` and `_group`, and on a server with IDMP (Redis 8.6) also after that was done, while
    /// the server remembers it. Otherwise a second one is added, with the same
    /// [`idempotency_key`](Self::idempotency_key).
    ///
    /// If another worker finished the job before, no job is added: the new entry is deleted again.
    /// On a server with IDMP the jobs that two workers add for the same job are one entry.
    ///
    /// Returns the id of the new entry; `None` if this call added none, or if the reply was lost
    /// and another worker took the new job in the meantime.
    ///
    /// # Cancel safety
    ///
    /// As [`Acker::ack`].
    ///
    /// # Errors
    ///
    /// As [`Acker::ack`]. [`QueueError::Codec`] if the payload cannot be encoded.
    /// [`QueueError::LeaseLost`] if another worker may have the job: nothing was done.
    /// [`SettingsError::OtherClient`] if the other queue was opened with another client, and
    /// [`SettingsError::AtMostOnce`] if this queue delivers at most once.
    ///
    /// If the next job is refused, nothing was done, and the attempt counts as failed: the job is
    /// retried or dead-lettered as the retry policy says, with the error as the reason.
    pub fn ack_then<U: 'static>(
        self,
        out: &Queue<U>,
        payload: &U,
    ) -> impl Future<Output = Result<(Acked, Option<EntryId>), QueueError>> + Send + use<U> {
        let to = out.shared();
        let fields = self.may_add(to).and_then(|()| Ok(out.encoded(payload)?));
        let settled = match fields {
            Ok(fields) => {
                let to = Arc::clone(to);
                Ok(self.job.settle_and_wait(Action::Relay { to, fields }))
            }
            Err(error) => {
                let shared = self.job.state.shared(self.job.key.0).cloned();
                if let Some(shared) = shared {
                    let retry = &shared.settings.retry;
                    let reason = (DeadLetterCause::Failed, &*error.to_string());
                    failure::failed(self.job, retry, Verdict::Retry, reason);
                }
                Err(error)
            }
        };
        async move { settled?.await }
    }

    /// Whether this job can be acknowledged in one transaction with a job that is added there.
    fn may_add(&self, to: &Shared) -> Result<(), QueueError> {
        let Some(shared) = self.job.state.shared(self.job.key.0) else {
            return Err(QueueError::Stopped);
        };
        if shared.settings.at_most_once {
            return Err(SettingsError::AtMostOnce("ack_then").into());
        }
        if shared.origin != to.origin {
            return Err(SettingsError::OtherClient("ack_then").into());
        }
        Ok(())
    }

    /// Reports that the job is not done, with a decision.
    ///
    /// # Cancel safety
    ///
    /// As [`Acker::ack`].
    ///
    /// # Errors
    ///
    /// [`QueueError::LeaseLost`] if another worker may have the job: nothing was done.
    /// [`QueueError::Redis`] if a command failed: the job is delivered again when its lease
    /// expires.
    pub fn nack(self, nack: Nack) -> impl Future<Output = Result<(), QueueError>> + Send + use<> {
        let Nack { kind, why } = nack;
        let retry = self.job.state.shared(self.job.key.0).map(|shared| &shared.settings.retry);
        let on_failure = |verdict| match retry {
            Some(retry) => {
                let text = || why.unwrap_or_else(|| "nack".into());
                let reason = || Reason::new(DeadLetterCause::Failed, text());
                Decision::on_failure(retry, verdict, self.job.attempt, random::fraction(), reason)
            }
            None => Decision::Drop,
        };
        let decision = match kind {
            Kind::Release => Decision::Release,
            Kind::Now => on_failure(Verdict::RetryAfter(Duration::ZERO)),
            Kind::Verdict(verdict) => on_failure(verdict),
        };
        let settled = self.job.settle_and_wait(Action::Decide(decision));
        async move { settled.await.map(drop) }
    }

    /// Renews the lease. Heartbeats do this automatically: call it to check at once whether the
    /// lease is still valid.
    ///
    /// # Cancel safety
    ///
    /// The lease may have been renewed when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`QueueError::LeaseLost`] if the lease is lost, or if another client acknowledged or deleted
    /// the entry. [`QueueError::Redis`] if a command failed, which does not end the lease.
    pub async fn extend(&self) -> Result<(), QueueError> {
        let InFlight { state, key, ticket, .. } = &self.job;
        if *ticket == 0 {
            return Ok(());
        }
        let Some(shared) = state.shared(key.0) else { return Err(QueueError::Stopped) };
        let names = state.names();
        if !state.leases().is_valid(*key, *ticket, clock::now()) {
            return Err(QueueError::LeaseLost);
        }
        let asked = clock::now();
        let owner = claim::owner_of(shared, &names, key.1).await?;
        let sent = clock::now();
        if owner != Owner::Us {
            state.taken(owner, asked, *key);
        } else if let Some(expiry) = self.job.expiry() {
            if claim::renew_one(shared, names.current(), key.1, expiry).await? {
                state.leases().renewed(sent, clock::now(), &[*key]);
                return Ok(());
            }
            state.taken(Owner::None, sent, *key);
        }
        Err(QueueError::LeaseLost)
    }

    /// Returns the lease, which shows whether the job still belongs to this consumer.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.job.lease
    }

    /// Returns the id of the job's entry, the same for every attempt. A redriven job has another
    /// entry.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.job.key.1
    }

    /// Returns the id of the job's first entry, the same after a redrive.
    #[must_use]
    pub fn original_id(&self) -> EntryId {
        let stream = self.job.state.shared(self.job.key.0).map(|shared| &*shared.settings.stream);
        origin::of_job(self.entry().fields(), self.id(), stream.unwrap_or_default()).0
    }

    /// Returns the number of the attempt, starting at 1, as the server counts.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.job.attempt
    }

    /// Returns when the job was enqueued, by the server's clock, in milliseconds.
    #[must_use]
    pub fn enqueued_at(&self) -> SystemTime {
        self.original_id().time().unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Returns the headers that were set when the job was enqueued.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(self.job.entry.by_ref())
    }

    /// Returns the entry itself, including the queue's own fields.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.job.entry
    }

    /// Returns a key that is unique to the job and the same for every attempt, also after a
    /// redrive: stream, group and [`original_id`](Self::original_id). For idempotent handlers.
    ///
    /// For a job that [`ack_then`](Self::ack_then) added: stream, group, and those of the job before
    /// it. A second next job of the same job has the same key.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        let Some(shared) = self.job.state.shared(self.job.key.0) else { return String::new() };
        let (stream, group) = (&shared.settings.stream, &shared.settings.group);
        origin::idempotency_key(self.entry().fields(), self.id(), stream, group)
    }
}

/// Dereferences to the [`Acker`].
impl<T> std::ops::Deref for Delivery<T> {
    type Target = Acker;

    fn deref(&self) -> &Acker {
        &self.acker
    }
}

impl<T: fmt::Debug> fmt::Debug for Delivery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("id", &self.id())
            .field("attempt", &self.attempt())
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}
