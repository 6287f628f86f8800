//! The caller's side of the outbox: requests are queued, or wait in line for capacity.

use super::super::budget::Budget;
use super::super::health::Due;
use super::{Conditions, Link, Queued, Shared, Size};
use crate::error::Unsent;
use std::task::{Context, Waker};

/// The caller's side.
impl Shared {
    /// Queues an encoded request, if the conditions are met. The bytes of a large one are moved, those
    /// of others copied. A request with a ticket has waited for capacity.
    #[inline]
    pub(in crate::connection) fn queue(
        &self,
        size: Size,
        only: Conditions,
        due: Option<Due>,
        ticket: Option<u64>,
        cx: &Context<'_>,
        encoded: &mut Vec<u8>,
    ) -> Queued {
        // A waker may be foreign code: it is cloned, woken and dropped without the lock.
        let mut waker = Some(cx.waker().clone());
        let _left;
        let mut state = self.lock();
        if state.closing {
            return Queued::Not(Unsent::Closed);
        }
        if state.pipeline.sends() > only.latest {
            // The caller knows: it was lost before.
            return Queued::Not(Unsent::Closed);
        }
        if ticket.is_some_and(|ticket| ticket <= state.evicted) {
            return Queued::Elsewhere;
        }
        // The task that connects is woken below.
        state.parked = false;
        let is_other = |on| state.since != Some(on) || !matches!(state.link, Link::Up(_));
        if only.on.is_some_and(is_other) {
            return Queued::Not(Unsent::Reconnected);
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
        if only.on.is_some() {
            state.pipeline.pin(slot);
        }
        let next = state.next_in_line();
        let (driver, guard) = state.after_push(deadline);
        drop(state);
        // One by one: an iterator over the three costs every request.
        if let Some(driver) = driver {
            driver.wake();
        }
        if let Some(guard) = guard {
            guard.wake();
        }
        if let Some(next) = next {
            next.wake();
        }
        Queued::In(slot)
    }

    /// Leaves the line for capacity.
    pub(crate) fn leave_line(&self, ticket: u64) {
        let mut state = self.lock();
        let left = state.budget.leave(ticket);
        let next = state.next_in_line();
        drop(state);
        drop(left);
        next.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::connection::pipeline::Failure;
    use crate::error::Disconnect;
    use std::time::Instant;

    #[test]
    fn request_for_one_connection_is_sent_on_no_other() {
        let shared = Shared::new(&Config::tcp("nowhere", 1));
        let queue = |on| {
            let size = Size { replies: 1, bytes: 4 };
            let cx = Context::from_waker(Waker::noop());
            let only = Conditions { latest: u64::MAX, on: Some(on) };
            shared.queue(size, only, None, None, &cx, &mut b"PING".to_vec())
        };
        let is_refused = |queued| matches!(queued, Queued::Not(Unsent::Reconnected));
        assert!(is_refused(queue(Instant::now())), "there was none yet");
        shared.connected(None);
        let first = shared.since().unwrap();
        let Queued::In(slot) = queue(first) else { panic!("it is the connection") };
        shared.disconnected(&[], &Disconnect::Silent);
        assert!(is_refused(queue(first)));
        shared.before_next_connection();
        let (_, failure) = shared.take(slot, &mut Context::from_waker(Waker::noop())).unwrap();
        assert!(matches!(failure.as_deref(), Some(Failure::Unsent(Unsent::Reconnected))));
        std::thread::sleep(std::time::Duration::from_millis(1));
        shared.connected(None);
        assert!(is_refused(queue(first)));
        assert!(matches!(queue(shared.since().unwrap()), Queued::In(_)));
    }
}
