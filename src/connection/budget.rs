//! Budget: how many bytes may be queued or in flight, and who waits for room. Pure.
//!
//! Room is given in the order of asking: a large request is not overtaken for ever by small ones. A request larger than the
//! whole budget goes alone.

use crate::config::WhenFull;
use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Instant;

/// What a request takes beside its bytes: its place in the queue, its slot, its reply.
const REQUEST_BYTES: usize = 128;

#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    when_full: WhenFull,
    /// By ticket: whoever asked first is first.
    line: BTreeMap<u64, Asking>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Asking {
    cost: usize,
    /// Until when it keeps its place. A caller that is not polled would hold up all behind it.
    deadline: Option<Instant>,
    /// None once it was woken; it asks again then.
    waker: Option<Waker>,
}

impl Budget {
    pub(super) fn new(limit: usize, when_full: WhenFull) -> Self {
        Self { limit, when_full, line: BTreeMap::new(), next_ticket: 0 }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// What a request of so many bytes takes.
    pub(super) fn cost(bytes: usize) -> usize {
        bytes.saturating_add(REQUEST_BYTES)
    }

    fn fits(&self, cost: usize, used: usize) -> bool {
        used == 0 || used.saturating_add(cost) <= self.limit
    }

    /// Lets a request in, if there is room and nobody waits before it. Otherwise the ticket of its place in the line, or
    /// `None` if it shall not wait. Who waits leaves its waker; one that it left before comes back, in its place or as the
    /// result, to be dropped where nothing is locked.
    #[inline]
    pub(super) fn admit(
        &mut self,
        cost: usize,
        used: usize,
        ticket: Option<u64>,
        deadline: Option<Instant>,
        waker: &mut Option<Waker>,
    ) -> Result<Option<Waker>, Option<u64>> {
        let first = self.line.keys().next().copied();
        if (first.is_none() || first == ticket) && self.fits(cost, used) {
            return Ok(self.line.pop_first().and_then(|(_, asking)| asking.waker));
        }
        if self.when_full == WhenFull::Fail {
            return Err(None);
        }
        if let Some(asking) = ticket.and_then(|ticket| self.line.get_mut(&ticket)) {
            std::mem::swap(&mut asking.waker, waker);
            return Err(ticket);
        }
        self.next_ticket += 1;
        self.line.insert(self.next_ticket, Asking { cost, deadline, waker: waker.take() });
        Err(Some(self.next_ticket))
    }

    /// Gives up a place in the line; its waker is to be dropped where nothing is locked.
    pub(super) fn leave(&mut self, ticket: u64) -> Option<Waker> {
        self.line.remove(&ticket)?.waker
    }

    /// Whom to wake: the first in the line, if there is room for it now.
    #[inline]
    pub(super) fn next(&mut self, used: usize) -> Option<Waker> {
        let cost = self.line.first_key_value()?.1.cost;
        let fits = self.fits(cost, used);
        self.line.first_entry().filter(|_| fits)?.get_mut().waker.take()
    }

    /// The earliest time at which a place in the line is given up.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.line.values().filter_map(|asking| asking.deadline).min()
    }

    /// Takes those out of the line whose time is over, and says whom to wake.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Waker> {
        let mut wakers = Vec::new();
        self.line.retain(|_, asking| {
            let over = asking.deadline.is_some_and(|deadline| deadline <= now);
            if over {
                wakers.extend(asking.waker.take());
            }
            !over
        });
        wakers
    }

    /// Sends everyone in the line home.
    pub(super) fn clear(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.line).into_values().filter_map(|asking| asking.waker).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waker() -> Option<Waker> {
        Some(Waker::noop().clone())
    }

    #[test]
    fn room_is_given_in_the_order_of_asking() {
        let mut budget = Budget::new(1000, WhenFull::Wait);
        assert!(budget.admit(900, 0, None, None, &mut waker()).is_ok());
        let large = budget.admit(800, 900, None, None, &mut waker()).unwrap_err();
        let small = budget.admit(50, 900, None, None, &mut waker()).unwrap_err();
        assert!(large.is_some() && small.is_some() && large != small);
        assert!(budget.next(900).is_none());
        assert_eq!(
            budget.admit(50, 0, small, None, &mut waker()).unwrap_err(),
            small,
            "not before its turn"
        );
        assert!(budget.next(100).is_some());
        assert!(budget.admit(800, 100, large, None, &mut waker()).is_ok());
        assert!(budget.admit(50, 900, small, None, &mut waker()).is_ok());
    }

    #[test]
    fn a_request_beyond_the_budget_goes_alone() {
        let mut budget = Budget::new(1000, WhenFull::Wait);
        let ticket = budget.admit(5000, 1, None, None, &mut waker()).unwrap_err();
        assert!(budget.admit(5000, 0, ticket, None, &mut waker()).is_ok());
    }

    #[test]
    fn who_leaves_the_line_lets_the_next_one_in() {
        let mut budget = Budget::new(1000, WhenFull::Wait);
        let first = budget.admit(900, 900, None, None, &mut waker()).unwrap_err().unwrap();
        let second = budget.admit(50, 900, None, None, &mut waker()).unwrap_err();
        budget.leave(first);
        assert!(budget.next(900).is_some());
        assert!(budget.admit(50, 900, second, None, &mut waker()).is_ok());
    }

    #[test]
    fn whose_time_is_over_holds_nobody_up() {
        let mut budget = Budget::new(1000, WhenFull::Wait);
        let now = Instant::now();
        let late = budget.admit(900, 900, None, Some(now), &mut waker()).unwrap_err();
        let next = budget.admit(50, 900, None, None, &mut waker()).unwrap_err();
        assert_eq!(budget.next_deadline(), Some(now));
        assert_eq!((budget.expire(now).len(), budget.next_deadline()), (1, None));
        assert!(budget.next(900).is_some() && late != next);
        assert!(budget.admit(50, 900, next, None, &mut waker()).is_ok());
    }

    #[test]
    fn who_does_not_want_to_wait_is_told_at_once() {
        let mut budget = Budget::new(1000, WhenFull::Fail);
        assert_eq!(budget.admit(900, 200, None, None, &mut waker()).unwrap_err(), None);
    }
}
