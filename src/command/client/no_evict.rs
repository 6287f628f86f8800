//! CLIENT NO-EVICT: exempts the connection from eviction. No I/O.

use crate::command::dedicated::{self, DedicatedCommand};
use crate::command::reply::ok;
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Sets whether the server may close a [`Reader`](crate::Reader)'s connection to free the memory of
/// its connections.
///
/// `CLIENT NO-EVICT on|off` (Redis 7.0). A server does so only if `maxmemory-clients` is set. After
/// a reconnect the connection may be closed again.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, ClientNoEvict, Error};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let mut reader = client.reader().await?;
/// reader.send(ClientNoEvict::on()).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ClientNoEvict {
    on: bool,
}

impl ClientNoEvict {
    /// Exempts the connection.
    pub fn on() -> Self {
        Self { on: true }
    }

    /// Allows eviction, which is the default.
    pub fn off() -> Self {
        Self { on: false }
    }
}

impl dedicated::sealed::Sealed for ClientNoEvict {}

impl DedicatedCommand for ClientNoEvict {
    const DEDICATED_NAME: &'static str = "CLIENT NO-EVICT";
    type DedicatedReply = ();

    fn dedicated_args(&self, out: &mut impl Args) {
        out.text(if self.on { "ON" } else { "OFF" });
    }

    fn dedicated_reply(frame: Frame) -> Result<(), DecodeError> {
        ok(frame)
    }

    fn dedicated_needs(&self) -> Features {
        Feature::ClientNoEvict.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode, encode_dedicated};

    #[test]
    fn client_no_evict_is_on_or_off() {
        let rows = [
            (ClientNoEvict::on(), "CLIENT NO-EVICT ON"),
            (ClientNoEvict::off(), "CLIENT NO-EVICT OFF"),
        ];
        for (no_evict, expected) in rows {
            assert_eq!(encode_dedicated(&no_evict), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(no_evict.dedicated_needs(), Feature::ClientNoEvict.into());
        }
    }
}
