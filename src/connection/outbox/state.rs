//! Queries of a connection's state, for callers.

use super::{Link, Shared};
use crate::connection::host::Host;
use crate::error::Disconnect;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

impl Shared {
    /// Returns whether the connection is established. `None` if it is not yet; the waker is then
    /// woken on a change.
    pub(crate) fn ready(&self, cx: &Context<'_>) -> Option<bool> {
        let waker = cx.waker().clone();
        let mut state = self.lock();
        match state.link {
            Link::Up(_) => Some(true),
            Link::Ended => Some(false),
            Link::Down(_) => {
                if !state.end.iter().any(|known| known.will_wake(&waker)) {
                    state.end.push(waker);
                }
                None
            }
        }
    }

    /// Whether there is a connection whose server answers in time.
    pub(crate) fn is_connected(&self) -> bool {
        let state = self.lock();
        matches!(state.link, Link::Up(_)) && !state.writes_suspended
    }

    /// Whether the connection has ended permanently.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.lock().link, Link::Ended)
    }

    /// Waits until a time; `timer` belongs to the caller and begins as `None`. Ready immediately if
    /// the connection has ended.
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

    /// Whether an attempt to connect has failed, and there is no connection since.
    pub(crate) fn is_failing(&self) -> bool {
        matches!(self.lock().link, Link::Down(Some(_)))
    }

    /// Whether the connection waits for a request that needs it.
    pub(crate) fn is_parked(&self) -> bool {
        self.lock().parked
    }

    /// Closes the connection until a request needs it, if it has none now.
    pub(crate) fn park(&self) {
        let mut state = self.lock();
        if state.pipeline.len() > 0 || state.parked {
            return;
        }
        state.parked = true;
        state.retired = Some(Disconnect::Unused);
        let driver = state.driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
    }

    /// Does not connect until a request needs it.
    pub(in crate::connection) fn begin_parked(&self) {
        self.lock().parked = true;
    }

    /// Returns all requests that were not sent to their callers, who look for another connection.
    pub(crate) fn evict(&self) {
        let mut state = self.lock();
        let expired = state.pipeline.evict();
        state.cut(&expired.cuts);
        state.evicted = state.budget.last_ticket();
        let line = state.budget.clear();
        drop(state);
        expired.wakers.into_iter().chain(line).for_each(Waker::wake);
    }

    /// Writes nothing new until `release`. What was written before is answered.
    pub(crate) fn hold(&self) {
        self.lock().held = true;
    }

    /// Writes again.
    pub(crate) fn release(&self) {
        let mut state = self.lock();
        state.held = false;
        let driver = state.driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
    }

    /// Whether the connection is to a server at another address than this one.
    pub(crate) fn is_elsewhere(&self, host: &Host) -> bool {
        let state = self.lock();
        let is_up = matches!(state.link, Link::Up(_));
        is_up && state.peer.as_ref().is_some_and(|peer| **peer != *host)
    }

    /// Creates the state of a connection to this address.
    #[cfg(test)]
    pub(crate) fn connected_to(config: &crate::config::Config, host: Host) -> std::sync::Arc<Self> {
        let shared = std::sync::Arc::new(Self::new(config));
        shared.lock().peer = Some(Box::new(host));
        shared.connected(None);
        shared
    }

    /// Closes the connection that was established at this time, if it is still the one there is.
    pub(crate) fn kill_one(&self, since: Option<Instant>, reason: Disconnect) {
        let mut state = self.lock();
        if state.since != since || !matches!(state.link, Link::Up(_)) {
            return;
        }
        state.kill = Some(reason);
        let driver = state.driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
    }

    /// Returns the number of requests that are not answered, sent or not.
    pub(crate) fn requests(&self) -> usize {
        self.lock().pipeline.len()
    }

    /// Returns the cost of requests that are not answered, in bytes of the budget.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().pipeline.cost()
    }
}

#[cfg(all(test, unix, not(bourn_loom)))]
mod tests {
    use super::*;
    use crate::command::XLen;
    use crate::config::Config;
    use crate::connection::enqueue::{Enqueue, Patience};
    use crate::connection::handshake::Greeting;
    use crate::connection::outbox::{Conditions, Queued, Size, Turn};
    use crate::connection::single::Single;
    use crate::connection::transport::Direct;
    use crate::error::Unsent;
    use std::io::{ErrorKind, Read};
    use std::sync::Arc;
    use tokio::net::UnixStream;

    #[tokio::test]
    async fn callers_do_not_write_directly_while_the_connection_is_in_doubt() {
        for in_doubt in [false, true] {
            let (near, far) = UnixStream::pair().unwrap();
            let (_read, write) = near.into_split();
            let shared = Arc::new(Shared::new(&Config::tcp("paired", 1)));
            shared.connected(Some(Direct::Unix(Arc::new(write))));
            if in_doubt {
                shared.suspend_writes();
            }
            assert_eq!(shared.is_connected(), !in_doubt);
            let mut enqueue = Enqueue::new(Arc::clone(&shared), Patience::Usual);
            let queued =
                enqueue.poll(&Single(XLen::new("s")), &mut Context::from_waker(Waker::noop()));
            assert!(matches!(queued, Poll::Ready(Ok(_))));
            let far = far.into_std().unwrap();
            let read = (&far).read(&mut [0; 64]);
            let nothing = read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            assert_eq!(nothing, in_doubt);
        }
    }

    #[tokio::test]
    async fn nothing_is_written_while_held_by_callers_or_by_the_driver() {
        let (near, far) = UnixStream::pair().unwrap();
        let (_read, write) = near.into_split();
        let shared = Arc::new(Shared::new(&Config::tcp("paired", 1)));
        shared.connected(Some(Direct::Unix(Arc::new(write))));
        shared.hold();
        let mut cx = Context::from_waker(Waker::noop());
        let mut enqueue = Enqueue::new(Arc::clone(&shared), Patience::Usual);
        assert!(enqueue.poll(&Single(XLen::new("s")), &mut cx).is_ready());
        let far = far.into_std().unwrap();
        let read = (&far).read(&mut [0; 64]);
        assert!(read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
        let mut buffer = Vec::new();
        assert!(matches!(shared.turn(&mut buffer, true, &cx), Turn::Sleep));
        shared.release();
        assert!(matches!(shared.turn(&mut buffer, true, &cx), Turn::Write(0)));
        assert!(!buffer.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_connection_that_was_meant_is_closed() {
        let shared = Shared::new(&Config::tcp("nowhere", 1));
        let cx = Context::from_waker(Waker::noop());
        let end = || shared.orders(true, &cx).end;
        shared.connected(None);
        let first = shared.since();
        tokio::time::advance(std::time::Duration::from_millis(1)).await;
        shared.connected(None);
        shared.kill_one(first, Disconnect::OtherMaster);
        assert!(end().is_none(), "it is another one");
        shared.kill_one(shared.since(), Disconnect::OtherMaster);
        assert!(matches!(end(), Some(Disconnect::OtherMaster)));
    }

    #[test]
    fn connection_to_the_named_address_is_not_elsewhere() {
        let shared = Shared::new(&Config::tcp("nowhere", 1));
        let host = |port| ("h".to_owned(), port);
        let greeting = Greeting { peer: Some(Box::new(host(1))), ..Greeting::default() };
        shared.set_greeting(greeting);
        assert!(!shared.is_elsewhere(&host(2)), "there is no connection");
        shared.connected(None);
        assert!(shared.is_elsewhere(&host(2)));
        assert!(!shared.is_elsewhere(&host(1)));
    }

    #[test]
    fn repeat_outside_the_window_of_the_server_is_refused_under_the_lock() {
        let shared = Shared::new(&Config::tcp("nowhere", 1));
        let queue = |latest| {
            let size = Size { replies: 1, bytes: 4 };
            let cx = Context::from_waker(Waker::noop());
            let only = Conditions { latest, on: None };
            shared.queue(size, only, None, None, &cx, &mut b"PING".to_vec())
        };
        assert!(matches!(queue(0), Queued::In(_)));
        assert!(matches!(queue(1), Queued::In(_)));
        assert!(matches!(queue(1), Queued::Not(Unsent::Closed)), "two replies were requested");
        assert!(matches!(queue(2), Queued::In(_)));
    }
}
