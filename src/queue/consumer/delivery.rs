//! Delivery: a job in flight; ack, nack, extend, dead-letter.

use crate::command::{XClaim, XPendingRange};
use crate::entry::Entry;
use crate::id::EntryId;
use crate::queue::Queue;
use crate::queue::QueueError;
use crate::queue::codec::headers::Headers;
use crate::queue::consumer::in_flight::{Hold, Lease};
use crate::queue::consumer::report::Ending;
use crate::queue::consumer::settle::Decision;
use crate::queue::operation::relay;
use crate::queue::policy::retry_policy::{Next, Verdict};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;

/// The result of an acknowledgement.
///
/// ```no_run
/// # async fn f(
/// #     delivery: bourn::queue::Delivery<String>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::Acked;
///
/// match delivery.ack().await? {
///     Acked::Done => println!("removed from the queue"),
///     Acked::AlreadyGone => println!("another worker finished it: this was a duplicate"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Acked {
    /// The job was pending, and is now acknowledged.
    Done,
    /// The job was no longer pending. Another worker finished it after this lease was lost, or this
    /// acknowledgement was applied before and its reply was lost.
    ///
    /// Before Redis 8.2 the server reports how many of the jobs acknowledged together were pending,
    /// not which. If some were not, all of them get this result.
    AlreadyGone,
}

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
    /// attempt. The delay is cut to the lease, unless
    /// [`QueueBuilder::max_delay`](crate::queue::QueueBuilder::max_delay) is longer than the lease.
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
    pub(crate) fn new(payload: T, hold: Hold) -> Self {
        Self { payload, acker: Acker { hold } }
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
    pub(crate) hold: Hold,
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
    /// [`QueueError::Redis`] if the server refuses it, or is unreachable for the duration of a
    /// lease: the job will be delivered again. [`QueueError::Stopped`] if the consumer ended
    /// before.
    pub fn ack(self) -> impl Future<Output = Result<Acked, QueueError>> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        self.hold.ack(Ending::Done, Some(sender));
        async move { receiver.await.unwrap_or(Err(QueueError::Stopped)) }
    }

    /// Acknowledges the job and adds the next one, atomically in one transaction. Both queues must
    /// be on the same server, and in a cluster in the same slot.
    ///
    /// If another worker finished the job before, no job is added: the new entry is deleted again.
    /// On a server with IDMP (Redis 8.6) the jobs that two workers add for the same job are one
    /// entry.
    ///
    /// Returns the id of the new entry; `None` if this call added none.
    ///
    /// # Cancel safety
    ///
    /// As [`Acker::ack`].
    ///
    /// # Errors
    ///
    /// As [`Acker::ack`], and [`QueueError::Codec`] if the payload cannot be encoded. The job is
    /// then retried.
    pub fn ack_then<U: 'static>(
        self,
        out: &Queue<U>,
        payload: &U,
    ) -> impl Future<Output = Result<(Acked, Option<EntryId>), QueueError>> + Send + use<U> {
        let (sender, receiver) = oneshot::channel();
        match out.encoded(payload) {
            Ok(fields) => {
                let (case, out) = (self.hold.decided(), Arc::clone(out.core()));
                let desk = Arc::clone(&case.desk);
                desk.order(async move {
                    // The caller may have dropped its future.
                    let _ = sender.send(relay::ack_then(&case, &out, &fields).await);
                });
            }
            Err(error) => drop(sender.send(Err(error.into()))),
        }
        async move { receiver.await.unwrap_or(Err(QueueError::Stopped)) }
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
        let retry = self.hold.desk.core(self.hold.key.0).map(|core| core.settings.retry.clone());
        let retry = retry.unwrap_or_default();
        let after = |verdict| match retry.after(verdict, self.hold.attempt, fastrand::f64()) {
            Next::Retry(wait) => Decision::Retry(wait),
            Next::Dead | Next::Discard => {
                Decision::Bury(why.clone().unwrap_or_else(|| "nack".into()))
            }
        };
        let decision = match kind {
            Kind::Release => Decision::Release,
            Kind::Now => after(Verdict::RetryAfter(Duration::ZERO)),
            Kind::Verdict(verdict) => after(verdict),
        };
        self.hold.decide(decision)
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
    /// [`QueueError::LeaseLost`] if the lease is lost. [`QueueError::Redis`] if a command failed,
    /// which does not end the lease.
    pub async fn extend(&self) -> Result<(), QueueError> {
        let Hold { desk, key, ticket, .. } = &self.hold;
        if *ticket == 0 {
            return Ok(());
        }
        let Some(core) = desk.core(key.0) else { return Err(QueueError::Stopped) };
        let settings = &core.settings;
        let (stream, group, me) = (&settings.stream, &settings.group, desk.name());
        let asked = Instant::now();
        if !desk.held().is_held(*key, *ticket, asked) {
            return Err(QueueError::LeaseLost);
        }
        let owner = core.client.send(XPendingRange::new(stream, group, key.1..=key.1, 1)).await?;
        let sent = Instant::now();
        let ours = owner.iter().any(|pending| pending.consumer == *me);
        let still = if ours && desk.held().is_held(*key, *ticket, sent) {
            let claim = XClaim::new(stream, group, &*me, Duration::ZERO, key.1);
            core.client.send(claim.just_id()).await?
        } else {
            Vec::new()
        };
        let still: Vec<_> = still.into_iter().map(|id| (key.0, id)).collect();
        let lost = desk.held().beaten(sent, &[*key], &still);
        desk.lose(lost, Instant::now());
        if still.is_empty() { Err(QueueError::LeaseLost) } else { Ok(()) }
    }

    /// Returns the lease, which shows whether the job still belongs to this consumer.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.hold.lease
    }

    /// Returns the id of the job's entry, the same for every attempt.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.hold.key.1
    }

    /// Returns the number of the attempt, starting at 1, as the server counts.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.hold.attempt
    }

    /// Returns when the job was enqueued, by the server's clock, in milliseconds.
    #[must_use]
    pub fn enqueued_at(&self) -> SystemTime {
        self.id().time().unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Returns the headers that were set when the job was enqueued.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(self.hold.entry.by_ref())
    }

    /// Returns the entry itself, including the queue's own fields.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.hold.entry
    }

    /// Returns a key that is unique to the job and the same for every attempt: stream, group and
    /// id. For idempotent handlers.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        let core = self.hold.desk.core(self.hold.key.0);
        core.map(|core| core.idempotency_key(self.id())).unwrap_or_default()
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
