//! The byte budget: limits queued and in-flight bytes, and keeps the line of callers that wait for
//! capacity. No I/O.
//!
//! Capacity is granted in the order of arrival, so small requests never starve a large one. A
//! request larger than the whole budget is sent alone.

use crate::config::WhenFull;
use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Instant;

/// The cost of a request in addition to its bytes: its place in the queue, its slot, its reply.
const REQUEST_BYTES: usize = 128;

#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    when_full: WhenFull,
    /// The waiting callers by ticket, first come first served.
    line: BTreeMap<u64, WaitingCaller>,
    next_ticket: u64,
}

#[derive(Debug)]
struct WaitingCaller {
    cost: usize,
    /// The time until which it keeps its place. A caller that is not polled would block all behind
    /// it.
    deadline: Option<Instant>,
    /// `None` after it was woken; it then asks again.
    waker: Option<Waker>,
}

impl Budget {
    pub(super) fn new(limit: usize, when_full: WhenFull) -> Self {
        Self { limit, when_full, line: BTreeMap::new(), next_ticket: 0 }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the cost of a request of this many bytes.
    pub(super) fn cost(bytes: usize) -> usize {
        bytes.saturating_add(REQUEST_BYTES)
    }

    fn fits(&self, cost: usize, used: usize) -> bool {
        used == 0 || used.saturating_add(cost) <= self.limit
    }

    /// Admits a request, if there is capacity and no caller waits before it. Otherwise returns the
    /// ticket of its place in the line, or `None` if it must not wait. A waiting caller leaves its
    /// waker. Its previous waker is returned, in `waker` or as the result, to be dropped without
    /// the lock.
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
            return Ok(if first.is_some() { self.leave_first() } else { None });
        }
        if self.when_full == WhenFull::Fail {
            return Err(None);
        }
        if let Some(waiting) = ticket.and_then(|ticket| self.line.get_mut(&ticket)) {
            std::mem::swap(&mut waiting.waker, waker);
            return Err(ticket);
        }
        self.next_ticket += 1;
        self.line.insert(self.next_ticket, WaitingCaller { cost, deadline, waker: waker.take() });
        Err(Some(self.next_ticket))
    }

    /// Removes the first caller of the line. Few requests have waited: the others do not pay for it.
    #[cold]
    #[inline(never)]
    fn leave_first(&mut self) -> Option<Waker> {
        self.line.pop_first().and_then(|(_, waiting)| waiting.waker)
    }

    /// Returns the last ticket that was given out.
    pub(super) fn last_ticket(&self) -> u64 {
        self.next_ticket
    }

    /// Leaves the line; the waker is returned, to be dropped without the lock.
    pub(super) fn leave(&mut self, ticket: u64) -> Option<Waker> {
        self.line.remove(&ticket)?.waker
    }

    /// Returns the waker of the first caller in line, if there is capacity for it.
    #[inline]
    pub(super) fn next(&mut self, used: usize) -> Option<Waker> {
        let cost = self.line.first_key_value()?.1.cost;
        let fits = self.fits(cost, used);
        self.line.first_entry().filter(|_| fits)?.get_mut().waker.take()
    }

    /// Returns the earliest deadline in the line.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.line.values().filter_map(|waiting| waiting.deadline).min()
    }

    /// Removes overdue callers from the line, and returns their wakers.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Waker> {
        let mut wakers = Vec::new();
        self.line.retain(|_, waiting| {
            let over = waiting.deadline.is_some_and(|deadline| deadline <= now);
            if over {
                wakers.extend(waiting.waker.take());
            }
            !over
        });
        wakers
    }

    /// Empties the line, and returns its wakers.
    pub(super) fn clear(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.line).into_values().filter_map(|waiting| waiting.waker).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waker() -> Option<Waker> {
        Some(Waker::noop().clone())
    }

    #[test]
    fn capacity_is_granted_in_the_order_of_arrival() {
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
    fn request_larger_than_the_budget_is_sent_alone() {
        let mut budget = Budget::new(1000, WhenFull::Wait);
        let ticket = budget.admit(5000, 1, None, None, &mut waker()).unwrap_err();
        assert!(budget.admit(5000, 0, ticket, None, &mut waker()).is_ok());
    }

    #[test]
    fn leaving_the_line_admits_the_next_caller() {
        let mut budget = Budget::new(1000, WhenFull::Wait);
        let first = budget.admit(900, 900, None, None, &mut waker()).unwrap_err().unwrap();
        let second = budget.admit(50, 900, None, None, &mut waker()).unwrap_err();
        budget.leave(first);
        assert!(budget.next(900).is_some());
        assert!(budget.admit(50, 900, second, None, &mut waker()).is_ok());
    }

    #[test]
    fn overdue_caller_in_line_does_not_block_others() {
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
    fn full_budget_rejects_immediately_with_when_full_fail() {
        let mut budget = Budget::new(1000, WhenFull::Fail);
        assert_eq!(budget.admit(900, 200, None, None, &mut waker()).unwrap_err(), None);
    }
}
