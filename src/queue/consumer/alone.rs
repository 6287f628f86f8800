//! Marks a job at the server that is run alone. Part of the tasks.
//!
//! A job whose attempts were all used up by workers that died is delivered once more. It may have
//! killed them, or have only run beside the job that did. So a worker runs it alone, and the delivery
//! count says so from then on: if this worker dies too, the job is dead-lettered. Without the mark
//! it is run alone by the next one: this worker may die while the job waits for its turn.

use crate::queue::consumer::conclude::owner;
use crate::queue::consumer::in_flight::InFlight;
use crate::queue::first::first;
use crate::queue::operation::backoff::{Backoff, is_transient};
use crate::queue::operation::claim::{self, Owner};
use crate::queue::operation::clock;

/// The result of marking a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marked {
    Done,
    /// It belongs to another consumer, or is no longer pending.
    NotOurs,
    /// The server refuses it, or the consumer is closing.
    Refused,
}

/// Marks the job. Retries while its lease is valid.
pub(crate) async fn mark(job: &InFlight) -> Marked {
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
