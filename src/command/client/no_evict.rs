//! CLIENT NO-EVICT: keeps this connection when the server is short of memory. Pure.

use crate::command::dedicated::{self, DedicatedCommand};
use crate::command::reply::ok;
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Whether the server may end a [`Reader`](crate::Reader)'s connection to get back the memory that its connections take.
///
/// `CLIENT NO-EVICT on|off` (Redis 7.0). A server does so only where its `maxmemory-clients` is set. When the reader has to
/// make another connection, that one may be ended again.
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
    /// It is kept.
    pub fn on() -> Self {
        Self { on: true }
    }

    /// It may be ended, as at the beginning.
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
    fn it_is_on_or_off() {
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
