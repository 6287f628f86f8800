//! Commands to one node of a cluster.

use super::Client;
use super::send::Sending;
use crate::cluster::{Link, Node};
use crate::command::Command;
use crate::connection::Single;

/// A client of one node of a cluster: [`Client::at`](super::Client::at).
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::Raw;
///
/// for node in client.nodes() {
///     println!("{:?}", client.at(&node).send(Raw::new("DBSIZE")).await?);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct NodeClient<'a> {
    link: &'a Link,
    node: &'a Node,
}

impl Client {
    /// Returns the nodes of the cluster, as its map was read last. Empty for a single server.
    ///
    /// ```no_run
    /// # use bourn::{Client, Error};
    /// # async fn f() -> Result<(), Error> {
    /// let client = Client::connect("redis+cluster://node1:7000,node2:7000").await?;
    /// for node in client.nodes() {
    ///     println!("{} {:?}: {} slots", node.address(), node.role(), node.slots());
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        self.link.nodes()
    }

    /// Returns a client that sends every command to this node of the cluster, whatever its keys.
    /// Redirects are not followed: they are errors.
    pub fn at<'a>(&'a self, node: &'a Node) -> NodeClient<'a> {
        NodeClient::new(&self.link, node)
    }
}

impl<'a> NodeClient<'a> {
    pub(super) fn new(link: &'a Link, node: &'a Node) -> Self {
        Self { link, node }
    }

    /// Sends a command to the node, as [`Client::send`](super::Client::send) does.
    ///
    /// # Cancel safety
    ///
    /// As [`Client::send`](super::Client::send).
    ///
    /// # Errors
    ///
    /// As [`Client::send`](super::Client::send), and [`Code::Moved`](crate::Code::Moved) if the node
    /// does not serve the key.
    pub fn send<C: Command>(&self, command: C) -> Sending<'a, C> {
        Sending(self.link.call_at(self.node, Single(command)))
    }
}
