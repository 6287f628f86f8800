//! The mover of the wheel: adds delayed jobs to their stream when they are due. A task.
//!
//! Each consumer has this task, and one of them has the turn. The others look about every four
//! seconds whether it is still there; with many of them, each looks less often, and then twice.
//! While a queue has never delayed a job for longer than its consumers wait themselves, the task
//! sends two commands at its start, and then none.

use crate::error::Error;
use crate::id::EntryId;
use crate::queue::event::QueueEvent;
use crate::queue::first::{Either, either, first};
use crate::queue::operation::backoff::{Backoff, is_permanent};
use crate::queue::operation::{clock, turn, wheel};
use crate::queue::policy::plan::with_jitter;
use crate::queue::policy::timers::{INTERVAL, MoverClock, Timers};
use crate::queue::policy::turn::{Note, Turn};
use crate::queue::shared::Shared;
use crate::random;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The approximate interval at which a consumer looks who has the turn.
const LOOK: Duration = Duration::from_secs(4);

/// The least average time between the looks of all consumers.
const LOOKS: Duration = Duration::from_millis(500);

/// The time after which every second look follows: by then a record that is still the last one is
/// abandoned. With many consumers the next look would come much later.
const AGAIN: Duration = Duration::from_secs(6);

/// The time for a step and to leave the turn, once the task is stopped.
const LEAVE: Duration = Duration::from_secs(1);

/// The state of the task.
#[derive(Debug, Default)]
struct Mover {
    turn: Turn,
    timers: Timers,
    clock: MoverClock,
    /// The time at which to keep the turn, or to look who has it.
    next: Option<Instant>,
    /// Whether the next look is a second one.
    looks_again: bool,
    /// Our last record.
    record: Option<EntryId>,
    /// The connection on which the timers were read.
    connection: Option<Instant>,
    /// Jobs that were due by then may have been moved by another mover.
    uncertain_until: u64,
}

/// Runs until stopped. `name` returns the consumer's name.
pub(crate) async fn run(shared: &Shared, name: impl Fn() -> Arc<[u8]>, stop: &CancellationToken) {
    if shared.settings.at_most_once {
        return;
    }
    first(wait_for_use(shared), stop.cancelled()).await;
    let (mut mover, mut backoff) = (Mover::default(), Backoff::default());
    while !stop.is_cancelled() {
        match mover.step(shared, &name(), stop).await {
            Ok(wait) => {
                backoff = Backoff::default();
                first(tokio::time::sleep(wait), stop.cancelled()).await;
            }
            Err(error) => {
                // What was read may be incomplete, and jobs may have been moved.
                mover.begin_again();
                shared.emit(QueueEvent::Interrupted { error: Arc::new(error) });
                first(backoff.wait(), stop.cancelled()).await;
            }
        }
    }
    if mover.turn.is_valid(clock::now()) {
        // If this fails, another consumer takes the turn when it is abandoned.
        let key = shared.settings.mover_key();
        let _ = tokio::time::timeout(LEAVE, turn::leave(shared, &key)).await;
    }
}

/// Waits for a step; once the task is stopped, only for a moment.
pub(super) async fn within<F: Future>(step: F, stop: &CancellationToken) -> Option<F::Output> {
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(LEAVE).await;
    };
    let step = pin!(step);
    match either(step, late).await {
        Either::Left(output) => Some(output),
        Either::Right(_) => None,
    }
}

/// Waits until a job is put into the wheel, unless that was done before.
async fn wait_for_use(shared: &Shared) {
    let mut backoff = Backoff::default();
    while !shared.wheel.is_used() {
        match wheel::is_used(shared).await {
            Ok(true) => shared.wheel.used(),
            Ok(false) => break,
            // It may be used once the user has the permission: the marker says so.
            Err(error) if is_permanent(&error) => break,
            Err(_) => backoff.wait().await,
        }
    }
    shared.wheel.wait_for_use().await;
}

impl Mover {
    fn begin_again(&mut self) {
        self.timers = Timers::default();
        self.uncertain_until = u64::MAX;
        self.next = None;
    }

    /// Takes the next steps. Returns the time to wait. Jobs whose move has begun are moved to the end
    /// when the task is stopped: otherwise the next mover might add them again.
    async fn step(
        &mut self,
        shared: &Shared,
        me: &[u8],
        stop: &CancellationToken,
    ) -> Result<Duration, Error> {
        match within(self.look(shared, me, stop), stop).await {
            Some(Ok(None)) => {}
            Some(Ok(Some(pause))) => return Ok(pause),
            Some(Err(error)) => return Err(error),
            None => return Ok(Duration::ZERO),
        }
        while !stop.is_cancelled() {
            let now = clock::now();
            let due = self.timers.due(self.clock.now(now));
            if due.is_empty() || !self.turn.is_valid(now) || self.next.is_some_and(|at| at <= now) {
                break;
            }
            let is_uncertain = due.iter().any(|(.., timer)| timer.due <= self.uncertain_until);
            wheel::move_jobs(shared, &due, is_uncertain).await?;
            due.into_iter().for_each(|placed| self.timers.moved(placed));
        }
        let now = clock::now();
        let turn = self.next.map_or(INTERVAL, |next| next.saturating_duration_since(now));
        let due = self.timers.next_due().map(|due| due.saturating_sub(self.clock.now(now)));
        Ok(due.map_or(turn, |due| turn.min(Duration::from_millis(due))))
    }

    /// Looks who has the turn, and reads the timers if it is this consumer, when it is time to.
    /// Returns the time to wait if no job is to be moved now.
    async fn look(
        &mut self,
        shared: &Shared,
        me: &[u8],
        stop: &CancellationToken,
    ) -> Result<Option<Duration>, Error> {
        let now = clock::now();
        if self.next.is_some_and(|next| next > now) {
            return Ok(None);
        }
        if !self.has_turn(shared, me).await? {
            let consumers = shared.crowd.consumers();
            let pause = with_jitter(LOOK.max(LOOKS * consumers), random::fraction());
            self.looks_again = !self.looks_again;
            let pause = if self.looks_again { pause.min(AGAIN) } else { pause };
            self.next = Some(clock::now() + pause);
            return Ok(Some(pause));
        }
        self.next = Some(now + INTERVAL);
        while wheel::read(shared, &mut self.timers, self.clock.now(clock::now())).await? {
            if !self.turn.is_valid(clock::now()) || stop.is_cancelled() {
                return Ok(Some(Duration::ZERO));
            }
        }
        Ok(None)
    }

    /// Keeps the turn, or takes it if no other consumer has it. Returns whether it is ours.
    async fn has_turn(&mut self, shared: &Shared, me: &[u8]) -> Result<bool, Error> {
        let (key, note) = (shared.settings.mover_key(), Note::default());
        if !self.turn.is_ours() {
            let last = turn::look(shared, &key).await?.map(|(record, _)| record);
            let Some(id) = self.turn.saw(last, clock::now()) else { return Ok(false) };
            if !turn::take(shared, &key, me, id, note).await? {
                return Ok(false);
            }
            self.begin_again();
            self.record = Some(id);
        }
        let sent = clock::now();
        let Some(record) = turn::renew(shared, &key, me, note).await? else {
            self.turn.lost();
            self.record = None;
            // They are the other consumer's now.
            self.timers = Timers::default();
            return Ok(false);
        };
        let (last, record) = record;
        // The server may have lost data: timers that were read and deleted are there again.
        let connection = shared.client.connected_since();
        if connection != self.connection || self.record.is_some_and(|record| record != last) {
            self.begin_again();
        }
        self.connection = connection;
        self.record = Some(record);
        self.turn.renewed(sent);
        self.clock.assigned(record, clock::now());
        if self.uncertain_until == u64::MAX {
            self.uncertain_until = self.clock.now(clock::now());
        }
        Ok(true)
    }
}
