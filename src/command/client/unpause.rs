//! CLIENT UNPAUSE: ends a pause. No I/O.

use crate::command::reply::ok;
use crate::command::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Ends a pause started with [`ClientPause::write_only`](crate::ClientPause::write_only), by any
/// client.
///
/// `CLIENT UNPAUSE` (Redis 6.2). Without a pause it has no effect. In a pause of all commands it is
/// suspended too, and runs only after the end.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, ClientUnpause, Error};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// client.send(ClientUnpause::new()).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ClientUnpause(());

impl ClientUnpause {
    /// Creates a CLIENT UNPAUSE command.
    pub fn new() -> Self {
        Self(())
    }
}

impl Command for ClientUnpause {
    const NAME: &'static str = "CLIENT UNPAUSE";
    // A second run would end a pause that was started in between.
    const SAFETY: Safety = Safety::Write;
    type Reply = ();

    fn args(&self, _: &mut impl Args) {}

    fn needs(&self) -> Features {
        Feature::ClientUnpause.into()
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
    fn request_has_no_arguments() {
        assert_eq!(encode(&ClientUnpause::new()), encode(&Raw::new("CLIENT UNPAUSE")));
        assert_eq!(ClientUnpause::new().needs(), Feature::ClientUnpause.into());
    }
}
