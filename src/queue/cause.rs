//! The cause for which a job was dead-lettered. No I/O.

use std::fmt;
use std::sync::Arc;

/// The cause for which a job was dead-lettered.
///
/// It is kept in the letter's field `_cause`, as the text that [`DeadLetterCause::as_str`] returns.
///
/// ```no_run
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::DeadLetterCause;
///
/// for letter in queue.dead_letters().list(None, 100).await? {
///     if letter.cause == DeadLetterCause::WorkerLost {
///         println!("{} crashes its workers", letter.original);
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadLetterCause {
    /// The last attempt failed with an error.
    Failed,
    /// The handler or the classifier decided so: [`Fail::dead`](crate::queue::Fail::dead),
    /// [`Nack::dead`](crate::queue::Nack::dead), [`Verdict::Dead`](crate::queue::Verdict::Dead).
    Rejected,
    /// The payload could not be decoded.
    Undecodable,
    /// The last attempt panicked.
    Panicked,
    /// The last attempt exceeded its time.
    TimedOut,
    /// The entry is larger than a reply may be. It is still in the stream.
    TooLarge,
    /// The worker died, or lost its lease, during the last attempt.
    WorkerLost,
    /// The letter does not say: a worker died during the move, or another version wrote it.
    Unknown,
}

/// Each cause with its text.
const TEXTS: [(DeadLetterCause, &str); 8] = [
    (DeadLetterCause::Failed, "failed"),
    (DeadLetterCause::Rejected, "rejected"),
    (DeadLetterCause::Undecodable, "undecodable"),
    (DeadLetterCause::Panicked, "panicked"),
    (DeadLetterCause::TimedOut, "timed-out"),
    (DeadLetterCause::TooLarge, "too-large"),
    (DeadLetterCause::WorkerLost, "worker-lost"),
    (DeadLetterCause::Unknown, "unknown"),
];

impl DeadLetterCause {
    /// Returns the text of the cause in a letter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        TEXTS.iter().find(|(cause, _)| *cause == self).map_or("unknown", |(_, text)| *text)
    }

    /// Returns the cause with this text.
    pub(crate) fn of(text: &[u8]) -> Self {
        let found = TEXTS.iter().find(|(_, name)| name.as_bytes() == text);
        found.map_or(Self::Unknown, |(cause, _)| *cause)
    }
}

impl fmt::Display for DeadLetterCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A cause, and the error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) cause: DeadLetterCause,
    pub(crate) text: Arc<str>,
}

impl Reason {
    pub(crate) fn new(cause: DeadLetterCause, text: impl Into<Arc<str>>) -> Self {
        Self { cause, text: text.into() }
    }

    /// The reason of a job that was delivered this many times, the last time alone if it could be.
    pub(crate) fn worker_lost(deliveries: u32) -> Self {
        let text = format!("delivered {deliveries} times and never finished");
        Self::new(DeadLetterCause::WorkerLost, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_text() {
        for (cause, text) in TEXTS {
            assert_eq!((cause.as_str(), DeadLetterCause::of(text.as_bytes())), (text, cause));
        }
        assert_eq!(DeadLetterCause::of(b"later"), DeadLetterCause::Unknown);
    }
}
