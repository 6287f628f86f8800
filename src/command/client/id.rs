//! CLIENT ID: which connection this is. Pure.

use crate::command::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Asks for the id of the connection that it is sent on.
///
/// `CLIENT ID` (Redis 5.0). A larger id is a later connection's. When a connection has to be made anew it has another id;
/// [`Reader::connection_id`](crate::Reader::connection_id) knows a reader's without asking.
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
    /// Asks for the id.
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
    fn there_is_no_argument() {
        assert_eq!(encode(&ClientId::new()), encode(&Raw::new("CLIENT ID")));
    }

    #[test]
    fn an_id_is_an_integer() {
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
