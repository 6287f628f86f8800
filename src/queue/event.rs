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
