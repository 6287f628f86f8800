//! One server or a cluster, as clients, readers and streams of entries use it.

use super::handle::Cluster;
use super::info::Node;
use super::map::Map;
use crate::config::{ClusterSettings, Config};
use crate::connection::{Call, Connection, Dialler, Events, Patience, Request, Route, Shared};
use crate::error::{ConfigError, Disconnect, Error};
use crate::sentinel::Watch;
use crate::server::Server;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The connection to one server, or those to the nodes of a cluster.
#[derive(Debug)]
pub(crate) struct Link {
    kind: Kind,
    calling: Calling,
}

/// All that a call needs. There is no branch between a command and its future: one would copy the
/// command once more.
#[derive(Debug, Clone)]
pub(crate) struct Calling {
    /// The only connection; in a cluster that of one node.
    first: Arc<Shared>,
    /// Chooses connections in a cluster.
    route: Option<Arc<dyn Route>>,
}

impl Calling {
    /// Returns the future of a request; nothing happens before it is polled.
    #[inline(always)]
    pub(crate) fn call<R: Request>(&self, request: R) -> Call<'_, R> {
        Call::new(&self.first, self.route.as_ref(), request)
    }
}

#[derive(Debug)]
pub(crate) enum Kind {
    One(Connection),
    Cluster(Cluster),
}

/// The parts with which further connections are opened.
#[derive(Debug, Clone)]
pub(crate) struct Opener {
    pub(crate) config: Arc<Config>,
    pub(crate) dialler: Dialler,
    /// The map of the client's cluster.
    cluster: Option<Arc<Map>>,
}

impl Opener {
    pub(crate) fn new(config: Arc<Config>, dialler: Dialler) -> Self {
        Self { config, dialler, cluster: None }
    }

    /// Lets the sentinels of the settings find the address, unless they do so already.
    fn watched(mut self) -> Result<Self, Error> {
        let Some(settings) = &self.config.sentinel else { return Ok(self) };
        if !self.dialler.is_by_address() {
            return Err(ConfigError::SentinelDialler.into());
        }
        if !self.dialler.is_found() {
            self.config.check()?;
            let watch = Watch::new(&self.config, settings, &self.dialler)?;
            self.dialler = self.dialler.found_by(watch);
        }
        Ok(self)
    }

    /// Returns an opener with these settings, which differ in limits only.
    pub(crate) fn with(&self, config: Arc<Config>) -> Self {
        Self { config, ..self.clone() }
    }

    /// Opens the connection of a client.
    pub(crate) async fn connect(self) -> Result<(Link, Self), Error> {
        let mut opener = self.watched()?;
        let Self { config, dialler, .. } = &opener;
        let link = match opener.cluster()? {
            None => Kind::One(Connection::open(Arc::clone(config), dialler.clone()).await?),
            Some(settings) => Kind::Cluster(Cluster::open(config, &settings, dialler).await?),
        };
        let link = Link::new(link);
        opener.cluster = link.map();
        Ok((link, opener))
    }

    /// Returns a connection that is made in the background.
    pub(crate) fn lazy(self) -> Result<(Link, Self), Error> {
        let mut opener = self.watched()?;
        let Self { config, dialler, .. } = &opener;
        let link = match opener.cluster()? {
            None => Kind::One(Connection::lazy(Arc::clone(config), dialler.clone())?),
            Some(settings) => Kind::Cluster(Cluster::lazy(config, &settings, dialler)?),
        };
        let link = Link::new(link);
        opener.cluster = link.map();
        Ok((link, opener))
    }

    fn cluster(&self) -> Result<Option<ClusterSettings>, Error> {
        match &self.config.cluster {
            Some(_) if !self.dialler.is_by_address() => Err(ConfigError::ClusterDialler.into()),
            settings => Ok(settings.clone()),
        }
    }

    /// Opens a dedicated connection with these settings, which differ in limits only.
    pub(crate) async fn open(
        &self,
        config: Arc<Config>,
        patience: Patience,
    ) -> Result<Link, Error> {
        Ok(Link::new(match &self.cluster {
            None => Kind::One(Connection::open_for(config, self.dialler.clone(), patience).await?),
            Some(map) => Kind::Cluster(Cluster::fork(map, config, patience)?),
        }))
    }

    /// Returns a dedicated connection with the same settings, which is made in the background.
    pub(crate) fn open_lazy(&self) -> Result<Link, Error> {
        let config = Arc::clone(&self.config);
        Ok(Link::new(match &self.cluster {
            None => Kind::One(Connection::lazy(config, self.dialler.clone())?),
            Some(map) => Kind::Cluster(Cluster::fork(map, config, Patience::Usual)?),
        }))
    }
}

impl Link {
    fn new(kind: Kind) -> Self {
        let (first, route) = match &kind {
            Kind::One(connection) => (connection.shared(), None),
            Kind::Cluster(cluster) => (cluster.connection(None), Some(cluster.route())),
        };
        Self { calling: Calling { first: Arc::clone(first), route }, kind }
    }

    /// Returns the connection to the server, or those to the nodes.
    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Returns the cluster; `None` for a single server.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        if let Kind::Cluster(cluster) = &self.kind { Some(cluster) } else { None }
    }

    fn map(&self) -> Option<Arc<Map>> {
        match &self.kind {
            Kind::One(_) => None,
            Kind::Cluster(cluster) => Some(Arc::clone(&cluster.map)),
        }
    }

    /// Returns the future of a request; nothing happens before it is polled.
    #[inline(always)]
    pub(crate) fn call<R: Request>(&self, request: R) -> Call<'_, R> {
        self.calling.call(request)
    }

    /// Returns what a future needs that does not borrow the link.
    pub(crate) fn calling(&self) -> &Calling {
        &self.calling
    }

    /// Returns the future of a request to one node. On a single server it goes there.
    pub(crate) fn call_at<R: Request>(&self, node: &Node, request: R) -> Call<'_, R> {
        match &self.kind {
            Kind::One(connection) => connection.call(request),
            Kind::Cluster(cluster) => Call::new(cluster.at(node), None, request),
        }
    }

    /// Returns a connection: the only one, or that for commands without a key.
    pub(crate) fn any(&self) -> &Arc<Shared> {
        match &self.kind {
            Kind::One(connection) => connection.shared(),
            Kind::Cluster(cluster) => cluster.connection(None),
        }
    }

    /// Returns the nodes of the cluster; none for a single server.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        match &self.kind {
            Kind::One(_) => Vec::new(),
            Kind::Cluster(cluster) => cluster.nodes(),
        }
    }

    /// Waits until the connection is established or the map was read, for at most this long.
    pub(crate) async fn ready(&self, within: Duration) -> Result<(), Error> {
        match &self.kind {
            Kind::One(connection) => connection.ready(within).await,
            Kind::Cluster(cluster) => cluster.ready(within).await,
        }
    }

    /// Rejects new requests. Those in flight are finished.
    pub(crate) fn begin_close(&self) {
        match &self.kind {
            Kind::One(connection) => connection.shared().close(),
            Kind::Cluster(cluster) => cluster.begin_close(),
        }
    }

    /// Rejects new requests. Returns when those in flight are finished and all sockets are closed.
    pub(crate) async fn close(&self) {
        match &self.kind {
            Kind::One(connection) => connection.close().await,
            Kind::Cluster(cluster) => cluster.close().await,
        }
    }

    pub(crate) fn events(&self) -> Events {
        match &self.kind {
            Kind::One(connection) => connection.shared().events().listen(),
            Kind::Cluster(cluster) => cluster.events(),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        match &self.kind {
            Kind::One(connection) => connection.shared().is_connected(),
            Kind::Cluster(cluster) => cluster.is_connected(),
        }
    }

    /// Whether it was closed, or its runtime has ended.
    pub(crate) fn is_ended(&self) -> bool {
        match &self.kind {
            Kind::One(connection) => connection.shared().is_ended(),
            Kind::Cluster(cluster) => cluster.is_closed(),
        }
    }

    pub(crate) fn requests(&self) -> usize {
        match &self.kind {
            Kind::One(connection) => connection.shared().requests(),
            Kind::Cluster(cluster) => cluster.connections().map(|shared| shared.requests()).sum(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match &self.kind {
            Kind::One(connection) => connection.shared().bytes(),
            Kind::Cluster(cluster) => cluster.connections().map(|shared| shared.bytes()).sum(),
        }
    }

    pub(crate) fn server(&self) -> Option<Arc<Server>> {
        match &self.kind {
            Kind::One(connection) => connection.shared().server(),
            Kind::Cluster(cluster) => cluster.server(),
        }
    }

    /// Returns the time at which the connection was established; `None` in a cluster, where a slot
    /// changes its connection.
    pub(crate) fn since(&self) -> Option<Instant> {
        match &self.kind {
            Kind::One(connection) => connection.shared().since(),
            Kind::Cluster(_) => None,
        }
    }

    /// Returns the connection's id at the server; `None` in a cluster, where each node has its own.
    pub(crate) fn server_id(&self) -> Option<i64> {
        match &self.kind {
            Kind::One(connection) => connection.shared().server_id(),
            Kind::Cluster(_) => None,
        }
    }

    /// Closes the connections at once.
    pub(crate) fn kill(&self) {
        let killed = |shared: &Arc<Shared>| shared.kill(Disconnect::Closed);
        match &self.kind {
            Kind::One(connection) => killed(connection.shared()),
            Kind::Cluster(cluster) => cluster.connections().for_each(killed),
        }
    }
}
