//! The codes of error replies. No I/O.

use std::fmt;

/// The code of a server error: its first word. The text after it differs between versions.
///
/// Each code means that the command did not run, except for scripts and raw commands: see
/// [`ServerError::outcome`](super::ServerError::outcome). [`Code::is_retryable`] says whether a
/// retry may succeed.
///
/// ```
/// use bourn::{Code, ServerError};
///
/// let error = ServerError::new("XGROUP", b"BUSYGROUP Consumer Group name already exists");
/// assert_eq!(*error.code(), Code::BusyGroup);
/// assert!(!error.code().is_retryable());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// `ERR`: usually the caller's mistake, such as an id that is not above the last one. Fix the
    /// command.
    Err,
    /// `WRONGTYPE`: the key does not hold a stream. Use another key.
    WrongType,
    /// `NOGROUP`: the stream or the group does not exist. Create it, or stop.
    NoGroup,
    /// `BUSYGROUP`: the group exists already. Treat it as success.
    BusyGroup,
    /// `UNBLOCKED`: a blocked read was ended by CLIENT UNBLOCK, a role change or (Redis 7.0) a
    /// deleted key. Read again.
    Unblocked,
    /// `NOAUTH`: the connection has not authenticated. Set user and password.
    NoAuth,
    /// `WRONGPASS`: wrong user or password, or the user is disabled. Fix the credentials.
    WrongPass,
    /// `NOPERM`: the user may not run this command, or not on this key. Fix the server's ACL.
    NoPerm,
    /// `NOPROTO`: the server does not support the requested protocol version. Use RESP2.
    NoProto,
    /// `OOM`: the server's memory is used up, and writes are refused. Trim, or wait.
    Oom,
    /// `READONLY`: this is a replica. Use the master, which may soon be at this same address after
    /// a failover.
    ReadOnly,
    /// `MASTERDOWN`: this replica has lost its master and does not answer until it is back. Wait,
    /// or use another server.
    MasterDown,
    /// `LOADING`: the server is loading its data. Wait.
    Loading,
    /// `BUSY`: the server is busy with a script. Wait.
    Busy,
    /// `MISCONF`: the server cannot save to disk and refuses writes. Wait until an operator has
    /// fixed it.
    MisConf,
    /// `NOREPLICAS`: too few replicas for a write. Wait.
    NoReplicas,
    /// `EXECABORT`: the transaction was discarded, and none of it ran. Fix it.
    ExecAbort,
    /// `MOVED`: the key's slot is on another node. Use that node from now on:
    /// [`ServerError::redirect`](crate::ServerError::redirect).
    Moved,
    /// `ASK`: the key's slot is moving to another node. Use that node once, after ASKING:
    /// [`ServerError::redirect`](crate::ServerError::redirect).
    Ask,
    /// `TRYAGAIN`: the keys of a command are on two nodes while their slot moves. Wait.
    TryAgain,
    /// `CROSSSLOT`: the keys of a command are in different slots. Give them one `{tag}`.
    CrossSlot,
    /// `CLUSTERDOWN`: no node serves the slot, or too few nodes are up. Wait.
    ClusterDown,
    /// `REDIRECT`: a Valkey replica sends its clients to the master:
    /// [`ServerError::redirect`](crate::ServerError::redirect).
    Redirect,
    /// Another code, as received; empty if the error has none.
    Other(Box<str>),
}

pub(super) const NAMES: [(&str, Code); 23] = [
    ("ERR", Code::Err),
    ("WRONGTYPE", Code::WrongType),
    ("NOGROUP", Code::NoGroup),
    ("BUSYGROUP", Code::BusyGroup),
    ("UNBLOCKED", Code::Unblocked),
    ("NOAUTH", Code::NoAuth),
    ("WRONGPASS", Code::WrongPass),
    ("NOPERM", Code::NoPerm),
    ("NOPROTO", Code::NoProto),
    ("OOM", Code::Oom),
    ("READONLY", Code::ReadOnly),
    ("MASTERDOWN", Code::MasterDown),
    ("LOADING", Code::Loading),
    ("BUSY", Code::Busy),
    ("MISCONF", Code::MisConf),
    ("NOREPLICAS", Code::NoReplicas),
    ("EXECABORT", Code::ExecAbort),
    ("MOVED", Code::Moved),
    ("ASK", Code::Ask),
    ("TRYAGAIN", Code::TryAgain),
    ("CROSSSLOT", Code::CrossSlot),
    ("CLUSTERDOWN", Code::ClusterDown),
    ("REDIRECT", Code::Redirect),
];

impl Code {
    pub(super) fn of(word: &str) -> Self {
        let known = NAMES.iter().find(|(name, _)| *name == word);
        known.map_or_else(|| Self::Other(word.into()), |(_, code)| code.clone())
    }

    /// Whether the error is transient: the same command may succeed later or on another node. Wait
    /// before the next attempt. For `MOVED`, `ASK` and `REDIRECT`, use the node that they name.
    ///
    /// False for errors that the caller or an operator has to fix, and for an unknown code.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unblocked
            | Self::Oom
            | Self::ReadOnly
            | Self::MasterDown
            | Self::Loading
            | Self::Busy
            | Self::MisConf
            | Self::NoReplicas
            | Self::Moved
            | Self::Ask
            | Self::TryAgain
            | Self::ClusterDown
            | Self::Redirect => true,
            Self::Err
            | Self::WrongType
            | Self::NoGroup
            | Self::BusyGroup
            | Self::NoAuth
            | Self::WrongPass
            | Self::NoPerm
            | Self::NoProto
            | Self::ExecAbort
            | Self::CrossSlot
            | Self::Other(_) => false,
        }
    }

    /// Returns the code as the server wrote it; empty if the error has none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(word) => word,
            known => NAMES.iter().find(|(_, code)| code == known).map_or("", |(name, _)| name),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
