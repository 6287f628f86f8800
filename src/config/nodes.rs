//! The settings of a cluster, as methods. No I/O.

use super::Config;
use super::cluster::{ClusterSettings, MapAddress, PORT, Replicas, host};
use std::sync::Arc;
use std::time::Duration;

impl Config {
    /// Creates the settings for a cluster with these nodes: `host`, `host:port`, or
    /// `[IPv6]:port`. The default port is 6379.
    ///
    /// One node that is up is enough: it knows the others. Give two or more, so that a client can
    /// start while one is down. A hosted cluster has one configuration endpoint, which is enough.
    ///
    /// User, password, TLS, timeouts and limits apply to the connection of each node. The
    /// [budget](Config::budget_bytes) is that of one node. See
    /// [`guide::cluster`](crate::guide::cluster).
    ///
    /// ```no_run
    /// # use bourn::{Client, Config, Error, XAdd};
    /// # async fn f() -> Result<(), Error> {
    /// let config = Config::cluster(["node1:7000", "node2:7000"]).password("s3cret");
    /// let client = Client::connect(config).await?;
    /// client.send(XAdd::new("orders").field("sku", "A-7")).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn cluster<S: AsRef<str>>(nodes: impl IntoIterator<Item = S>) -> Self {
        let seeds: Vec<_> = nodes.into_iter().map(|node| host(node.as_ref(), PORT)).collect();
        // Without a node, `check` reports the empty host.
        let (host, port) = seeds.first().cloned().unwrap_or_default();
        let cluster = ClusterSettings {
            seeds,
            refresh_every: Duration::from_secs(60),
            map_address: None,
            replicas: Replicas::default(),
        };
        Self { cluster: Some(cluster), ..Self::tcp(host, port) }
    }

    /// Sets how often the map of the cluster is read when nothing has changed. Default 60 s, and a
    /// quarter more or less at random.
    ///
    /// The map is also read when a node redirects a command or a connection is lost. No effect on a
    /// single server.
    #[must_use]
    pub fn refresh_every(mut self, time: Duration) -> Self {
        if let Some(cluster) = &mut self.cluster {
            cluster.refresh_every = time;
        }
        self
    }

    /// Sets the replica that reads with [`from_replica`](crate::ReadCommand::from_replica) are sent
    /// to. Default [`Replicas::Any`]. Other commands always go to the master. No effect on a single
    /// server.
    #[must_use]
    pub fn replicas(mut self, which: Replicas) -> Self {
        if let Some(cluster) = &mut self.cluster {
            cluster.replicas = which;
        }
        self
    }

    /// Sets a function from the host and port that a node of a cluster announces to those that are
    /// dialled: for nodes behind NAT, in containers or in a tunnel. No effect on a single server.
    ///
    /// ```
    /// # use bourn::Config;
    /// // Nodes announce 10.0.0.1 to 10.0.0.3; the ports are forwarded from this machine.
    /// let config = Config::cluster(["127.0.0.1:7001"])
    ///     .map_address(|_host, port| ("127.0.0.1".to_owned(), port));
    /// # let _ = config;
    /// ```
    #[must_use]
    pub fn map_address(
        mut self,
        map: impl Fn(&str, u16) -> (String, u16) + Send + Sync + 'static,
    ) -> Self {
        if let Some(cluster) = &mut self.cluster {
            cluster.map_address = Some(MapAddress(Arc::new(map)));
        }
        self
    }
}
