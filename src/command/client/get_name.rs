//! CLIENT GETNAME: returns the name of the connection. No I/O.

use crate::command::{Command, Safety};
use crate::resp::{Args, Cursor, DecodeError, Frame};
use bytes::Bytes;

/// Returns the name of the connection that it is sent on.
///
/// `CLIENT GETNAME` (Redis 2.6). `None` if the connection has no name. The name shares the buffer
/// of the reply.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, ClientGetName, Error};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// if let Some(name) = client.send(ClientGetName::new()).await? {
///     println!("called {}", name.escape_ascii());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ClientGetName(());

impl ClientGetName {
    /// Creates a CLIENT GETNAME command.
    pub fn new() -> Self {
        Self(())
    }
}

impl Command for ClientGetName {
    const NAME: &'static str = "CLIENT GETNAME";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = Option<Bytes>;

    fn args(&self, _: &mut impl Args) {}

    fn reply(frame: Frame) -> Result<Option<Bytes>, DecodeError> {
        let bytes = frame.into_bytes();
        let name = Cursor::at(&bytes, 0).string_or_null("a connection's name")?;
        Ok(name.filter(|name| !name.is_empty()).map(|name| bytes.slice_ref(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn request_has_no_arguments() {
        assert_eq!(encode(&ClientGetName::new()), encode(&Raw::new("CLIENT GETNAME")));
    }

    #[test]
    fn null_and_empty_client_names_decode_as_none() {
        for (bytes, expected) in [
            ("$8\r\nworker-1\r\n", Some(Some("worker-1"))),
            ("+worker-1\r\n", Some(Some("worker-1"))),
            ("$0\r\n\r\n", Some(None)),
            ("$-1\r\n", Some(None)),
            ("*-1\r\n", Some(None)),
            ("_\r\n", Some(None)),
            (":1\r\n", None),
            ("*0\r\n", None),
        ] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            let expected = expected.map(|name| name.map(Bytes::from));
            assert_eq!(ClientGetName::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
