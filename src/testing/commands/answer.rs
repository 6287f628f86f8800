//! The result of a command. No I/O.

use super::super::store::Reply;

/// The reply of a command, or its error.
pub(crate) type Answer = Result<Reply, Reply>;

/// The result of a command that may wait.
#[derive(Debug)]
pub(crate) enum Ran {
    Reply(Reply),
    /// This reply is sent at this time, in milliseconds since 1970. `None`: never.
    Later(Reply, Option<u64>),
}
