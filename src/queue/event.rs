//! QueueEvent: what happens at a queue that its owner may want to know.

use crate::error::Error;
use crate::id::EntryId;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Something that happened to a queue, seen by this process.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum QueueEvent {
    /// A consumer could not be served. It tries again, a little later each time.
    Interrupted {
        /// Why.
        error: Arc<Error>,
    },
    /// The stream or the group was not there, and was made again from the stream's beginning. What the stream had held is
    /// gone, if it was deleted.
    Created,
    /// The server knows less than it knew: the last id that it gave out is below one that we were given. It lost what it had
    /// acknowledged, in a failover or a restart.
    RolledBack {
        /// The highest id that we have seen.
        seen: EntryId,
        /// The last one that the server knows of.
        last: EntryId,
    },
    /// The lease of a job was lost while it ran: the process or the connection stood still for too long, or someone finished
    /// or took the entry. The job was cancelled; another worker may be at it.
    LeaseLost {
        /// The job.
        id: EntryId,
    },
    /// A job went to the dead letters.
    DeadLettered {
        /// The job.
        id: EntryId,
        /// How often it had been tried.
        attempts: u32,
        /// Why.
        reason: Arc<str>,
    },
    /// A job cannot go to the dead letters: their key holds something else, or the server has no room. It stays pending, or
    /// was put back, and is tried again later. Somebody should look.
    DeadLetterBlocked {
        /// The job.
        id: EntryId,
        /// Why.
        error: Arc<Error>,
    },
    /// Entries vanished while they were pending: trimmed or deleted by somebody else, or by a lossy retention; by that also
    /// before they were read.
    Lost {
        /// How many.
        entries: u64,
    },
    /// A consumer that no longer exists was removed; it held nothing.
    ConsumerRemoved {
        /// Its name.
        name: Arc<[u8]>,
    },
    /// So many events were dropped, for they were not taken in time.
    Missed {
        /// How many.
        events: u64,
    },
}

#[cfg(feature = "tracing")]
impl QueueEvent {
    /// Emits it as an event of `tracing`.
    pub(super) fn trace(&self, stream: &[u8]) {
        use tracing::{debug, error, info, warn};
        let stream = stream.escape_ascii();
        match self {
            Self::DeadLettered { id, attempts, reason } => {
                error!(target: "bourn", %stream, %id, attempts, %reason, "job dead-lettered");
            }
            Self::DeadLetterBlocked { id, error } => {
                error!(target: "bourn", %stream, %id, %error, "job cannot be dead-lettered");
            }
            Self::RolledBack { seen, last } => {
                error!(target: "bourn", %stream, %seen, %last, "the server lost entries");
            }
            Self::LeaseLost { id } => warn!(target: "bourn", %stream, %id, "lease lost"),
            Self::Lost { entries } => {
                warn!(target: "bourn", %stream, entries, "pending entries are gone from the stream");
            }
            // The connection's own warnings say so, at a bounded rate.
            Self::Interrupted { error } if error.code().is_none() => {
                debug!(target: "bourn", %stream, %error, "consumer interrupted");
            }
            Self::Interrupted { error } => {
                warn!(target: "bourn", %stream, %error, "consumer interrupted");
            }
            Self::Created => info!(target: "bourn", %stream, "stream or group created again"),
            Self::ConsumerRemoved { name } => {
                debug!(target: "bourn", %stream, name = %name.escape_ascii(), "consumer removed");
            }
            Self::Missed { .. } => {}
        }
    }
}

/// The events of a queue, as seen by the process: from [`Queue::events`](super::Queue::events).
///
/// A listener that is slow holds nothing up: beyond 256 the oldest events are dropped, and [`QueueEvent::Missed`] says how
/// many.
#[derive(Debug)]
pub struct QueueEvents(pub(super) broadcast::Receiver<QueueEvent>);

impl QueueEvents {
    /// The next event; `None` when the queue and all that works on it are gone.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken by a future that is dropped.
    pub async fn next(&mut self) -> Option<QueueEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(events)) => Some(QueueEvent::Missed { events }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// How many events are kept for a listener.
pub(super) const KEPT: usize = 256;
