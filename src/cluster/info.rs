//! A node of a cluster, as users see it.

use super::node;
use super::topology::Host;
use crate::command::NodeRole;
use crate::config::Address;
use std::sync::atomic::Ordering::Relaxed;

/// A node of the cluster that a client is connected to: [`Client::nodes`](crate::Client::nodes).
///
/// It is a copy of what was known when it was made.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::Raw;
///
/// for node in client.nodes() {
///     let memory = client.at(&node).send(Raw::new("INFO memory")).await?;
///     println!("{} {:?} {} slots: {memory:?}", node.address(), node.role(), node.slots());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    address: Address,
    role: NodeRole,
    slots: u16,
    is_connected: bool,
}

impl Node {
    pub(super) fn of(node: &node::Node) -> Self {
        let Host { name, port } = node.host.clone();
        let is_replica = node.is_replica.load(Relaxed);
        Self {
            address: Address::Tcp { host: name, port },
            role: if is_replica { NodeRole::Replica } else { NodeRole::Master },
            slots: node.slots.load(Relaxed),
            is_connected: node.shared().is_connected(),
        }
    }

    pub(super) fn host(&self) -> Host {
        match &self.address {
            Address::Tcp { host, port } => Host { name: host.clone(), port: *port },
            #[cfg(unix)]
            Address::Unix { path } => Host { name: path.display().to_string(), port: 0 },
        }
    }

    /// Returns the address that is dialled.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Returns the role.
    #[must_use]
    pub fn role(&self) -> &NodeRole {
        &self.role
    }

    /// Returns the number of slots that it is the master of, of 16,384.
    #[must_use]
    pub fn slots(&self) -> u16 {
        self.slots
    }

    /// Whether the client had a connection to it. Connections are made when they are first needed.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }
}
