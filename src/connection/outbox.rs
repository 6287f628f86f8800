//! What callers and the driver share: the write buffer, the waiters behind it, the byte budget.
//!
//! A caller writes its request straight into the connection's buffer and queues its waiter in the same critical section, so
//! bytes and waiters cannot disagree. Encoding cannot fail after that. The driver swaps the whole buffer out and writes the
//! requests of many callers with one call.
//!
//! Who writes is decided here, by what was measured to matter:
//!
//! * *Few callers* (at most [`FEW`] requests in flight of late): the caller writes at once and the driver only reads. That
//!   saves a task switch on each round trip.
//! * *Many callers* who all wait for one batch and then all send again would take turns with the server. So when nothing of
//!   ours is at the server, the caller whose request makes it half of what was lately in flight writes for all (a kick), and
//!   the server begins while the others still queue up.
//! * *Otherwise* the driver writes, after it has given way once: a wake-up puts it next in line, and it would find one
//!   request where a moment later there are many.

use super::append::Append;
use super::budget::Budget;
use super::pipeline::{Failure, Pipeline, Replies, SlotId};
use super::transport::Direct;
use crate::command::hello::HelloReply;
use crate::error::{ConnectError, Disconnect, Unsent};
use crate::resp::{Frame, ProtocolError};
use crate::server::Server;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// Up to so many requests in flight, a caller writes for itself.
const FEW: usize = 2;

/// A kick comes at half the requests lately in flight, but within these bounds.
const KICK: std::ops::RangeInclusive<usize> = 16..=256;

/// A caller writes no more than this, for it holds the lock while it writes; the rest is the driver's.
const DIRECT_BYTES: usize = 64 << 10;

/// A buffer larger than this is not kept for the next batch.
const KEPT_BYTES: usize = 1 << 20;

/// What the callers and the driver of one connection share.
pub(crate) struct Shared {
    state: Mutex<State>,
    timeout: Duration,
}

struct State {
    /// Requests that no writer has yet: those of the pipeline's unsent waiters, in order.
    out: Vec<u8>,
    /// Requests that a caller has written in part: the driver's to finish, before `out`.
    rest: Vec<u8>,
    /// How much of `rest` has been written.
    rest_written: usize,
    pipeline: Pipeline,
    budget: Budget,
    link: Link,
    /// The driver has bytes that it could not write yet, so nobody else may write.
    driver_writes: bool,
    /// Wakes the driver, if it sleeps.
    driver: Option<Waker>,
    /// Requests in flight of late: a maximum that decays.
    window: usize,
    /// When the driver is to look for overdue waiters.
    alarm: Option<Instant>,
    /// No more requests are taken; the connection ends when all are answered.
    closing: bool,
    /// The connection is to be given up for this reason.
    kill: Option<Disconnect>,
    /// Futures that wait for the end.
    end: Vec<Waker>,
    /// Who answers, as it said when the connection was made; and the connection's id there.
    server: Option<Arc<Server>>,
    id: Option<i64>,
}

#[derive(Debug)]
enum Link {
    /// No connection; why, if an attempt has failed.
    Down(Option<Arc<ConnectError>>),
    /// Connected; the socket to write to directly, if it can be.
    Up(Option<Direct>),
    /// There will be no connection any more.
    Ended,
}

/// What a request is, before it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) replies: usize,
    pub(crate) bytes: usize,
}

/// What came of an attempt to queue a request.
#[derive(Debug)]
pub(crate) enum Queued {
    /// It is queued; the slot is where its replies come.
    In(SlotId),
    /// There is no room; the ticket is its place in the line.
    Wait(u64),
    /// It was not queued and never will be.
    Not(Unsent),
}

/// What the driver does next.
pub(super) enum Turn {
    /// Write what is in the buffer, from here on.
    Write(usize),
    /// Come back at once: others are about to send.
    GiveWay,
    /// Sleep until woken.
    Sleep,
}

/// Without the bytes of requests, in which a password may stand.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("server", &self.server()).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(budget: Budget, timeout: Duration) -> Self {
        let state = State {
            out: Vec::new(),
            rest: Vec::new(),
            rest_written: 0,
            pipeline: Pipeline::default(),
            budget,
            link: Link::Down(None),
            driver_writes: false,
            driver: None,
            window: 0,
            alarm: None,
            closing: false,
            kill: None,
            end: Vec::new(),
            server: None,
            id: None,
        };
        Self { state: Mutex::new(state), timeout }
    }

    /// The time that a command has.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A caller's command may panic while it is written; what it left behind is cut off again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a request that `write` writes to the end of the buffer; `write` says whether it wrote what was measured.
    ///
    /// With a ticket it is a request that has waited for room.
    #[inline]
    pub(crate) fn queue(
        &self,
        size: Size,
        deadline: Option<Instant>,
        ticket: Option<u64>,
        cx: &Context<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> Queued {
        let mut state = self.lock();
        if state.closing {
            return Queued::Not(Unsent::Closed);
        }
        let cost = Budget::cost(size.bytes);
        let used = state.pipeline.cost();
        match state.budget.admit(cost, used, ticket, cx) {
            Ok(()) => {}
            Err(Some(ticket)) => return Queued::Wait(ticket),
            Err(None) => return Queued::Not(Unsent::Full { limit: state.budget.limit() }),
        }
        let append = Append::to(&mut state.out);
        if !write(append.out) {
            return Queued::Not(Unsent::Inconsistent);
        }
        append.keep();
        let waker = cx.waker().clone();
        let slot = state.pipeline.push(size.replies, size.bytes, cost, deadline, Some(waker));
        let next = state.budget.next(state.pipeline.cost());
        let driver = state.after_push(deadline);
        drop(state);
        driver.into_iter().chain(next).for_each(Waker::wake);
        Queued::In(slot)
    }

    /// Gives up a place in the line for room.
    pub(crate) fn leave_line(&self, ticket: u64) {
        let mut state = self.lock();
        state.budget.leave(ticket);
        let next = state.budget.next(state.pipeline.cost());
        drop(state);
        next.into_iter().for_each(Waker::wake);
    }

    /// What came for a slot, if all did.
    #[inline]
    pub(crate) fn take(
        &self,
        slot: SlotId,
        cx: &mut Context<'_>,
    ) -> Option<(Replies, Option<Failure>)> {
        self.lock().pipeline.take(slot, cx)
    }

    /// Whether all that will come for a slot has come.
    pub(crate) fn is_settled(&self, slot: SlotId) -> bool {
        self.lock().pipeline.is_settled(slot)
    }

    /// The caller no longer wants what comes for this slot.
    pub(crate) fn abandon(&self, slot: SlotId) {
        self.lock().pipeline.abandon(slot);
    }

    /// Why there is no connection, if an attempt to make one has failed.
    pub(crate) fn trouble(&self) -> Option<Arc<ConnectError>> {
        self.lock().trouble()
    }

    /// Takes no more requests; those queued are finished. The driver ends when none is left.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        let line = state.budget.clear();
        let driver = state.driver.take();
        drop(state);
        line.into_iter().chain(driver).for_each(Waker::wake);
    }

    /// The connection's own id at the server, as CLIENT ID says it; `None` where the server does not know HELLO.
    pub(crate) fn server_id(&self) -> Option<i64> {
        self.lock().id
    }

    /// Who answers; `None` where the server does not know HELLO.
    pub(crate) fn server(&self) -> Option<Arc<Server>> {
        self.lock().server.clone()
    }

    /// Whether all has ended; if not, the waker is woken when it has.
    pub(crate) fn ended(&self, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        let ended = matches!(state.link, Link::Ended);
        if !ended && !state.end.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.end.push(cx.waker().clone());
        }
        ended
    }

    /// Gives the connection up; another one takes its place.
    pub(crate) fn kill(&self, reason: Disconnect) {
        let mut state = self.lock();
        state.kill = Some(reason);
        let driver = state.driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
    }
}

/// The driver's side.
impl Shared {
    /// The hand has been shaken.
    pub(super) fn greeted(&self, hello: Option<HelloReply>) {
        let mut state = self.lock();
        state.id = hello.as_ref().and_then(|hello| hello.id);
        state.server = hello.map(|hello| Arc::new(hello.server));
    }

    /// A connection stands.
    pub(super) fn connected(&self, direct: Option<Direct>) {
        let mut state = self.lock();
        state.link = Link::Up(direct);
        // What was to give up the last connection is done with; an end that was asked for meanwhile is not.
        if !matches!(state.kill, Some(Disconnect::Closed)) {
            state.kill = None;
        }
    }

    /// What callers gave up while there was no connection is not sent on the next one.
    pub(super) fn drop_abandoned(&self) {
        let mut state = self.lock();
        let expired = state.pipeline.drop_abandoned();
        state.cut(&expired.cuts);
        let next = state.budget.next(state.pipeline.cost());
        drop(state);
        next.into_iter().for_each(Waker::wake);
    }

    /// An attempt to connect failed.
    pub(super) fn not_connected(&self, error: ConnectError) {
        self.lock().link = Link::Down(Some(Arc::new(error)));
    }

    /// The connection is gone; `unwritten` is what the driver had and could not write.
    pub(super) fn disconnected(&self, unwritten: &[u8], reason: &Disconnect) {
        let mut wakers = Vec::new();
        let mut state = self.lock();
        state.link = Link::Down(None);
        state.driver_writes = false;
        // One of the two is empty: a caller writes only when the driver has nothing to write.
        let rest = std::mem::take(&mut state.rest);
        let rest = rest.get(state.rest_written..).unwrap_or_default();
        let unwritten = if unwritten.is_empty() { rest } else { unwritten };
        let kept = state.pipeline.disconnected(unwritten.len(), reason, &mut wakers);
        let kept = unwritten.get(unwritten.len() - kept..).unwrap_or_default();
        state.out.splice(..0, kept.iter().copied());
        wakers.extend(state.budget.next(state.pipeline.cost()));
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// There will be no connection any more: everyone who waits is told.
    pub(super) fn end(&self) {
        let mut wakers = Vec::new();
        let mut state = self.lock();
        state.link = Link::Ended;
        state.closing = true;
        state.pipeline.close(&mut wakers);
        state.out = Vec::new();
        wakers.extend(state.budget.clear());
        wakers.append(&mut state.end);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether the server owes a reply.
    pub(super) fn is_owed(&self) -> bool {
        self.lock().pipeline.sent() > 0
    }

    /// Hands out replies, in order; the frames are taken out of the vector.
    ///
    /// # Errors
    ///
    /// More replies came than were asked for.
    pub(super) fn replies(
        &self,
        frames: &mut Vec<Frame>,
        wakers: &mut Vec<Waker>,
    ) -> Result<(), ProtocolError> {
        let mut state = self.lock();
        let in_flight = state.pipeline.len();
        state.window = in_flight.max(state.window - state.window.div_ceil(8));
        let result = frames.drain(..).try_for_each(|frame| state.pipeline.reply(frame, wakers));
        wakers.extend(state.budget.next(state.pipeline.cost()));
        drop(state);
        // Waking a task takes its scheduler's lock; ours is free by then.
        wakers.drain(..).for_each(Waker::wake);
        result
    }

    /// What the driver does next; `buffer` is empty and takes what there is to write.
    pub(super) fn turn(&self, buffer: &mut Vec<u8>, gave_way: bool, cx: &Context<'_>) -> Turn {
        let mut state = self.lock();
        state.driver_writes = false;
        if buffer.capacity() > KEPT_BYTES {
            *buffer = Vec::new();
        }
        if state.kill.is_some() {
            // What is not written yet is for the next connection.
            state.sleep(cx);
            return Turn::Sleep;
        }
        if !state.rest.is_empty() {
            std::mem::swap(buffer, &mut state.rest);
            state.driver_writes = true;
            return Turn::Write(state.rest_written);
        }
        if state.out.is_empty() {
            state.sleep(cx);
            return Turn::Sleep;
        }
        if !gave_way && state.window > FEW {
            return Turn::GiveWay;
        }
        std::mem::swap(buffer, &mut state.out);
        state.pipeline.all_sent();
        state.driver_writes = true;
        Turn::Write(0)
    }

    /// The driver sleeps until something changes.
    pub(super) fn sleep(&self, cx: &Context<'_>) {
        self.lock().sleep(cx);
    }

    /// When to look for overdue waiters, and whether the connection is to end: for what reason.
    pub(super) fn orders(&self, connected: bool) -> (Option<Instant>, Option<Disconnect>) {
        let mut state = self.lock();
        let done = state.closing && (!connected || state.pipeline.all_told());
        let end = if done { Some(Disconnect::Closed) } else { state.kill.take() };
        (state.alarm, end)
    }

    /// Settles the waiters that are overdue.
    pub(super) fn expire(&self, now: Instant) {
        let mut state = self.lock();
        let (waited, source) = (self.timeout, state.trouble());
        let unsent = || Unsent::TimedOut { waited, source: source.clone() };
        let expired = state.pipeline.expire(now, unsent);
        state.cut(&expired.cuts);
        state.alarm = state.pipeline.next_deadline();
        let next = state.budget.next(state.pipeline.cost());
        drop(state);
        expired.wakers.into_iter().chain(next).for_each(Waker::wake);
    }
}

impl State {
    fn sleep(&mut self, cx: &Context<'_>) {
        if !self.driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.driver = Some(cx.waker().clone());
        }
    }

    fn trouble(&self) -> Option<Arc<ConnectError>> {
        if let Link::Down(error) = &self.link { error.clone() } else { None }
    }

    /// A request was queued: writes it, or says whom to wake.
    #[inline]
    fn after_push(&mut self, deadline: Option<Instant>) -> Option<Waker> {
        let in_flight = self.pipeline.len();
        if in_flight > self.window {
            self.window = in_flight;
        }
        let mut wake = false;
        if let Some(deadline) = deadline {
            if self.alarm.is_none_or(|alarm| deadline < alarm) {
                self.alarm = Some(deadline);
                wake = true;
            }
        }
        if !self.write_directly() {
            wake = true;
        }
        if wake { self.driver.take() } else { None }
    }

    /// Lets the caller write for all, if it is its turn; true if nothing is left for the driver.
    #[inline]
    fn write_directly(&mut self) -> bool {
        let Link::Up(Some(direct)) = &self.link else { return false };
        if self.driver_writes || !self.rest.is_empty() || self.kill.is_some() {
            return false;
        }
        let kick = (self.window / 2).clamp(*KICK.start(), *KICK.end());
        let turn =
            self.window <= FEW || (self.pipeline.sent() == 0 && self.pipeline.unsent() == kick);
        if !turn {
            return false;
        }
        // An error is the driver's to find: it reads the same socket.
        let first = self.out.get(..DIRECT_BYTES).unwrap_or(&self.out);
        let Ok(written) = direct.try_write(first) else { return false };
        self.pipeline.all_sent();
        if written < self.out.len() {
            // Requests may be cut in the middle, so what is left is not unsent any more.
            std::mem::swap(&mut self.rest, &mut self.out);
            self.rest_written = written;
            return false;
        }
        self.out.clear();
        true
    }

    /// Takes byte ranges out of the requests that no writer has: (keep, drop) by turns, and the rest is kept.
    fn cut(&mut self, cuts: &[(usize, usize)]) {
        let (mut read, mut kept) = (0, 0);
        for &(keep, cut) in cuts {
            self.out.copy_within(read..read + keep, kept);
            kept += keep;
            read += keep + cut;
        }
        let rest = self.out.len().saturating_sub(read);
        self.out.copy_within(read..read + rest, kept);
        self.out.truncate(kept + rest);
    }
}
