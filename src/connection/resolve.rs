//! The address of a server that is found before each attempt to connect: the master that sentinels
//! name.

use super::host::Host;
use super::outbox::Shared;
use crate::config::BoxFuture;
use crate::error::ConnectReason;
use std::fmt;
use std::sync::Arc;

/// Finds the address of a server.
pub(crate) trait Resolve: fmt::Debug + Send + Sync {
    /// Returns the address for the next attempt to connect.
    fn address(&self) -> BoxFuture<'_, Result<Host, ConnectReason>>;

    /// Records a connection that uses these addresses. It may be told to leave its server, and to
    /// write nothing for a while.
    fn joined(&self, shared: &Arc<Shared>);
}
