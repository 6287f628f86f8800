//! Queries of a connection's state, for callers.

use super::{Link, Shared};
use std::task::Context;

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
    use crate::connection::call::{Enqueue, Patience};
    use crate::connection::outbox::{Conditions, Queued, Size};
    use crate::connection::single::Single;
    use crate::connection::transport::Direct;
    use crate::error::Unsent;
    use std::io::{ErrorKind, Read};
    use std::sync::Arc;
    use std::task::{Poll, Waker};
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
