//! A job in flight: one value from the claim until it is settled. Part of the tasks.
//!
//! Each job reserves its place in the settler's channel when it is claimed. So the channel is
//! bounded, and a decision never waits for it and is never refused.

use crate::entry::Entry;
use crate::id::EntryId;
use crate::queue::codec::{FieldList, origin};
use crate::queue::consumer::lease::Lease;
use crate::queue::consumer::pause::Pause;
use crate::queue::consumer::report::JobOutcome;
use crate::queue::consumer::state::{Memory, Occupied, State};
use crate::queue::error::QueueError;
use crate::queue::operation::ack::Acked;
use crate::queue::operation::clock;
use crate::queue::policy::decision::Decision;
use crate::queue::policy::leases::{Decided, Key};
use crate::queue::policy::mark;
use crate::queue::shared::Shared;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The largest number of jobs that one consumer has in flight.
const MAX_IN_FLIGHT: usize = 65_536;

/// The number of decisions that may wait for the settler before no more jobs are fetched.
const MAX_WAITING: usize = 1_024;

/// The places that fetching leaves free: a command may return more entries than there is room for,
/// one for each stream.
const RESERVE: usize = 1_024;

/// The channel for delivered entries.
pub(crate) type Out = mpsc::UnboundedSender<Result<InFlight, QueueError>>;

/// The same, for a task that does not keep it open.
pub(crate) type WeakOut = mpsc::WeakUnboundedSender<Result<InFlight, QueueError>>;

/// A job in flight. If dropped without a decision, it is given back.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) state: Arc<State>,
    pub(crate) key: Key,
    pub(crate) ticket: u64,
    pub(crate) attempt: u32,
    /// Whether its next job may be there already.
    pub(crate) is_copied: bool,
    /// Whether it must run alone: its workers died during all its attempts.
    pub(crate) is_alone: bool,
    /// Lifted when it is decided; `None` if others are fetched meanwhile.
    pub(crate) pause: Option<Arc<Pause>>,
    pub(crate) entry: Entry,
    pub(crate) lease: Lease,
    is_buffered: bool,
    /// The memory that it counts for.
    memory: Option<Arc<Memory>>,
    /// Its place in the settler's channel; `None` once it is decided.
    place: Option<OwnedPermit<Settlement>>,
}

/// A job to settle, and what to do with it.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) job: InFlight,
    pub(crate) action: Action,
    /// The time of the decision.
    pub(crate) at: Instant,
    /// Its place in the consumer until it is settled; `None` for an acknowledgement.
    pub(crate) occupied: Option<Occupied>,
    /// Receives the result; `None` if no caller waits for it.
    pub(crate) reply: Option<oneshot::Sender<Reply>>,
}

/// The action that settles a job.
#[derive(Debug)]
pub(crate) enum Action {
    Decide(Decision),
    /// Acknowledge it, and add an entry to another stream.
    Relay {
        to: Arc<Shared>,
        fields: FieldList,
    },
}

impl Action {
    /// Whether the job is only acknowledged, together with others.
    pub(crate) fn acknowledges(&self) -> bool {
        matches!(self, Self::Decide(decision) if decision.acknowledges())
    }

    /// Returns what it means for the lease.
    fn decided(&self) -> Decided {
        match self {
            Self::Decide(
                Decision::Done | Decision::Discard | Decision::Skip | Decision::InWheel,
            ) => Decided::Done,
            Self::Decide(Decision::Retry(Duration::ZERO) | Decision::Release | Decision::Drop) => {
                Decided::GivenBack
            }
            Self::Decide(Decision::Retry(_) | Decision::DeadLetter(_)) | Self::Relay { .. } => {
                Decided::Moving
            }
        }
    }
}

/// The result of a settled job: of an acknowledgement, and the id of the entry that a relay added.
pub(crate) type Reply = Result<(Acked, Option<EntryId>), QueueError>;

/// The sending half of the settler's channel.
#[derive(Debug, Clone)]
pub(crate) struct Settler(mpsc::Sender<Settlement>);

impl Settler {
    /// Creates the channel, for a consumer with at most this many undecided jobs.
    pub(crate) fn channel(undecided: usize) -> (Self, mpsc::Receiver<Settlement>) {
        let places = undecided.min(MAX_IN_FLIGHT) + MAX_WAITING + RESERVE;
        let (sender, receiver) = mpsc::channel(places);
        (Self(sender), receiver)
    }

    /// Returns the number of places for more jobs.
    pub(crate) fn room(&self) -> usize {
        self.0.capacity().saturating_sub(RESERVE)
    }
}

impl InFlight {
    /// Creates the job of an entry that was delivered by a command sent at `since`, and starts its
    /// lease. `None` if it is in flight already, or if it arrived so late that another consumer may
    /// have it. Expired leases must have been reported before.
    pub(crate) fn claim(
        state: &Arc<State>,
        settler: &Settler,
        key: Key,
        (since, now): (Instant, Instant),
        attempt: u32,
        entry: (Entry, Arc<Memory>),
    ) -> Option<Self> {
        let place = settler.0.clone().try_reserve_owned().ok()?;
        let token = CancellationToken::new();
        let (ticket, deadline) = if state.at_most_once() {
            (0, now)
        } else {
            let mut leases = state.leases();
            let deadline = leases.deadline(since);
            if now >= deadline {
                return None;
            }
            let ticket = leases.insert(key, since, now, token.clone())?;
            drop(leases);
            state.leased.notify_one();
            (ticket, deadline)
        };
        let lease = Lease::new(Arc::downgrade(state), (key, ticket), deadline, token);
        Some(Self::new(state, place, lease, (key, ticket), attempt, entry))
    }

    /// Creates the job of an entry that is only to be settled: it has no lease.
    pub(crate) fn without_lease(
        state: &Arc<State>,
        settler: &Settler,
        key: Key,
        entry: (Entry, Arc<Memory>),
    ) -> Option<Self> {
        let place = settler.0.clone().try_reserve_owned().ok()?;
        let token = CancellationToken::new();
        let lease = Lease::new(Arc::downgrade(state), (key, 0), clock::now(), token);
        Some(Self::new(state, place, lease, (key, 0), 0, entry))
    }

    fn new(
        state: &Arc<State>,
        place: OwnedPermit<Settlement>,
        lease: Lease,
        (key, ticket): (Key, u64),
        attempt: u32,
        (entry, memory): (Entry, Arc<Memory>),
    ) -> Self {
        state.buffered.fetch_add(1, Ordering::AcqRel);
        state.undecided.fetch_add(1, Ordering::AcqRel);
        let (state, place, memory) = (Arc::clone(state), Some(place), Some(memory));
        let (is_copied, is_alone, pause) = (false, false, None);
        Self {
            state,
            key,
            ticket,
            attempt,
            is_copied,
            is_alone,
            pause,
            entry,
            lease,
            is_buffered: true,
            memory,
            place,
        }
    }

    /// Makes it a job that is run alone: no more jobs are fetched until it is decided.
    pub(crate) fn set_alone(&mut self) {
        self.is_alone = true;
        self.pause = Some(Pause::new(&self.state));
    }

    /// Marks the job as delivered: it no longer counts as buffered.
    pub(crate) fn mark_delivered(&mut self) {
        if std::mem::take(&mut self.is_buffered) {
            self.state.buffered.fetch_sub(1, Ordering::AcqRel);
            if !self.state.limits.until_settled {
                self.memory = None;
            }
            self.state.room.notify_waiters();
        }
    }

    /// Returns when our lease expires; `None` if it has expired.
    pub(crate) fn expiry(&self) -> Option<Instant> {
        let expiry = self.state.leases().expiry(self.key, self.ticket)?;
        Some(expiry).filter(|expiry| clock::now() < *expiry)
    }

    /// Returns the bytes of its fields.
    pub(crate) fn bytes(&self) -> usize {
        self.entry.fields().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Returns those of its bytes that do not count for the consumer's memory.
    pub(crate) fn uncounted_bytes(&self) -> usize {
        if self.memory.is_some() { 0 } else { self.bytes() }
    }

    /// Returns the delivery count of its entry, with its mark.
    pub(crate) fn count(&self) -> u32 {
        self.count_of(self.deliveries())
    }

    /// Returns the delivery count of its next delivery, with its mark.
    pub(crate) fn next_count(&self) -> u32 {
        self.count_of(self.deliveries().saturating_add(1))
    }

    fn count_of(&self, deliveries: u32) -> u32 {
        if self.is_copied { mark::copied(deliveries) } else { deliveries }
    }

    /// Returns the delivery count of its entry while it is run alone.
    pub(crate) fn count_alone(&self) -> u32 {
        mark::alone(self.count())
    }

    /// Returns the number of deliveries of its entry, as the server counts.
    pub(crate) fn deliveries(&self) -> u32 {
        self.attempt.saturating_sub(origin::attempts_before(self.entry.fields(), self.stream()))
    }

    /// Whether its next job may have been there before a delay in the wheel.
    pub(crate) fn was_copied(&self) -> bool {
        origin::was_copied(self.entry.fields(), self.stream())
    }

    fn stream(&self) -> &[u8] {
        self.state.shared(self.key.0).map_or(&[], |shared| &shared.settings.stream)
    }

    /// Sends the decision to the settler. No caller waits for the result.
    pub(crate) fn settle(self, decision: Decision) {
        drop(self.send(Action::Decide(decision), None));
    }

    /// Sends the action to the settler. The future returns the result, and can be dropped.
    pub(crate) fn settle_and_wait(
        self,
        action: Action,
    ) -> impl Future<Output = Reply> + Send + use<> {
        let (reply, result) = oneshot::channel();
        let settler = self.send(action, Some(reply));
        async move {
            let mut result = result;
            let mut closed = pin!(async {
                match &settler {
                    Some(settler) => settler.closed().await,
                    None => pending().await,
                }
            });
            poll_fn(|cx| {
                if let Poll::Ready(result) = Pin::new(&mut result).poll(cx) {
                    return Poll::Ready(result.unwrap_or(Err(QueueError::Stopped)));
                }
                // The settler has ended, perhaps without this job.
                closed
                    .as_mut()
                    .poll(cx)
                    .map(|()| result.try_recv().unwrap_or(Err(QueueError::Stopped)))
            })
            .await
        }
    }

    /// Ends the job without a decision: its lease was lost, and another worker has it or will get
    /// it.
    pub(crate) fn abandon(mut self) {
        self.mark_delivered();
        if self.place.take().is_some() {
            self.decided();
        }
    }

    fn decided(&mut self) {
        self.lift_pause();
        self.state.decided();
    }

    fn lift_pause(&mut self) {
        if let Some(pause) = self.pause.take() {
            pause.lift();
        }
    }

    /// Sends the job to the settler, and returns the channel to it. `None` if the job is settled.
    fn send(
        mut self,
        action: Action,
        reply: Option<oneshot::Sender<Reply>>,
    ) -> Option<mpsc::Sender<Settlement>> {
        let state = Arc::clone(&self.state);
        self.mark_delivered();
        let place = self.place.take()?;
        self.lift_pause();
        let settler = match &action {
            // At most once: the entry was removed when it was delivered.
            Action::Decide(decision) if state.at_most_once() => {
                let outcome = match decision {
                    Decision::Done => JobOutcome::Done,
                    Decision::Discard => JobOutcome::Discarded,
                    _ => JobOutcome::Dropped,
                };
                state.outcomes.add(self.key.0, outcome, 1);
                // The caller may have dropped its future.
                let _ = reply.map(|reply| reply.send(Ok((Acked::Done, None))));
                None
            }
            _ => {
                let at = clock::now();
                state.leases().decide(self.key, self.ticket, action.decided(), at);
                let occupied = (!action.acknowledges()).then(|| state.occupy(1));
                Some(place.send(Settlement { job: self, action, at, occupied, reply }))
            }
        };
        // Only now: when all jobs are decided, all of them are in the channel.
        state.decided();
        settler
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let is_unseen = self.is_buffered;
        self.mark_delivered();
        let Some(place) = self.place.take() else { return };
        if self.state.at_most_once() {
            self.decided();
            return;
        }
        // A delivery that was never returned to the caller does not count as an attempt.
        let decision = if is_unseen { Decision::Release } else { Decision::Drop };
        Self {
            state: Arc::clone(&self.state),
            key: self.key,
            ticket: self.ticket,
            attempt: self.attempt,
            is_copied: self.is_copied,
            is_alone: self.is_alone,
            pause: self.pause.take(),
            entry: self.entry.clone(),
            lease: self.lease.clone(),
            is_buffered: false,
            memory: self.memory.take(),
            place: Some(place),
        }
        .settle(decision);
    }
}

#[cfg(test)]
pub(crate) mod tests;
