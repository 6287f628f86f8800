//! Health: is there still somebody at the other end. Pure.
//!
//! A connection can be dead without a word: a firewall that forgot it, a host that is gone. So an idle one is asked (PING),
//! and one that owes an overdue reply and says nothing at all is given up.

use std::time::{Duration, Instant};

/// Silence shorter than this means nothing, however short the commands' time is.
const LEAST_SILENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Health {
    /// How long a connection may be idle before it is asked.
    idle: Option<Duration>,
    /// The time that commands have.
    timeout: Duration,
    /// When something came last.
    heard: Instant,
    asked: bool,
    /// When to give it up, if nothing comes until then.
    give_up: Option<Instant>,
}

/// What is to be done about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Wait,
    /// Ask whether anybody is there.
    Probe,
    /// Give it up.
    Silent,
}

impl Health {
    pub(super) fn new(idle: Option<Duration>, timeout: Duration, now: Instant) -> Self {
        Self { idle, timeout, heard: now, asked: false, give_up: None }
    }

    /// Something came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = false;
        self.give_up = None;
    }

    /// When to look again, if nothing comes until then. `owed`: whether a reply is owed.
    pub(super) fn next(&self, owed: bool) -> Option<Instant> {
        // Who waits for a reply looks after it; only an idle connection has nobody who does.
        let idle = self.idle.filter(|_| !owed && !self.asked);
        idle.and_then(|idle| self.heard.checked_add(idle)).into_iter().chain(self.give_up).min()
    }

    /// What is to be done now. `overdue`: whether a reply that is owed was found to be overdue.
    pub(super) fn look(&mut self, now: Instant, owed: bool, overdue: bool) -> Verdict {
        if overdue && self.give_up.is_none() {
            let asked = now.checked_sub(self.timeout).unwrap_or(now).max(self.heard);
            let silence = self.timeout.max(LEAST_SILENCE).saturating_mul(2);
            self.give_up = asked.checked_add(silence);
        }
        if self.give_up.is_some_and(|at| at <= now) {
            return Verdict::Silent;
        }
        let idle = now.saturating_duration_since(self.heard);
        if !owed && !self.asked && self.idle.is_some_and(|limit| idle >= limit) {
            self.asked = true;
            return Verdict::Probe;
        }
        Verdict::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(10);
    const TIMEOUT: Duration = Duration::from_secs(5);

    fn health() -> (Health, Instant) {
        let start = Instant::now();
        (Health::new(Some(IDLE), TIMEOUT, start), start)
    }

    #[test]
    fn an_idle_connection_is_asked_once_and_again_after_it_answered() {
        let (mut health, start) = health();
        assert_eq!(health.next(false), Some(start + IDLE));
        assert_eq!(health.look(start + IDLE / 2, false, false), Verdict::Wait);
        assert_eq!(health.look(start + IDLE, false, false), Verdict::Probe);
        assert_eq!(health.next(true), None);
        assert_eq!(health.look(start + IDLE * 2, true, false), Verdict::Wait);
        health.heard(start + IDLE * 2);
        assert_eq!(health.next(false), Some(start + IDLE * 3));
        assert_eq!(health.look(start + IDLE * 3, false, false), Verdict::Probe);
    }

    #[test]
    fn one_that_owes_a_reply_is_not_asked() {
        let (mut health, start) = health();
        assert_eq!(health.next(true), None);
        assert_eq!(health.look(start + IDLE, true, false), Verdict::Wait);
    }

    #[test]
    fn an_overdue_reply_and_silence_end_it_after_twice_the_time() {
        let (mut health, start) = health();
        health.heard(start + TIMEOUT / 2);
        let late = start + IDLE;
        assert_eq!(health.look(late, true, true), Verdict::Wait);
        let end = late - TIMEOUT + 2 * TIMEOUT;
        assert_eq!(health.next(true), Some(end));
        assert_eq!(health.look(end - Duration::from_millis(1), true, true), Verdict::Wait);
        assert_eq!(health.look(end, true, false), Verdict::Silent);
    }

    #[test]
    fn whatever_comes_saves_it() {
        let (mut health, start) = health();
        assert_eq!(health.look(start + TIMEOUT, true, true), Verdict::Wait);
        health.heard(start + TIMEOUT * 3 / 2);
        assert_eq!(health.next(true), None);
        assert_eq!(health.look(start + TIMEOUT * 3, true, false), Verdict::Wait);
    }

    #[test]
    fn short_timeouts_do_not_end_it_early() {
        let start = Instant::now();
        let mut health = Health::new(None, Duration::from_millis(10), start);
        let late = start + Duration::from_millis(10);
        assert_eq!(health.look(late, true, true), Verdict::Wait);
        assert_eq!(health.next(true), Some(start + 2 * LEAST_SILENCE));
        assert_eq!(health.next(false), Some(start + 2 * LEAST_SILENCE), "never asked when idle");
    }
}
