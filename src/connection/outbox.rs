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

mod driving;
mod state;

use super::backlog::Backlog;
use super::budget::Budget;
use super::events::Hub;
use super::health::{Due, Owed};
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
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Up to so many requests in flight, a caller writes for itself.
const FEW: usize = 2;

/// A kick comes at half the requests lately in flight, but within these bounds.
const KICK: std::ops::RangeInclusive<usize> = 16..=256;

/// A caller writes no more than this, for it holds the lock while it writes; the rest is the driver's.
const DIRECT_BYTES: usize = 64 << 10;

/// A connection younger than this is not taken to be stale: it may be the one before it that was, and a server that stays a
/// replica is not to cost everybody a new connection all the time.
const YOUNG: Duration = Duration::from_secs(5);

/// Asks whether anybody is there.
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// A buffer larger than this is not kept for the next batch.
const KEPT_BYTES: usize = 1 << 20;

/// What the callers and the driver of one connection share.
pub(crate) struct Shared {
    state: Mutex<State>,
    events: Hub,
    timeout: Duration,
    repeats: bool,
}

struct State {
    /// Requests that no writer has yet: those of the pipeline's unsent waiters, in order.
    backlog: Backlog,
    /// Requests that a caller has written in part: the driver's to finish, before the backlog.
    rest: Vec<u8>,
    /// How much of `rest` has been written.
    rest_written: usize,
    pipeline: Pipeline,
    budget: Budget,
    timers: Timers,
    link: Link,
    /// The driver has bytes that it could not write yet, so nobody else may write.
    driver_writes: bool,
    /// Wakes the driver, if it sleeps.
    driver: Option<Waker>,
    /// Wakes the guard, if it sleeps.
    guard: Option<Waker>,
    /// Requests in flight of late: a maximum that decays.
    window: usize,
    /// When the driver is to look for overdue waiters.
    alarm: Option<Instant>,
    /// No more requests are taken; the connection ends when all are answered.
    closing: bool,
    /// The connection is to be given up for this reason.
    kill: Option<Disconnect>,
    /// The connection is to be given up for this reason when the replies that it owes have come; nothing more is sent on it.
    retired: Option<Disconnect>,
    /// The server is in doubt: nothing new is written until it answers in time.
    held: bool,
    /// When the connection was made.
    since: Option<Instant>,
    /// Futures that wait for the end, or for a connection.
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
    /// It is only queued while no more replies than this have been asked for on the connection.
    pub(crate) latest: u64,
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

/// What the driver is to heed.
pub(super) struct Orders {
    /// When to look for overdue waiters.
    pub(super) alarm: Option<Instant>,
    /// What the server owes.
    pub(super) owed: Owed,
    /// The connection is to end, like this.
    pub(super) end: Option<Disconnect>,
    /// A reply came in time since the last look.
    pub(super) alive: bool,
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
    pub(super) fn new(config: &Config) -> Self {
        let state = State {
            backlog: Backlog::default(),
            rest: Vec::new(),
            rest_written: 0,
            pipeline: Pipeline::counting(Sends::new(config.idmp_iids, config.idmp_duration)),
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
            held: false,
            since: None,
            end: Vec::new(),
            server: None,
            id: None,
        };
        let events = Hub::new(config);
        let repeats = config.retry == Retry::Safe;
        Self { state: Mutex::new(state), events, timeout: config.command_timeout, repeats }
    }

    /// The time that a command has.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether commands are sent again.
    pub(crate) fn repeats(&self) -> bool {
        self.repeats
    }

    /// Those who listen to what becomes of the connection.
    pub(crate) fn events(&self) -> &Hub {
        &self.events
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A caller's command may panic while it is written; what it left behind is cut off again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a request that is encoded already; the bytes of a large one are taken, those of others copied.
    ///
    /// With a ticket it is a request that has waited for room.
    #[inline]
    pub(super) fn queue(
        &self,
        size: Size,
        due: Option<Due>,
        ticket: Option<u64>,
        cx: &Context<'_>,
        encoded: &mut Vec<u8>,
    ) -> Queued {
        // A waker may be foreign code: it is cloned, woken and dropped while nothing is locked.
        let mut waker = Some(cx.waker().clone());
        let _left;
        let mut state = self.lock();
        if state.closing {
            return Queued::Not(Unsent::Closed);
        }
        if state.pipeline.sends() > size.latest {
            // The caller knows: it was lost before.
            return Queued::Not(Unsent::Closed);
        }
        let cost = Budget::cost(size.bytes);
        let used = state.pipeline.cost();
        let deadline = due.map(|due| due.at);
        match state.budget.admit(cost, used, ticket, deadline, &mut waker) {
            Ok(left) => _left = left,
            Err(Some(ticket)) => {
                let (driver, guard) = state.look_at(deadline);
                drop(state);
                driver.into_iter().chain(guard).for_each(Waker::wake);
                return Queued::Wait(ticket);
            }
            Err(None) => return Queued::Not(Unsent::Full { limit: state.budget.limit() }),
        }
        state.backlog.add(encoded);
        let slot = state.pipeline.push(size.replies, size.bytes, cost, due, waker);
        let next = state.next_in_line();
        let (driver, guard) = state.after_push(deadline);
        drop(state);
        driver.into_iter().chain(guard).chain(next).for_each(Waker::wake);
        Queued::In(slot)
    }

    /// Gives up a place in the line for room.
    pub(crate) fn leave_line(&self, ticket: u64) {
        let mut state = self.lock();
        let left = state.budget.leave(ticket);
        let next = state.next_in_line();
        drop(state);
        drop(left);
        next.into_iter().for_each(Waker::wake);
    }

    /// What came for a slot, if all did.
    #[inline]
    pub(crate) fn take(&self, slot: SlotId, cx: &mut Context<'_>) -> Option<(Replies, Failed)> {
        loop {
            let taken = self.lock().pipeline.take(slot, cx.waker());
            match taken {
                Taken::Came(replies, failure) => return Some((replies, failure)),
                Taken::Wait => return None,
                Taken::Moved => {
                    // Whether two wakers are alike is not sure to be known, so it is not asked again.
                    let mut waker = Some(cx.waker().clone());
                    let waits = self.lock().pipeline.moved(slot, &mut waker);
                    if waits {
                        return None;
                    }
                }
            }
        }
    }

    /// Waits for a time; `timer` is the caller's own, and begins as `None`. Ready at once when the connection has ended.
    pub(crate) fn pause(&self, timer: &mut Option<u64>, at: Instant, cx: &Context<'_>) -> Poll<()> {
        if tokio::time::Instant::now().into_std() >= at {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let mut state = self.lock();
        if matches!(state.link, Link::Ended) {
            return Poll::Ready(());
        }
        let (id, before) = state.timers.set(*timer, at, waker);
        *timer = Some(id);
        let (driver, guard) = state.look_at(Some(at));
        drop(state);
        drop(before);
        driver.into_iter().chain(guard).for_each(Waker::wake);
        Poll::Pending
    }

    /// Whether all that will come for a slot has come.
    pub(crate) fn is_settled(&self, slot: SlotId) -> bool {
        self.lock().pipeline.is_settled(slot)
    }

    /// The caller no longer wants what comes for this slot.
    pub(crate) fn abandon(&self, slot: SlotId) {
        let waker = self.lock().pipeline.abandon(slot);
        drop(waker);
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
        let waker = cx.waker().clone();
        let mut state = self.lock();
        let ended = matches!(state.link, Link::Ended);
        if !ended && !state.end.iter().any(|known| known.will_wake(&waker)) {
            state.end.push(waker);
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

    /// Gives the connection up when all has been answered that was sent on it; another one takes its place. A young one is
    /// kept: whoever says that it is stale may speak of the one before it.
    pub(crate) fn retire(&self) {
        let now = tokio::time::Instant::now().into_std();
        let young = |since: Instant| now.saturating_duration_since(since) < YOUNG;
        self.leave_unless(Disconnect::Stale, |state| state.since.is_none_or(young));
    }

    /// Gives the connection up when all has been answered that was sent on it, for this reason.
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

    /// Overdue callers are to be looked for at this time: the driver and the guard, if they have to be woken for it.
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

    /// Whom to wake, for there is room now.
    fn next_in_line(&mut self) -> Option<Waker> {
        let used = self.pipeline.cost();
        self.budget.next(used)
    }

    fn trouble(&self) -> Option<Arc<ConnectError>> {
        if let Link::Down(error) = &self.link { error.clone() } else { None }
    }

    /// A request was queued: writes it, or says whom to wake.
    #[inline]
    fn after_push(&mut self, deadline: Option<Instant>) -> (Option<Waker>, Option<Waker>) {
        let in_flight = self.pipeline.len();
        if in_flight > self.window {
            self.window = in_flight;
        }
        let (mut driver, guard) = self.look_at(deadline);
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
        // An error is the driver's to find: it reads the same socket.
        let first = out.get(..DIRECT_BYTES).unwrap_or(out);
        let Ok(written) = direct.try_write(first) else { return false };
        let done = written == out.len();
        let requests = if done {
            self.backlog.written()
        } else {
            // Requests may be cut in the middle, so what is left is not unsent any more.
            self.rest_written = written;
            self.backlog.take(&mut self.rest)
        };
        self.pipeline.sent_more(requests);
        done
    }

    /// Takes requests out that no writer has: byte ranges to keep and to drop by turns, and the rest is kept.
    fn cut(&mut self, cuts: &[(usize, usize)]) {
        if !cuts.is_empty() {
            self.backlog.cut(cuts);
            self.backlog.recount(self.pipeline.unsent_sizes());
        }
    }
}
