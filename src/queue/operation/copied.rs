//! Copies of entries that are removed after it: whether a copy is still there. An operation.
//!
//! A server that crashes, or a replica that is promoted, may lose the copy and keep the entry, with
//! `appendfsync everysec` or before the replica had it. That ends all connections to the server. So a
//! copy that was confirmed on an earlier connection is looked up again before the entry is removed.

use crate::client::Client;
use crate::command::XRange;
use crate::error::Error;
use crate::id::EntryId;
use std::time::{Duration, Instant};

/// A copy that the server has confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) id: EntryId,
    /// The connection on which it was confirmed.
    connection: Option<Instant>,
}

impl Copied {
    /// Records a copy. `connection` is that of before it was sent, by
    /// [`Client::connected_since`]: a change in between counts as a later connection.
    pub(crate) fn new(id: EntryId, connection: Option<Instant>) -> Self {
        Self { id, connection }
    }

    /// Returns the connection on which it was confirmed or looked up. What must not be done without
    /// the copy is sent on that.
    pub(crate) fn connection(&self) -> Option<Instant> {
        self.connection
    }

    /// Whether the copy is in the stream `key`, for all that the server can have lost.
    pub(crate) async fn exists(
        &mut self,
        client: &Client,
        key: &[u8],
        within: Duration,
    ) -> Result<bool, Error> {
        client.ready(within).await?;
        let connection = client.connected_since();
        if connection == self.connection {
            return Ok(true);
        }
        let look = XRange::new(key, self.id..=self.id).count(1);
        let found = client.send(look).within(within).await?;
        self.connection = connection;
        Ok(!found.is_empty())
    }
}
