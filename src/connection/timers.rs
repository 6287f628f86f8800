//! Callers that wait for a point in time, such as the next attempt of a refused command. No I/O.
//!
//! The driver and the guard wake them, like callers whose deadline has passed. So a caller needs
//! neither its own timer nor a runtime.

use std::task::Waker;
use std::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Timers {
    waiting: Vec<Timer>,
    next_id: u64,
}

#[derive(Debug)]
struct Timer {
    id: u64,
    at: Instant,
    waker: Waker,
}

impl Timers {
    /// Sets the time at which a caller is woken. With an id it replaces an earlier waker, which is
    /// returned, to be dropped without the lock.
    pub(super) fn set(
        &mut self,
        id: Option<u64>,
        at: Instant,
        waker: Waker,
    ) -> (u64, Option<Waker>) {
        let known = self.waiting.iter_mut().find(|timer| Some(timer.id) == id);
        if let Some(timer) = known {
            return (timer.id, Some(std::mem::replace(&mut timer.waker, waker)));
        }
        self.next_id += 1;
        self.waiting.push(Timer { id: self.next_id, at, waker });
        (self.next_id, None)
    }

    /// Returns the earliest time at which a caller is to be woken.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.iter().map(|timer| timer.at).min()
    }

    /// Removes and returns the wakers whose time has come.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Waker> {
        let mut wakers = Vec::new();
        self.waiting.retain_mut(|timer| {
            let due = timer.at <= now;
            if due {
                wakers.push(std::mem::replace(&mut timer.waker, Waker::noop().clone()));
            }
            !due
        });
        wakers
    }

    /// Removes and returns all wakers.
    pub(super) fn clear(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.waiting).into_iter().map(|timer| timer.waker).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timers_expire_once_at_their_time() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        let (first, before) = timers.set(None, at(20), Waker::noop().clone());
        assert!(before.is_none());
        timers.set(None, at(10), Waker::noop().clone());
        let (again, before) = timers.set(Some(first), at(20), Waker::noop().clone());
        assert!(again == first && before.is_some());
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.expire(at(9)).len(), 0);
        assert_eq!(timers.expire(at(10)).len(), 1);
        assert_eq!(timers.next(), Some(at(20)));
        assert_eq!(timers.clear().len(), 1);
        assert_eq!(timers.next(), None);
    }
}
