//! The error of a server that lacks a command or an option. No I/O.

use super::ServerError;
use crate::server::{FIRST_VALKEY, Feature, Server};
use std::fmt;
use std::sync::Arc;

/// The server is too old for a command or for one of its options. The command did not run.
///
/// The server's features follow from the name and version that it reports: [`Server::supports`].
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Error, XAdd};
///
/// let add = XAdd::new("orders").idmp("shop", "order-17").field("sku", "A-7");
/// if let Err(Error::TooOld(error)) = client.send(&add).await {
///     println!("{} needs {}", error.feature().name(), error.feature().redis());
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TooOld {
    feature: Feature,
    server: Arc<Server>,
    refusal: ServerError,
}

impl TooOld {
    pub(super) fn new(feature: Feature, server: Arc<Server>, refusal: ServerError) -> Self {
        Self { feature, server, refusal }
    }

    /// Returns the feature that the server lacks.
    #[must_use]
    pub fn feature(&self) -> Feature {
        self.feature
    }

    /// Returns the server.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Returns the server's own error. Its text differs from version to version, and may be
    /// misleading.
    #[must_use]
    pub fn refusal(&self) -> &ServerError {
        &self.refusal
    }
}

/// Formats the error as `XNACK needs Redis 8.8; this is valkey 9.1.2`.
impl fmt::Display for TooOld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let feature = self.feature;
        if !feature.is_command() {
            write!(f, "{} ", self.refusal.command())?;
        }
        write!(f, "{} needs Redis {:#}", feature.name(), feature.redis())?;
        // A version that every Valkey has is not mentioned.
        if let Some(valkey) = feature.valkey().filter(|version| *version > FIRST_VALKEY) {
            write!(f, " or Valkey {valkey:#}")?;
        }
        write!(f, "; this is {}", self.server)
    }
}

impl std::error::Error for TooOld {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.refusal)
    }
}

debug_is_display!(TooOld);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::server::Features;

    fn explained(name: &str, version: &str, needs: Features, text: &str) -> String {
        let server = Arc::new(Server::new(name, version));
        let refusal = ServerError::new("XADD", text.as_bytes());
        let error = Error::refusal(refusal, needs, || Some(server));
        assert_eq!(error.outcome(), crate::Outcome::NotApplied);
        error.to_string()
    }

    #[test]
    fn err_reply_is_explained_by_the_missing_feature() {
        let (nack, idmp) = (Features::from(Feature::XNack), Features::from(Feature::Idmp));
        let both = idmp.and(Feature::Acked);
        let rows = [
            ("valkey", "9.1.2", nack, "XNACK needs Redis 8.8; this is valkey 9.1.2"),
            ("redis", "8.6.2", nack, "XNACK needs Redis 8.8; this is redis 8.6.2"),
            ("redis", "8.2.3", both, "XADD IDMP needs Redis 8.6; this is redis 8.2.3"),
            ("redis", "8.0.2", both, "XADD ACKED needs Redis 8.2; this is redis 8.0.2"),
            (
                "valkey",
                "9.1.2",
                Feature::XAckDel.into(),
                "XACKDEL needs Redis 8.2 or Valkey 9.2; this is valkey 9.1.2",
            ),
            (
                "redis",
                "7.2.4",
                Feature::ReadLast.into(),
                "XADD + needs Redis 7.4 or Valkey 8.0; this is redis 7.2.4",
            ),
            (
                "redis",
                "6.0.1",
                Feature::MinId.into(),
                "XADD MINID needs Redis 6.2; this is redis 6.0.1",
            ),
        ];
        for (name, version, needs, expected) in rows {
            assert_eq!(explained(name, version, needs, "ERR whatever"), expected);
        }
    }

    #[test]
    fn other_codes_and_capable_servers_keep_the_plain_error() {
        let nack = Features::from(Feature::XNack);
        let rows = [
            ("redis", "8.8.0", nack, "ERR whatever"),
            ("valkey", "9.2.0", nack, "ERR whatever"),
            ("other", "1.0.0", nack, "ERR whatever"),
            ("redis", "6.2.0", Features::NONE, "ERR whatever"),
            ("redis", "8.6.0", nack, "NOPERM whatever"),
            ("redis", "8.6.0", nack, "WRONGTYPE whatever"),
        ];
        for (name, version, needs, text) in rows {
            assert_eq!(explained(name, version, needs, text), format!("XADD: {text}"));
        }
        let refusal = ServerError::new("XNACK", b"ERR unknown command");
        let error = Error::refusal(refusal, nack, || None);
        assert_eq!(error.to_string(), "XNACK: ERR unknown command");
    }
}
