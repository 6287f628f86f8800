//! Opens a partitioned queue, and checks that all who open it spread its jobs alike. An operation.

use super::handle::{Partitioned, key, layout_key};
use super::spread::Spread;
use crate::client::Client;
use crate::command::{XAdd, XRange};
use crate::error::{Code, Error};
use crate::id::EntryId;
use crate::queue::builder::QueueBuilder;
use crate::queue::codec::Codec;
use crate::queue::error::{QueueError, SettingsError};
use crate::queue::first::all;
use crate::queue::shared::Queue;
use crate::random;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// The most lanes of a queue.
const MOST_LANES: usize = 1_024;

/// The id of the entry that describes the layout.
const LAYOUT: EntryId = EntryId::new(1, 1);

/// Configures and opens a [`Partitioned`] queue. Created by [`Partitioned::builder`] and
/// [`Partitioned::over`].
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::{Partitioned, RawBytes};
/// use std::time::Duration;
///
/// let thumbnails: Partitioned<Vec<u8>> = Partitioned::builder(client, "thumbnails")
///     .lanes(32)
///     .each(|lane| lane.group("resizers").lease(Duration::from_secs(60)))
///     .open(RawBytes)
///     .await?;
/// # let _ = thumbnails;
/// # Ok(()) }
/// ```
#[must_use = "a `PartitionedBuilder` does nothing until `open` is called"]
pub struct PartitionedBuilder {
    clients: Vec<Client>,
    name: Vec<u8>,
    lanes: usize,
    each: Vec<Box<dyn Fn(QueueBuilder) -> QueueBuilder + Send + Sync>>,
}

impl PartitionedBuilder {
    fn new(clients: Vec<Client>, name: &[u8]) -> Self {
        Self { clients, name: name.to_vec(), lanes: 16, each: Vec::new() }
    }

    /// Sets the number of lanes. Default 16. All who open the queue must set the same.
    ///
    /// Each lane is a stream with its own group, dead letters and delays. A worker has two
    /// connections for each of them.
    pub fn lanes(self, lanes: usize) -> Self {
        Self { lanes, ..self }
    }

    /// Sets options of the queue that each lane is: lease, retries, group and others.
    pub fn each(
        mut self,
        set: impl Fn(QueueBuilder) -> QueueBuilder + Send + Sync + 'static,
    ) -> Self {
        self.each.push(Box::new(set));
        self
    }

    /// Opens the queue: creates the streams and groups that are missing, and validates the settings
    /// against the servers. All servers must answer.
    ///
    /// # Cancel safety
    ///
    /// Some groups may have been created when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Layout`] if the queue was opened with another number of lanes, or with other
    /// clients. Otherwise as [`QueueBuilder::open`].
    pub async fn open<T: 'static, C: Codec<T>>(
        self,
        codec: C,
    ) -> Result<Partitioned<T>, QueueError> {
        let clients = self.clients.clone();
        let (name, lanes) = (self.name.clone(), self.lanes);
        let queue = self.open_lazy(codec)?;
        let layout = |server| layout(&clients, &name, lanes, server);
        for checked in all((0..clients.len()).map(layout)).await {
            checked?;
        }
        for opened in all(queue.lanes().iter().map(|lane| lane.shared().opened())).await {
            opened?;
        }
        Ok(queue)
    }

    /// Opens the queue without a server. The first use of each lane creates its stream and group.
    /// That others have the same number of lanes is not checked.
    ///
    /// # Errors
    ///
    /// As [`QueueBuilder::open_lazy`].
    pub fn open_lazy<T: 'static, C: Codec<T>>(
        self,
        codec: C,
    ) -> Result<Partitioned<T>, QueueError> {
        let Self { clients, name, lanes, each } = self;
        if clients.is_empty() {
            return Err(SettingsError::Value("a partitioned queue needs a client").into());
        }
        if !(1..=MOST_LANES).contains(&lanes) || lanes < clients.len() {
            let rule = "a partitioned queue has 1 to 1,024 lanes, and one for each client at least";
            return Err(SettingsError::Value(rule).into());
        }
        if name.is_empty() || name.iter().any(|byte| b"{}".contains(byte)) {
            let rule = "the name of a partitioned queue must not be empty or contain { or }";
            return Err(SettingsError::Value(rule).into());
        }
        let codec: Arc<dyn Codec<T>> = Arc::new(codec);
        let open = |(lane, client): (usize, &Client)| {
            let queue = QueueBuilder::new(client, &key(&name, lane, "0"));
            let queue = each.iter().fold(queue, |queue, set| set(queue));
            queue.open_with(Arc::clone(&codec))
        };
        let queues = (0..lanes).zip(clients.iter().cycle()).map(open);
        let queues: Vec<Queue<T>> = queues.collect::<Result<_, _>>()?;
        // Producers begin with different lanes.
        let spread = Spread::new(lanes, random::below(lanes));
        Ok(Partitioned::new(queues.into(), Arc::new(spread), &name, clients.len()))
    }
}

impl Partitioned<Bytes> {
    /// Creates a builder for a queue of several streams, on one server or in a cluster.
    pub fn builder(client: &Client, name: impl AsRef<[u8]>) -> PartitionedBuilder {
        PartitionedBuilder::new(vec![client.clone()], name.as_ref())
    }

    /// Creates a builder for a queue over several independent servers, each with its client. Lane 0
    /// is on the first server, lane 1 on the second, and so on in turn.
    ///
    /// All who open the queue must name the servers in the same order.
    pub fn over<'a>(
        clients: impl IntoIterator<Item = &'a Client>,
        name: impl AsRef<[u8]>,
    ) -> PartitionedBuilder {
        PartitionedBuilder::new(clients.into_iter().cloned().collect(), name.as_ref())
    }
}

impl fmt::Debug for PartitionedBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionedBuilder")
            .field("name", &self.name.escape_ascii().to_string())
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

/// Writes down the layout on one of the servers, unless it is there; then it must be the same.
async fn layout(
    clients: &[Client],
    name: &[u8],
    lanes: usize,
    server: usize,
) -> Result<(), QueueError> {
    let Some(client) = clients.get(server) else { return Ok(()) };
    let own = layout_key(name, server);
    let (lanes, servers) = (lanes.to_string(), clients.len().to_string());
    let add = XAdd::new(&own).id(LAYOUT).field("lanes", &*lanes).field("servers", &*servers);
    let mut found = Vec::new();
    // Of the other places, none must be here: the clients would be in another order.
    for place in (0..clients.len()).filter(|place| *place != server) {
        let key = layout_key(name, place);
        found.push((place, client.send(XRange::new(&key, LAYOUT..=LAYOUT)).await?));
    }
    if let Some((place, _)) = found.iter().find(|(_, entries)| !entries.is_empty()) {
        let found = format!("this server as number {place}, and it is now number {server}");
        return Err(SettingsError::Layout(found.into()).into());
    }
    let refused = match client.send(add).await {
        Ok(_) => return Ok(()),
        // Mostly because the id is not above the last one: it is there.
        Err(Error::Server(error)) if *error.code() == Code::Err => Error::Server(error),
        Err(error) => return Err(error.into()),
    };
    let entries = client.send(XRange::new(&own, LAYOUT..=LAYOUT)).await?;
    let Some(entry) = entries.first() else { return Err(refused.into()) };
    let field = |field| entry.get(field).map(|text| text.escape_ascii().to_string());
    let (has_lanes, has_servers) = (field("lanes"), field("servers"));
    if has_lanes.as_ref() == Some(&lanes) && has_servers.as_ref() == Some(&servers) {
        return Ok(());
    }
    let (has_lanes, has_servers) = (has_lanes.unwrap_or_default(), has_servers.unwrap_or_default());
    let found = format!(
        "{has_lanes} lanes on {has_servers} servers, and now {lanes} lanes on {servers} servers"
    );
    Err(SettingsError::Layout(found.into()).into())
}
