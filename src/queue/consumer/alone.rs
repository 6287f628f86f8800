//! A job that is run alone: its turn, and its mark at the server. A task.
//!
//! A job whose attempts were all used up by workers that died is delivered once more. It may have
//! killed them, or have only run beside the job that did. So the consumer stops fetching, waits until
//! its other jobs are settled, and delivers this one with no other beside it: if the process dies
//! then, no other job loses an attempt. From then on the delivery count says so, and the next death
//! dead-letters the job. Until then it keeps its right to run alone: this process may die while the
//! job waits for its turn.

use crate::queue::consumer::conclude::owner;
use crate::queue::consumer::in_flight::InFlight;
use crate::queue::consumer::state::State;
use crate::queue::first::first;
use crate::queue::operation::backoff::{Backoff, is_transient};
use crate::queue::operation::claim::{self, Owner};
use crate::queue::operation::clock;
use crate::queue::policy::leases::Key;
use std::future::pending;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// The job of a consumer that is run alone.
#[derive(Debug)]
pub(crate) enum Alone {
    No,
    /// It waits for its turn.
    Waits(JoinSet<Option<InFlight>>),
    /// It was delivered, and no other is until it is decided.
    Runs(JoinSet<()>),
}

impl Alone {
    /// Makes the job wait for its turn.
    pub(crate) fn wait(job: InFlight, runtime: &Handle) -> Self {
        let mut waits = JoinSet::new();
        waits.spawn_on(turn(job), runtime);
        Self::Waits(waits)
    }

    pub(crate) fn is_any(&self) -> bool {
        !matches!(self, Self::No)
    }

    /// Returns the job, when it is its turn.
    pub(crate) fn poll(&mut self, runtime: &Handle, cx: &mut Context<'_>) -> Option<InFlight> {
        let job = match self {
            Self::No => return None,
            Self::Waits(turn) => match turn.poll_join_next(cx) {
                Poll::Pending => return None,
                Poll::Ready(ended) => ended.and_then(Result::ok).flatten(),
            },
            Self::Runs(over) => match over.poll_join_next(cx) {
                Poll::Pending => return None,
                Poll::Ready(_) => None,
            },
        };
        *self = Self::No;
        let mut job = job?;
        job.mark_delivered();
        if let Some(pause) = &job.pause {
            let mut runs = JoinSet::new();
            let (pause, limit) = (Arc::clone(pause), job.state.limits.alone_within);
            runs.spawn_on(async move { pause.over(after(limit)).await }, runtime);
            *self = Self::Runs(runs);
        }
        Some(job)
    }
}

/// Waits until every other job of its consumer is settled, or the time for that is over. Returns the
/// job, marked; `None` if it must not start.
async fn turn(job: InFlight) -> Option<InFlight> {
    let state = Arc::clone(&job.state);
    let others_settled = async {
        while !state.is_only_one_left() {
            let changed = state.changed();
            if !state.is_only_one_left() {
                changed.await;
            }
        }
    };
    first(first(others_settled, after(state.limits.alone_within)), job.lease.lost()).await;
    match mark(&job).await {
        Marked::Done => {
            state.note_run_alone(job.key, job.count_alone());
            Some(job)
        }
        Marked::NotOurs => {
            job.abandon();
            None
        }
        // Dropped, it is given back.
        Marked::Refused => None,
    }
}

impl State {
    /// Records that a job with this delivery count is run alone.
    fn note_run_alone(&self, key: Key, count: u32) {
        let mut ran = self.ran_alone.lock().unwrap_or_else(PoisonError::into_inner);
        ran.insert(key, (count, clock::now()));
    }

    /// Whether a job with this delivery count was run alone here. Another consumer that claims it
    /// raises the count.
    pub(crate) fn has_run_alone(&self, key: Key, count: u32) -> bool {
        let ran = self.ran_alone.lock().unwrap_or_else(PoisonError::into_inner);
        ran.get(&key).is_some_and(|(own, _)| *own == count)
    }
}

/// Waits for this time; indefinitely, without one.
async fn after(limit: Option<Duration>) {
    match limit {
        Some(time) => tokio::time::sleep(time).await,
        None => pending().await,
    }
}

/// The result of marking a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marked {
    Done,
    /// It belongs to another consumer, or is no longer pending.
    NotOurs,
    /// The server refuses it, or the consumer is closing.
    Refused,
}

/// Marks the job. Retries while its lease is valid.
async fn mark(job: &InFlight) -> Marked {
    let (state, key) = (&job.state, job.key);
    let Some(shared) = state.shared(key.0) else { return Marked::NotOurs };
    let mut backoff = Backoff::default();
    while let Some(expiry) = job.expiry() {
        let asked = clock::now();
        let error = match owner(job, shared).await {
            Ok(Owner::Us | Owner::Unsettled) => {
                let (me, count) = (state.name(), job.count_alone());
                match claim::deliver_again(shared, &me, key.1, count, expiry).await {
                    Ok(true) => return Marked::Done,
                    Ok(false) => {
                        state.taken(Owner::None, asked, key);
                        return Marked::NotOurs;
                    }
                    Err(error) => error,
                }
            }
            Ok(owner) => {
                state.taken(owner, asked, key);
                return Marked::NotOurs;
            }
            Err(error) => error,
        };
        // Sent again, it has the same effect.
        if !is_transient(&error) || state.closing.is_cancelled() {
            return Marked::Refused;
        }
        first(backoff.wait(), state.closing.cancelled()).await;
    }
    Marked::NotOurs
}
