//! Hold: an entry in somebody's hands, until it is decided what becomes of it; Lease: whether it still is ours.

use super::clerk::{self, AckResult, Decision};
use super::desk::{AckOrder, Desk};
use super::lease::{Decided, Key};
use super::tally::Ending;
use crate::entry::Entry;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Instant;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Whether a job is still ours to do.
///
/// It is, as long as heartbeats reach the server in time. When they do not, somebody else will be given the job: what is not done
/// yet should not be done. A [`Worker`](super::Worker) cancels its handler then; who takes jobs from a
/// [`Consumer`](super::Consumer) waits for [`Lease::lost`] beside the work.
#[derive(Debug, Clone)]
pub struct Lease {
    desk: Weak<Desk>,
    key: Key,
    ticket: u64,
    token: CancellationToken,
}

impl Lease {
    pub(super) fn new(desk: Weak<Desk>, key: Key, ticket: u64, token: CancellationToken) -> Self {
        Self { desk, key, ticket, token }
    }

    /// Waits until the lease is lost; for ever, if it never is.
    ///
    /// # Cancel safety
    ///
    /// Can be dropped and called again at any time.
    pub async fn lost(&self) {
        let mut cancelled = pin!(self.token.cancelled());
        // A process that stood still wakes to everything at once: its own clock knows first.
        poll_fn(|cx| if self.is_lost() { Poll::Ready(()) } else { cancelled.as_mut().poll(cx) })
            .await;
    }

    /// Whether the lease is lost: by a heartbeat's word, or because none was confirmed for three quarters of a lease.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.token.is_cancelled() || self.deadline().is_some_and(|until| until <= Instant::now())
    }

    /// Until when the job is ours if no further heartbeat is confirmed. `None` if the lease is lost, if the job is decided, and in
    /// a queue that delivers at most once, where there are no leases.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.desk.upgrade()?.held().until(self.key, self.ticket)
    }
}

/// An entry in somebody's hands. Dropped without a decision it is given back.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) desk: Arc<Desk>,
    pub(super) key: Key,
    pub(super) ticket: u64,
    pub(super) attempt: u32,
    pub(super) entry: Entry,
    pub(super) lease: Lease,
    /// Its bytes, while nobody has asked for it yet.
    buffered: Option<usize>,
    decided: bool,
}

impl Hold {
    pub(super) fn new(
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

    /// Somebody has it now.
    pub(super) fn hand_out(&mut self) {
        if let Some(bytes) = self.buffered.take() {
            self.desk.buffered.fetch_sub(1, Ordering::AcqRel);
            self.desk.bytes.fetch_sub(bytes, Ordering::AcqRel);
            self.desk.room.notify_waiters();
        }
    }

    fn at_most_once(&self) -> bool {
        self.ticket == 0
    }

    /// It is to be acknowledged: done or discarded.
    pub(super) fn ack(mut self, ending: Ending, reply: Option<oneshot::Sender<AckResult>>) {
        self.decided = true;
        if self.at_most_once() {
            self.desk.tally.add(self.key.0, ending, 1);
            if let Some(reply) = reply {
                let _ = reply.send(Ok(super::Acked::Done));
            }
            return;
        }
        self.desk.held().decide(self.key, self.ticket, Decided::Done, Instant::now());
        let (key, ticket) = (self.key, self.ticket);
        self.desk.order_ack(AckOrder { key, ticket, ending, reply });
    }

    /// Something else is to become of it; the future says what came of that, and can be dropped.
    pub(super) fn decide(
        mut self,
        decision: Decision,
    ) -> impl Future<Output = Result<(), super::QueueError>> + Send + use<> {
        self.decided = true;
        let (sender, receiver) = oneshot::channel();
        let case = clerk::Case::of(&self);
        if self.at_most_once() {
            self.desk.tally.add(self.key.0, Ending::Dropped, 1);
            let _ = sender.send(Ok(()));
        } else {
            case.silence(&decision);
            self.desk.order(async move {
                // Who asked may have gone away.
                let _ = sender.send(case.settle(decision).await);
            });
        }
        async move { receiver.await.unwrap_or(Err(super::QueueError::Stopped)) }
    }

    /// It is decided elsewhere.
    pub(super) fn decided(mut self) -> clerk::Case {
        self.decided = true;
        clerk::Case::of(&self)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let unseen = self.buffered.is_some();
        self.hand_out();
        if !self.decided && !self.at_most_once() {
            let case = clerk::Case::of(self);
            // What nobody has seen does not count as an attempt.
            let decision = if unseen { Decision::Release } else { Decision::Drop };
            case.silence(&decision);
            self.desk.order(async move {
                // There is nobody to be told.
                let _ = case.settle(decision).await;
            });
        }
        self.desk.undecided.fetch_sub(1, Ordering::AcqRel);
        self.desk.room.notify_waiters();
    }
}
