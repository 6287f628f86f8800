//! A connection state change.

use crate::error::{ConnectError, Disconnect};
use crate::server::Server;
use std::sync::Arc;
use std::time::Duration;

/// A connection state change.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::Event;
///
/// let mut events = client.events();
/// while let Some(event) = events.next().await {
///     match event {
///         Event::Disconnected { reason } => println!("connection lost: {reason}"),
///         Event::Connected { .. } => println!("connected"),
///         _ => {}
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A connection was established.
    Connected {
        /// The server's flavour and version; `None` if the server did not report them.
        server: Option<Arc<Server>>,
    },
    /// The connection was lost. Unless the client was closed, it reconnects.
    Disconnected {
        /// The reason.
        reason: Disconnect,
    },
    /// The next attempt to connect follows after a delay.
    Reconnecting {
        /// The delay.
        after: Duration,
    },
    /// An attempt to connect failed. Another one follows.
    ConnectFailed {
        /// The error.
        error: Arc<ConnectError>,
    },
    /// The server rejected the credentials, on a new connection or, after they were changed, on a
    /// live one. More attempts follow, less often, with the credentials of that time.
    CredentialsRejected {
        /// The server's error, without the password.
        error: Arc<ConnectError>,
    },
    /// An event of one node of a cluster.
    Node {
        /// The node's address.
        address: Arc<str>,
        /// The event of its connection.
        event: Box<Self>,
    },
    /// The map of a cluster was read, and differs from the one before.
    Topology {
        /// The number of masters that have slots.
        masters: usize,
        /// The number of replicas.
        replicas: usize,
        /// The number of slots whose node is another one now.
        slots_moved: usize,
        /// The number of slots without a node.
        unowned: usize,
    },
    /// The sentinels have named another master. Connections to the old one are closed.
    MasterSwitched {
        /// The address of the new master.
        to: Arc<str>,
    },
    /// A planned failover has begun: nothing is written until it has ended, for at most 3 s.
    WritesHeld,
    /// Writing continues.
    WritesReleased {
        /// The time for which nothing was written.
        after: Duration,
    },
    /// The oldest events were dropped, because they were not received in time.
    Missed {
        /// The number of dropped events.
        events: u64,
    },
}
