//! The outcome of a failed command. No I/O.

/// The outcome of a failed command: whether it may have run.
///
/// ```
/// use bourn::{Error, Outcome, Unsent};
///
/// let error = Error::Unsent { command: "XADD", reason: Unsent::Closed };
/// assert_eq!(error.outcome(), Outcome::NotSent);
/// assert!(!error.may_have_run());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The command did not run and will not: no byte of it reached the server.
    NotSent,
    /// The server received the command and replied that it did not run it.
    NotApplied,
    /// The command was sent, wholly or in part. Its result is not known.
    Unknown,
}

/// The name of a raw command in errors.
pub(crate) const RAW: &str = "a raw command";
