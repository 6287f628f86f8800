//! Retry: whether a command is sent again, and when. Pure.
//!
//! A command is sent again only where that can do no harm: it has not run, for the server said so; or it may run twice, for
//! it reads or leaves the same behind. And only within the time that its caller gave it.

use crate::command::Safety;
use crate::error::{Code, Disconnect, ServerError};
use std::time::{Duration, Instant};

/// Between attempts at a server that is not ready passes a random time below a bound that doubles between these two.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(500);

/// The bound of the pause before a command is sent again whose connections have ended, once and again: it may be what ends them.
const LONGEST_LOST: Duration = Duration::from_secs(2);

/// With less time than this left a command is not sent again: better to be told that it has not run than not to know.
const LEFT: Duration = Duration::from_millis(100);

/// How often a command was sent again.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Attempts {
    lost: u8,
    refused: u8,
}

/// When and where to send a command again that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Again {
    /// After this long.
    pub(crate) after: Duration,
    /// On another connection: this one leads to the wrong server, or is not what it was.
    pub(crate) elsewhere: bool,
}

impl Again {
    /// When to send it, if there is time enough by then.
    pub(crate) fn at(&self, now: Instant, deadline: Option<Instant>) -> Option<Instant> {
        let at = now.checked_add(self.after)?;
        let enough = |deadline: Instant| deadline.saturating_duration_since(at) >= LEFT;
        deadline.is_none_or(enough).then_some(at)
    }
}

impl Attempts {
    /// When to send a command again whose connection ended like this before its reply came; `None` if it must not be, or
    /// cannot help. `random` is from 0 to 1.
    pub(crate) fn lost(
        &mut self,
        reason: &Disconnect,
        safety: Safety,
        random: f64,
    ) -> Option<Again> {
        // A reply that broke the protocol, or was too large, would do so again.
        let chance = match reason {
            Disconnect::Eof | Disconnect::Io(_) | Disconnect::Silent | Disconnect::Stale => true,
            Disconnect::Credentials(_) => true,
            Disconnect::Protocol(_) | Disconnect::Closed | Disconnect::NotYet => false,
        };
        if !chance || safety == Safety::Write {
            return None;
        }
        let after = match self.lost.checked_sub(1) {
            None => Duration::ZERO,
            Some(repeats) => pause(repeats, LONGEST_LOST, random),
        };
        self.lost = self.lost.saturating_add(1);
        Some(Again { after, elsewhere: false })
    }

    /// Whether to send a command again that was refused with this code; `random` is from 0 to 1.
    pub(crate) fn refused(&mut self, error: &ServerError, random: f64) -> Option<Again> {
        let elsewhere = match error.code() {
            Code::Loading | Code::MasterDown | Code::TryAgain | Code::ClusterDown | Code::Busy => {
                false
            }
            Code::ReadOnly => true,
            // A read that was blocked when its server became a replica; but not one that somebody ended, or whose key is gone.
            Code::Unblocked if error.is_role_change() => true,
            // Its credentials are given anew with a new connection; to do so twice helps nobody.
            Code::NoAuth if self.refused == 0 => true,
            _ => return None,
        };
        let after = pause(self.refused, LONGEST, random);
        self.refused = self.refused.saturating_add(1);
        Some(Again { after, elsewhere })
    }
}

/// A random time below a bound that doubles each time. Half of the bound always passes, so that a server is not asked in a
/// tight loop.
fn pause(before: u8, longest: Duration, random: f64) -> Duration {
    let bound = SHORTEST.saturating_mul(1 << before.min(8)).min(longest);
    bound.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::ProtocolError;

    fn refusal(text: &str) -> ServerError {
        ServerError::new("XADD", text.as_bytes())
    }

    #[test]
    fn only_what_may_run_twice_is_sent_again_and_less_and_less_often() {
        for safety in [Safety::ReadOnly, Safety::Idempotent, Safety::Windowed] {
            let mut attempts = Attempts::default();
            let mut next = || attempts.lost(&Disconnect::Eof, safety, 1.0).unwrap().after;
            let pauses: Vec<u128> = (0..10).map(|_| next().as_millis()).collect();
            assert_eq!(pauses, [0, 20, 40, 80, 160, 320, 640, 1280, 2000, 2000], "{safety:?}");
        }
        assert_eq!(Attempts::default().lost(&Disconnect::Eof, Safety::Write, 1.0), None);
    }

    #[test]
    fn what_broke_the_connection_is_not_sent_again() {
        let limit = Disconnect::Protocol(ProtocolError::TooLarge { limit: 1 });
        for reason in [limit, Disconnect::Closed] {
            let again = Attempts::default().lost(&reason, Safety::ReadOnly, 1.0);
            assert_eq!(again, None, "{reason:?}");
        }
    }

    #[test]
    fn a_server_that_is_not_ready_is_asked_less_and_less_often() {
        let mut attempts = Attempts::default();
        let waits: Vec<u128> = (0..7)
            .filter_map(|_| attempts.refused(&refusal("LOADING data"), 1.0))
            .map(|again| again.after.as_millis())
            .collect();
        assert_eq!(waits, [20, 40, 80, 160, 320, 500, 500]);
        let again = Attempts::default().refused(&refusal("BUSY a script"), 0.0).unwrap();
        assert_eq!(again, Again { after: Duration::from_millis(10), elsewhere: false });
    }

    #[test]
    fn a_read_that_a_role_change_ended_goes_on_elsewhere() {
        let text = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
        assert!(Attempts::default().refused(&refusal(text), 0.5).unwrap().elsewhere);
    }

    #[test]
    fn nothing_is_sent_again_at_the_last_moment() {
        let now = Instant::now();
        let again = Again { after: Duration::from_millis(50), elsewhere: false };
        let rows = [(149, false), (150, true), (1000, true)];
        for (ms, sent) in rows {
            let at = again.at(now, Some(now + Duration::from_millis(ms)));
            assert_eq!(at, sent.then_some(now + again.after), "{ms}");
        }
        assert!(again.at(now, None).is_some());
    }

    #[test]
    fn the_wrong_server_is_left_and_lost_credentials_are_given_once_more() {
        let mut attempts = Attempts::default();
        assert!(attempts.refused(&refusal("READONLY replica"), 0.5).unwrap().elsewhere);
        assert!(attempts.refused(&refusal("READONLY replica"), 0.5).unwrap().elsewhere);
        let mut attempts = Attempts::default();
        assert!(attempts.refused(&refusal("NOAUTH who"), 0.5).unwrap().elsewhere);
        assert_eq!(attempts.refused(&refusal("NOAUTH who"), 0.5), None);
    }

    #[test]
    fn what_somebody_has_to_mend_is_told_at_once() {
        let unblocked = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
        let gone = "UNBLOCKED the stream key no longer exists";
        for code in [
            "ERR",
            "OOM",
            "NOPERM",
            "NOREPLICAS",
            "WRONGPASS",
            "MISCONF",
            "NOGROUP",
            unblocked,
            gone,
        ] {
            assert_eq!(Attempts::default().refused(&refusal(code), 0.5), None, "{code}");
        }
    }
}
