//! Clerk: the task that sends what was decided: many acknowledgements in one command, everything else on its own.
//!
//! | decided | XNACK (Redis 8.8) | otherwise |
//! |---|---|---|
//! | retry now | `XNACK FAIL` | `XCLAIM ~retry 0 id IDLE lease JUSTID` |
//! | retry later, below the lease | | `XCLAIM ~retry 0 id IDLE lease-wait JUSTID` |
//! | retry later, beyond it | | `XCLAIM ~park:b 0 id IDLE b-wait RETRYCOUNT attempt JUSTID` |
//! | released | `XNACK SILENT` | `XCLAIM ~retry 0 id IDLE lease RETRYCOUNT attempt-1 JUSTID` |
//!
//! Among more than 10,000 pending entries, from Redis 8.4 on, the `IDLE` is left out, for it would take the server long: the job then
//! waits for a whole lease, or for as long as its park says.
//!
//! None of these asks whose the entry is, so they are sent only while our lease is believed in. An acknowledgement is sent
//! even after it: the job *is* done.

use super::acks;
use super::core::Core;
use super::dead_letter::{self, Burial, Buried};
use super::desk::Desk;
use super::hold::Hold;
use super::lease::{Decided, Key};
use super::park;
use super::tally::Ending;
use super::{Acked, QueueError};
use crate::command::{NackMode, XClaim, XNack};
use crate::entry::Entry;
use crate::error::{Error, Outcome};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

pub(super) type AckResult = Result<Acked, QueueError>;

/// What is to become of a job that is not done.
#[derive(Debug, Clone)]
pub(super) enum Decision {
    /// Another attempt after this long.
    Retry(Duration),
    /// As if it had never been delivered.
    Release,
    /// Nobody decided: another attempt at once.
    Drop,
    /// To the dead letters, and why.
    Bury(Arc<str>),
}

/// A job that is decided.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) desk: Arc<Desk>,
    pub(super) key: Key,
    pub(super) ticket: u64,
    pub(super) attempt: u32,
    pub(super) entry: Entry,
}

/// The pause before something is tried again: at least, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

impl Case {
    pub(super) fn of(hold: &Hold) -> Self {
        Self {
            desk: Arc::clone(&hold.desk),
            key: hold.key,
            ticket: hold.ticket,
            attempt: hold.attempt,
            entry: hold.entry.clone(),
        }
    }

    /// Stops heartbeats that would undo the decision.
    pub(super) fn silence(&self, decision: &Decision) {
        if !matches!(decision, Decision::Bury(_)) {
            let now = Instant::now();
            self.desk.held().decide(self.key, self.ticket, Decided::GivenBack, now);
        }
    }

    pub(super) fn core(&self) -> Result<&Arc<Core>, QueueError> {
        self.desk.core(self.key.0).ok_or(QueueError::Stopped)
    }

    /// Whether the entry is still ours to decide about.
    pub(super) fn is_ours(&self) -> bool {
        self.desk.held().is_held(self.key, self.ticket, Instant::now())
    }

    /// It is over, for better or worse.
    pub(super) fn end(&self) {
        self.desk.held().end(self.key, self.ticket);
        self.desk.room.notify_waiters();
    }

    /// Does what was decided. Tries again as long as the lease is believed in, and it is known not to be done.
    pub(super) async fn settle(&self, decision: Decision) -> Result<(), QueueError> {
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
            // It may have been done, and another may be at it by now: nobody asks whose it is.
            if !helps(&error) || error.outcome() == Outcome::Unknown {
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
        // Who reads without CLAIM is not woken by XNACK, and does not see what is no one's.
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
        // In a crowd it waits for a whole lease, or as long as its park says.
        let crowded = core.is_crowded().await?;
        let claim = |owner, idle| {
            let claim = XClaim::new(stream, group, owner, Duration::ZERO, id);
            if crowded { claim } else { claim.idle(idle) }
        };
        let claim = match decision {
            Decision::Retry(wait) => {
                let (owner, idle) = park::put((*wait).min(settings.most_delay()), lease);
                let claim = claim(owner, idle);
                match park::bucket(owner) {
                    Some(_) => claim.retry_count(self.attempt.into()),
                    None => claim,
                }
            }
            Decision::Release => {
                claim(park::RETRY, lease).retry_count(self.attempt.saturating_sub(1).into())
            }
            _ => claim(park::RETRY, lease),
        };
        core.client.send(claim.just_id()).await.map(drop)
    }

    /// Moves it to the dead letters. If that cannot be for as long as a lease, the job is given back, to be moved by whoever
    /// is given it next.
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

/// Whether sending it again may help.
pub(super) fn helps(error: &Error) -> bool {
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

/// The time between two tries, longer each time.
#[derive(Debug, Default)]
pub(super) struct Pause(u32);

impl Pause {
    pub(super) async fn wait(&mut self) {
        let (least, most) = PAUSE;
        let pause = (least * 2_u32.saturating_pow(self.0.min(16))).min(most);
        self.0 = self.0.saturating_add(1);
        tokio::time::sleep(super::plan::about(pause, fastrand::f64())).await;
    }
}

/// Sends what is decided, until the consumer has ended and nothing is left.
pub(super) async fn run(desk: Arc<Desk>) {
    let mut others = JoinSet::new();
    loop {
        let ordered = desk.ordered.notified();
        let orders = desk.take_orders();
        while others.try_join_next().is_some() {}
        if orders.acks.is_empty() && orders.others.is_empty() {
            if desk.ended.is_cancelled() && others.is_empty() {
                return;
            }
            super::first(super::first(ordered, desk.ended.cancelled()), async {
                // Something that is under way may be all that is left.
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
            acks::send(&desk, orders.acks).await;
        }
        // Those that are ready to decide, decide first: then one command carries them all.
        tokio::task::yield_now().await;
    }
}
