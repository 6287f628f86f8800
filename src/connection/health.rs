//! Connection liveness: probes (PING) and overdue replies. No I/O.
//!
//! A connection can be broken without an error. Examples: a firewall dropped its state, the host is
//! gone, a proxy lost a reply, a reply arrives one byte at a time. So an idle connection is probed,
//! and an overdue reply puts it in doubt:
//!
//! | event | state | action |
//! |---|---|---|
//! | the oldest reply is overdue | doubt | its caller got a timeout; nothing new is written |
//! | all late replies came, still in doubt | doubt | PING is sent before anything else |
//! | a caller that still waits gets its reply, or PONG arrives | alive | writing resumes |
//! | the oldest reply is overdue by its own timeout again | dead | the connection is replaced |
//!
//! Bytes alone do not count as life, nor does a reply after its caller's deadline.
//!
//! A busy connection is probed as well, behind the requests that wait. If the server or a proxy
//! sent one reply too many, every later reply would be delivered to the wrong caller. The answer to
//! the PING shows it.

use std::time::{Duration, Instant};

/// Lower bound of the silence timeout, whatever the command timeout is.
const LEAST_SILENCE: Duration = Duration::from_secs(2);

/// The deadline of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// The deadline.
    pub(crate) at: Instant,
    /// The request's whole timeout.
    pub(crate) time: Duration,
}

impl Due {
    /// Returns the end of this many timeouts of silence, counted from the start of the request.
    fn after(&self, times: u32) -> Option<Instant> {
        let silence = self.time.max(LEAST_SILENCE).saturating_mul(times);
        self.at.checked_add(silence.saturating_sub(self.time))
    }

    /// Returns the time from which its connection is in doubt.
    fn doubt(&self) -> Option<Instant> {
        self.after(1)
    }

    /// Returns the time from which its connection is dead, if a reply came in time at `lively`.
    ///
    /// A reply that waited behind a slow one has its own time again from there.
    fn dead(&self, lively: Instant) -> Option<Instant> {
        let again = lively.checked_add(self.time.max(LEAST_SILENCE))?;
        Some(self.after(2)?.max(again))
    }
}

/// The deadline of the oldest outstanding reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owed {
    /// No reply is outstanding.
    Nothing,
    /// A reply with a deadline.
    By(Due),
    /// A reply without a deadline.
    Whenever,
}

#[derive(Debug)]
pub(super) struct Health {
    /// The idle time after which a connection is probed.
    idle: Option<Duration>,
    /// The time of the last reply.
    heard: Instant,
    /// A probe was sent since the last reply.
    probed: bool,
    /// The time of the last probe.
    checked: Instant,
    /// The time of the last reply that came in time.
    lively: Instant,
    /// Set while in doubt: the time from which an overdue reply makes the connection dead.
    doubt: Option<Instant>,
}

/// The action for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Do nothing.
    Wait,
    /// Send a PING before all other requests.
    Probe,
    /// Send a PING behind all other requests.
    Check,
    /// Write nothing new.
    Doubt,
    /// Replace it.
    Dead,
}

impl Health {
    pub(super) fn new(idle: Option<Duration>, now: Instant) -> Self {
        Self { idle, heard: now, probed: false, checked: now, lively: now, doubt: None }
    }

    /// Records a reply, in time or late.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.probed = false;
    }

    /// Records a reply in time, which ends the doubt.
    pub(super) fn alive(&mut self) {
        self.doubt = None;
        self.lively = self.heard;
    }

    /// Returns the time of the next check, if no reply arrives before it.
    pub(super) fn next(&self, owed: &Owed) -> Option<Instant> {
        match (owed, self.doubt) {
            // A blocking read shows nothing about the server.
            (Owed::Whenever, _) => None,
            (Owed::By(due), None) => due.doubt().into_iter().chain(self.check()).min(),
            // A reply keeps its own deadline while in doubt.
            (Owed::By(due), Some(dead)) => Some(dead.max(due.at)),
            (Owed::Nothing, Some(_)) => Some(self.heard).filter(|_| !self.probed),
            (Owed::Nothing, None) => {
                self.idle.filter(|_| !self.probed).and_then(|idle| self.heard.checked_add(idle))
            }
        }
    }

    /// Returns the time of the next probe of a busy connection.
    fn check(&self) -> Option<Instant> {
        self.checked.checked_add(self.idle?)
    }

    /// Returns the action for this moment.
    pub(super) fn look(&mut self, now: Instant, owed: &Owed) -> Verdict {
        if self.next(owed).is_none_or(|at| now < at) {
            return Verdict::Wait;
        }
        match (owed, self.doubt) {
            (Owed::Whenever, _) => Verdict::Wait,
            (Owed::Nothing, _) => {
                self.probed = true;
                self.checked = now;
                Verdict::Probe
            }
            (Owed::By(_), Some(_)) => Verdict::Dead,
            (Owed::By(due), None) if due.doubt().is_none_or(|at| now < at) => {
                self.checked = now;
                Verdict::Check
            }
            (Owed::By(due), None) => {
                self.doubt = due.dead(self.lively);
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

    /// The reply to a request that has `time` and began at `start`.
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
    fn busy_connection_is_probed_once_per_idle_time() {
        let (mut health, start) = health();
        let busy = |now: Instant| by(now, TIME);
        let (first, second) = (start + IDLE, start + IDLE * 2);
        assert_eq!(health.next(&busy(start)), Some(start + TIME), "the reply's deadline is first");
        let before = first - TIME / 2;
        assert_eq!(health.next(&busy(before)), Some(first));
        assert_eq!(health.look(before, &busy(before)), Verdict::Wait);
        assert_eq!(health.look(first, &busy(before)), Verdict::Check);
        assert_eq!(health.look(first, &busy(before)), Verdict::Wait);
        assert_eq!(health.look(second, &busy(second)), Verdict::Check);
        let overdue = second + IDLE;
        assert_eq!(health.look(overdue, &busy(overdue - TIME)), Verdict::Doubt, "doubt goes first");
        assert_eq!(Health::new(None, start).look(overdue, &busy(overdue)), Verdict::Wait);
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
        // Bytes and late replies do not change this.
        health.heard(start + TIME * 3 / 2);
        assert_eq!(health.look(start + TIME * 2 - Duration::from_millis(1), &owed), Verdict::Wait);
        assert_eq!(health.look(start + TIME * 2, &owed), Verdict::Dead);
    }

    #[test]
    fn overdue_reply_behind_a_slow_one_has_its_time_again() {
        let (mut health, start) = health();
        let slow = start + IDLE * 3;
        health.heard(slow);
        health.alive();
        let owed = by(start, TIME);
        assert_eq!(health.look(slow, &owed), Verdict::Doubt);
        assert_eq!(health.look(slow + TIME - Duration::from_millis(1), &owed), Verdict::Wait);
        assert_eq!(health.look(slow + TIME, &owed), Verdict::Dead);
    }

    #[test]
    fn late_replies_lead_to_a_probe_whose_answer_ends_the_doubt() {
        let (mut health, start) = health();
        assert_eq!(health.look(start + TIME, &by(start, TIME)), Verdict::Doubt);
        let late = start + TIME * 3 / 2;
        health.heard(late);
        assert_eq!(health.look(late, &Owed::Nothing), Verdict::Probe);
        assert_eq!(health.look(late, &Owed::Nothing), Verdict::Wait, "one probe at a time");
        // The probe has its own timeout.
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
