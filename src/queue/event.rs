//! Events of a queue, for monitoring. Part of the tasks.

use crate::error::Error;
use crate::id::EntryId;
use crate::queue::cause::DeadLetterCause;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// An event of a queue, as seen by this process.
///
/// ```no_run
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::QueueEvent;
///
/// let mut events = queue.events();
/// while let Some(event) = events.next().await {
///     if let QueueEvent::DeadLettered { id, reason, .. } = event {
///         println!("{id} is a dead letter: {reason}");
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum QueueEvent {
    /// A consumer's operation failed. It is retried with increasing delays.
    Interrupted {
        /// The error.
        error: Arc<Error>,
    },
    /// The stream or the group was missing, and was created again. If the stream was deleted, its
    /// entries are lost. Otherwise the entries after `after` are delivered again. With
    /// [`Retention::DeleteOnAck`](crate::queue::Retention::DeleteOnAck) those are the jobs that are
    /// not done. With another retention, jobs that were done run again.
    Created {
        /// The id after which the group starts. It is [`EntryId::MIN`] with `DeleteOnAck`, and where
        /// this process does not know what was acknowledged. Otherwise all jobs up to it are done,
        /// as of about a second before; ten seconds, if only other processes have settled jobs.
        after: EntryId,
    },
    /// The server's last generated id is lower than an id that this process has received. The
    /// server lost acknowledged data in a failover or a restart.
    RolledBack {
        /// The highest id that this process has received.
        seen: EntryId,
        /// The last generated id of the server.
        last: EntryId,
    },
    /// The lease of a job was lost while it ran. The process or the connection stalled for too
    /// long, or another client claimed the entry. The job was cancelled; another worker may run it.
    LeaseLost {
        /// The job.
        id: EntryId,
    },
    /// The entry of a running job is no longer pending: another client acknowledged or deleted it,
    /// or the group was created again. The job was cancelled.
    NoLongerPending {
        /// The job.
        id: EntryId,
    },
    /// A job was moved to the dead-letter stream.
    DeadLettered {
        /// The job.
        id: EntryId,
        /// The number of attempts.
        attempts: u32,
        /// The cause.
        cause: DeadLetterCause,
        /// The last error.
        reason: Arc<str>,
    },
    /// Dead letters were deleted: they were older, or more, than the queue keeps
    /// ([`QueueBuilder::dead_letter_limit`](crate::queue::QueueBuilder::dead_letter_limit),
    /// [`QueueBuilder::dead_letter_age`](crate::queue::QueueBuilder::dead_letter_age)).
    DeadLettersDropped {
        /// The number of letters.
        letters: u64,
    },
    /// A job cannot be moved to the dead-letter stream: its key holds another type, or the server
    /// is out of memory. The job stays pending and is not run again. The move is tried again later.
    /// An operator should investigate.
    DeadLetterBlocked {
        /// The job.
        id: EntryId,
        /// The error.
        error: Arc<Error>,
    },
    /// A decision on a job could not be carried out: it was refused, or its outcome is unknown. The
    /// job stays pending, and is delivered again when its lease expires, also if it is done.
    ///
    /// [`Report::unacknowledged`](crate::queue::Report::unacknowledged) and
    /// [`Report::unsettled`](crate::queue::Report::unsettled) count them. A permanent error also
    /// ends the worker or consumer.
    SettlementFailed {
        /// The job.
        id: EntryId,
        /// The error.
        error: Arc<Error>,
    },
    /// Pending entries are missing from the stream: trimmed or deleted by others, or by a lossy
    /// retention. With a lossy retention, unread entries are counted too.
    Lost {
        /// The number of entries.
        entries: u64,
    },
    /// The stream forgets the ids of jobs while they may be sent again, and XCFGSET or XINFO STREAM
    /// is refused. Jobs are added without IDMP from now on: the outcome of an enqueue stays unknown
    /// if its reply is lost.
    ///
    /// [`QueueBuilder::dedupe_window`](crate::queue::QueueBuilder::dedupe_window) has the limits.
    ShortDedupeWindow {
        /// The duration and the number of ids of a producer that the stream remembers. `None` if
        /// the server does not report it.
        window: Option<(Duration, u64)>,
    },
    /// A recurring job is not known to this version of the crate, or to one without the feature
    /// `cron`. This process adds no jobs for it.
    RecurrenceUnknown {
        /// The name of the recurring job.
        name: Box<str>,
        /// The reason.
        reason: Box<str>,
    },
    /// The server may evict the whole stream when its memory is full. Set `maxmemory-policy` to
    /// `noeviction`. Emitted when the queue is opened, where CONFIG GET is allowed.
    MayBeEvicted {
        /// The policy of the server.
        policy: Arc<str>,
    },
    /// An abandoned consumer was removed. It had nothing pending.
    ConsumerRemoved {
        /// Its name.
        name: Arc<[u8]>,
    },
    /// Events were dropped, because they were not received in time.
    Missed {
        /// The number of events.
        events: u64,
    },
}

#[cfg(feature = "tracing")]
impl QueueEvent {
    /// Emits the event through `tracing`.
    pub(crate) fn trace(&self, stream: &[u8]) {
        use tracing::{debug, error, warn};
        let stream = stream.escape_ascii();
        match self {
            Self::DeadLettered { id, attempts, cause, reason } => {
                error!(target: "bourn", %stream, %id, attempts, %cause, %reason, "job dead-lettered");
            }
            Self::DeadLettersDropped { letters } => {
                warn!(target: "bourn", %stream, letters, "dead letters beyond the limit deleted");
            }
            Self::DeadLetterBlocked { id, error } => {
                error!(target: "bourn", %stream, %id, %error, "job cannot be dead-lettered");
            }
            Self::SettlementFailed { id, error } => {
                error!(target: "bourn", %stream, %id, %error, "job cannot be settled");
            }
            Self::RolledBack { seen, last } => {
                error!(target: "bourn", %stream, %seen, %last, "the server lost entries");
            }
            Self::LeaseLost { id } => warn!(target: "bourn", %stream, %id, "lease lost"),
            Self::NoLongerPending { id } => {
                warn!(target: "bourn", %stream, %id, "job is no longer pending");
            }
            Self::Lost { entries } => {
                warn!(target: "bourn", %stream, entries, "pending entries are gone from the stream");
            }
            // The connection reports this itself, with rate-limited warnings.
            Self::Interrupted { error } if error.code().is_none() => {
                debug!(target: "bourn", %stream, %error, "consumer interrupted");
            }
            Self::Interrupted { error } => {
                warn!(target: "bourn", %stream, %error, "consumer interrupted");
            }
            Self::Created { after } => {
                warn!(target: "bourn", %stream, %after, "stream or group created again");
            }
            Self::ConsumerRemoved { name } => {
                debug!(target: "bourn", %stream, name = %name.escape_ascii(), "consumer removed");
            }
            Self::RecurrenceUnknown { name, reason } => {
                warn!(target: "bourn", %stream, name, reason, "recurring job is not known");
            }
            Self::ShortDedupeWindow { window } => {
                warn!(target: "bourn", %stream, ?window, "the stream forgets ids of jobs too soon");
            }
            Self::MayBeEvicted { policy } => {
                warn!(target: "bourn", %stream, %policy, "the server may evict the stream");
            }
            Self::Missed { .. } => {}
        }
    }
}

/// The events of a queue, as seen by this process. Created by
/// [`Queue::events`](crate::queue::Queue::events).
///
/// A slow receiver does not block the queue. Beyond 256 events the oldest are dropped, and
/// [`QueueEvent::Missed`] reports how many.
///
/// ```no_run
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// let mut events = queue.events();
/// tokio::spawn(async move {
///     while let Some(event) = events.next().await {
///         println!("{event:?}");
///     }
/// });
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct QueueEvents(pub(crate) broadcast::Receiver<QueueEvent>);

impl QueueEvents {
    /// Returns the next event; `None` when the queue and everything created from it are dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<QueueEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(events)) => Some(QueueEvent::Missed { events }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// The number of events that are kept for a receiver.
pub(crate) const EVENTS_KEPT: usize = 256;
