//! Whether and when a command is retried. No I/O.
//!
//! A command is retried only where that is safe: the server said that it did not run, or it is
//! read-only or idempotent. Retries stay within the caller's timeout.

use crate::command::Safety;
use crate::error::{Code, Disconnect, ServerError};
use std::time::{Duration, Instant};

/// The least and the greatest bound of the random pause between attempts at a server that is not
/// ready. The bound doubles.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(500);

/// The least and the greatest bound of the pause before a command is retried whose connections were
/// lost: the command may be the cause.
const LONGEST_LOST: Duration = Duration::from_secs(2);

/// With less time left, a command is not retried: the error then says that it has not run.
const LEFT: Duration = Duration::from_millis(100);

/// The number of retries of a command.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Attempts {
    lost: u8,
    refused: u8,
}

/// The time and the connection of a retry after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextAttempt {
    /// The delay.
    pub(crate) after: Duration,
    /// Use another connection: this one leads to the wrong server, or has lost its session.
    pub(crate) elsewhere: bool,
}

impl NextAttempt {
    /// Returns the time of the retry, if enough time is left then.
    pub(crate) fn at(&self, now: Instant, deadline: Option<Instant>) -> Option<Instant> {
        let at = now.checked_add(self.after)?;
        let enough = |deadline: Instant| deadline.saturating_duration_since(at) >= LEFT;
        deadline.is_none_or(enough).then_some(at)
    }
}

impl Attempts {
    /// Returns the retry of a command whose connection ended like this before the reply; `None` if
    /// a retry is not safe or cannot help. `random` is from 0 to 1.
    pub(crate) fn lost(
        &mut self,
        reason: &Disconnect,
        safety: Safety,
        random: f64,
    ) -> Option<NextAttempt> {
        // A reply that broke the protocol, or was too large, would do so again.
        let chance = match reason {
            Disconnect::Eof | Disconnect::Io(_) | Disconnect::Silent | Disconnect::Stale => true,
            Disconnect::Credentials(_) | Disconnect::Unused | Disconnect::OtherMaster => true,
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
        Some(NextAttempt { after, elsewhere: false })
    }

    /// Returns the retry of a command that was refused with this error; `random` is from 0 to 1.
    pub(crate) fn refused(&mut self, error: &ServerError, random: f64) -> Option<NextAttempt> {
        let elsewhere = match error.code() {
            Code::Loading | Code::MasterDown | Code::TryAgain | Code::ClusterDown | Code::Busy => {
                false
            }
            Code::ReadOnly => true,
            // A blocked read whose server became a replica; not one ended by CLIENT UNBLOCK or a
            // deleted key.
            Code::Unblocked if error.is_role_change() => true,
            // A new connection authenticates again; a second retry would not help.
            Code::NoAuth if self.refused == 0 => true,
            _ => return None,
        };
        let after = pause(self.refused, LONGEST, random);
        self.refused = self.refused.saturating_add(1);
        Some(NextAttempt { after, elsewhere })
    }
}

/// Returns a random time below a bound that doubles each time. It is at least half of the bound, so
/// that a server is not retried in a tight loop.
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
    fn protocol_error_and_close_are_not_retried() {
        let limit = Disconnect::Protocol(ProtocolError::TooLarge { limit: 1 });
        for reason in [limit, Disconnect::Closed] {
            let again = Attempts::default().lost(&reason, Safety::ReadOnly, 1.0);
            assert_eq!(again, None, "{reason:?}");
        }
    }

    #[test]
    fn backoff_doubles_while_the_server_is_not_ready() {
        let mut attempts = Attempts::default();
        let waits: Vec<u128> = (0..7)
            .filter_map(|_| attempts.refused(&refusal("LOADING data"), 1.0))
            .map(|again| again.after.as_millis())
            .collect();
        assert_eq!(waits, [20, 40, 80, 160, 320, 500, 500]);
        let again = Attempts::default().refused(&refusal("BUSY a script"), 0.0).unwrap();
        assert_eq!(again, NextAttempt { after: Duration::from_millis(10), elsewhere: false });
    }

    #[test]
    fn read_unblocked_by_a_role_change_is_retried_on_another_connection() {
        let text = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
        assert!(Attempts::default().refused(&refusal(text), 0.5).unwrap().elsewhere);
    }

    #[test]
    fn refused_command_is_not_retried_with_less_than_100_ms_left() {
        let now = Instant::now();
        let again = NextAttempt { after: Duration::from_millis(50), elsewhere: false };
        let rows = [(149, false), (150, true), (1000, true)];
        for (ms, sent) in rows {
            let at = again.at(now, Some(now + Duration::from_millis(ms)));
            assert_eq!(at, sent.then_some(now + again.after), "{ms}");
        }
        assert!(again.at(now, None).is_some());
    }

    #[test]
    fn readonly_is_retried_on_another_connection_and_noauth_only_once() {
        let mut attempts = Attempts::default();
        assert!(attempts.refused(&refusal("READONLY replica"), 0.5).unwrap().elsewhere);
        assert!(attempts.refused(&refusal("READONLY replica"), 0.5).unwrap().elsewhere);
        let mut attempts = Attempts::default();
        assert!(attempts.refused(&refusal("NOAUTH who"), 0.5).unwrap().elsewhere);
        assert_eq!(attempts.refused(&refusal("NOAUTH who"), 0.5), None);
    }

    #[test]
    fn permanent_errors_are_not_retried() {
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
