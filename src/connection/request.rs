//! What can be sent: a command, a pipeline, a transaction.

use super::outbox::Size;
use super::pipeline::{Failed, Replies};
use crate::command::Safety;
use crate::error::{ServerError, Unsent};
use crate::server::Server;
use std::sync::Arc;
use std::time::Duration;

/// A unit of sending: a command, a pipeline, a transaction.
pub(crate) trait Request {
    type Output;

    /// The measurement made before the request is written.
    type Measure;

    /// Whether a replica may answer it.
    const FROM_REPLICA: bool = false;

    /// Returns the server's error, if the replies show that none of the request has run.
    fn refused(&self, _: &Replies) -> Option<ServerError> {
        None
    }

    /// Returns the slot of the request's keys in a cluster; `None` if it has no keys.
    fn slot(&self) -> Result<Option<u16>, Unsent> {
        Ok(None)
    }

    /// Returns whether the request may be sent twice.
    fn safety(&self) -> Safety {
        Safety::Write
    }

    /// Returns the connection on which it must be sent, if that matters: the time at which that was
    /// established.
    fn connection(&self) -> Option<std::time::Instant> {
        None
    }

    /// Whether there is nothing to send and no reply to wait for.
    fn is_empty(&self) -> bool {
        false
    }

    /// Returns the number of replies and bytes, or the reason why the request cannot be sent.
    fn measure(&self) -> Result<(Size, Self::Measure), Unsent>;

    /// Appends the request to the buffer; false if it differs from the measurement.
    fn write(&self, measure: &Self::Measure, out: &mut Vec<u8>) -> bool;

    /// Creates the result from the replies; `server` looks up the server.
    fn finish(
        &self,
        replies: Replies,
        failure: Failed,
        waited: Duration,
        server: ServerLookup<'_>,
    ) -> Self::Output;
}

/// Looks up the server. Called only for a refusal, because it takes the lock.
pub(crate) type ServerLookup<'a> = &'a dyn Fn() -> Option<Arc<Server>>;
