//! QueueError: what went wrong with a job or its queue, and whether it may have been done. Pure.

use super::codec::CodecError;
use crate::error::{Code, Error, Outcome};

/// Why something could not be done with a queue.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The server or the connection. [`QueueError::outcome`] says whether it may have been done.
    #[error("the server could not be asked")]
    Redis(#[from] Error),
    /// The payload cannot be written as fields, or the fields cannot be read as a payload.
    #[error("the payload does not fit its codec")]
    Codec(#[from] CodecError),
    /// The lease of the job was lost: another worker may have it by now. Nothing was done.
    #[error("the lease is lost")]
    LeaseLost,
    /// The consumer stopped before it could be done. The job comes back when its lease is over.
    #[error("the consumer has stopped")]
    Stopped,
    /// The settings do not fit each other, or what is on the server.
    #[error("{0}")]
    Settings(SettingsError),
}

/// What is wrong with the settings of a queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The key of the stream holds something else.
    #[error("the key of the stream holds something else than a stream")]
    NotAStream,
    /// The key of the dead letters holds something else: nothing could be moved there.
    #[error("the key of the dead letters holds something else than a stream")]
    DeadLettersNotAStream,
    /// Other groups read the stream, and entries would be deleted before those have read them.
    #[error("other groups read the stream too ({0}): use Retention::KeepUntilAllAcked")]
    OtherGroups(Box<str>),
    /// A duration or a name is of no use: which one.
    #[error("{0}")]
    Value(&'static str),
    /// The streams of a merged worker differ in what they must have in common: what.
    #[error("the queues of one worker differ in {0}")]
    Differ(&'static str),
    /// The server cannot do this: what it needs.
    #[error("the server is too old for {0}")]
    TooOld(&'static str),
}

impl QueueError {
    /// Whether it may have been done.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Redis(error) => error.outcome(),
            Self::Codec(_) | Self::LeaseLost | Self::Settings(_) => Outcome::NotSent,
            Self::Stopped => Outcome::Unknown,
        }
    }

    /// Whether it may have been done: true when the outcome is unknown.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        self.outcome() == Outcome::Unknown
    }

    /// The code of the server's error; `None` for other errors.
    #[must_use]
    pub fn code(&self) -> Option<&Code> {
        if let Self::Redis(error) = self { error.code() } else { None }
    }
}

impl From<SettingsError> for QueueError {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}
