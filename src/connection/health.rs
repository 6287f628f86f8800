//! Health: is there still somebody at the other end. Pure.
//!
//! A connection can be dead without a word: a firewall that forgot it, a host that is gone. So an idle one is asked (PING),
//! and one that owes an overdue reply and says nothing at all is given up.

use std::time::{Duration, Instant};

/// Silence shorter than this means nothing, however short the commands' time is.
const LEAST_SILENCE: Duration = Duration::from_secs(2);

/// The oldest reply that a server owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owed {
    /// None.
    Nothing,
    /// One that is due at this time.
    By(Instant),
    /// One that may take any time.
    Whenever,
}

#[derive(Debug)]
pub(super) struct Health {
    /// How long a connection may be idle before it is asked.
    idle: Option<Duration>,
    /// The time that commands have.
    timeout: Duration,
    /// When a reply came last, or a part of one.
    heard: Instant,
    asked: bool,
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
        Self { idle, timeout, heard: now, asked: false }
    }

    /// A reply came, or a part of one.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = false;
    }

    /// When to look again, if nothing comes until then.
    pub(super) fn next(&self, owed: &Owed) -> Option<Instant> {
        match owed {
            // Who waits for a reply looks after it; only an idle connection has nobody who does.
            Owed::Nothing => {
                self.idle.filter(|_| !self.asked).and_then(|idle| self.heard.checked_add(idle))
            }
            Owed::By(due) => self.give_up(*due),
            Owed::Whenever => None,
        }
    }

    /// When a connection is given up that owes a reply which is due at this time: after twice a command's time of silence,
    /// counted from when it was asked or said something last.
    fn give_up(&self, due: Instant) -> Option<Instant> {
        let asked = due.checked_sub(self.timeout).unwrap_or(due);
        asked.max(self.heard).checked_add(self.timeout.max(LEAST_SILENCE).saturating_mul(2))
    }

    /// What is to be done now.
    pub(super) fn look(&mut self, now: Instant, owed: &Owed) -> Verdict {
        if self.next(owed).is_none_or(|at| now < at) {
            return Verdict::Wait;
        }
        if matches!(owed, Owed::Nothing) {
            self.asked = true;
            return Verdict::Probe;
        }
        Verdict::Silent
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
        assert_eq!(health.next(&Owed::Nothing), Some(start + IDLE));
        assert_eq!(health.look(start + IDLE / 2, &Owed::Nothing), Verdict::Wait);
        assert_eq!(health.look(start + IDLE, &Owed::Nothing), Verdict::Probe);
        assert_eq!(health.look(start + IDLE * 2, &Owed::Nothing), Verdict::Wait);
        health.heard(start + IDLE * 2);
        assert_eq!(health.next(&Owed::Nothing), Some(start + IDLE * 3));
        assert_eq!(health.look(start + IDLE * 3, &Owed::Nothing), Verdict::Probe);
    }

    #[test]
    fn one_that_may_take_any_time_is_left_alone() {
        let (mut health, start) = health();
        assert_eq!(health.next(&Owed::Whenever), None);
        assert_eq!(health.look(start + IDLE * 100, &Owed::Whenever), Verdict::Wait);
    }

    #[test]
    fn an_overdue_reply_and_silence_end_it_after_twice_the_time() {
        let (mut health, start) = health();
        let sent = start + IDLE;
        let owed = Owed::By(sent + TIMEOUT);
        assert_eq!(health.next(&owed), Some(sent + 2 * TIMEOUT));
        assert_eq!(
            health.look(sent + 2 * TIMEOUT - Duration::from_millis(1), &owed),
            Verdict::Wait
        );
        assert_eq!(health.look(sent + 2 * TIMEOUT, &owed), Verdict::Silent);
    }

    #[test]
    fn whatever_comes_puts_it_off_and_no_more_than_that() {
        let (mut health, start) = health();
        let owed = Owed::By(start + TIMEOUT);
        health.heard(start + TIMEOUT * 3 / 2);
        let end = start + TIMEOUT * 3 / 2 + 2 * TIMEOUT;
        assert_eq!(health.look(start + TIMEOUT * 3, &owed), Verdict::Wait);
        assert_eq!(health.look(end, &owed), Verdict::Silent);
    }

    #[test]
    fn short_timeouts_do_not_end_it_early() {
        let start = Instant::now();
        let health = Health::new(None, Duration::from_millis(10), start);
        let owed = Owed::By(start + Duration::from_millis(10));
        assert_eq!(health.next(&owed), Some(start + 2 * LEAST_SILENCE));
        assert_eq!(health.next(&Owed::Nothing), None, "never asked when idle");
    }
}
