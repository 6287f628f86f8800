//! The state that callers and the driver share: the write buffer, its waiters, the byte budget.
//!
//! A caller appends its encoded request to the connection's buffer and queues its waiter in one
//! critical section, so bytes and waiters always agree. The driver takes the requests of many
//! callers and writes them with one call.
//!
//! This module decides which task writes, based on measurements:
//!
//! * *Few callers* (at most [`FEW`] requests recently in flight): the caller writes immediately and
//!   the driver only reads. That saves a task switch on each round trip.
//! * *Many callers* that all wait for one batch and then all send again would alternate with the
//!   server. So when no request is in flight, the caller whose request brings the queue to half of
//!   the recent maximum writes for all (a kick). The server begins while the other callers still
//!   queue.
//! * *Otherwise* the driver writes, after it has yielded once: a wake-up schedules it next, when it
//!   would find one request instead of many.

mod driving;
mod queueing;
mod state;

use super::backlog::Backlog;
use super::budget::Budget;
use super::events::{Hook, Publisher};
use super::health::Owed;
use super::host::Host;
use super::pipeline::{Failed, Pipeline, Replies, SlotId, Taken};
use super::sync::{Mutex, MutexGuard};
use super::timers::Timers;
use super::transport::Direct;
use super::window::Sends;
use crate::config::{Config, Retry};
use crate::error::{ConnectError, Disconnect, Unsent};
use crate::server::Server;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// The number of requests in flight up to which a caller writes its own.
const FEW: usize = 2;

/// A kick comes at half the recent maximum of requests in flight, within these bounds.
const KICK: std::ops::RangeInclusive<usize> = 16..=256;

/// The most that a caller writes, because it holds the lock meanwhile; the driver writes the rest.
const DIRECT_BYTES: usize = 64 << 10;

/// A younger connection is not retired as stale: the report may be about the previous one. A server
/// that stays a replica must not cause constant reconnects.
const YOUNG: Duration = Duration::from_secs(5);

/// The PING request.
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// The largest buffer that is kept for the next batch.
const KEPT_BYTES: usize = 1 << 20;

/// The state that the callers and the driver of one connection share.
pub(crate) struct Shared {
    state: Mutex<State>,
    events: Publisher,
    timeout: Duration,
    repeats: bool,
}

struct State {
    /// Unsent requests: those of the pipeline's unsent waiters, in order.
    backlog: Backlog,
    /// Requests that a caller has partly written: the driver finishes them before the backlog.
    rest: Vec<u8>,
    /// The number of bytes of `rest` that are written.
    rest_written: usize,
    pipeline: Pipeline,
    budget: Budget,
    timers: Timers,
    link: Link,
    /// The driver has bytes that it could not write yet, so no caller may write.
    driver_writes: bool,
    /// The driver's waker, if it sleeps.
    driver: Option<Waker>,
    /// The guard's waker, if it sleeps.
    guard: Option<Waker>,
    /// The recent number of requests in flight: a maximum that decays.
    window: usize,
    /// The earliest deadline that the driver has to check.
    alarm: Option<Instant>,
    /// New requests are rejected; the connection ends when all are answered.
    closing: bool,
    /// The connection is to be closed immediately, for this reason.
    kill: Option<Disconnect>,
    /// The connection is to be closed for this reason after its outstanding replies; nothing more
    /// is sent on it.
    retired: Option<Disconnect>,
    /// The server is in doubt: nothing new is written until it answers in time.
    writes_suspended: bool,
    /// Nothing new is written until this is released: the server is about to be replaced.
    held: bool,
    /// The address that was found for the connection.
    peer: Option<Box<Host>>,
    /// The time at which the connection was established.
    since: Option<Instant>,
    /// The wakers of futures that wait for the end, or for a connection.
    end: Vec<Waker>,
    /// The connection is not made until a request needs it.
    parked: bool,
    /// Callers with a ticket up to this one are to look for another connection.
    evicted: u64,
    /// The server and the connection's id, as reported in the handshake.
    server: Option<Arc<Server>>,
    id: Option<i64>,
}

#[derive(Debug)]
enum Link {
    /// No connection; the error, if an attempt has failed.
    Down(Option<Arc<ConnectError>>),
    /// Connected; the socket for direct writes, if it supports them.
    Up(Option<Direct>),
    /// The connection has ended permanently.
    Ended,
}

/// The size of a request, before it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) replies: usize,
    pub(crate) bytes: usize,
}

/// The conditions of a request, checked when it is queued.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    /// No more than this many replies were requested.
    pub(crate) latest: u64,
    /// The connection is the one that was established at this time. If it ends before the request is
    /// sent, the request is not sent.
    pub(crate) on: Option<Instant>,
}

/// The result of an attempt to queue a request.
#[derive(Debug)]
pub(crate) enum Queued {
    /// Queued; the slot collects its replies.
    In(SlotId),
    /// There is no capacity; the ticket is its place in the line.
    Wait(u64),
    /// Rejected permanently.
    Not(Unsent),
    /// Rejected: another connection is the right one now.
    Elsewhere,
}

/// The orders for the driver.
pub(super) struct DriverOrders {
    /// The earliest deadline to check.
    pub(super) alarm: Option<Instant>,
    /// The outstanding reply.
    pub(super) owed: Owed,
    /// The reason to end the connection.
    pub(super) end: Option<Disconnect>,
    /// A reply came in time since the last call.
    pub(super) alive: bool,
}

/// The driver's next step.
pub(super) enum Turn {
    /// Write the buffer, from this offset.
    Write(usize),
    /// Yield once: other callers are about to send.
    Yield,
    /// Sleep until woken.
    Sleep,
}

/// Shows no bytes of requests, which may contain a password.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("server", &self.server()).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(config: &Config) -> Self {
        Self::counting(config, Sends::new(config.idmp_iids, config.idmp_duration), None)
    }

    /// Creates the state of one of several connections, which count their requests together.
    pub(super) fn counting(config: &Config, sends: Sends, hook: Option<Hook>) -> Self {
        let state = State {
            backlog: Backlog::default(),
            rest: Vec::new(),
            rest_written: 0,
            pipeline: Pipeline::counting(sends),
            budget: Budget::new(config.budget_bytes, config.when_full),
            timers: Timers::default(),
            link: Link::Down(None),
            driver_writes: false,
            driver: None,
            guard: None,
            window: 0,
            alarm: None,
            closing: false,
            kill: None,
            retired: None,
            writes_suspended: false,
            held: false,
            peer: None,
            since: None,
            end: Vec::new(),
            parked: false,
            evicted: 0,
            server: None,
            id: None,
        };
        let events = Publisher::new(config, hook);
        let repeats = config.retry == Retry::Safe;
        Self { state: Mutex::new(state), events, timeout: config.command_timeout, repeats }
    }

    /// Returns the command timeout.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether commands are retried.
    pub(crate) fn repeats(&self) -> bool {
        self.repeats
    }

    /// Returns the distributor of events.
    pub(crate) fn events(&self) -> &Publisher {
        &self.events
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No user code runs while the lock is held, so poisoning is ignored.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the result of a slot, if it is complete.
    #[inline]
    pub(crate) fn take(&self, slot: SlotId, cx: &mut Context<'_>) -> Option<(Replies, Failed)> {
        loop {
            let taken = self.lock().pipeline.take(slot, cx.waker());
            match taken {
                Taken::Done(replies, failure) => return Some((replies, failure)),
                Taken::Wait => return None,
                Taken::OtherWaker => {
                    // `will_wake` may return false negatives, so the new waker is stored without
                    // comparing again.
                    let mut waker = Some(cx.waker().clone());
                    let waits = self.lock().pipeline.replace_waker(slot, &mut waker);
                    if waits {
                        return None;
                    }
                }
            }
        }
    }

    /// Whether a slot has its final result.
    pub(crate) fn is_settled(&self, slot: SlotId) -> bool {
        self.lock().pipeline.is_settled(slot)
    }

    /// Releases the caller's slot; its replies are discarded.
    pub(crate) fn abandon(&self, slot: SlotId) {
        let waker = self.lock().pipeline.abandon(slot);
        drop(waker);
    }

    /// Returns the last error of an attempt to connect, if there is no connection.
    pub(crate) fn connect_error(&self) -> Option<Arc<ConnectError>> {
        self.lock().connect_error()
    }

    /// Rejects new requests; queued ones are finished. Then the driver ends.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        let line = state.budget.clear();
        let driver = state.driver.take();
        drop(state);
        line.into_iter().chain(driver).for_each(Waker::wake);
    }

    /// Returns the connection's id, as of CLIENT ID; `None` if the server did not report it.
    pub(crate) fn server_id(&self) -> Option<i64> {
        self.lock().id
    }

    /// Returns the time at which the current or last connection was established, which identifies it.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.lock().since
    }

    /// Returns the server; `None` if it did not report itself.
    pub(crate) fn server(&self) -> Option<Arc<Server>> {
        self.lock().server.clone()
    }

    /// Whether the connection has ended permanently; if not, the waker is woken when it has.
    pub(crate) fn ended(&self, cx: &Context<'_>) -> bool {
        let waker = cx.waker().clone();
        let mut state = self.lock();
        let ended = matches!(state.link, Link::Ended);
        if !ended && !state.end.iter().any(|known| known.will_wake(&waker)) {
            state.end.push(waker);
        }
        ended
    }

    /// Closes the connection for this reason; a new one replaces it.
    pub(crate) fn kill(&self, reason: Disconnect) {
        let mut state = self.lock();
        state.kill = Some(reason);
        let driver = state.driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
    }

    /// Closes the connection as stale after all outstanding replies; a new one replaces it. A young
    /// one is kept: the report may be about the previous connection.
    pub(crate) fn retire(&self) {
        let now = tokio::time::Instant::now().into_std();
        let young = |since: Instant| now.saturating_duration_since(since) < YOUNG;
        self.leave_unless(Disconnect::Stale, |state| state.since.is_none_or(young));
    }

    /// Closes the connection for this reason after all outstanding replies.
    pub(crate) fn leave(&self, reason: Disconnect) {
        self.leave_unless(reason, |_| false);
    }

    fn leave_unless(&self, reason: Disconnect, not: impl FnOnce(&State) -> bool) {
        let mut state = self.lock();
        if not(&state) {
            return;
        }
        state.retired = Some(reason);
        let driver = state.driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn sleep(&mut self, cx: &Context<'_>) {
        if !self.driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.driver = Some(cx.waker().clone());
        }
    }

    /// Sets an earlier deadline check. Returns the wakers of the driver and the guard, if they must
    /// be woken for it.
    #[cold]
    fn look_at(&mut self, deadline: Option<Instant>) -> (Option<Waker>, Option<Waker>) {
        let nearer = |at: &Instant| self.alarm.is_none_or(|alarm| *at < alarm);
        let Some(deadline) = deadline.filter(nearer) else { return (None, None) };
        self.alarm = Some(deadline);
        (self.driver.take(), self.guard.take())
    }

    fn next_deadline(&self) -> Option<Instant> {
        let callers = self.pipeline.next_deadline().into_iter().chain(self.budget.next_deadline());
        callers.chain(self.timers.next()).min()
    }

    /// Returns the waker of the next caller in line, if there is capacity now.
    fn next_in_line(&mut self) -> Option<Waker> {
        let used = self.pipeline.cost();
        self.budget.next(used)
    }

    fn connect_error(&self) -> Option<Arc<ConnectError>> {
        if let Link::Down(error) = &self.link { error.clone() } else { None }
    }

    /// Writes a queued request directly, or returns the wakers to wake.
    #[inline]
    fn after_push(&mut self, deadline: Option<Instant>) -> (Option<Waker>, Option<Waker>) {
        let in_flight = self.pipeline.len();
        if in_flight > self.window {
            self.window = in_flight;
        }
        let nearer = deadline.is_some_and(|at| self.alarm.is_none_or(|alarm| at < alarm));
        let (mut driver, guard) = if nearer { self.look_at(deadline) } else { (None, None) };
        if !self.write_directly() && driver.is_none() {
            driver = self.driver.take();
        }
        (driver, guard)
    }

    /// Lets the caller write for all, if it is its turn; true if nothing is left for the driver.
    #[inline]
    fn write_directly(&mut self) -> bool {
        let Link::Up(Some(direct)) = &self.link else { return false };
        if self.driver_writes
            || !self.rest.is_empty()
            || self.kill.is_some()
            || self.retired.is_some()
            || self.writes_suspended
            || self.held
        {
            return false;
        }
        let kick = (self.window / 2).clamp(*KICK.start(), *KICK.end());
        let turn =
            self.window <= FEW || (self.pipeline.sent() == 0 && self.pipeline.unsent() == kick);
        if !turn {
            return false;
        }
        let Some(out) = self.backlog.only() else { return false };
        // The driver finds any error: it reads the same socket.
        let first = out.get(..DIRECT_BYTES).unwrap_or(out);
        let Ok(written) = direct.try_write(first) else { return false };
        let done = written == out.len();
        let requests = if done {
            self.backlog.written()
        } else {
            // Requests may be cut in the middle, so the rest no longer counts as unsent.
            self.rest_written = written;
            self.backlog.take(&mut self.rest)
        };
        self.pipeline.sent_more(requests);
        done
    }

    /// Removes unsent requests: pairs of byte lengths to keep and to drop; the rest is kept.
    fn cut(&mut self, cuts: &[(usize, usize)]) {
        if !cuts.is_empty() {
            self.backlog.cut(cuts);
            self.backlog.recount(self.pipeline.unsent_sizes());
        }
    }
}
