//! CLIENT SETNAME: sets the name of the connection. No I/O.

use crate::command::Arg;
use crate::command::dedicated::{self, DedicatedCommand};
use crate::command::reply::ok;
use crate::resp::{Args, DecodeError, Frame};

/// Sets the name of a [`Reader`](crate::Reader)'s connection, as CLIENT LIST shows it.
///
/// `CLIENT SETNAME name` (Redis 2.6). An empty name removes it. After a reconnect the connection
/// has the name of the settings again.
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) for a name with characters other than printable ASCII, or with
/// spaces.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, ClientSetName, Error};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let mut reader = client.reader().await?;
/// reader.send(ClientSetName::new("worker-1")).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ClientSetName<'a> {
    name: Arg<'a>,
}

impl<'a> ClientSetName<'a> {
    /// Sets this name.
    pub fn new(name: impl Into<Arg<'a>>) -> Self {
        Self { name: name.into() }
    }
}

impl dedicated::sealed::Sealed for ClientSetName<'_> {}

impl DedicatedCommand for ClientSetName<'_> {
    const DEDICATED_NAME: &'static str = "CLIENT SETNAME";
    type DedicatedReply = ();

    fn dedicated_args(&self, out: &mut impl Args) {
        self.name.list(out);
    }

    fn dedicated_reply(frame: Frame) -> Result<(), DecodeError> {
        ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode, encode_dedicated};

    #[test]
    fn client_name_is_one_argument_even_if_empty() {
        for name in ["worker-1", "", "a b"] {
            let expected = encode(&Raw::new("CLIENT SETNAME").arg(name));
            assert_eq!(encode_dedicated(&ClientSetName::new(name)), expected, "{name:?}");
        }
    }
}
