//! Connection liveness: idle probes (PING) and overdue replies. No I/O.
//!
//! A connection can be useless without a word: a firewall that forgot it, a host that is gone, a proxy that lost one reply, a
//! reply that comes a byte at a time. So an idle connection is probed, and an overdue reply starts a doubt:
//!
//! | moment | state | what happens |
//! |---|---|---|
//! | the oldest reply is overdue | doubt | its caller got a time-out; nothing new is written |
//! | all late replies came, still in doubt | doubt | PING is sent before anything else |
//! | a reply reaches a caller that still waits, or PONG comes | life | writing goes on |
//! | the oldest reply is overdue by its own time again | dead | the connection is replaced |
//!
//! Bytes alone are no sign of life, and neither is a reply that comes after its caller's deadline.

use std::time::{Duration, Instant};

/// A reply that took less than this is never called overdue, however short its caller's deadline is.
const LEAST_SILENCE: Duration = Duration::from_secs(2);

/// The time by which a reply must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// The deadline.
    pub(crate) at: Instant,
    /// The time that the request had in all.
    pub(crate) time: Duration,
}

impl Due {
    /// The end of this many times of silence, counted from when the request began.
    fn after(&self, times: u32) -> Option<Instant> {
        let silence = self.time.max(LEAST_SILENCE).saturating_mul(times);
        self.at.checked_add(silence.saturating_sub(self.time))
    }

    /// When its connection comes into doubt.
    fn doubt(&self) -> Option<Instant> {
        self.after(1)
    }

    /// When its connection is dead.
    fn dead(&self) -> Option<Instant> {
        self.after(2)
    }
}

/// The oldest reply that a server owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owed {
    /// None.
    Nothing,
    /// One that is due.
    By(Due),
    /// One that may take any time.
    Whenever,
}

#[derive(Debug)]
pub(super) struct Health {
    /// How long a connection may be idle before it is probed.
    idle: Option<Duration>,
    /// When a reply came last.
    heard: Instant,
    /// A probe was sent since then.
    probed: bool,
    /// In doubt, until a reply is in time again: when the first overdue reply makes the connection a dead one.
    doubt: Option<Instant>,
}

/// What is to be done about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Wait,
    /// Send a PING.
    Probe,
    /// Write nothing new.
    Doubt,
    /// Replace it.
    Dead,
}

impl Health {
    pub(super) fn new(idle: Option<Duration>, now: Instant) -> Self {
        Self { idle, heard: now, probed: false, doubt: None }
    }

    /// A reply came, in time or late.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.probed = false;
    }

    /// A reply came in time: there is no doubt any more.
    pub(super) fn alive(&mut self) {
        self.doubt = None;
    }

    /// When to look again, if nothing comes until then.
    pub(super) fn next(&self, owed: &Owed) -> Option<Instant> {
        match (owed, self.doubt) {
            // What blocks says nothing of the server.
            (Owed::Whenever, _) => None,
            (Owed::By(due), None) => due.doubt(),
            // A reply has its own time, also in doubt.
            (Owed::By(due), Some(dead)) => Some(dead.max(due.at)),
            (Owed::Nothing, Some(_)) => Some(self.heard).filter(|_| !self.probed),
            (Owed::Nothing, None) => {
                self.idle.filter(|_| !self.probed).and_then(|idle| self.heard.checked_add(idle))
            }
        }
    }

    /// What is to be done now.
    pub(super) fn look(&mut self, now: Instant, owed: &Owed) -> Verdict {
        if self.next(owed).is_none_or(|at| now < at) {
            return Verdict::Wait;
        }
        match (owed, self.doubt) {
            (Owed::Whenever, _) => Verdict::Wait,
            (Owed::Nothing, _) => {
                self.probed = true;
                Verdict::Probe
            }
            (Owed::By(_), Some(_)) => Verdict::Dead,
            (Owed::By(due), None) => {
                self.doubt = due.dead();
                Verdict::Doubt
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(10);
    const TIME: Duration = Duration::from_secs(5);

    fn health() -> (Health, Instant) {
        let start = Instant::now();
        (Health::new(Some(IDLE), start), start)
    }

    /// A reply to a request that had `time` and began at `start`.
    fn by(start: Instant, time: Duration) -> Owed {
        Owed::By(Due { at: start + time, time })
    }

    #[test]
    fn idle_connection_is_probed_once_and_again_after_an_answer() {
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
    fn reply_without_deadline_never_causes_doubt() {
        let (mut health, start) = health();
        assert_eq!(health.next(&Owed::Whenever), None);
        assert_eq!(health.look(start + IDLE * 100, &Owed::Whenever), Verdict::Wait);
    }

    #[test]
    fn overdue_reply_causes_doubt_and_is_dead_after_its_time_again() {
        let (mut health, start) = health();
        let owed = by(start, TIME);
        assert_eq!(health.look(start + TIME - Duration::from_millis(1), &owed), Verdict::Wait);
        assert_eq!(health.look(start + TIME, &owed), Verdict::Doubt);
        // Bytes and late replies change nothing of that.
        health.heard(start + TIME * 3 / 2);
        assert_eq!(health.look(start + TIME * 2 - Duration::from_millis(1), &owed), Verdict::Wait);
        assert_eq!(health.look(start + TIME * 2, &owed), Verdict::Dead);
    }

    #[test]
    fn late_replies_lead_to_a_probe_whose_answer_ends_the_doubt() {
        let (mut health, start) = health();
        assert_eq!(health.look(start + TIME, &by(start, TIME)), Verdict::Doubt);
        let late = start + TIME * 3 / 2;
        health.heard(late);
        assert_eq!(health.look(late, &Owed::Nothing), Verdict::Probe);
        assert_eq!(health.look(late, &Owed::Nothing), Verdict::Wait, "one probe at a time");
        // The probe has its own time.
        let probe = by(late, TIME);
        assert_eq!(health.look(start + TIME * 2, &probe), Verdict::Wait);
        assert_eq!(health.next(&probe), Some(late + TIME));
        health.heard(late);
        health.alive();
        assert_eq!(health.next(&Owed::Nothing), Some(late + IDLE));
        let next = by(late, TIME);
        assert_eq!(health.look(late + TIME, &next), Verdict::Doubt, "a new doubt");
    }

    #[test]
    fn short_deadlines_do_not_cause_doubt_early() {
        let start = Instant::now();
        let mut health = Health::new(None, start);
        let owed = by(start, Duration::from_millis(10));
        assert_eq!(health.next(&owed), Some(start + LEAST_SILENCE));
        assert_eq!(health.look(start + LEAST_SILENCE, &owed), Verdict::Doubt);
        assert_eq!(health.next(&owed), Some(start + 2 * LEAST_SILENCE));
        assert_eq!(Health::new(None, start).next(&Owed::Nothing), None, "never probed when idle");
    }
}
