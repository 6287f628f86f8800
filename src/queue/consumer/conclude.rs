//! The beginning and the end of a settlement: for whom the entry is pending, and the result. Part of
//! the tasks.

use crate::error::{Code, Error};
use crate::queue::consumer::in_flight::{InFlight, Reply};
use crate::queue::consumer::report::JobOutcome;
use crate::queue::error::QueueError;
use crate::queue::operation::backoff::is_permanent;
use crate::queue::operation::claim::{self, Owner};
use crate::queue::operation::clock;
use crate::queue::shared::Shared;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Reports a result to the caller.
pub(crate) fn answer(reply: Option<oneshot::Sender<Reply>>, result: Reply) {
    if let Some(reply) = reply {
        // The caller may have dropped its future.
        let _ = reply.send(result);
    }
}

/// Records that a decision was not carried out.
pub(crate) fn failed(job: &InFlight, error: &QueueError) {
    let (state, now) = (&job.state, clock::now());
    match error {
        QueueError::Redis(error) => {
            state.set_unanswered();
            if is_permanent(error) && error.code() != Some(&Code::WrongType) {
                state.fail(error.clone().into());
            }
            state.note_run(job.key, now);
            state.settlement_failed(job.key, JobOutcome::Unsettled, &Arc::new(error.clone()));
        }
        // The heartbeats have not reported it yet, or no longer watch the lease.
        QueueError::LeaseLost => {
            state.set_unanswered();
            let token = state.leases().remove(job.key, job.ticket);
            state.lease_lost(token.map(|token| (job.key, token)).into_iter().collect(), now);
            state.note_run(job.key, now);
        }
        _ => {}
    }
}

/// Returns for whom the entry is pending, and whether it was settled if it is not.
pub(crate) async fn owner(job: &InFlight, shared: &Shared) -> Result<Owner, Error> {
    let (state, id) = (&job.state, job.key.1);
    match claim::owner_of(shared, &state.names(), id).await? {
        Owner::None if state.was_group_missing(job.ticket) => Ok(Owner::Unsettled),
        Owner::None if !claim::is_settled(shared, &state.names(), id).await? => {
            Ok(Owner::Unsettled)
        }
        owner => Ok(owner),
    }
}
