//! Error types, and whether the failed command may have run. No I/O.
//!
//! | variant | outcome | what a caller does |
//! |---|---|---|
//! | [`Error::Unsent`] | not sent | send it again at any time |
//! | [`Error::Server`] | not applied; for a script mostly unknown | check the [`Code`] |
//! | [`Error::TooOld`] | not applied | do without it, or use another server |
//! | [`Error::Lost`], [`Error::TimedOut`] | unknown | retry only if the command is idempotent |
//! | [`Error::Protocol`], [`Error::Decode`] | unknown | the same |
//! | [`Error::EntryTooLarge`] | unknown (a read) | read the entry with a larger limit, or skip it |
//! | [`Error::Connect`], [`Error::Config`] | not sent | fix the address, credentials or settings |
//!
//! # Texts
//!
//! The text of every error (`{e}`) is complete: it names the operation, the thing and the cause. It
//! ends with `the command may have run` when the outcome is unknown. `source()` leaves out what the
//! text contains, so a reporter that prints the chain repeats nothing. The causes themselves are in
//! the fields of the variants. `Debug` prints the same text, so that `unwrap` and
//! `fn main() -> Result<(), bourn::Error>` show it. No text contains a password.

mod code;
mod config;
mod connect;
mod credentials;
mod outcome;
mod refusal;
mod repeat;
mod server;
mod too_large;
mod too_old;

pub use code::Code;
pub use config::ConfigError;
pub use connect::{ConnectError, ConnectReason};
pub use credentials::CredentialsError;
pub use outcome::Outcome;
#[cfg(feature = "tokio")]
pub(crate) use outcome::RAW;
pub use refusal::Refusal;
pub use repeat::Repeat;
#[cfg(feature = "tokio")]
pub(crate) use repeat::Window;
pub use server::{Redirect, ServerError};
pub use too_large::EntryTooLarge;
pub use too_old::TooOld;

use crate::resp::{DecodeError, ProtocolError};
use crate::server::{Feature, Features, Server};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The error of a command, a connection or the settings.
///
/// Match on [`outcome()`](Self::outcome) first: it says whether the command may have run. Then
/// match on the variant for the cause.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Outcome, XAdd};
///
/// if let Err(error) = client.send(XAdd::new("orders").field("sku", "A-7")).await {
///     match error.outcome() {
///         // Nothing was added. To send it again cannot add it twice.
///         Outcome::NotSent | Outcome::NotApplied => println!("not added: {error}"),
///         Outcome::Unknown => println!("perhaps added: {error}"),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Error {
    /// The command was never sent. It has not run.
    Unsent {
        /// The command's name.
        command: &'static str,
        /// The reason why it was not sent.
        reason: Unsent,
    },
    /// The command was sent, and the connection ended before its reply. It may have run.
    Lost {
        /// The command's name.
        command: &'static str,
        /// The reason why the connection ended.
        reason: Disconnect,
        /// Whether it may be sent again.
        repeat: Repeat,
    },
    /// The command was sent, and no reply came in time. It may have run. A late reply is discarded.
    /// A client keeps its connection unless no reply is in time for as long again; a reader
    /// reconnects.
    TimedOut {
        /// The command's name.
        command: &'static str,
        /// The command's timeout, counted from the call.
        waited: Duration,
        /// Whether it may be sent again.
        repeat: Repeat,
    },
    /// The server replied with an error. The command did not run. Exceptions are scripts and
    /// functions, and [`Raw`](crate::Raw) commands whose code is `ERR` or unknown: those may have
    /// run in part. See [`ServerError::outcome`].
    Server(Box<ServerError>),
    /// The server is too old for the command or for one of its options. The command did not run.
    TooOld(Box<TooOld>),
    /// The reply does not have the form of this command's reply. The command may have run. Other
    /// commands are not affected.
    Decode {
        /// The command's name.
        command: &'static str,
        /// The expected form and the form received.
        source: DecodeError,
    },
    /// The server sent something that is not RESP, or is too large, while the command waited for
    /// its reply. The connection was closed. The command may have run.
    Protocol {
        /// The command's name.
        command: &'static str,
        /// The violation.
        source: ProtocolError,
    },
    /// One entry alone is larger than [`Config::reply_bytes`](crate::Config::reply_bytes). A stream
    /// of entries returns it; [`EntryTooLarge`] describes how to continue.
    EntryTooLarge(Box<EntryTooLarge>),
    /// The connection could not be established.
    Connect(ConnectError),
    /// The settings or the URL are invalid.
    Config(ConfigError),
}

impl Error {
    /// Returns the outcome: whether the command may have run.
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

    /// Whether the cause may pass without a change to the command, the settings or the server: no
    /// connection, no room, no reply in time, a server that is loading. False for a wrong argument
    /// or password, a closed client, a reply above the limit.
    ///
    /// It is about the cause alone. Whether the command may be sent again is another question:
    /// [`Error::outcome`].
    ///
    /// ```
    /// # use bourn::{Code, Error, ServerError};
    /// let loading = Error::from(Box::new(ServerError::new("XADD", b"LOADING data")));
    /// let wrong = Error::from(Box::new(ServerError::new("XADD", b"WRONGTYPE not a stream")));
    /// assert!(loading.is_transient() && !wrong.is_transient());
    /// ```
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Server(error) => error.code().is_retryable() || error.is_too_many(),
            Self::Unsent { reason, .. } => {
                matches!(reason, Unsent::TimedOut { .. } | Unsent::Full { .. })
            }
            Self::Lost { reason, .. } => {
                !matches!(reason, Disconnect::Closed | Disconnect::Protocol(_))
            }
            Self::TimedOut { .. } => true,
            Self::Connect(error) => !error.is_permanent(),
            Self::TooOld(_)
            | Self::Decode { .. }
            | Self::Protocol { .. }
            | Self::EntryTooLarge(_)
            | Self::Config(_) => false,
        }
    }

    /// Whether the caller may send the command again without applying it twice.
    ///
    /// | error | true if |
    /// |---|---|
    /// | the command has not run: [`Outcome::NotSent`], [`Outcome::NotApplied`] | always |
    /// | [`Error::Lost`], [`Error::TimedOut`] of a command that reads or is idempotent | always |
    /// | the same of an `XADD` with IDMP ([`Safety::Windowed`](crate::Safety::Windowed)) | the server still recognizes it |
    /// | every other | never |
    ///
    /// Of an `XADD` with IDMP the answer holds for the moment: at most 64 replies were requested on
    /// this client since it was first sent, and at most 80 s have passed
    /// ([`Config::idmp_window`](crate::Config::idmp_window)). Ask for it directly before the
    /// command is sent again on the same client, not when the error comes: other commands may be
    /// sent in between. It relies on the producer id being used by this client only.
    #[must_use]
    pub fn repeat_is_safe(&self) -> bool {
        match self {
            Self::Lost { repeat, .. } | Self::TimedOut { repeat, .. } => repeat.is_safe(),
            error => error.outcome() != Outcome::Unknown,
        }
    }

    /// Returns the error for a server's error reply. It is [`Error::TooOld`] if the server is known
    /// to lack a feature that the command [needs](crate::Command::needs). For users who manage
    /// their own connection; a client calls it itself.
    ///
    /// Commands are sent whatever the server's version is. Only an error reply with the code `ERR`
    /// is explained.
    pub fn refusal(
        refusal: ServerError,
        needs: Features,
        server: impl FnOnce() -> Option<Arc<Server>>,
    ) -> Self {
        if *refusal.code() == Code::Err && needs != Features::NONE {
            if let Some(server) = server() {
                let lacks = |feature: &Feature| server.supports(*feature) == Some(false);
                if let Some(feature) = needs.iter().find(lacks) {
                    return Self::TooOld(Box::new(TooOld::new(feature, server, refusal)));
                }
            }
        }
        Self::Server(Box::new(refusal))
    }

    /// Returns the code of the server's error; `None` for other errors.
    #[must_use]
    pub fn code(&self) -> Option<&Code> {
        match self {
            Self::Server(error) => Some(error.code()),
            Self::Connect(error) => match error.reason() {
                ConnectReason::Refused(error) => Some(error.code()),
                _ => None,
            },
            Self::TooOld(error) => Some(error.refusal().code()),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsent { command, reason } => write!(f, "{command} was not sent: {reason}"),
            Self::Lost { command, reason, .. } => {
                write!(f, "connection lost before the reply to {command}: {reason}")
            }
            Self::TimedOut { command, waited, .. } => {
                write!(f, "timed out after {waited:?} waiting for the reply to {command}")
            }
            Self::Server(error) => write!(f, "{error}"),
            Self::TooOld(error) => write!(f, "{error}"),
            Self::Decode { command, source } => {
                write!(f, "unexpected reply to {command}: {source}")
            }
            Self::Protocol { command, source } => {
                write!(f, "protocol error before the reply to {command}: {source}")
            }
            Self::EntryTooLarge(error) => write!(f, "{error}"),
            Self::Connect(error) => write!(f, "{error}"),
            Self::Config(error) => write!(f, "invalid configuration: {error}"),
        }?;
        // An entry that is too large was read, and a read changes nothing.
        let matters = self.may_have_run() && !matches!(self, Self::EntryTooLarge(_));
        if matters { f.write_str("; the command may have run") } else { Ok(()) }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The texts of all others contain their causes.
        if let Self::TooOld(error) = self { error.source() } else { None }
    }
}

debug_is_display!(Error, Unsent, Disconnect);

impl From<Box<ServerError>> for Error {
    fn from(error: Box<ServerError>) -> Self {
        Self::Server(error)
    }
}

impl From<Box<TooOld>> for Error {
    fn from(error: Box<TooOld>) -> Self {
        Self::TooOld(error)
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// The reason why a command was not sent.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Error, Ping, Unsent};
///
/// match client.send(Ping::new()).await {
///     Err(Error::Unsent { reason: Unsent::TimedOut { source: Some(cause), .. }, .. }) => {
///         println!("no connection: {cause}");
///     }
///     result => result?,
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Unsent {
    /// The command timed out before it could be written: there was no connection, or the server
    /// accepted no more bytes.
    TimedOut {
        /// The command's timeout, counted from the call.
        waited: Duration,
        /// The error of the last attempt to connect; `None` if there was a connection.
        source: Option<Arc<ConnectError>>,
    },
    /// The byte budget is used up, and the settings are not to wait.
    Full {
        /// The byte budget.
        limit: usize,
    },
    /// An argument is longer than servers accept (512 MiB).
    TooLarge {
        /// The argument's length in bytes.
        bytes: usize,
    },
    /// The client was closed, or the runtime of its connection has ended.
    Closed,
    /// The command would block or change a connection that is shared with others.
    Refused {
        /// The reason, and the replacement to use.
        reason: &'static str,
    },
    /// The command wrote different arguments from those it had measured.
    Inconsistent,
    /// The connection on which it had to be sent has ended. Only the queue sends such commands.
    Reconnected,
    /// The keys of the command, or of the transaction, are in two slots of the cluster. Give them
    /// one hash tag: `{orders}:new` and `{orders}:dead`.
    TwoSlots {
        /// The first key.
        first: Box<[u8]>,
        /// The first key that is in another slot.
        other: Box<[u8]>,
    },
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { waited, source } => {
                write!(f, "timed out after {waited:?} before it could be sent")?;
                source.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
            }
            Self::Full { limit } => {
                write!(f, "the budget of {limit} bytes for queued commands is used up")
            }
            Self::TooLarge { bytes } => {
                write!(f, "an argument of {bytes} bytes exceeds the server's limit of 512 MiB")
            }
            Self::Closed => f.write_str("the client is closed"),
            Self::Refused { reason } => f.write_str(reason),
            Self::Inconsistent => f.write_str("its arguments changed while they were written"),
            Self::Reconnected => f.write_str("the connection on which it had to be sent has ended"),
            Self::TwoSlots { first, other } => {
                let (first, other) = (first.escape_ascii(), other.escape_ascii());
                write!(
                    f,
                    "the keys \"{first}\" and \"{other}\" are in two slots of the cluster: \
                     give them one {{tag}}"
                )
            }
        }
    }
}

impl std::error::Error for Unsent {}

/// The reason why a connection ended.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Disconnect, Event};
///
/// let mut events = client.events();
/// while let Some(event) = events.next().await {
///     if let Event::Disconnected { reason: Disconnect::Silent, .. } = event {
///         println!("the server did not answer in time");
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Disconnect {
    /// The server closed the connection.
    Eof,
    /// The transport failed.
    Io(Arc<io::Error>),
    /// The server sent something that is not RESP, or is too large.
    Protocol(ProtocolError),
    /// The server rejected new credentials. The next connection calls the provider again.
    Credentials(Box<ServerError>),
    /// The server was silent for too long.
    Silent,
    /// The connection was closed after all replies had come: the server became a replica, or lost
    /// the session.
    Stale,
    /// The node of a cluster has no slots any more. Its connection is made again when a command
    /// needs it.
    Unused,
    /// The sentinels have named another master. The next connection is to that.
    OtherMaster,
    /// There is no connection yet: the client is lazy, and its first attempt is in progress.
    NotYet,
    /// The client was closed, or the runtime of the connection has ended.
    Closed,
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eof => f.write_str("the server closed the connection"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Protocol(error) => write!(f, "protocol error: {error}"),
            Self::Credentials(error) => write!(f, "the server rejected new credentials: {error}"),
            Self::Silent => f.write_str("the server did not respond for too long"),
            Self::Stale => f.write_str("server role changed or session lost (READONLY/NOAUTH)"),
            Self::Unused => f.write_str("the node has no slots"),
            Self::OtherMaster => f.write_str("the sentinels named another master"),
            Self::NotYet => f.write_str("not connected yet"),
            Self::Closed => f.write_str("the client is closed"),
        }
    }
}

impl std::error::Error for Disconnect {}
