//! PING: checks that the server replies. No I/O.

use super::arg::Arg;
use super::echo::text;
use super::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};
use bytes::Bytes;

/// Checks that the server is reachable and serving.
///
/// `PING` (Redis 1.0). A server that is loading, busy with a script, disconnected from its master
/// or unable to save replies with an error.
///
/// # Errors
///
/// [`Code::Loading`](crate::Code::Loading), [`Code::Busy`](crate::Code::Busy),
/// [`Code::MasterDown`](crate::Code::MasterDown) or [`Code::MisConf`](crate::Code::MisConf): the
/// server is reachable, but does not serve commands.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, Ping};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// client.send(Ping::new()).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Ping(());

impl Ping {
    /// Creates a PING without text.
    pub fn new() -> Self {
        Self(())
    }

    /// Sends this text, which the server returns.
    pub fn text<'a>(self, text: impl Into<Arg<'a>>) -> PingText<'a> {
        PingText { text: text.into() }
    }
}

/// A [`Ping`] with a text, which the server returns: `PING text` (Redis 2.8).
///
/// The returned text shares the buffer of the reply.
///
/// # Errors
///
/// The same as for [`Ping`].
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, Ping};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// assert_eq!(client.send(Ping::new().text("7")).await?, "7");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct PingText<'a> {
    text: Arg<'a>,
}

impl Command for Ping {
    const NAME: &'static str = "PING";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = ();

    fn args(&self, _: &mut impl Args) {}

    fn reply(frame: Frame) -> Result<(), DecodeError> {
        match frame.cursor().string(PONG)? {
            b"PONG" => Ok(()),
            other => Err(DecodeError::text(PONG, other)),
        }
    }
}

impl Command for PingText<'_> {
    const NAME: &'static str = "PING";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = Bytes;

    fn args(&self, out: &mut impl Args) {
        self.text.list(out);
    }

    fn reply(frame: Frame) -> Result<Bytes, DecodeError> {
        text(frame)
    }
}

const PONG: &str = "PONG";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn ping_text_is_the_only_argument() {
        assert_eq!(encode(&Ping::new()), encode(&Raw::new("PING")));
        assert_eq!(encode(&Ping::new().text("a b")), encode(&Raw::new("PING").arg("a b")));
        assert_eq!(encode(&Ping::new().text(7)), encode(&Raw::new("PING").arg("7")));
    }

    #[test]
    fn ping_reply_is_pong_or_the_text() {
        let rows = [
            ("+PONG\r\n", true, Some("PONG")),
            ("$4\r\nPONG\r\n", true, Some("PONG")),
            ("$2\r\nhi\r\n", false, Some("hi")),
            ("$0\r\n\r\n", false, Some("")),
            // The reply on a RESP2 connection with subscriptions.
            ("*2\r\n$4\r\npong\r\n$0\r\n\r\n", false, None),
            ("$-1\r\n", false, None),
            ("_\r\n", false, None),
            (":1\r\n", false, None),
        ];
        for (bytes, pong, text) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(Ping::reply(frame.clone()).is_ok(), pong, "{bytes:?}");
            assert_eq!(PingText::reply(frame).ok(), text.map(Bytes::from), "{bytes:?}");
        }
    }
}
