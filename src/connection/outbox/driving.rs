//! The driver's side of the outbox: requests to write, orders to obey, and results to report.

use super::super::budget::Budget;
use super::super::health::{Due, Owed};
use super::{DriverOrders, FEW, KEPT_BYTES, Link, PING, Shared, State, Turn};
use crate::connection::handshake::Greeting;
use crate::connection::transport::Direct;
use crate::error::{ConnectError, Disconnect, Unsent};
use crate::resp::{Frame, ProtocolError};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Instant;

/// The driver's side.
impl Shared {
    /// Records the server and the connection id of a completed handshake.
    pub(in crate::connection) fn set_greeting(&self, greeting: Greeting) {
        let mut state = self.lock();
        state.id = greeting.id;
        state.server = greeting.server;
        state.peer = greeting.peer;
    }

    /// Records that a connection was established.
    pub(in crate::connection) fn connected(&self, direct: Option<Direct>) {
        let now = tokio::time::Instant::now().into_std();
        let mut state = self.lock();
        state.link = Link::Up(direct);
        state.since = Some(now);
        state.retired = None;
        state.writes_suspended = false;
        // A reason to close the last connection no longer applies, but a requested end does.
        if !matches!(state.kill, Some(Disconnect::Closed)) {
            state.kill = None;
        }
        // Futures that wait for the end are woken together with those that wait for a connection,
        // and wait again.
        let waiting = std::mem::take(&mut state.end);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Removes the requests that the next connection must not send.
    pub(in crate::connection) fn before_next_connection(&self) {
        let mut state = self.lock();
        let mut expired = state.pipeline.next_connection();
        state.cut(&expired.cuts);
        expired.wakers.extend(state.next_in_line());
        drop(state);
        expired.wakers.into_iter().for_each(Waker::wake);
    }

    /// Records the error of a failed attempt to connect.
    pub(in crate::connection) fn not_connected(&self, error: Arc<ConnectError>) {
        self.lock().link = Link::Down(Some(error));
    }

    /// Handles the loss of the connection; `unwritten` is what the driver had and could not write.
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

    /// Ends the connection permanently and wakes every waiter.
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

    /// Whether a reply is outstanding.
    pub(in crate::connection) fn is_owed(&self) -> bool {
        self.lock().pipeline.sent() > 0
    }

    /// Delivers replies, in order, and drains the vector.
    ///
    /// # Errors
    ///
    /// More replies came than were requested.
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
        // Waking a task takes its scheduler's lock, so this lock is released first.
        wakers.drain(..).for_each(Waker::wake);
        result
    }

    /// Returns the driver's next step; `buffer` must be empty and receives the bytes to write.
    pub(in crate::connection) fn turn(
        &self,
        buffer: &mut Vec<u8>,
        yielded: bool,
        cx: &Context<'_>,
    ) -> Turn {
        let mut state = self.lock();
        state.driver_writes = false;
        if buffer.capacity() > KEPT_BYTES {
            *buffer = Vec::new();
        }
        if state.kill.is_some() {
            // Unwritten requests are for the next connection.
            state.sleep(cx);
            return Turn::Sleep;
        }
        // A partly written request is finished, even if the connection is to be closed.
        if !state.rest.is_empty() {
            std::mem::swap(buffer, &mut state.rest);
            state.driver_writes = true;
            return Turn::Write(state.rest_written);
        }
        let stopped = state.retired.is_some() || state.writes_suspended || state.held;
        if state.backlog.is_empty() || stopped {
            state.sleep(cx);
            return Turn::Sleep;
        }
        if !yielded && state.window > FEW {
            return Turn::Yield;
        }
        let requests = state.backlog.take(buffer);
        state.pipeline.sent_more(requests);
        state.driver_writes = true;
        Turn::Write(0)
    }

    /// Registers the driver's waker, to be woken on a change.
    pub(in crate::connection) fn sleep(&self, cx: &Context<'_>) {
        self.lock().sleep(cx);
    }

    /// Returns the next deadline, the outstanding reply, and the reason to end the connection, if
    /// there is one.
    pub(in crate::connection) fn orders(&self, connected: bool, cx: &Context<'_>) -> DriverOrders {
        let mut state = self.lock();
        let owed = state.pipeline.owed();
        let done = state.closing && (!connected || state.pipeline.all_settled());
        let end = match state.kill.take() {
            _ if done => Some(Disconnect::Closed),
            None if connected && owed == Owed::Nothing => state.retired.clone(),
            kill => kill,
        };
        let alive = state.pipeline.take_alive();
        if alive && std::mem::take(&mut state.writes_suspended) {
            cx.waker().wake_by_ref();
        }
        DriverOrders { alarm: state.alarm, owed, end, alive }
    }

    /// Stops new writes until the server answers in time.
    pub(in crate::connection) fn suspend_writes(&self) {
        self.lock().writes_suspended = true;
    }

    /// Sends a PING before all other requests, on a connection without outstanding replies.
    pub(in crate::connection) fn probe(&self, now: Instant) {
        let mut state = self.lock();
        // With no outstanding reply, nothing is partly written.
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

    /// Sends a PING behind all other requests, unless one waits already.
    pub(in crate::connection) fn check(&self, now: Instant) {
        let mut state = self.lock();
        if state.closing || !matches!(state.link, Link::Up(_)) || state.pipeline.is_probed() {
            return;
        }
        let time = self.timeout;
        let due = now.checked_add(time).map(|at| Due { at, time });
        state.backlog.add(&mut PING.to_vec());
        state.pipeline.push_check(PING.len(), Budget::cost(PING.len()), due);
    }

    /// Returns the guard's next deadline, if there is one; `None` when the connection has ended.
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

    /// Settles overdue waiters.
    pub(in crate::connection) fn expire(&self, now: Instant) {
        let mut state = self.lock();
        let (waited, source) = (self.timeout, state.connect_error());
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
