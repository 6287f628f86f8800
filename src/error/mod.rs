//! What went wrong, and may the command have run. Pure.
//!
//! | variant | outcome | what a caller does |
//! |---|---|---|
//! | [`Error::Unsent`] | not sent | send it again whenever it suits |
//! | [`Error::Server`] | not applied; of a script mostly unknown | look at the [`Code`] |
//! | [`Error::TooOld`] | not applied | do without, or on another server |
//! | [`Error::Lost`], [`Error::TimedOut`], [`Error::Protocol`], [`Error::Decode`] | unknown | send again only what may safely run twice |
//! | [`Error::EntryTooLarge`] | unknown (it is a read) | read the entry with a larger limit, or skip it |
//! | [`Error::Connect`], [`Error::Config`] | not sent | mend the address, the credentials, the settings |

mod credentials;
mod refusal;
mod server;
mod too_large;
mod too_old;

pub use credentials::CredentialsError;

pub use refusal::Refusal;
pub use server::{Code, Redirect, ServerError};
pub use too_large::EntryTooLarge;
pub use too_old::TooOld;

use crate::resp::{DecodeError, ProtocolError};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Whether a command that failed may have run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// No byte of it reached the server. It has not run and will not.
    NotSent,
    /// The server got it and said that it did not run it.
    NotApplied,
    /// It was sent, wholly or in part, and nothing is known of its end.
    Unknown,
}

/// What a raw command is called in errors.
pub(crate) const RAW: &str = "a raw command";

/// Why a command brought no reply.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command was never sent. It has not run.
    #[error("{command} was not sent")]
    Unsent {
        /// The command's name.
        command: &'static str,
        /// Why it was not sent.
        #[source]
        reason: Unsent,
    },
    /// The command was sent, and the connection ended before its reply came, so it may have run.
    #[error("connection lost before the reply to {command} came")]
    Lost {
        /// The command's name.
        command: &'static str,
        /// How the connection ended.
        #[source]
        reason: Disconnect,
    },
    /// The command was sent, and no reply came in time, so it may have run. A reply that comes late is thrown away. A client's
    /// connection lives on, if it is not silent for as long again; a reader's is made anew.
    #[error("no reply to {command} within {waited:?}")]
    TimedOut {
        /// The command's name.
        command: &'static str,
        /// The time that the command had, from the call on.
        waited: Duration,
    },
    /// The server answered with an error. The command did not run. A script or function may have run in part, and so may a
    /// [`Raw`](crate::Raw) command whose code is `ERR` or unknown: [`ServerError::outcome`].
    #[error(transparent)]
    Server(#[from] Box<ServerError>),
    /// The server refused a command, or an option of it, that it is too old for. It did not run.
    #[error(transparent)]
    TooOld(#[from] Box<TooOld>),
    /// The reply is not what the command answers with. The command may have run; other commands are not concerned.
    #[error("unexpected reply to {command}")]
    Decode {
        /// The command's name.
        command: &'static str,
        /// What was expected, and what came.
        #[source]
        source: DecodeError,
    },
    /// While the command waited for its reply the server sent something that is not RESP, or too large. The connection was
    /// closed; the command may have run.
    #[error("protocol error before the reply to {command} came")]
    Protocol {
        /// The command's name.
        command: &'static str,
        /// What was wrong.
        #[source]
        source: ProtocolError,
    },
    /// One entry alone is larger than [`Config::reply_bytes`](crate::Config::reply_bytes). A stream of entries returns it; its
    /// docs describe how to continue.
    #[error(transparent)]
    EntryTooLarge(Box<EntryTooLarge>),
    /// No connection could be made.
    #[error("cannot connect")]
    Connect(#[from] ConnectError),
    /// The settings or the URL are wrong.
    #[error("invalid configuration")]
    Config(#[from] ConfigError),
}

impl Error {
    /// Whether the command may have run.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Unsent { .. } | Self::Connect(_) | Self::Config(_) => Outcome::NotSent,
            Self::Server(error) => error.outcome(),
            Self::TooOld(error) => error.refusal().outcome(),
            Self::Lost { .. }
            | Self::TimedOut { .. }
            | Self::Decode { .. }
            | Self::Protocol { .. }
            | Self::EntryTooLarge(_) => Outcome::Unknown,
        }
    }

    /// Whether the command may have run: true when the outcome is unknown.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        self.outcome() == Outcome::Unknown
    }

    /// The code of the server's error; `None` for other errors.
    #[must_use]
    pub fn code(&self) -> Option<&Code> {
        match self {
            Self::Server(error) | Self::Connect(ConnectError::Refused(error)) => Some(error.code()),
            Self::TooOld(error) => Some(error.refusal().code()),
            _ => None,
        }
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// Why a command was not sent.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Unsent {
    /// Its time was over before it could be written: there was no connection, or the server took nothing more.
    #[error("its {waited:?} were over before it could be written")]
    TimedOut {
        /// The time that the command had, from the call on.
        waited: Duration,
        /// Why there was no connection, if there was none.
        #[source]
        source: Option<Arc<ConnectError>>,
    },
    /// The byte budget is used up, and the settings say not to wait.
    #[error("the budget of {limit} bytes for queued commands is used up")]
    Full {
        /// The budget in force.
        limit: usize,
    },
    /// An argument is longer than a server takes (512 MiB).
    #[error("an argument of {bytes} bytes is longer than a server takes")]
    TooLarge {
        /// The argument's length.
        bytes: usize,
    },
    /// The client was closed, or the runtime that its connection ran on has ended.
    #[error("the client is closed")]
    Closed,
    /// The command would block or change a connection that others share.
    #[error("{reason}")]
    Refused {
        /// What is wrong with it, and what to use in its place.
        reason: &'static str,
    },
    /// The command listed other arguments when written than when measured.
    #[error("the command's arguments changed while it was written")]
    Inconsistent,
}

/// How a connection ended.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// The server closed it.
    #[error("the server closed the connection")]
    Eof,
    /// The transport failed.
    #[error("the transport failed")]
    Io(#[source] Arc<io::Error>),
    /// The server sent something that is not RESP, or too large.
    #[error("the server broke the protocol")]
    Protocol(#[source] ProtocolError),
    /// It was given up because the server refused new credentials; the next one asks for them again.
    #[error("the server refused new credentials")]
    Credentials(#[source] Box<ServerError>),
    /// It was given up because the server had been silent for too long.
    #[error("the server was silent for too long")]
    Silent,
    /// It was given up when all replies had come: the server is a replica now, or has forgotten who we are.
    #[error("the server is not what it was")]
    Stale,
    /// There was no connection yet: the client is lazy, and its first attempt goes on.
    #[error("not connected yet")]
    NotYet,
    /// The client was closed, or the runtime that the connection ran on has ended.
    #[error("the client is closed")]
    Closed,
}

/// Why no connection could be made.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name could not be resolved, or no address of it answered.
    #[error("{address}")]
    Io {
        /// What was dialled.
        address: String,
        /// The last error.
        #[source]
        source: Arc<io::Error>,
    },
    /// No TLS with the server: its certificate is not what it should be, or the client's is not, or it does not speak TLS. Or
    /// the other way round: it speaks TLS only, and the settings do not.
    #[error("no TLS with {address}")]
    Tls {
        /// What was dialled.
        address: String,
        /// Why, in rustls's words. `InvalidData` or `InvalidInput` will not mend by itself; others may.
        #[source]
        source: Arc<io::Error>,
    },
    /// Whoever knows the credentials did not say them.
    #[error("no credentials")]
    Credentials(#[source] CredentialsError),
    /// Connecting and shaking hands took too long.
    #[error("no connection within {after:?}: {during}")]
    TimedOut {
        /// The time that there was.
        after: Duration,
        /// The step that took too long, with all addresses that were tried: resolving the name, connecting, the handshake.
        during: String,
    },
    /// The server refused the handshake: wrong credentials, no such database, too many clients.
    #[error("the server refused the connection")]
    Refused(#[source] Box<ServerError>),
    /// The server sent something that is not RESP.
    #[error("the server does not speak RESP")]
    Protocol(#[source] ProtocolError),
    /// The server answered the handshake with something else than Redis does.
    #[error("the server answered the handshake in an unknown way")]
    Decode(#[source] DecodeError),
    /// The server hung up during the handshake. One that wants TLS does so, if the settings do not ask for it.
    #[error("the server hung up during the handshake (does it want TLS?)")]
    Eof,
}

impl ConnectError {
    /// Whether the server refused who we are: a wrong password, a user that is unknown, disabled or not allowed to connect.
    #[must_use]
    pub fn is_credentials(&self) -> bool {
        let Self::Refused(error) = self else { return false };
        matches!(error.code(), Code::WrongPass | Code::NoAuth | Code::NoPerm)
    }

    /// Whether the next attempt will fail as well, until somebody mends the settings or the server: credentials that are
    /// refused, a certificate that is not trusted, a database that there is not, something else that listens there. A client
    /// goes on trying, but slowly.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        use io::ErrorKind::{InvalidData, InvalidInput};
        match self {
            Self::Tls { source, .. } => matches!(source.kind(), InvalidData | InvalidInput),
            Self::Refused(error) => !error.code().is_retryable() && !error.is_too_many(),
            Self::Protocol(_) | Self::Decode(_) => true,
            Self::Io { .. } | Self::TimedOut { .. } | Self::Eof | Self::Credentials(_) => false,
        }
    }
}

/// What is wrong with a URL or a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not `scheme://...` with a scheme that is known.
    #[error(
        "unknown URL scheme (known: redis, rediss, valkey, valkeys, redis+unix, valkey+unix, unix)"
    )]
    Scheme,
    /// TLS was asked for, and this build cannot do it.
    #[error(
        "rediss and valkeys URLs need TLS, which this build lacks: turn on bourn's feature `tls`"
    )]
    Tls,
    /// TLS was asked for over a Unix socket, where servers do not speak it.
    #[error("a Unix socket takes no TLS")]
    UnixTls,
    /// The host is missing or malformed.
    #[error("malformed host in the URL")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("malformed port in the URL")]
    Port,
    /// A `%` that two hexadecimal digits do not follow, bytes that are not UTF-8, or a character that must be encoded: `#`,
    /// and `?` and `@` where they do not belong.
    #[error("malformed percent-encoding in the URL")]
    Encoding,
    /// The database is not a number.
    #[error("malformed database number in the URL")]
    Database,
    /// A query parameter that is not known.
    #[error("unknown parameter in the URL: {name}")]
    Parameter {
        /// Its name.
        name: String,
    },
    /// A parameter, a scheme or a fragment that other clients know. Write it as the error says.
    #[error("{name} is not supported in URLs: {instead}")]
    Foreign {
        /// The parameter's name.
        name: String,
        /// What to write or to call in its place.
        instead: &'static str,
    },
    /// A Unix socket on a system that is not Unix.
    #[error("Unix sockets are supported on Unix only: write redis://host:port")]
    Unix,
    /// A query parameter's value that cannot be read.
    #[error("malformed value of {name} in the URL")]
    Value {
        /// The parameter's name.
        name: &'static str,
    },
    /// A setting outside its range.
    #[error("{setting} must be {range}")]
    Range {
        /// The setting's name.
        setting: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// A client was made outside a tokio runtime.
    #[error("no tokio runtime: make the client inside one, or give one to `Config::runtime`")]
    NoRuntime,
    /// A client name with a blank or a control character, which no server takes.
    #[error("a client name takes no blanks and no control characters")]
    ClientName,
}
