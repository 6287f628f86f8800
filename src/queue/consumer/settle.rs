//! Settles jobs: sends many acknowledgements in one command, and carries out every other decision
//! individually. Each job comes as a value, and the answer goes back as one. A task.
//!
//! While one acknowledgement is in flight, others gather for the next: no acknowledgement waits for
//! a batch to fill. An acknowledgement is sent even after the lease was lost: the job *is* done.
//! Everything else is sent only while the lease is valid.

use crate::error::{Error, Outcome};
use crate::id::EntryId;
use crate::queue::codec::FieldList;
use crate::queue::consumer::in_flight::{Action, InFlight, Reply, Settlement};
use crate::queue::consumer::report::JobOutcome;
use crate::queue::consumer::state::State;
use crate::queue::error::QueueError;
use crate::queue::event::QueueEvent;
use crate::queue::first::first;
use crate::queue::operation::ack::{self, Acked};
use crate::queue::operation::backoff::{Backoff, is_transient};
use crate::queue::operation::clock;
use crate::queue::operation::dead_letter::{self, DeadLetterMove, DeadLetterOutcome};
use crate::queue::operation::nack::{self, GiveBack};
use crate::queue::operation::relay::Relay;
use crate::queue::policy::decision::Decision;
use crate::queue::policy::leases::{Decided, Key};
use crate::queue::policy::plan::PAGE;
use crate::queue::shared::Shared;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// The maximum number of jobs that are received at once.
const BATCH: usize = 1_024;

/// Settles jobs, until the consumer has ended and none is left.
pub(crate) async fn run(state: Arc<State>, mut jobs: mpsc::Receiver<Settlement>) {
    let mut others = JoinSet::new();
    let mut batch = Vec::new();
    // False when nothing can send a job any more.
    let mut is_open = true;
    loop {
        while others.try_join_next().is_some() {}
        let ended = state.ended.is_cancelled();
        if ended && jobs.is_empty() && others.is_empty() {
            return;
        }
        let received = async {
            if !is_open {
                pending::<()>().await;
            }
            is_open = jobs.recv_many(&mut batch, BATCH).await > 0;
        };
        let end = async {
            // After the end only jobs that are left are waited for.
            if ended {
                pending::<()>().await;
            }
            state.ended.cancelled().await;
        };
        let settled = async {
            if others.join_next().await.is_none() {
                pending::<()>().await;
            }
        };
        first(first(received, end), settled).await;
        if batch.is_empty() {
            continue;
        }
        // There is room for more jobs.
        state.room.notify_waiters();
        let mut done = Vec::new();
        for settlement in batch.drain(..) {
            match settlement.action {
                Action::Decide(ref decision) if decision.acknowledges() => done.push(settlement),
                _ => drop(others.spawn(settle(settlement))),
            }
        }
        if !done.is_empty() {
            acknowledge(&state, done).await;
        }
        // Let ready tasks make their decisions first: one command then carries them all.
        tokio::task::yield_now().await;
    }
}

/// Acknowledges these jobs, and reports each result to its caller.
async fn acknowledge(state: &State, mut jobs: Vec<Settlement>) {
    // By stream, each in the order of the decisions.
    jobs.sort_by_key(|settlement| settlement.job.key.0);
    let keys: Vec<Key> = jobs.iter().map(|settlement| settlement.job.key).collect();
    let mut jobs = jobs.into_iter();
    for keys in keys.chunk_by(|a, b| a.0 == b.0).flat_map(|keys| keys.chunks(PAGE)) {
        let shared = keys.first().and_then(|key| state.shared(key.0));
        let page = jobs.by_ref().take(keys.len());
        let Some(shared) = shared else {
            page.for_each(drop);
            continue;
        };
        let ids: Vec<EntryId> = keys.iter().map(|key| key.1).collect();
        let ended = || state.ended.is_cancelled();
        let results = ack::send_until_known(shared, &ids, ended).await;
        for (settlement, result) in page.zip(results) {
            acknowledged(state, settlement, result);
        }
    }
}

/// Records the result of one acknowledgement.
fn acknowledged(state: &State, settlement: Settlement, result: Result<Acked, Error>) {
    let Settlement { job, action, reply } = settlement;
    if result.is_err() {
        // If the entry is delivered again, it is acknowledged again.
        state.note_done(job.key, clock::now());
    }
    state.settled(job.key, job.ticket);
    let outcome = match (&result, action) {
        (Ok(Acked::AlreadyGone), _) => Some(JobOutcome::AlreadyGone),
        (Ok(Acked::Done), Action::Decide(Decision::Discard)) => Some(JobOutcome::Discarded),
        (Ok(Acked::Done), _) => Some(JobOutcome::Done),
        (Err(_), _) => None,
    };
    if let Some(outcome) = outcome {
        state.outcomes.add(job.key.0, outcome, 1);
    }
    answer(reply, result.map(|acked| (acked, None)).map_err(QueueError::from));
}

/// Reports a result to the caller.
fn answer(reply: Option<oneshot::Sender<Reply>>, result: Reply) {
    if let Some(reply) = reply {
        // The caller may have dropped its future.
        let _ = reply.send(result);
    }
}

/// Settles a job that is not acknowledged with others.
async fn settle(settlement: Settlement) {
    let Settlement { job, action, reply } = settlement;
    let result = match job.state.shared(job.key.0).map(Arc::clone) {
        None => Err(QueueError::Stopped),
        Some(shared) => match action {
            Action::Relay { to, fields } => {
                let result = relay(&job, &shared, &to, &fields).await;
                job.state.settled(job.key, job.ticket);
                result
            }
            Action::Decide(decision) => carry_out(&job, &shared, decision).await,
        },
    };
    answer(reply, result);
}

/// Carries out the decision. Retries while the lease is valid and the decision is known not to be
/// applied.
async fn carry_out(job: &InFlight, shared: &Shared, decision: Decision) -> Reply {
    let (outcome, result) = match decision {
        Decision::DeadLetter(reason) => {
            (JobOutcome::DeadLettered, dead_letter(job, shared, reason).await)
        }
        Decision::Retry(wait) => {
            (JobOutcome::Retried, give_back(job, shared, GiveBack::Retry(wait)).await)
        }
        Decision::Release => {
            (JobOutcome::Released, give_back(job, shared, GiveBack::Release).await)
        }
        Decision::Drop | Decision::Done | Decision::Discard => {
            let now = GiveBack::Retry(Duration::ZERO);
            (JobOutcome::Dropped, give_back(job, shared, now).await)
        }
    };
    if result.is_ok() {
        job.state.outcomes.add(job.key.0, outcome, 1);
    } else {
        job.state.note_run(job.key, clock::now());
    }
    job.state.settled(job.key, job.ticket);
    result.map(|()| (Acked::Done, None))
}

async fn give_back(job: &InFlight, shared: &Shared, how: GiveBack) -> Result<(), QueueError> {
    let mut backoff = Backoff::default();
    // A heartbeat that arrives later would take the job back.
    job.state.heartbeat_ended().await;
    loop {
        let Some(expiry) = job.expiry() else { return Err(QueueError::LeaseLost) };
        let error = match nack::send(shared, job.key.1, job.attempt, how, expiry).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // It may have been applied, and another consumer may have the job: the command does not
        // check the owner.
        if !is_transient(&error) || error.outcome() == Outcome::Unknown {
            return Err(error.into());
        }
        backoff.wait().await;
    }
}

/// Moves the job to the dead-letter stream. If that fails for the duration of a lease, the job is
/// given back, and its next consumer moves it.
async fn dead_letter(job: &InFlight, shared: &Shared, reason: Arc<str>) -> Result<(), QueueError> {
    let whole = DeadLetterMove::new(job.entry.clone(), job.attempt, reason);
    let until = clock::now() + shared.settings.lease;
    let mut backoff = Backoff::default();
    loop {
        if !job.is_ours() {
            return Err(QueueError::LeaseLost);
        }
        let (error, is_restored) = match dead_letter::send(shared, &whole).await {
            Ok(DeadLetterOutcome::Moved) => return Ok(()),
            Ok(DeadLetterOutcome::Restored(error)) => (error, true),
            Err(error) => (error, false),
        };
        let event = Arc::new(error.clone());
        shared.emit(QueueEvent::DeadLetterBlocked { id: job.key.1, error: event });
        if is_restored {
            return Err(error.into());
        }
        if clock::now() >= until || job.state.closing.is_cancelled() {
            let now = clock::now();
            job.state.leases().decide(job.key, job.ticket, Decided::GivenBack, now);
            give_back(job, shared, GiveBack::Retry(shared.settings.lease / 2)).await?;
            return Err(error.into());
        }
        backoff.wait().await;
    }
}

/// Adds the next job and acknowledges this one. Retries for the duration of a lease, until the
/// outcome is known.
async fn relay(job: &InFlight, shared: &Shared, to: &Shared, fields: &FieldList) -> Reply {
    let settings = &shared.settings;
    let whole = Relay {
        from: &settings.stream,
        group: &settings.group,
        entry: &job.entry,
        deletes: settings.retention.deletes(),
        to: &to.settings.stream,
        idmp: shared.capabilities().idmp,
    };
    let result = whole.send_until_known(&shared.client, fields.iter(), settings.lease).await;
    if let Ok((acked, _)) = &result {
        let outcome = match acked {
            Acked::Done => JobOutcome::Done,
            Acked::AlreadyGone => JobOutcome::AlreadyGone,
        };
        job.state.outcomes.add(job.key.0, outcome, 1);
    }
    Ok(result?)
}
