//! The cluster, as long as a client or a reader uses it.

use super::info::Node;
use super::map::{self, Map, Way};
use super::{ask, node, task};
use crate::config::{ClusterSettings, Config};
use crate::connection::{Connection, Dialler, Events, Hop, Patience, Route, Shared};
use crate::error::{Disconnect, Error, Repeat, ServerError};
use crate::random;
use crate::server::Server;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

/// The connections to the nodes of a cluster. They are closed when it is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(super) map: Arc<Map>,
}

impl Cluster {
    /// Reads the map of the cluster, and spawns a task that keeps it.
    pub(crate) async fn open(
        config: &Arc<Config>,
        settings: &ClusterSettings,
        dialler: &Dialler,
    ) -> Result<Self, Error> {
        let cluster = Self::new(config, settings, dialler)?;
        let map = &cluster.map;
        let until = map::now().checked_add(config.wait_for_server);
        let mut pause = config.reconnect_min;
        loop {
            let error = match ask::ask(map, None, config.connect_timeout).await {
                Ok(view) => {
                    map.apply(&view);
                    cluster.begin();
                    return Ok(cluster);
                }
                Err(error) => error,
            };
            let at = map::now() + pause.mul_f64(random::fraction());
            if until.is_some_and(|until| at >= until) || !error.is_transient() {
                return Err(error);
            }
            pause = (pause * 2).min(config.reconnect_max);
            let mut timer = None;
            let shared = map.home().shared();
            poll_fn(|cx| shared.pause(&mut timer, at, cx)).await;
        }
    }

    /// Returns immediately; a task reads the map and keeps it.
    pub(crate) fn lazy(
        config: &Arc<Config>,
        settings: &ClusterSettings,
        dialler: &Dialler,
    ) -> Result<Self, Error> {
        let cluster = Self::new(config, settings, dialler)?;
        cluster.begin();
        Ok(cluster)
    }

    fn new(
        config: &Arc<Config>,
        settings: &ClusterSettings,
        dialler: &Dialler,
    ) -> Result<Self, Error> {
        config.check()?;
        let (config, settings) = (Arc::clone(config), settings.clone());
        let map = Map::new(config, settings, dialler.clone(), Patience::Usual, None)?;
        Ok(Self { map })
    }

    /// Returns the same cluster with connections of its own, which are made when they are needed.
    pub(super) fn fork(map: &Map, config: Arc<Config>, patience: Patience) -> Result<Self, Error> {
        let (settings, dialler) = (map.settings.clone(), map.common.dialler.clone());
        let cluster = Self { map: Map::new(config, settings, dialler, patience, Some(map))? };
        cluster.begin();
        Ok(cluster)
    }

    fn begin(&self) {
        self.map.common.runtime.spawn(task::run(Arc::clone(&self.map)));
    }

    /// Returns what chooses the connection of a request by its keys.
    pub(super) fn route(&self) -> Arc<dyn Route> {
        Arc::<Map>::clone(&self.map)
    }

    /// Returns the connection for these keys.
    pub(crate) fn connection(&self, slot: Option<u16>) -> &Arc<Shared> {
        self.map.connection_of(slot)
    }

    /// Returns how a request of a batch continues that was refused on this connection.
    pub(crate) fn refused(&self, by: &Shared, error: &ServerError, hops: u8) -> Option<Hop<'_>> {
        self.map.refused(by, error, hops)
    }

    /// Records that a request got no reply in time.
    pub(crate) fn failed(&self) {
        self.map.want();
    }

    /// Returns how a request continues that was refused on this connection, after `hops` redirects.
    pub(crate) fn redirected(&self, by: &Shared, error: &ServerError, hops: u8) -> Option<Way> {
        self.map.redirected(by, error, hops)
    }

    /// Returns the nodes of the last view.
    pub(super) fn nodes(&self) -> Vec<Node> {
        self.map.known().filter(|node| node.is_listed.load(Relaxed)).map(Node::of).collect()
    }

    /// Returns the connection to a node.
    pub(super) fn at(&self, node: &Node) -> &Arc<Shared> {
        let place = self.map.node_at(&node.host());
        let node = place.and_then(|place| self.map.node(place));
        node.unwrap_or_else(|| self.map.home()).shared()
    }

    /// Waits until the map was read, for at most this long.
    pub(super) async fn ready(&self, within: Duration) -> Result<(), Error> {
        let at = map::now().checked_add(within);
        let mut timer = None;
        let mut viewed = self.map.viewed.subscribe();
        let mut is_viewed = pin!(viewed.wait_for(|viewed| *viewed));
        let shared = self.map.home().shared();
        let ready = poll_fn(|cx| {
            if is_viewed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            match at {
                Some(at) => shared.pause(&mut timer, at, cx).map(|()| false),
                None => Poll::Pending,
            }
        });
        if ready.await {
            return Ok(());
        }
        if self.is_closed() {
            let (command, reason) = ("connecting", Disconnect::Closed);
            return Err(Error::Lost { command, reason, repeat: Repeat::SAFE });
        }
        // The cause is that of a node.
        self.map.home().connection.ready(Duration::ZERO).await?;
        ask::ask(&self.map, None, Duration::from_millis(1)).await.map(|_| ())
    }

    /// Rejects new requests. Returns when those in flight are finished and all sockets are closed.
    pub(super) async fn close(&self) {
        self.begin_close();
        for connection in self.map.connections() {
            connection.close().await;
        }
    }

    pub(super) fn begin_close(&self) {
        self.map.closing.store(true, Relaxed);
        self.map.connections().map(Connection::shared).for_each(|shared| shared.close());
        self.map.wake.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.map.closing.load(Relaxed)
            || self.map.connections().all(|connection| connection.shared().is_ended())
    }

    pub(super) fn events(&self) -> Events {
        self.map.publisher.listen()
    }

    /// Whether the map was read, and no node with slots is without a connection.
    pub(super) fn is_connected(&self) -> bool {
        let is_viewed = *self.map.viewed.borrow();
        is_viewed && !self.map.known().any(node::Node::is_missing)
    }

    pub(super) fn server(&self) -> Option<Arc<Server>> {
        self.map.server()
    }

    pub(super) fn connections(&self) -> impl Iterator<Item = &Arc<Shared>> {
        self.map.connections().map(Connection::shared)
    }
}

/// Queued requests are still finished.
impl Drop for Cluster {
    fn drop(&mut self) {
        self.begin_close();
    }
}
