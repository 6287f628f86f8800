//! Retries a job after a delay: in this consumer if it is short, otherwise in the wheel. A task.
//!
//! | event | action |
//! |---|---|
//! | the delay is short, and there is memory for it | the lease is renewed; when the delay ends, the job is delivered here again |
//! | there is no free slot then | the job is given back, for any consumer |
//! | the delay is longer, or the consumer closes | the job is put into the wheel |
//! | that fails | it is tried again while the lease is valid: the job keeps its worker slot |

use crate::error::{Code, Outcome};
use crate::queue::cause::Reason;
use crate::queue::consumer::conclude::{answer, failed, owner};
use crate::queue::consumer::in_flight::{InFlight, Out, Settlement, Settler, WeakOut};
use crate::queue::consumer::report::JobOutcome;
use crate::queue::consumer::state::{Memory, State};
use crate::queue::error::QueueError;
use crate::queue::event::QueueEvent;
use crate::queue::first::first;
use crate::queue::operation::ack::Acked;
use crate::queue::operation::backoff::{Backoff, is_permanent, is_transient};
use crate::queue::operation::claim::{self, Owner};
use crate::queue::operation::clock;
use crate::queue::operation::delay::{self, Delay};
use crate::queue::operation::failures::Failures;
use crate::queue::operation::nack::{self, GiveBack};
use crate::queue::policy::decision::Decision;
use crate::queue::policy::delay::HELD;
use crate::queue::policy::leases::Decided;
use crate::queue::shared::Shared;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The maximum number of jobs that wait in one consumer for a retry.
const MOST_WAITING: usize = 1_024;

/// The time in which a read is ended.
const YIELD: Duration = Duration::from_millis(1);

/// Delivers jobs again that waited in this consumer.
#[derive(Debug, Clone)]
pub(crate) struct Redelivery {
    settler: Settler,
    out: WeakOut,
}

impl Redelivery {
    pub(crate) fn new(settler: &Settler, out: &Out) -> Self {
        Self { settler: settler.clone(), out: out.downgrade() }
    }
}

/// Settles a job that is to be retried after this delay.
pub(crate) async fn retry(settlement: Settlement, wait: Duration, redelivery: Redelivery) {
    let Settlement { job, at, mut occupied, mut reply, .. } = settlement;
    let state = Arc::clone(&job.state);
    let Some(shared) = state.shared(job.key.0) else { return };
    let due = at.checked_add(wait);
    let mut is_counted = false;
    if let Some(until) = due.filter(|_| wait < HELD && !state.closing.is_cancelled()) {
        if let Some(waits) = state.wait_here(job.uncounted_bytes()) {
            is_counted = true;
            state.outcomes.add(job.key.0, JobOutcome::Retried, 1);
            answer(reply.take(), Ok((Acked::Done, None)));
            occupied = None;
            let over = first(tokio::time::sleep_until(until.into()), job.lease.lost());
            first(over, state.closing.cancelled()).await;
            if !state.closing.is_cancelled() {
                drop(waits);
                return run_again(job, shared, &redelivery).await;
            }
        }
    }
    let mut failures = Failures::default();
    let result = put_into_wheel(&job, shared, due, &mut failures).await;
    match &result {
        Ok(Acked::AlreadyGone) => state.outcomes.add(job.key.0, JobOutcome::AlreadyGone, 1),
        Ok(Acked::Done) if is_counted => {}
        Ok(Acked::Done) => state.outcomes.add(job.key.0, JobOutcome::Retried, 1),
        Err(error) => failed(&job, error),
    }
    state.settled(job.key, job.ticket);
    let result = result.map(|acked| (acked, None));
    answer(reply, result.map_err(|error| failures.error(error)));
    drop(occupied);
}

/// Puts the job into the wheel. While that fails, the job stays in flight, and its heartbeats
/// continue. When the consumer closes, its lease expires.
async fn put_into_wheel(
    job: &InFlight,
    shared: &Shared,
    due: Option<Instant>,
    failures: &mut Failures,
) -> Result<Acked, QueueError> {
    let mut whole = Delay::new(job.entry.clone(), (job.attempt, job.is_copied), due);
    let mut backoff = Backoff::default();
    loop {
        let Some(expiry) = job.expiry() else {
            // If this fails, the copy is never moved.
            let _ = delay::discard(shared, &whole).await;
            return if whole.is_marked() { Ok(Acked::Done) } else { Err(QueueError::LeaseLost) };
        };
        // The commands do not check the owner, and another client may have taken or settled the job.
        let owner = if whole.is_begun() { Ok(Owner::Us) } else { owner(job, shared).await };
        let sent = match owner {
            Ok(Owner::None) => return Ok(Acked::AlreadyGone),
            Ok(Owner::Other) => return Err(QueueError::LeaseLost),
            Ok(Owner::Us | Owner::Unsettled) => {
                delay::send(shared, &job.state.name(), &mut whole, expiry).await
            }
            Err(error) => Err(error),
        };
        let error = match sent {
            Ok(acked) => return Ok(acked),
            Err(error) => error,
        };
        failures.add(&error);
        if error.outcome() == Outcome::Unknown {
            // The mark may still make the entry pending for our name.
            job.state.set_unanswered();
        }
        shared.emit(QueueEvent::Interrupted { error: Arc::new(error.clone()) });
        let ends = is_permanent(&error) && error.code() != Some(&Code::WrongType);
        if ends || job.state.closing.is_cancelled() {
            if whole.is_marked() {
                // The next consumer removes the entry.
                return Ok(Acked::Done);
            }
            let _ = delay::discard(shared, &whole).await;
            return Err(error.into());
        }
        first(backoff.wait(), job.state.closing.cancelled()).await;
    }
}

/// Removes the entry of a job that is in the wheel. If that fails, the entry stays pending, and is
/// removed when its lease expires.
pub(crate) async fn finish(settlement: Settlement) {
    let Settlement { job, occupied: _occupied, .. } = settlement;
    let state = Arc::clone(&job.state);
    let Some(shared) = state.shared(job.key.0) else { return };
    if let Err(error) = delay::finish(shared, job.key.1).await {
        state.set_unanswered();
        shared.emit(QueueEvent::Interrupted { error: Arc::new(error) });
    }
    state.settled(job.key, job.ticket);
}

/// Delivers a job again whose delay is over.
async fn run_again(job: InFlight, shared: &Shared, redelivery: &Redelivery) {
    let (state, now) = (Arc::clone(&job.state), clock::now());
    if job.lease.is_lost() {
        state.expire(now);
        return state.settled(job.key, job.ticket);
    }
    let out = redelivery.out.upgrade().filter(|_| state.room() > 0);
    let Some(out) = out else { return give_back(&job, shared).await };
    let place = state.occupy(1);
    // A read that waits must return no more than there is room for now.
    state.take_room();
    let mut backoff = Backoff::default();
    let since = loop {
        let since = clock::now();
        let error = match job.expiry() {
            None => QueueError::LeaseLost,
            Some(expiry) => {
                let me = state.name();
                let delivered = match owner(&job, shared).await {
                    Ok(Owner::Us | Owner::Unsettled) => {
                        claim::deliver_again(shared, &me, job.key.1, job.next_count(), expiry).await
                    }
                    Ok(Owner::None) => Ok(false),
                    Ok(Owner::Other) => {
                        failed(&job, &QueueError::LeaseLost);
                        return state.settled(job.key, job.ticket);
                    }
                    Err(error) => Err(error),
                };
                match delivered {
                    Ok(true) => break since,
                    Ok(false) => {
                        let gone = state.leases().remove(job.key, job.ticket);
                        let gone = gone.map(|token| (job.key, token)).into_iter().collect();
                        return state.no_longer_pending(gone, clock::now());
                    }
                    // Sent again, it has the same effect.
                    Err(error) if is_transient(&error) && !state.no_retry.is_cancelled() => {
                        first(backoff.wait(), state.no_retry.cancelled()).await;
                        continue;
                    }
                    Err(error) => error.into(),
                }
            }
        };
        return unsettled(&job, shared, &error).await;
    };
    state.settled(job.key, job.ticket);
    let memory = state.hold(job.bytes());
    let (times, attempt) = ((since, clock::now()), job.attempt.saturating_add(1));
    let entry = (job.entry.clone(), memory);
    let again = InFlight::claim(&state, &redelivery.settler, job.key, times, attempt, entry);
    let is_copied = job.is_copied;
    drop(job);
    if let Some(mut again) = again {
        again.is_copied = is_copied;
        if shared.settings.retry.is_exhausted(attempt) {
            again.settle(Decision::DeadLetter(Reason::worker_lost(attempt - 1)));
        } else {
            // If the receiver is closed, the entry is released.
            let _ = out.send(Ok(again));
        }
    }
    drop(place);
}

/// Gives the job back, for any consumer.
async fn give_back(job: &InFlight, shared: &Shared) {
    let state = &job.state;
    // A read that waits for more than there is room for now would return this job: it is ended
    // before.
    tokio::time::sleep(YIELD).await;
    state.leases().decide(job.key, job.ticket, Decided::GivenBack, clock::now());
    // A heartbeat that arrives later would take the job back.
    state.heartbeat_ended().await;
    let now = GiveBack::Retry(Duration::ZERO);
    let result = match (job.expiry(), owner(job, shared).await) {
        (Some(expiry), Ok(Owner::Us | Owner::Unsettled)) => {
            nack::send(shared, job.key.1, job.count(), now, expiry).await
        }
        (_, Err(error)) => Err(error),
        _ => Ok(()),
    };
    if result.is_ok() && !state.all_answered() {
        // A heartbeat that arrives now makes it pending for us again, which would look like a lost
        // delivery.
        state.note_run(job.key, clock::now());
    }
    let Err(error) = result else { return state.settled(job.key, job.ticket) };
    let place = state.occupy(1);
    unsettled(job, shared, &error.into()).await;
    drop(place);
}

/// Records that a retry was refused. Returns when another consumer can claim the entry, if it stays
/// pending until then: another one in its place would add to those that do.
async fn unsettled(job: &InFlight, shared: &Shared, error: &QueueError) {
    let state = &job.state;
    let claimable = job.lease.deadline().map(|expiry| expiry + shared.settings.lease / 4);
    failed(job, error);
    state.settled(job.key, job.ticket);
    if let Some(claimable) = claimable.filter(|_| error.outcome() == Outcome::NotApplied) {
        first(tokio::time::sleep_until(claimable.into()), state.closing.cancelled()).await;
    }
}

impl State {
    /// Counts a job with these bytes that waits here for a retry, until the result is dropped. `None`
    /// if too many do, or if they take so much memory that too little would be left for others.
    pub(crate) fn wait_here(self: &Arc<Self>, bytes: usize) -> Option<WaitsHere> {
        let used = self.bytes.load(Ordering::Acquire).saturating_add(bytes);
        let waiting = self.waiting.load(Ordering::Acquire);
        if waiting >= MOST_WAITING || used > self.limits.bytes / 2 {
            return None;
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Some(WaitsHere { state: Arc::clone(self), _memory: self.hold(bytes) })
    }
}

/// A job that waits in its consumer for a retry.
#[derive(Debug)]
pub(crate) struct WaitsHere {
    state: Arc<State>,
    _memory: Arc<Memory>,
}

impl Drop for WaitsHere {
    fn drop(&mut self) {
        self.state.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
