//! The errors of a queue, and whether the operation may have been done. No I/O.

use crate::client::DurableError;
use crate::error::{Code, Error, Outcome};
use crate::id::EntryId;
use crate::queue::codec::CodecError;

/// The error of an operation on a queue.
///
/// Its text contains the cause, as that of [`crate::Error`].
///
/// ```no_run
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::QueueError;
///
/// match queue.producer().enqueue(&"ada@example.com".to_owned()).await {
///     Ok(id) => println!("{id}"),
///     Err(QueueError::Codec(error)) => println!("this payload can never be enqueued: {error}"),
///     Err(error) if error.may_have_run() => println!("perhaps enqueued: {error}"),
///     Err(error) => println!("not enqueued: {error}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// A command failed. [`QueueError::outcome`] says whether it may have run.
    #[error(transparent)]
    Redis(#[from] Error),
    /// The payload cannot be encoded as fields, or the fields cannot be decoded.
    #[error("invalid payload: {0}")]
    Codec(CodecError),
    /// The lease of the job is lost: another worker may have the job. Nothing was done.
    #[error("lease lost: another worker may have the job")]
    LeaseLost,
    /// The consumer stopped before the operation was confirmed. If it was not done, the job is
    /// delivered again when its lease expires.
    #[error("the consumer stopped before the operation was confirmed; it may have been done")]
    Stopped,
    /// The settings do not fit each other or the server.
    #[error("invalid queue settings: {0}")]
    Settings(SettingsError),
    /// The job was added, and may be lost: too few have it, or it is not known how many do
    /// ([`Enqueue::durable`](crate::queue::Enqueue::durable)). To enqueue it again adds another job.
    #[error("{reason}")]
    NotKept {
        /// The id of the job.
        id: EntryId,
        /// The number of those that have it, as far as that is known.
        reason: Box<DurableError>,
    },
}

/// The reason why the settings of a queue are invalid.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::{Queue, QueueError, RawBytes, SettingsError};
///
/// let opened: Result<Queue<Vec<u8>>, _> = Queue::builder(client, "orders").open(RawBytes).await;
/// if let Err(QueueError::Settings(SettingsError::NotAStream(key))) = opened {
///     println!("{key} holds something else: use another name");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The key of the stream holds a value of another type.
    #[error("the key {0} of the stream holds a value that is not a stream")]
    NotAStream(Box<str>),
    /// The key of the dead-letter stream holds a value of another type: no job could be moved
    /// there.
    #[error("the key {0} of the dead-letter stream holds a value that is not a stream")]
    DeadLettersNotAStream(Box<str>),
    /// Other groups read the stream, and entries would be deleted before those groups have read
    /// them. Contains their names.
    #[error("other groups read the stream too: {0}; use Retention::KeepUntilAllAcked")]
    OtherGroups(Box<str>),
    /// Queues of other groups on the stream have another kind of retention: one group would delete
    /// what another has not read. Contains their names, each with its retention.
    #[error("the groups of a stream must have the same retention; there are: {0}")]
    OtherRetention(Box<str>),
    /// A duration or a name is invalid. Contains the rule that it violates.
    #[error("{0}")]
    Value(&'static str),
    /// The queues of a merged worker differ in a setting that they must share. Contains its name.
    #[error("the queues of a merged worker must have the same {0}")]
    Differ(&'static str),
    /// A merged worker was given the same stream twice. Contains the key.
    #[error("a merged worker cannot use the same stream twice: {0}")]
    SameStream(Box<str>),
    /// Two queues that must be on the same connection were opened with different clients: the
    /// commands for one of them would run on the server, or in the database, of the other. Contains
    /// the operation. Open both with one [`Client`](crate::Client), or with clones of it.
    #[error("{0} needs queues that were opened with the same client")]
    OtherClient(&'static str),
    /// A partitioned queue was opened before with another number of lanes, or with other servers.
    /// Contains both. Jobs would go to lanes without a worker.
    #[error("the partitioned queue was opened before with {0}")]
    Layout(Box<str>),
    /// A recurring job cannot be set. Contains the reason.
    #[error("the recurring job cannot be set: {0}")]
    Recurrence(Box<str>),
    /// The operation acknowledges a job, and the queue delivers at most once: its jobs were removed
    /// when they were delivered. Contains the operation.
    #[error("{0} needs a queue that delivers at least once")]
    AtMostOnce(&'static str),
    /// The server is too old for a setting or an option. Contains the required command and its
    /// server version.
    #[error("the server is too old: {0}")]
    TooOld(&'static str),
}

debug_is_display!(QueueError, SettingsError);

impl From<CodecError> for QueueError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl From<DurableError> for QueueError {
    fn from(error: DurableError) -> Self {
        match error {
            DurableError::Redis(error) => error.into(),
            DurableError::NotKept { id, .. } => Self::NotKept { id, reason: Box::new(error) },
        }
    }
}

impl QueueError {
    /// Returns whether the operation may have been done.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Redis(error) => error.outcome(),
            Self::Codec(_) | Self::LeaseLost | Self::Settings(_) => Outcome::NotSent,
            Self::Stopped | Self::NotKept { .. } => Outcome::Unknown,
        }
    }

    /// Whether the operation may have been done: true when the outcome is unknown.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        self.outcome() == Outcome::Unknown
    }

    /// Whether the cause may pass by itself: [`Error::is_transient`].
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Redis(error) if error.is_transient())
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
