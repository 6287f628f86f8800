//! CLIENT PAUSE: suspends the commands of all clients. No I/O.

use crate::command::arg::ms;
use crate::command::reply::ok;
use crate::command::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};
use std::time::Duration;

/// Suspends the commands of all clients for a time.
///
/// `CLIENT PAUSE timeout [WRITE]` (Redis 3.0). The reply is immediate; later commands, on this and
/// all other connections, get their replies after the pause. That includes [`Ping`](crate::Ping)
/// and [`ClientUnpause`](crate::ClientUnpause), so only [`write_only`](Self::write_only) can be
/// ended early. A command that waits longer than its deadline fails with
/// [`Error::TimedOut`](crate::Error::TimedOut), and may still run.
///
/// A shorter pause does not shorten a longer one.
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) for a time beyond the server's range; before Redis 7.2 such a
/// time causes no pause.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, ClientPause, ClientUnpause, Error};
/// # use std::time::Duration;
/// # async fn f(client: &Client) -> Result<(), Error> {
/// client.send(ClientPause::new(Duration::from_secs(5)).write_only()).await?;
/// // Nothing is written now: the time to let a replica catch up and take over.
/// client.send(ClientUnpause::new()).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ClientPause {
    timeout: Duration,
    write_only: bool,
}

impl ClientPause {
    /// Suspends all commands for this long, rounded up to a millisecond.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, write_only: false }
    }

    /// Suspends only commands that may write, including reads of a group: `WRITE` (Redis 6.2).
    pub fn write_only(self) -> Self {
        Self { write_only: true, ..self }
    }
}

impl Command for ClientPause {
    const NAME: &'static str = "CLIENT PAUSE";
    // A second run restarts the time.
    const SAFETY: Safety = Safety::Write;
    type Reply = ();

    fn args(&self, out: &mut impl Args) {
        out.number(ms(self.timeout));
        if self.write_only {
            out.text("WRITE");
        }
    }

    fn needs(&self) -> Features {
        Features::NONE.and_if(self.write_only, Feature::ClientPauseMode)
    }

    fn reply(frame: Frame) -> Result<(), DecodeError> {
        ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};

    #[test]
    fn client_pause_time_is_in_milliseconds_before_the_mode() {
        let mode = Feature::ClientPauseMode.into();
        let second = ClientPause::new(Duration::from_secs(1));
        let rows = [
            (second.clone(), "CLIENT PAUSE 1000", Features::NONE),
            (second.write_only(), "CLIENT PAUSE 1000 WRITE", mode),
            (ClientPause::new(Duration::ZERO), "CLIENT PAUSE 0", Features::NONE),
            (ClientPause::new(Duration::from_nanos(1)), "CLIENT PAUSE 1", Features::NONE),
        ];
        for (pause, expected, needs) in rows {
            assert_eq!(encode(&pause), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(pause.needs(), needs, "{expected}");
        }
    }
}
