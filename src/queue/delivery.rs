//! Delivery: a job in hand; ack, nack, extend, dead-letter.

use super::clerk::Decision;
use super::headers::Headers;
use super::hold::{Hold, Lease};
use super::moving;
use super::retry::{Next, Verdict};
use super::tally::Ending;
use super::{Queue, QueueError};
use crate::command::{XClaim, XPendingRange};
use crate::entry::Entry;
use crate::id::EntryId;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;

/// What came of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Acked {
    /// The job is done, by us.
    Done,
    /// It was not pending any more: somebody else has finished it, after our lease was lost; or we had, and the reply was lost.
    ///
    /// Before Redis 8.2 the server says how many of those that are acknowledged together were pending, not which. If it was not
    /// all of them, each is told so.
    AlreadyGone,
}

/// What is to become of a job that is not done.
///
/// ```
/// # use bourn::queue::Nack;
/// # use std::time::Duration;
/// let later = Nack::after(Duration::from_secs(10)).because("the mail server is busy");
/// let never = Nack::dead("no such user");
/// # let _ = (later, never);
/// ```
#[derive(Debug, Clone)]
#[must_use = "it is given to nack"]
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

    /// Another attempt at once; to the dead letters, if it was the last one.
    pub fn now() -> Self {
        Self::of(Kind::Now)
    }

    /// Another attempt after this long; to the dead letters, if it was the last one. Cut to the lease, unless
    /// [`QueueBuilder::max_delay`](super::QueueBuilder::max_delay) is longer than that.
    pub fn after(wait: Duration) -> Self {
        Self::of(Kind::Verdict(Verdict::RetryAfter(wait)))
    }

    /// Another attempt after the policy's wait; to the dead letters, if it was the last one.
    pub fn policy() -> Self {
        Self::of(Kind::Verdict(Verdict::Retry))
    }

    /// To the dead letters.
    pub fn dead(why: impl Into<Arc<str>>) -> Self {
        Self::of(Kind::Verdict(Verdict::Dead)).because(why)
    }

    /// Back, as if it had never been delivered: for a consumer that stops.
    pub fn release() -> Self {
        Self::of(Kind::Release)
    }

    /// Why. It is what the dead letter says, should it become one.
    pub fn because(self, why: impl Into<Arc<str>>) -> Self {
        Self { why: Some(why.into()), ..self }
    }
}

/// A job in hand, to be decided: [`Delivery::ack`] when it is done, [`Delivery::nack`] when it is not.
///
/// Its lease is kept by heartbeats until then. Dropped without a decision it is given back for another attempt at once, which
/// [`Report::dropped`](super::Report::dropped) counts.
pub struct Delivery<T> {
    payload: T,
    acker: Acker,
}

impl<T> Delivery<T> {
    pub(super) fn new(payload: T, hold: Hold) -> Self {
        Self { payload, acker: Acker { hold } }
    }

    /// What is to be done.
    #[must_use]
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// The payload, and what decides about the job.
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

/// What decides about a job: [`Delivery`] without the payload.
#[derive(Debug)]
pub struct Acker {
    pub(super) hold: Hold,
}

impl Acker {
    /// The job is done.
    ///
    /// It is sent together with others that are acknowledged at about the same time, and again if the connection is lost: for as
    /// long as a lease. Also when our lease is lost, for the job *is* done.
    ///
    /// # Cancel safety
    ///
    /// Decided when it is called; dropping the future leaves it to itself.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`] if the server refuses it or cannot be reached for as long as a lease: the job will be delivered
    /// again. [`QueueError::Stopped`] if the consumer ended before.
    pub fn ack(self) -> impl Future<Output = Result<Acked, QueueError>> + Send + use<> {
        let (sender, receiver) = oneshot::channel();
        self.hold.ack(Ending::Done, Some(sender));
        async move { receiver.await.unwrap_or(Err(QueueError::Stopped)) }
    }

    /// The job is done, and this is to be done next: both or neither, in one transaction. Both queues must be on the same
    /// server, and in a cluster in one slot.
    ///
    /// If somebody else has finished the job before, nothing is added: what was, is deleted again. Where the server has IDMP
    /// (Redis 8.6) what two workers add for the same job is one entry.
    ///
    /// The id is that of the new entry; `None` if there is none of ours.
    ///
    /// # Cancel safety
    ///
    /// As [`Acker::ack`].
    ///
    /// # Errors
    ///
    /// As [`Acker::ack`], and [`QueueError::Codec`] if the payload cannot be written; the job is then given back.
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
                    // Who asked may have gone away.
                    let _ = sender.send(moving::ack_then(&case, &out, &fields).await);
                });
            }
            Err(error) => drop(sender.send(Err(error.into()))),
        }
        async move { receiver.await.unwrap_or(Err(QueueError::Stopped)) }
    }

    /// The job is not done.
    ///
    /// # Cancel safety
    ///
    /// As [`Acker::ack`].
    ///
    /// # Errors
    ///
    /// [`QueueError::LeaseLost`] if somebody else may have the job by now: nothing is done then.
    /// [`QueueError::Redis`] if the server could not be told; the job comes back when its lease is over.
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

    /// Begins the lease anew. Heartbeats do that by themselves: this is for who wants to know now whether the job is ours.
    ///
    /// # Cancel safety
    ///
    /// It may have been done if the future is dropped.
    ///
    /// # Errors
    ///
    /// [`QueueError::LeaseLost`] if it is not; [`QueueError::Redis`] if the server could not be asked, which does not end the
    /// lease.
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

    /// Whether the job is still ours.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.hold.lease
    }

    /// The id of the job's entry, the same for every attempt.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.hold.key.1
    }

    /// Which attempt it is, the first being 1, as the server counts.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.hold.attempt
    }

    /// When the job was enqueued, by the server's clock, to the millisecond.
    #[must_use]
    pub fn enqueued_at(&self) -> SystemTime {
        self.id().time().unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// What was said about the job when it was enqueued.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(self.hold.entry.by_ref())
    }

    /// The entry itself, with the fields that are the queue's own.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.hold.entry
    }

    /// What tells this job from every other one, the same for every attempt: stream, group and id. For who must not do it twice.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        let core = self.hold.desk.core(self.hold.key.0);
        core.map(|core| core.idempotency_key(self.id())).unwrap_or_default()
    }
}

/// What it has in common with [`Acker`].
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
