//! CLIENT ID: returns the id of the connection. No I/O.

use crate::command::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Returns the id of the connection that it is sent on.
///
/// `CLIENT ID` (Redis 5.0). Ids increase with each new connection, and a reconnect changes the id.
/// [`Reader::connection_id`](crate::Reader::connection_id) returns a reader's id without a command.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, ClientId, Error};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let id: i64 = client.send(ClientId::new()).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ClientId(());

impl ClientId {
    /// Creates a CLIENT ID command.
    pub fn new() -> Self {
        Self(())
    }
}

impl Command for ClientId {
    const NAME: &'static str = "CLIENT ID";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = i64;

    fn args(&self, _: &mut impl Args) {}

    fn reply(frame: Frame) -> Result<i64, DecodeError> {
        frame.cursor().integer("a connection's id")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn request_has_no_arguments() {
        assert_eq!(encode(&ClientId::new()), encode(&Raw::new("CLIENT ID")));
    }

    #[test]
    fn client_id_reply_is_an_integer() {
        for (bytes, expected) in [
            (":7\r\n", Some(7)),
            (":9223372036854775807\r\n", Some(i64::MAX)),
            ("_\r\n", None),
            ("+OK\r\n", None),
            ("*0\r\n", None),
        ] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(ClientId::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
