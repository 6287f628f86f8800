//! Settles jobs: sends many acknowledgements in one command, and carries out every other decision
//! individually. Each job comes as a value, and the answer goes back as one. A task.
//!
//! While one acknowledgement is in flight, others gather for the next: no acknowledgement waits for
//! a batch to fill. An acknowledgement is sent even after the lease was lost: the job *is* done.
//! Everything else is sent only while the lease is valid, and only if the entry is still pending for
//! this consumer: the commands do not check that, and another client may have claimed, acknowledged
//! or deleted it. Retries after a delay are in `delayed`.
//!
//! | event | action |
//! |---|---|
//! | an acknowledgement fails | it is sent again, for the duration of a lease since the decision, next to those that follow |
//! | another decision is refused | the job keeps its worker slot until its lease expires: no other job is fetched in its place |
//! | a decision cannot be carried out | an event, and a count in the report |
//! | the error is permanent | the consumer ends with it |

use crate::error::{Code, Error, Outcome, Repeat};
use crate::id::EntryId;
use crate::queue::cause::{DeadLetterCause, Reason};
use crate::queue::codec::FieldList;
use crate::queue::codec::origin::{self, Source};
use crate::queue::consumer::conclude::{answer, failed, owner};
use crate::queue::consumer::delayed::{self, Redelivery};
use crate::queue::consumer::in_flight::{Action, InFlight, Reply, Settlement};
use crate::queue::consumer::report::JobOutcome;
use crate::queue::consumer::state::State;
use crate::queue::error::QueueError;
use crate::queue::event::QueueEvent;
use crate::queue::first::{Either, either, first};
use crate::queue::operation::ack::{self, Acked};
use crate::queue::operation::backoff::{Backoff, is_permanent, is_transient};
use crate::queue::operation::claim::Owner;
use crate::queue::operation::clock;
use crate::queue::operation::dead_letter::{self, DeadLetterMove};
use crate::queue::operation::failures::Failures;
use crate::queue::operation::nack::{self, GiveBack};
use crate::queue::operation::relay::{Origin, Relay};
use crate::queue::policy::decision::Decision;
use crate::queue::policy::leases::{Decided, Key};
use crate::queue::policy::plan::PAGE;
use crate::queue::policy::retry_policy::Verdict;
use crate::queue::shared::Shared;
use crate::random;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The maximum number of jobs that are received at once.
const BATCH: usize = 1_024;

/// Settles jobs, until the consumer has ended and none is left.
pub(crate) async fn run(
    state: Arc<State>,
    mut jobs: mpsc::Receiver<Settlement>,
    redelivery: Redelivery,
) {
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
                Action::Decide(Decision::Retry(wait)) if !wait.is_zero() => {
                    others.spawn(delayed::retry(settlement, wait, redelivery.clone()));
                }
                Action::Decide(Decision::InWheel) => {
                    drop(others.spawn(delayed::finish(settlement)))
                }
                _ if settlement.action.acknowledges() => done.push(settlement),
                _ => drop(others.spawn(settle(settlement))),
            }
        }
        if !done.is_empty() {
            acknowledge(&state, done, &mut others).await;
        }
        // Let ready tasks make their decisions first: one command then carries them all.
        tokio::task::yield_now().await;
    }
}

/// Acknowledges these jobs, and reports each result to its caller. Those that have to be sent again
/// are left to a task of their own.
async fn acknowledge(state: &Arc<State>, mut jobs: Vec<Settlement>, others: &mut JoinSet<()>) {
    // By stream, each in the order of the decisions.
    jobs.sort_by_key(|settlement| settlement.job.key.0);
    let keys: Vec<Key> = jobs.iter().map(|settlement| settlement.job.key).collect();
    let mut jobs = jobs.into_iter();
    for keys in keys.chunk_by(|a, b| a.0 == b.0).flat_map(|keys| keys.chunks(PAGE)) {
        let page = jobs.by_ref().take(keys.len()).collect();
        let mut failures = Failures::default();
        if let Err((again, error)) = acknowledge_once(state, page, &mut failures).await {
            others.spawn(acknowledge_again(Arc::clone(state), again, error, failures));
        }
    }
}

/// Sends acknowledgements again until each is confirmed or its time is over.
async fn acknowledge_again(
    state: Arc<State>,
    mut jobs: Vec<Settlement>,
    mut error: Error,
    mut failures: Failures,
) {
    let mut places = state.occupy(jobs.len());
    let mut backoff = Backoff::default();
    loop {
        first(backoff.wait(), time_is_over(&state, &jobs)).await;
        jobs = without_expired(&state, jobs, &error, &failures);
        places.shrink(jobs.len());
        if jobs.is_empty() {
            return;
        }
        match acknowledge_once(&state, jobs, &mut failures).await {
            Ok(()) => return,
            Err(again) => (jobs, error) = again,
        }
    }
}

/// Waits until the time of the first of these acknowledgements is over.
async fn time_is_over(state: &State, jobs: &[Settlement]) {
    let first_decision = jobs.iter().map(|settlement| settlement.at).min();
    let until = first_decision.map_or_else(clock::now, |at| at + state.lease());
    first(tokio::time::sleep_until(until.into()), state.no_retry.cancelled()).await;
}

/// Reports an error for those whose time is over, and returns the others.
fn without_expired(
    state: &State,
    jobs: Vec<Settlement>,
    last: &Error,
    failures: &Failures,
) -> Vec<Settlement> {
    let may_retry = is_transient(last) && !state.no_retry.is_cancelled();
    let (now, lease) = (clock::now(), state.lease());
    let is_due = |settlement: &Settlement| may_retry && now < settlement.at + lease;
    let (due, over): (Vec<_>, Vec<_>) = jobs.into_iter().partition(is_due);
    if !over.is_empty() {
        let error = Arc::new(failures.error(last.clone()));
        let results = vec![Err(&error); over.len()];
        acknowledged(state, over, results);
    }
    due
}

/// Sends one acknowledgement for these jobs of one stream. The error contains those to send again,
/// if there are any.
async fn acknowledge_once(
    state: &Arc<State>,
    jobs: Vec<Settlement>,
    failures: &mut Failures,
) -> Result<(), (Vec<Settlement>, Error)> {
    let level = jobs.first().map_or(0, |settlement| settlement.job.key.0);
    let Some(shared) = state.shared(level) else { return Ok(()) };
    let ids: Vec<EntryId> = jobs.iter().map(|settlement| settlement.job.key.1).collect();
    let sent = clock::now();
    let held = state.are_held(jobs.iter().map(delivery), sent);
    let sending = pin!(ack::send(shared, &ids, held.contains(&false)));
    let error = match either(sending, time_is_over(state, &jobs)).await {
        Either::Left(Ok(results)) => {
            let is_gone = |(acked, held): (&Acked, &bool)| *acked == Acked::AlreadyGone && *held;
            if results.iter().zip(&held).any(is_gone) {
                state.others_settle(sent);
            }
            acknowledged(state, jobs, results.into_iter().map(Ok).collect());
            return Ok(());
        }
        Either::Left(Err(error)) => error,
        Either::Right(_) => {
            let waited = clock::now().saturating_duration_since(sent);
            Error::TimedOut { command: "XACK", waited, repeat: Repeat::SAFE }
        }
    };
    if is_permanent(&error) {
        state.fail(error.clone().into());
    } else if !is_transient(&error) {
        // The entries stay pending: others in their place would add to those that do.
        let (places, state) = (state.occupy(jobs.len()), Arc::clone(state));
        tokio::spawn(async move {
            first(tokio::time::sleep(state.lease()), state.closing.cancelled()).await;
            drop(places);
        });
    }
    failures.add(&error);
    let again = without_expired(state, jobs, &error, failures);
    if again.is_empty() { Ok(()) } else { Err((again, error)) }
}

/// Returns the entry and the ticket of a job.
fn delivery(settlement: &Settlement) -> (Key, u64) {
    (settlement.job.key, settlement.job.ticket)
}

/// Records the results of acknowledgements, and reports each to its caller.
fn acknowledged(state: &State, jobs: Vec<Settlement>, results: Vec<Result<Acked, &Arc<Error>>>) {
    for (settlement, result) in jobs.iter().zip(&results) {
        record(state, settlement, result);
    }
    // Only now: the report is complete when no lease is left.
    state.all_settled(jobs.iter().map(delivery));
    for (settlement, result) in jobs.into_iter().zip(results) {
        let result = result.map(|acked| (acked, None));
        answer(settlement.reply, result.map_err(|error| QueueError::Redis((**error).clone())));
    }
}

/// Records the result of one acknowledgement.
fn record(state: &State, settlement: &Settlement, result: &Result<Acked, &Arc<Error>>) {
    let Settlement { job, action, .. } = settlement;
    let is_skipped = matches!(action, Action::Decide(Decision::Skip));
    let outcome = match (result, action) {
        (Ok(Acked::AlreadyGone), _) => JobOutcome::AlreadyGone,
        (Ok(Acked::Done), Action::Decide(Decision::Discard)) => JobOutcome::Discarded,
        (Ok(Acked::Done), _) => JobOutcome::Done,
        (Err(_), _) => JobOutcome::Unacknowledged,
    };
    match result {
        // For another group: nothing was done with it.
        Ok(_) if is_skipped => {}
        Ok(Acked::AlreadyGone) if state.take_gone(job.key) => {}
        Ok(_) => state.outcomes.add(job.key.0, outcome, 1),
        Err(error) => {
            // If the entry is delivered again, it is acknowledged again.
            state.note_done(job.key, clock::now());
            state.settlement_failed(job.key, outcome, error);
        }
    }
}

/// Settles a job that is not acknowledged with others. It occupies a place until then.
async fn settle(settlement: Settlement) {
    let Settlement { job, action, occupied: _occupied, reply, .. } = settlement;
    let state = Arc::clone(&job.state);
    let Some(shared) = state.shared(job.key.0) else { return };
    let (mut failures, mut unfinished) = (Failures::default(), None);
    // The error of a relay, which the caller gets.
    let mut refusal = None;
    let decision = match action {
        Action::Relay { to, fields } => match relay(&job, shared, &to, &fields).await {
            Err(error) if is_refused(&error) => {
                let decision = after_refusal(&job, shared, &error);
                refusal = Some(error);
                Ok(decision)
            }
            relayed => Err(relayed),
        },
        Action::Decide(decision) => Ok(decision),
    };
    // A job that is being dead-lettered stays in flight.
    let may_hold = !matches!(decision, Ok(Decision::DeadLetter(_)));
    let result = match decision {
        Ok(decision) => carry_out(&job, shared, decision, &mut failures, &mut unfinished).await,
        Err(relayed) => relayed,
    };
    let refused = result.as_ref().is_err_and(|error| error.outcome() == Outcome::NotApplied);
    let claimable = job.lease.deadline().map(|expiry| expiry + shared.settings.lease / 4);
    if let Err(error) = &result {
        failed(&job, error);
    }
    state.settled(job.key, job.ticket);
    let result = result.map_err(|error| failures.error(error));
    answer(reply, refusal.map_or(result, Err));
    drop(job);
    if let Some(unfinished) = unfinished {
        withdraw(&state, shared, &unfinished).await;
    }
    if let Some(claimable) = claimable.filter(|_| refused && may_hold) {
        // The entry stays pending until then: another one in its place would add to those that do.
        first(tokio::time::sleep_until(claimable.into()), state.closing.cancelled()).await;
    }
}

/// Whether the next job of a relay was refused, for a reason that does not end the consumer.
fn is_refused(error: &QueueError) -> bool {
    match error {
        QueueError::Redis(error) => {
            let ends = is_permanent(error) && error.code() != Some(&Code::WrongType);
            error.outcome() == Outcome::NotApplied && !ends
        }
        error => matches!(error, QueueError::Settings(_)),
    }
}

/// Returns the decision on a job whose next job was refused: that of a failed attempt.
fn after_refusal(job: &InFlight, shared: &Shared, error: &QueueError) -> Decision {
    let reason = || Reason::new(DeadLetterCause::Failed, error.to_string());
    let (retry, random) = (&shared.settings.retry, random::fraction());
    let decision = Decision::on_failure(retry, Verdict::Retry, job.attempt, random, reason);
    if matches!(decision, Decision::Retry(_)) {
        job.state.leases().decide(job.key, job.ticket, Decided::GivenBack, clock::now());
    }
    decision
}

/// Carries out the decision. Retries while the lease is valid and the decision is known not to be
/// applied.
///
/// A move to the dead-letter stream whose lease has ended is left in `unfinished`.
async fn carry_out(
    job: &InFlight,
    shared: &Shared,
    decision: Decision,
    failures: &mut Failures,
    unfinished: &mut Option<DeadLetterMove>,
) -> Reply {
    let (outcome, result) = match decision {
        Decision::DeadLetter(reason) => {
            let mut whole = DeadLetterMove::new(job.entry.clone(), job.attempt, reason);
            let moved = dead_letter(job, shared, &mut whole, failures).await;
            *unfinished = matches!(moved, Err(QueueError::LeaseLost)).then_some(whole);
            (JobOutcome::DeadLettered, moved)
        }
        Decision::Retry(wait) => {
            (JobOutcome::Retried, give_back(job, shared, GiveBack::Retry(wait)).await)
        }
        Decision::Release => {
            let how = if job.is_alone { GiveBack::ReleaseAlone } else { GiveBack::Release };
            (JobOutcome::Released, give_back(job, shared, how).await)
        }
        Decision::Drop
        | Decision::Done
        | Decision::Discard
        | Decision::Skip
        | Decision::InWheel => {
            let now = GiveBack::Retry(Duration::ZERO);
            (JobOutcome::Dropped, give_back(job, shared, now).await)
        }
    };
    let acked = result?;
    let outcome = if acked == Acked::AlreadyGone { JobOutcome::AlreadyGone } else { outcome };
    job.state.outcomes.add(job.key.0, outcome, 1);
    Ok((acked, None))
}

/// Gives the job back, unless another client has settled it.
async fn give_back(job: &InFlight, shared: &Shared, how: GiveBack) -> Result<Acked, QueueError> {
    let mut backoff = Backoff::default();
    // A heartbeat that arrives later would take the job back.
    job.state.heartbeat_ended().await;
    loop {
        let Some(expiry) = job.expiry() else { return Err(QueueError::LeaseLost) };
        let error = match owner(job, shared).await {
            Ok(Owner::None) => return Ok(Acked::AlreadyGone),
            Ok(Owner::Other) => return Err(QueueError::LeaseLost),
            Ok(Owner::Us | Owner::Unsettled) => {
                match nack::send(shared, job.key.1, job.count(), how, expiry).await {
                    Ok(()) => {
                        if !job.state.all_answered() {
                            // A heartbeat that arrives now makes it pending for us again, which
                            // would look like a lost delivery.
                            job.state.note_run(job.key, clock::now());
                        }
                        return Ok(Acked::Done);
                    }
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        // It may have been applied, and another consumer may have the job: the command does not
        // check the owner.
        let may_retry = is_transient(&error) && error.outcome() != Outcome::Unknown;
        if !may_retry || job.state.no_retry.is_cancelled() {
            return Err(error.into());
        }
        first(backoff.wait(), job.state.no_retry.cancelled()).await;
    }
}

/// Moves the job to the dead-letter stream. While that fails, the job stays in flight, and its
/// heartbeats continue. When the consumer closes, it is given back, and its next consumer moves it.
async fn dead_letter(
    job: &InFlight,
    shared: &Shared,
    whole: &mut DeadLetterMove,
    failures: &mut Failures,
) -> Result<Acked, QueueError> {
    let mut backoff = Backoff::default();
    loop {
        if job.expiry().is_none() {
            return Err(QueueError::LeaseLost);
        }
        // Once it has begun, the entry may be one that the move has removed.
        let owner = if whole.is_begun() { Ok(Owner::Us) } else { owner(job, shared).await };
        whole.is_unsettled |= matches!(owner, Ok(Owner::Unsettled));
        let error = match owner {
            Ok(Owner::None) => return Ok(Acked::AlreadyGone),
            Ok(Owner::Other) => return Err(QueueError::LeaseLost),
            Ok(_) => {
                let Some(expiry) = job.expiry() else { return Err(QueueError::LeaseLost) };
                match dead_letter::send(shared, &job.state.name(), whole, expiry).await {
                    Ok(acked) => return Ok(acked),
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        failures.add(&error);
        let event = Arc::new(error.clone());
        shared.emit(QueueEvent::DeadLetterBlocked { id: job.key.1, error: event });
        if is_permanent(&error) && error.code() != Some(&Code::WrongType) {
            job.state.fail(error.clone().into());
        }
        if job.state.closing.is_cancelled() {
            let now = clock::now();
            job.state.leases().decide(job.key, job.ticket, Decided::GivenBack, now);
            let later = GiveBack::Retry(shared.settings.lease / 2);
            give_back(job, shared, later).await?;
            return Err(error.into());
        }
        first(backoff.wait(), job.state.closing.cancelled()).await;
    }
}

/// Deletes what an unfinished move has left: the job would get a second letter, or be done and have
/// one. Retries for the duration of a lease.
async fn withdraw(state: &State, shared: &Shared, unfinished: &DeadLetterMove) {
    let until = clock::now() + state.lease();
    let mut backoff = Backoff::default();
    while let Err(error) = dead_letter::withdraw(shared, unfinished).await {
        if !is_transient(&error) || state.no_retry.is_cancelled() || clock::now() >= until {
            return;
        }
        first(backoff.wait(), state.no_retry.cancelled()).await;
    }
}

/// Adds the next job and acknowledges this one. Retries for the duration of a lease, until the
/// outcome is known.
async fn relay(job: &InFlight, shared: &Shared, to: &Shared, fields: &FieldList) -> Reply {
    let settings = &shared.settings;
    // One that was opened lazily may never have been used. An error of the server comes again below.
    let is_open = match to.opened().await {
        Err(error @ QueueError::Settings(_)) => return Err(error),
        opened => opened.is_ok(),
    };
    // Another client may have acknowledged it without deleting it.
    if matches!(owner(job, shared).await, Ok(Owner::None)) {
        job.state.outcomes.add(job.key.0, JobOutcome::AlreadyGone, 1);
        return Ok((Acked::AlreadyGone, None));
    }
    let (stream, group, me) = (&settings.stream, &settings.group, job.state.name());
    let (first, _) = origin::of_job(job.entry.fields(), job.key.1, stream);
    let source = Source { id: first, stream, group };
    let mut whole = Relay::new(
        &shared.client,
        (stream, group, &me),
        (job.key.1, job.deliveries(), job.is_copied),
        (&to.settings.stream, is_open && to.capabilities().idmp),
        Origin::Next { shared, source },
    );
    let expiry = || job.expiry();
    let relayed = whole.send_until_known(fields.iter(), expiry, settings.lease).await?;
    let Some((acked, added)) = relayed else { return Err(QueueError::LeaseLost) };
    let outcome = match acked {
        Acked::Done => JobOutcome::Done,
        Acked::AlreadyGone => JobOutcome::AlreadyGone,
    };
    job.state.outcomes.add(job.key.0, outcome, 1);
    Ok((acked, added))
}
