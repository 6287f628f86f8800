//! The state of a connection, for callers that look at it.

use super::{Link, Shared};
use std::task::Context;

impl Shared {
    /// Whether there is a connection, and whether there may be one: if neither is sure, the waker is woken when it is.
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

    /// Whether a connection stands whose server answers in time.
    pub(crate) fn is_connected(&self) -> bool {
        let state = self.lock();
        matches!(state.link, Link::Up(_)) && !state.held
    }

    /// Whether there will be no connection any more.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.lock().link, Link::Ended)
    }

    /// Requests that are not answered yet, sent or not.
    pub(crate) fn requests(&self) -> usize {
        self.lock().pipeline.len()
    }

    /// What requests that are not answered yet take of the budget, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().pipeline.cost()
    }
}
