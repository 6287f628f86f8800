//! CLIENT UNPAUSE: ends a pause. Pure.

use crate::command::reply::ok;
use crate::command::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Ends a pause that was begun with [`ClientPause::write_only`](crate::ClientPause::write_only), whoever began it.
///
/// `CLIENT UNPAUSE` (Redis 6.2). Without a pause it does nothing. In a pause of every command it waits like all others, and
/// comes too late.
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
    /// Ends the pause.
    pub fn new() -> Self {
        Self(())
    }
}

impl Command for ClientUnpause {
    const NAME: &'static str = "CLIENT UNPAUSE";
    // The second run would end a pause that someone has begun since.
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
    fn there_is_no_argument() {
        assert_eq!(encode(&ClientUnpause::new()), encode(&Raw::new("CLIENT UNPAUSE")));
        assert_eq!(ClientUnpause::new().needs(), Feature::ClientUnpause.into());
    }
}
