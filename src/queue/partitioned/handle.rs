//! The handle of a partitioned queue. An operation.

use super::spread::{Spread, lane_of};
use crate::client::Client;
use crate::queue::shared::Queue;
use std::fmt;
use std::sync::Arc;

/// A queue of several streams, the lanes: more than one stream or one server can carry.
///
/// Use it in a cluster, whose nodes then share the work; over several independent servers
/// ([`Partitioned::over`]), of which each may fail; and on one server, where one stream is too slow
/// or its entries must not share one limit.
///
/// Jobs of one lane are delivered in the order of their ids, as in a [`Queue`]. Those of several
/// lanes have no order. A job with an [`Enqueue::key`](crate::queue::Enqueue::key) always has the same
/// lane.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::Client;
/// use bourn::queue::{Fail, Job, Partitioned, RawBytes};
///
/// let client = Client::connect("redis+cluster://node1:7000,node2:7000").await?;
/// let orders: Partitioned<Vec<u8>> = Partitioned::builder(&client, "orders").open(RawBytes).await?;
/// orders.producer().enqueue(&b"A-7".to_vec()).await?;
/// let handler = |job: Job<Vec<u8>>| async move {
///     println!("{:?}", job.payload());
///     Ok::<(), Fail>(())
/// };
/// orders.worker().concurrency(64).run(tokio::signal::ctrl_c(), handler).await?;
/// # Ok(()) }
/// ```
pub struct Partitioned<T> {
    lanes: Arc<[Queue<T>]>,
    spread: Arc<Spread>,
    name: Arc<[u8]>,
    /// The layout is on each of them. Lane 0 is on the first, and so on in turn.
    servers: usize,
}

impl<T: 'static> Partitioned<T> {
    pub(super) fn new(
        lanes: Arc<[Queue<T>]>,
        spread: Arc<Spread>,
        name: &[u8],
        servers: usize,
    ) -> Self {
        Self { lanes, spread, name: name.into(), servers }
    }

    /// Returns the lanes: each is a queue, for its events, its dead letters, its statistics.
    #[must_use]
    pub fn lanes(&self) -> &[Queue<T>] {
        &self.lanes
    }

    /// Returns the keys that the queue may use, with the client of their server: those of each lane
    /// ([`Queue::keys`]), and those that describe the layout. To delete the queue, for example; then
    /// it must not be open anywhere.
    ///
    /// ```no_run
    /// # use bourn::{Unlink, queue::Partitioned};
    /// # async fn f(orders: Partitioned<String>) -> Result<(), bourn::Error> {
    /// for (client, key) in orders.keys() {
    ///     client.send(Unlink::new(key)).await?;
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn keys(&self) -> Vec<(&Client, Vec<u8>)> {
        let of = |lane: usize, queue| {
            let layout = (lane < self.servers).then(|| layout_key(&self.name, lane));
            let keys = Queue::keys(queue).into_iter().chain(layout);
            keys.map(|key| (queue.client(), key))
        };
        (0..).zip(&*self.lanes).flat_map(|(lane, queue)| of(lane, queue)).collect()
    }

    /// Returns the lane of a key, as a place in [`Partitioned::lanes`].
    #[must_use]
    pub fn lane_of(&self, key: impl AsRef<[u8]>) -> usize {
        lane_of(key.as_ref(), self.lanes.len())
    }

    pub(super) fn spread(&self) -> &Spread {
        &self.spread
    }
}

/// Returns a key of a lane. All keys of a lane are in one slot of a cluster.
pub(super) fn key(name: &[u8], lane: usize, end: &str) -> Vec<u8> {
    [b"{", name, format!(":{lane}}}:{end}").as_bytes()].concat()
}

/// Returns the key of the layout on a server.
pub(super) fn layout_key(name: &[u8], server: usize) -> Vec<u8> {
    key(name, server, "layout")
}

impl<T> Clone for Partitioned<T> {
    fn clone(&self) -> Self {
        let Self { lanes, spread, name, servers } = self;
        let (lanes, spread, name) = (Arc::clone(lanes), Arc::clone(spread), Arc::clone(name));
        Self { lanes, spread, name, servers: *servers }
    }
}

impl<T: 'static> fmt::Debug for Partitioned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.lanes.first().map(|lane| lane.stream().escape_ascii().to_string());
        f.debug_struct("Partitioned")
            .field("lanes", &self.lanes.len())
            .field("first", &first.unwrap_or_default())
            .finish_non_exhaustive()
    }
}
