//! The error of a failed attempt to connect: the address and the reason. No I/O.

use super::{Code, CredentialsError, ServerError};
use crate::resp::{DecodeError, ProtocolError};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A failed attempt to connect: the address that was dialled, and the [`ConnectReason`].
///
/// The text has the form `cannot connect to 10.0.0.1:6380: TLS handshake failed: ...`.
///
/// ```
/// use bourn::{ConnectError, ConnectReason};
///
/// let error = ConnectError::new("10.0.0.1:6379", ConnectReason::Eof);
/// assert_eq!(error.address(), "10.0.0.1:6379");
/// assert!(!error.is_permanent());
/// ```
#[derive(Clone)]
pub struct ConnectError {
    address: Box<str>,
    reason: ConnectReason,
}

impl ConnectError {
    /// Creates the error of an attempt to connect to this address.
    pub fn new(address: impl fmt::Display, reason: ConnectReason) -> Self {
        Self { address: address.to_string().into(), reason }
    }

    /// Returns the address that was dialled: `host:port`, or the path of a Unix socket.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the reason.
    #[must_use]
    pub fn reason(&self) -> &ConnectReason {
        &self.reason
    }

    /// Whether the server rejected the credentials: a wrong password, or a user that is unknown,
    /// disabled or not allowed to connect.
    #[must_use]
    pub fn is_credentials(&self) -> bool {
        let ConnectReason::Refused(error) = &self.reason else { return false };
        matches!(error.code(), Code::WrongPass | Code::NoAuth | Code::NoPerm)
    }

    /// Whether the error is permanent: the next attempt fails as well, until the settings or the
    /// server are fixed. Examples: rejected credentials, an untrusted certificate, a database that
    /// does not exist, another service at that address. A client keeps trying, with longer waits.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        use io::ErrorKind::{InvalidData, InvalidInput};
        match &self.reason {
            ConnectReason::Tls(error) => matches!(error.kind(), InvalidData | InvalidInput),
            ConnectReason::Refused(error) => !error.code().is_retryable() && !error.is_too_many(),
            ConnectReason::Protocol(_)
            | ConnectReason::Decode(_)
            | ConnectReason::UnknownMaster { .. } => true,
            ConnectReason::Io(_)
            | ConnectReason::TimedOut { .. }
            | ConnectReason::Eof
            | ConnectReason::NoSentinel { .. }
            | ConnectReason::NotMaster
            | ConnectReason::Credentials(_) => false,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: {}", self.address, self.reason)
    }
}

impl std::error::Error for ConnectError {}

/// The reason why an attempt to connect failed.
///
/// ```no_run
/// # async fn f(config: &bourn::Config) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Client, ConnectReason, Error};
///
/// match Client::connect(config).await {
///     Err(Error::Connect(error)) if error.is_credentials() => println!("ask for a new password"),
///     Err(Error::Connect(error)) => match error.reason() {
///         ConnectReason::Tls(cause) => println!("check the certificate: {cause}"),
///         _ => println!("{error}"),
///     },
///     _ => {}
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum ConnectReason {
    /// The name could not be resolved, or none of its addresses answered. Contains the last error.
    Io(Arc<io::Error>),
    /// The TLS handshake failed: a certificate is not valid, or the server does not support TLS, or
    /// it requires TLS and the settings do not. An error of the kind `InvalidData` or
    /// `InvalidInput` is permanent.
    Tls(Arc<io::Error>),
    /// The credentials provider failed.
    Credentials(CredentialsError),
    /// The connection was not established within the connect timeout.
    TimedOut {
        /// The connect timeout.
        after: Duration,
        /// The step that took too long (resolving the name, connecting, the handshake), with all
        /// addresses that were tried.
        during: String,
    },
    /// The server rejected the handshake: wrong credentials, no such database, too many clients.
    Refused(Box<ServerError>),
    /// The server sent something that is not RESP.
    Protocol(ProtocolError),
    /// The server answered the handshake with an unexpected reply.
    Decode(DecodeError),
    /// The sentinels that answered know no master of this name. It is permanent.
    UnknownMaster {
        /// The name of the settings.
        name: Box<str>,
    },
    /// No sentinel answered.
    NoSentinel {
        /// The error of the last one.
        error: String,
    },
    /// The server that the sentinels named is a replica. They have not agreed yet, or the server
    /// does not know it yet.
    NotMaster,
    /// The server closed the connection during the handshake. A server that requires TLS does so if
    /// the settings do not enable it.
    Eof,
}

impl fmt::Display for ConnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Tls(error) => write!(f, "TLS handshake failed: {error}"),
            Self::Credentials(error) => write!(f, "credentials provider failed: {error}"),
            Self::TimedOut { after, during } => write!(f, "timed out after {after:?}: {during}"),
            Self::Refused(error) => write!(f, "refused by the server: {error}"),
            Self::Protocol(error) => write!(f, "the server does not speak RESP: {error}"),
            Self::Decode(error) => write!(f, "unexpected reply to the handshake: {error}"),
            Self::UnknownMaster { name } => {
                write!(f, "the sentinels know no master named {name}")
            }
            Self::NoSentinel { error } => write!(f, "no sentinel answered: {error}"),
            Self::NotMaster => f.write_str("the server that the sentinels named is a replica"),
            Self::Eof => f.write_str(
                "the server closed the connection during the handshake (does it require TLS?)",
            ),
        }
    }
}

impl std::error::Error for ConnectReason {}

debug_is_display!(ConnectError, ConnectReason);
