//! The driver's side of the outbox: what it is to write and to heed, and what it has to tell.

use super::super::budget::Budget;
use super::super::health::{Due, Owed};
use super::{FEW, KEPT_BYTES, Link, Orders, PING, Shared, State, Turn};
use crate::connection::handshake::Greeting;
use crate::connection::transport::Direct;
use crate::error::{ConnectError, Disconnect, Unsent};
use crate::resp::{Frame, ProtocolError};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Instant;

/// The driver's side.
impl Shared {
    /// The hand has been shaken.
    pub(in crate::connection) fn greeted(&self, greeting: Greeting) {
        let mut state = self.lock();
        state.id = greeting.id;
        state.server = greeting.server;
    }

    /// A connection stands.
    pub(in crate::connection) fn connected(&self, direct: Option<Direct>) {
        let now = tokio::time::Instant::now().into_std();
        let mut state = self.lock();
        state.link = Link::Up(direct);
        state.since = Some(now);
        state.retired = None;
        state.held = false;
        // What was to give up the last connection is done with; an end that was asked for meanwhile is not.
        if !matches!(state.kill, Some(Disconnect::Closed)) {
            state.kill = None;
        }
        // Those who wait for the end are woken with those who wait for a connection, and wait on.
        let waiting = std::mem::take(&mut state.end);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// What callers gave up while there was no connection is not sent on the next one.
    pub(in crate::connection) fn drop_abandoned(&self) {
        let mut state = self.lock();
        let expired = state.pipeline.drop_abandoned();
        state.cut(&expired.cuts);
        let next = state.next_in_line();
        drop(state);
        next.into_iter().for_each(Waker::wake);
    }

    /// An attempt to connect failed.
    pub(in crate::connection) fn not_connected(&self, error: Arc<ConnectError>) {
        self.lock().link = Link::Down(Some(error));
    }

    /// The connection is gone; `unwritten` is what the driver had and could not write.
    pub(in crate::connection) fn disconnected(&self, unwritten: &[u8], reason: &Disconnect) {
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
        state.backlog.put_back(kept);
        let State { backlog, pipeline, .. } = &mut *state;
        backlog.recount(pipeline.unsent_sizes());
        wakers.extend(state.next_in_line());
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// There will be no connection any more: everyone who waits is told.
    pub(in crate::connection) fn end(&self) {
        let mut wakers = Vec::new();
        let mut state = self.lock();
        state.link = Link::Ended;
        state.closing = true;
        state.pipeline.close(&mut wakers);
        state.backlog.clear();
        wakers.extend(state.budget.clear());
        wakers.append(&mut state.end);
        wakers.extend(state.guard.take());
        wakers.append(&mut state.timers.clear());
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether the server owes a reply.
    pub(in crate::connection) fn is_owed(&self) -> bool {
        self.lock().pipeline.sent() > 0
    }

    /// Hands out replies, in order; the frames are taken out of the vector.
    ///
    /// # Errors
    ///
    /// More replies came than were asked for.
    pub(in crate::connection) fn replies(
        &self,
        frames: &mut Vec<Frame>,
        wakers: &mut Vec<Waker>,
    ) -> Result<(), ProtocolError> {
        let mut state = self.lock();
        let in_flight = state.pipeline.len();
        state.window = in_flight.max(state.window - state.window.div_ceil(8));
        let result = frames.drain(..).try_for_each(|frame| state.pipeline.reply(frame, wakers));
        wakers.extend(state.next_in_line());
        drop(state);
        // Waking a task takes its scheduler's lock; ours is free by then.
        wakers.drain(..).for_each(Waker::wake);
        result
    }

    /// What the driver does next; `buffer` is empty and takes what there is to write.
    pub(in crate::connection) fn turn(
        &self,
        buffer: &mut Vec<u8>,
        gave_way: bool,
        cx: &Context<'_>,
    ) -> Turn {
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
        // A request that was cut in the middle goes out, whatever becomes of the connection.
        if !state.rest.is_empty() {
            std::mem::swap(buffer, &mut state.rest);
            state.driver_writes = true;
            return Turn::Write(state.rest_written);
        }
        if state.backlog.is_empty() || state.retired.is_some() || state.held {
            state.sleep(cx);
            return Turn::Sleep;
        }
        if !gave_way && state.window > FEW {
            return Turn::GiveWay;
        }
        let requests = state.backlog.take(buffer);
        state.pipeline.sent_more(requests);
        state.driver_writes = true;
        Turn::Write(0)
    }

    /// The driver sleeps until something changes.
    pub(in crate::connection) fn sleep(&self, cx: &Context<'_>) {
        self.lock().sleep(cx);
    }

    /// When to look for overdue waiters, whether a reply is owed, and whether the connection is to end: for what reason.
    pub(in crate::connection) fn orders(&self, connected: bool, cx: &Context<'_>) -> Orders {
        let mut state = self.lock();
        let owed = state.pipeline.owed();
        let done = state.closing && (!connected || state.pipeline.all_told());
        let end = match state.kill.take() {
            _ if done => Some(Disconnect::Closed),
            None if connected && owed == Owed::Nothing => state.retired.clone(),
            kill => kill,
        };
        let alive = state.pipeline.take_alive();
        if alive && std::mem::take(&mut state.held) {
            cx.waker().wake_by_ref();
        }
        Orders { alarm: state.alarm, owed, end, alive }
    }

    /// The server is in doubt: nothing new is written until it answers in time.
    pub(in crate::connection) fn hold(&self) {
        self.lock().held = true;
    }

    /// Sends a PING before everything else, on a connection that owes nothing.
    pub(in crate::connection) fn probe(&self, now: Instant) {
        let mut state = self.lock();
        // Without a reply that is owed, nothing is written in part.
        if state.closing || !matches!(state.link, Link::Up(_)) || state.pipeline.sent() > 0 {
            return;
        }
        state.rest.clear();
        state.rest.extend_from_slice(PING);
        state.rest_written = 0;
        let time = self.timeout;
        let due = now.checked_add(time).map(|at| Due { at, time });
        state.pipeline.push_probe(PING.len(), Budget::cost(PING.len()), due);
    }

    /// When the guard looks for overdue waiters next, if there are any to come; `None` when the connection has ended.
    pub(in crate::connection) fn guard(&self, cx: &Context<'_>) -> Option<Option<Instant>> {
        let waker = cx.waker().clone();
        let mut state = self.lock();
        if matches!(state.link, Link::Ended) {
            return None;
        }
        let before = state.guard.replace(waker);
        let alarm = state.alarm;
        drop(state);
        drop(before);
        Some(alarm)
    }

    /// Settles the waiters that are overdue.
    pub(in crate::connection) fn expire(&self, now: Instant) {
        let mut state = self.lock();
        let (waited, source) = (self.timeout, state.trouble());
        let unsent = || Unsent::TimedOut { waited, source: source.clone() };
        let expired = state.pipeline.expire(now, unsent);
        state.cut(&expired.cuts);
        let late = state.budget.expire(now);
        let paused = state.timers.expire(now);
        state.alarm = state.next_deadline();
        let next = state.next_in_line();
        drop(state);
        expired.wakers.into_iter().chain(late).chain(paused).chain(next).for_each(Waker::wake);
    }
}
