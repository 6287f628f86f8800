//! Clerk: the task that sends decisions: many acknowledgements in one command, everything else
//! individually.
//!
//! | decision | XNACK (Redis 8.8) | otherwise |
//! |---|---|---|
//! | retry now | `XNACK FAIL` | `XCLAIM ~retry 0 id IDLE lease JUSTID` |
//! | retry later, below the lease | | `XCLAIM ~retry 0 id IDLE lease-wait JUSTID` |
//! | retry later, beyond it | | `XCLAIM ~park:b 0 id IDLE b-wait RETRYCOUNT attempt JUSTID` |
//! | release | `XNACK SILENT` | `XCLAIM ~retry 0 id IDLE lease RETRYCOUNT attempt-1 JUSTID` |
//!
//! With more than 10,000 pending entries, from Redis 8.4 on, `IDLE` is omitted, because it would be
//! slow at the server. The job then waits for a whole lease, or for the duration of its delay
//! bucket.
//!
//! None of these commands checks the owner, so they are sent only while our lease is valid. An
//! acknowledgement is sent even after that: the job *is* done.

use crate::command::{NackMode, XClaim, XNack};
use crate::entry::Entry;
use crate::error::{Error, Outcome};
use crate::queue::Acked;
use crate::queue::QueueError;
use crate::queue::consumer::in_flight::Hold;
use crate::queue::consumer::report::Ending;
use crate::queue::consumer::state::Desk;
use crate::queue::operation::ack;
use crate::queue::operation::dead_letter::{self, Burial, Buried};
use crate::queue::policy::delay;
use crate::queue::policy::leases::{Decided, Key};
use crate::queue::shared::Core;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

pub(crate) type AckResult = Result<Acked, QueueError>;

/// The decision on a job that is not done.
#[derive(Debug, Clone)]
pub(crate) enum Decision {
    /// Retry after this delay.
    Retry(Duration),
    /// Release, as if it had never been delivered.
    Release,
    /// Retry at once: the job was dropped without a decision.
    Drop,
    /// Move to the dead-letter stream, with this reason.
    Bury(Arc<str>),
}

/// A job with a decision.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) desk: Arc<Desk>,
    pub(crate) key: Key,
    pub(crate) ticket: u64,
    pub(crate) attempt: u32,
    pub(crate) entry: Entry,
}

/// The pause between two tries: minimum and maximum.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

impl Case {
    pub(crate) fn of(hold: &Hold) -> Self {
        Self {
            desk: Arc::clone(&hold.desk),
            key: hold.key,
            ticket: hold.ticket,
            attempt: hold.attempt,
            entry: hold.entry.clone(),
        }
    }

    /// Stops heartbeats that would undo the decision.
    pub(crate) fn silence(&self, decision: &Decision) {
        if !matches!(decision, Decision::Bury(_)) {
            let now = Instant::now();
            self.desk.held().decide(self.key, self.ticket, Decided::GivenBack, now);
        }
    }

    pub(crate) fn core(&self) -> Result<&Arc<Core>, QueueError> {
        self.desk.core(self.key.0).ok_or(QueueError::Stopped)
    }

    /// Whether our lease is still valid.
    pub(crate) fn is_ours(&self) -> bool {
        self.desk.held().is_held(self.key, self.ticket, Instant::now())
    }

    /// Ends the holding, whatever the outcome.
    pub(crate) fn end(&self) {
        self.desk.held().end(self.key, self.ticket);
        self.desk.room.notify_waiters();
    }

    /// Carries out the decision. Retries while the lease is valid and the decision is known not to
    /// be applied.
    pub(crate) async fn settle(&self, decision: Decision) -> Result<(), QueueError> {
        let ending = match decision {
            Decision::Retry(_) => Ending::Retried,
            Decision::Release => Ending::Released,
            Decision::Drop => Ending::Dropped,
            Decision::Bury(_) => Ending::Dead,
        };
        let result = match decision {
            Decision::Bury(reason) => self.bury(reason).await,
            decision => self.give_back(&decision).await,
        };
        if result.is_ok() {
            self.desk.tally.add(self.key.0, ending, 1);
        } else {
            self.desk.note_run(self.key, Instant::now());
        }
        self.end();
        result
    }

    async fn give_back(&self, decision: &Decision) -> Result<(), QueueError> {
        let mut pause = Pause::default();
        loop {
            if !self.is_ours() {
                return Err(QueueError::LeaseLost);
            }
            let error = match self.send(decision).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // It may have been applied, and another consumer may have the job: the command does not
            // check the owner.
            if !is_transient(&error) || error.outcome() == Outcome::Unknown {
                return Err(error.into());
            }
            pause.wait().await;
        }
    }

    async fn send(&self, decision: &Decision) -> Result<(), Error> {
        let Some(core) = self.desk.core(self.key.0) else { return Ok(()) };
        let settings = &core.settings;
        let (stream, group, id) = (&settings.stream, &settings.group, self.key.1);
        let lease = settings.lease;
        // A consumer that reads without CLAIM is not woken by XNACK, and does not see entries
        // without an owner.
        let nacks = core.abilities().nack && !settings.parks();
        let mode = match decision {
            Decision::Retry(wait) if wait.is_zero() => Some(NackMode::Fail),
            Decision::Drop => Some(NackMode::Fail),
            Decision::Release => Some(NackMode::Silent),
            _ => None,
        };
        if let Some(mode) = mode.filter(|_| nacks) {
            return core.client.send(XNack::new(stream, group, mode, id)).await.map(drop);
        }
        // With many pending entries, it waits for a whole lease, or for the duration of its delay
        // bucket.
        let crowded = core.is_crowded().await?;
        let claim = |owner, idle| {
            let claim = XClaim::new(stream, group, owner, Duration::ZERO, id);
            if crowded { claim } else { claim.idle(idle) }
        };
        let claim = match decision {
            Decision::Retry(wait) => {
                let (owner, idle) = delay::put((*wait).min(settings.most_delay()), lease);
                let claim = claim(owner, idle);
                match delay::bucket(owner) {
                    Some(_) => claim.retry_count(self.attempt.into()),
                    None => claim,
                }
            }
            Decision::Release => {
                claim(delay::RETRY, lease).retry_count(self.attempt.saturating_sub(1).into())
            }
            _ => claim(delay::RETRY, lease),
        };
        core.client.send(claim.just_id()).await.map(drop)
    }

    /// Moves the job to the dead-letter stream. If that fails for the duration of a lease, the job
    /// is given back, and its next consumer moves it.
    async fn bury(&self, reason: Arc<str>) -> Result<(), QueueError> {
        let core = self.core()?;
        let burial = Burial::new(self, &reason);
        let until = Instant::now() + core.settings.lease;
        let mut pause = Pause::default();
        loop {
            if !self.is_ours() {
                return Err(QueueError::LeaseLost);
            }
            let (error, put_back) = match dead_letter::bury(core, &burial).await {
                Ok(Buried::Moved) => return Ok(()),
                Ok(Buried::PutBack(error)) => (error, true),
                Err(error) => (error, false),
            };
            dead_letter::blocked(core, self.key.1, &error);
            if put_back {
                return Err(error.into());
            }
            if Instant::now() >= until || self.desk.closing.is_cancelled() {
                let later = Decision::Retry(core.settings.lease / 2);
                self.silence(&later);
                self.give_back(&later).await?;
                return Err(error.into());
            }
            pause.wait().await;
        }
    }
}

/// Whether the error is transient, so that retrying may succeed.
pub(crate) fn is_transient(error: &Error) -> bool {
    match error {
        Error::Server(error) => error.code().is_retryable(),
        Error::TooOld(_) | Error::Config(_) => false,
        Error::Unsent { reason, .. } => {
            matches!(
                reason,
                crate::error::Unsent::TimedOut { .. } | crate::error::Unsent::Full { .. }
            )
        }
        _ => true,
    }
}

/// The increasing delay between two tries.
#[derive(Debug, Default)]
pub(crate) struct Pause(u32);

impl Pause {
    pub(crate) async fn wait(&mut self) {
        let (least, most) = PAUSE;
        let pause = (least * 2_u32.saturating_pow(self.0.min(16))).min(most);
        self.0 = self.0.saturating_add(1);
        tokio::time::sleep(crate::queue::policy::plan::about(pause, fastrand::f64())).await;
    }
}

/// Sends decisions, until the consumer has ended and none is left.
pub(crate) async fn run(desk: Arc<Desk>) {
    let mut others = JoinSet::new();
    loop {
        let ordered = desk.ordered.notified();
        let orders = desk.take_orders();
        while others.try_join_next().is_some() {}
        if orders.acks.is_empty() && orders.others.is_empty() {
            if desk.ended.is_cancelled() && others.is_empty() {
                return;
            }
            let ended = async {
                // After the end only decisions in progress are waited for.
                if desk.ended.is_cancelled() {
                    std::future::pending::<()>().await;
                }
                desk.ended.cancelled().await;
            };
            crate::queue::first(crate::queue::first(ordered, ended), async {
                // Decisions in progress may be all that is left.
                if others.join_next().await.is_none() {
                    std::future::pending::<()>().await;
                }
            })
            .await;
            continue;
        }
        for other in orders.others {
            others.spawn(other);
        }
        if !orders.acks.is_empty() {
            ack::send(&desk, orders.acks).await;
        }
        // Let ready tasks make their decisions first: one command then carries them all.
        tokio::task::yield_now().await;
    }
}
