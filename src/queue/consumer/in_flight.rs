//! Hold: an entry in flight, until it is decided; Lease: whether it still belongs to this consumer.

use crate::entry::Entry;
use crate::queue::consumer::report::Ending;
use crate::queue::consumer::settle::{self, AckResult, Decision};
use crate::queue::consumer::state::{AckOrder, Desk};
use crate::queue::policy::leases::{Decided, Key};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Instant;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The lease of a job: whether the job still belongs to this consumer.
///
/// It is valid as long as heartbeats reach the server in time. When they do not, another worker
/// gets the job, and the work should stop. A [`Worker`](crate::queue::Worker) cancels its handler
/// then. When using a [`Consumer`](crate::queue::Consumer) directly, `select!` on [`Lease::lost`]
/// alongside your work.
///
/// ```no_run
/// # async fn f(
/// #     delivery: bourn::queue::Delivery<String>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let lease = delivery.lease().clone();
/// tokio::select! {
///     () = tokio::time::sleep(std::time::Duration::from_secs(60)) => {
///         delivery.ack().await?;
///     }
///     // The job runs elsewhere: stop at once.
///     () = lease.lost() => println!("lost"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Lease {
    desk: Weak<Desk>,
    key: Key,
    ticket: u64,
    token: CancellationToken,
}

impl Lease {
    pub(crate) fn new(desk: Weak<Desk>, key: Key, ticket: u64, token: CancellationToken) -> Self {
        Self { desk, key, ticket, token }
    }

    /// Waits until the lease is lost; indefinitely, if it never is.
    ///
    /// # Cancel safety
    ///
    /// Can be dropped and called again at any time.
    pub async fn lost(&self) {
        let mut cancelled = pin!(self.token.cancelled());
        // After a stall, everything becomes ready at once: the process's own clock detects the loss
        // first.
        poll_fn(|cx| if self.is_lost() { Poll::Ready(()) } else { cancelled.as_mut().poll(cx) })
            .await;
    }

    /// Whether the lease is lost: reported by a heartbeat, or because none was confirmed for three
    /// quarters of a lease.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.token.is_cancelled() || self.deadline().is_some_and(|until| until <= Instant::now())
    }

    /// Returns when the lease expires if no further heartbeat is confirmed. `None` if the lease is
    /// lost, if the job is settled, and in an at-most-once queue, which has no leases.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.desk.upgrade()?.held().until(self.key, self.ticket)
    }
}

/// An entry in flight. If dropped without a decision, it is given back.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) desk: Arc<Desk>,
    pub(crate) key: Key,
    pub(crate) ticket: u64,
    pub(crate) attempt: u32,
    pub(crate) entry: Entry,
    pub(crate) lease: Lease,
    /// The size of its fields, while it is buffered.
    buffered: Option<usize>,
    decided: bool,
}

impl Hold {
    pub(crate) fn new(
        desk: Arc<Desk>,
        key: Key,
        ticket: u64,
        attempt: u32,
        entry: Entry,
        lease: Lease,
    ) -> Self {
        let bytes = entry.fields().map(|(name, value)| name.len() + value.len()).sum();
        desk.buffered.fetch_add(1, Ordering::AcqRel);
        desk.bytes.fetch_add(bytes, Ordering::AcqRel);
        desk.undecided.fetch_add(1, Ordering::AcqRel);
        Self { desk, key, ticket, attempt, entry, lease, buffered: Some(bytes), decided: false }
    }

    /// Marks the entry as delivered: it no longer counts as buffered.
    pub(crate) fn mark_delivered(&mut self) {
        if let Some(bytes) = self.buffered.take() {
            self.desk.buffered.fetch_sub(1, Ordering::AcqRel);
            self.desk.bytes.fetch_sub(bytes, Ordering::AcqRel);
            self.desk.room.notify_waiters();
        }
    }

    fn at_most_once(&self) -> bool {
        self.ticket == 0
    }

    /// Orders an acknowledgement, of a done or discarded job.
    pub(crate) fn ack(mut self, ending: Ending, reply: Option<oneshot::Sender<AckResult>>) {
        self.decided = true;
        if self.at_most_once() {
            self.desk.tally.add(self.key.0, ending, 1);
            if let Some(reply) = reply {
                let _ = reply.send(Ok(crate::queue::Acked::Done));
            }
            return;
        }
        self.desk.held().decide(self.key, self.ticket, Decided::Done, Instant::now());
        let (key, ticket) = (self.key, self.ticket);
        self.desk.order_ack(AckOrder { key, ticket, ending, reply });
    }

    /// Orders another decision. The future returns its result, and can be dropped.
    pub(crate) fn decide(
        mut self,
        decision: Decision,
    ) -> impl Future<Output = Result<(), crate::queue::QueueError>> + Send + use<> {
        self.decided = true;
        let (sender, receiver) = oneshot::channel();
        let case = settle::Case::of(&self);
        if self.at_most_once() {
            self.desk.tally.add(self.key.0, Ending::Dropped, 1);
            let _ = sender.send(Ok(()));
        } else {
            case.silence(&decision);
            self.desk.order(async move {
                // The caller may have dropped its future.
                let _ = sender.send(case.settle(decision).await);
            });
        }
        async move { receiver.await.unwrap_or(Err(crate::queue::QueueError::Stopped)) }
    }

    /// Marks the entry as decided. The caller carries out the decision.
    pub(crate) fn decided(mut self) -> settle::Case {
        self.decided = true;
        settle::Case::of(&self)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let unseen = self.buffered.is_some();
        self.mark_delivered();
        if !self.decided && !self.at_most_once() {
            let case = settle::Case::of(self);
            // A delivery that was never returned to the caller does not count as an attempt.
            let decision = if unseen { Decision::Release } else { Decision::Drop };
            case.silence(&decision);
            self.desk.order(async move {
                // No caller waits for the result.
                let _ = case.settle(decision).await;
            });
        }
        self.desk.undecided.fetch_sub(1, Ordering::AcqRel);
        self.desk.room.notify_waiters();
    }
}
