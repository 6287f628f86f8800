//! The client handle: sends commands over the shared connection, and opens dedicated ones.

mod batch;
mod durable;
mod identity;
mod node;
mod pieces;
mod scatter;
mod send;
mod send_all;
mod transaction;

pub use batch::{Batch, IntoBatch, IterKind, TupleKind};
use durable::closing::Durables;
pub use durable::{Durability, Durable, DurableError, Kept};
pub(crate) use identity::Identity;
pub use node::NodeClient;
pub use send::Sending;
pub use send_all::SendAll;
pub use transaction::Transact;

use crate::cluster::{Link, Opener};
use crate::command::Command;
use crate::config::{Config, Runtime};
use crate::connection::{ByteStream, Dialler, Events, Single};
use crate::error::{Disconnect, Error, Repeat};
use crate::id::{EntryId, ReadFrom};
use crate::reader::{RangeStream, Reader, Tail};
use crate::server::Server;
use std::future::Future;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use transaction::Transaction;

/// A connection to a server, shared by all its clones.
///
/// Clones are cheap and use the same connection. Commands of many tasks are sent together. When the
/// connection is lost, the client reconnects indefinitely. Commands that were not sent yet wait for
/// the new connection until their own deadline.
///
/// A command is sent when its future is first polled, after all commands whose futures were polled
/// before. Dropping the future before that sends nothing. Dropping it later discards the reply: the
/// command runs, unless it was still waiting for a new connection. Other commands are not affected.
///
/// When the last clone is dropped, queued commands are still completed; [`Client::close`] waits for
/// that. Without a connection they cannot complete: commands that wait for one then end as unsent.
///
/// ```no_run
/// # async fn f() -> Result<(), bourn::Error> {
/// use bourn::{Client, XAdd, XLen};
///
/// let client = Client::connect("redis://127.0.0.1").await?;
/// let id = client.send(XAdd::new("orders").field("sku", "A-7").field("count", 3)).await?;
/// println!("{id} is one of {}", client.send(XLen::new("orders")).await?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    link: Arc<Link>,
    opener: Opener,
    durables: Durables,
}

impl Client {
    /// Connects to a server, given as a URL or a [`Config`].
    ///
    /// Returns when the connection is established, or with the reason why it failed. There is one
    /// attempt, unless [`Config::wait_for_server`] sets how long to try. [`Client::lazy`] does not
    /// wait at all.
    ///
    /// The connection runs on the current tokio runtime, or on that of [`Config::runtime`]. The
    /// runtime needs the I/O and time drivers. Commands can then be sent from any runtime or
    /// executor.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the settings are invalid. [`Error::Connect`] if no connection is
    /// established within the connect timeout. Only the first connection can fail here: later ones
    /// are retried indefinitely.
    pub async fn connect<C>(config: C) -> Result<Self, Error>
    where
        C: TryInto<Config>,
        Error: From<C::Error>,
    {
        Self::open(config.try_into()?, Dialler::by_address()).await
    }

    /// Connects by calling `dial` for each connection: through a proxy, over your own stream, or to
    /// a fake server in a test.
    ///
    /// A write of the stream that fails must not have sent any of its bytes, as `AsyncWrite`
    /// requires. Otherwise a command that is reported as unsent may have been sent. The settings'
    /// address is not used, except for TLS: the certificate is checked against its host.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub async fn connect_with<C, F, S>(
        config: C,
        dial: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<Self, Error>
    where
        C: TryInto<Config>,
        Error: From<C::Error>,
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: ByteStream,
    {
        Self::open(config.try_into()?, Dialler::by(dial)).await
    }

    /// Creates a client that does not need a server yet. A background task connects, and retries
    /// until it succeeds.
    ///
    /// Commands that are sent before there is a connection wait for it until their own deadline,
    /// and then end as not sent. [`Client::ready`] waits for the connection.
    /// [`Client::is_connected`] returns whether there is one. [`Client::events`] reports each
    /// failed attempt.
    ///
    /// ```no_run
    /// # use bourn::{Client, Error};
    /// # use std::time::Duration;
    /// # async fn f() -> Result<(), Error> {
    /// let client = Client::lazy("redis://127.0.0.1")?;
    /// client.ready(Duration::from_secs(30)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the settings are invalid, or if they name no runtime and this is called
    /// outside a tokio runtime.
    pub fn lazy<C>(config: C) -> Result<Self, Error>
    where
        C: TryInto<Config>,
        Error: From<C::Error>,
    {
        Self::open_lazy(config.try_into()?, Dialler::by_address())
    }

    /// Creates a client like [`Client::lazy`] that connects by calling `dial` like
    /// [`Client::connect_with`].
    ///
    /// # Errors
    ///
    /// As [`Client::lazy`].
    pub fn lazy_with<C, F, S>(
        config: C,
        dial: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<Self, Error>
    where
        C: TryInto<Config>,
        Error: From<C::Error>,
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: ByteStream,
    {
        Self::open_lazy(config.try_into()?, Dialler::by(dial))
    }

    fn open_lazy(config: Config, dialler: Dialler) -> Result<Self, Error> {
        let (link, opener) = Opener::new(Arc::new(config.at_home()), dialler).lazy()?;
        Ok(Self { link: Arc::new(link), opener, durables: Durables::default() })
    }

    async fn open(config: Config, dialler: Dialler) -> Result<Self, Error> {
        let opener = Opener::new(Arc::new(config.at_home()), dialler);
        let (link, opener) = opener.connect().await?;
        Ok(Self { link: Arc::new(link), opener, durables: Durables::default() })
    }

    /// Connects another client to the same server, on this runtime. Its connections are probed when
    /// they were idle for this time, or the configured one if that is longer.
    pub(crate) async fn another(&self, runtime: &Handle, idle: Duration) -> Result<Self, Error> {
        let mut config = (*self.opener.config).clone().runtime(runtime.clone());
        config.probe = config.probe.map(|configured| configured.max(idle));
        Self::open(config, self.opener.dialler.clone()).await
    }

    /// Returns the error of commands, if the client is closed or its runtime has ended.
    pub(crate) fn closed(&self) -> Option<Error> {
        let (command, reason) = ("connecting", Disconnect::Closed);
        self.link.is_ended().then_some(Error::Lost { command, reason, repeat: Repeat::SAFE })
    }

    /// Returns the runtime of the settings.
    pub(crate) fn configured_runtime(&self) -> Option<Handle> {
        self.opener.config.runtime.as_ref().map(|Runtime(runtime)| runtime.clone())
    }

    /// Returns the time limit of a command.
    pub(crate) fn command_timeout(&self) -> Duration {
        self.opener.config.command_timeout
    }

    /// Whether commands are sent again where that is safe.
    pub(crate) fn repeats(&self) -> bool {
        self.link.any().repeats()
    }

    /// Returns for how long the server recognizes a repeated XADD with IDMP, and of how many, as
    /// the settings say.
    pub(crate) fn idmp_window(&self) -> (Duration, u64) {
        (self.opener.config.idmp_duration, self.opener.config.idmp_iids)
    }

    /// Sends a command and waits for its reply.
    ///
    /// A read that blocks does not compile here. Send it with [`Client::reader`], on a dedicated
    /// connection.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before its first poll, the command is not sent. If it is dropped
    /// later, the command may run, and its reply is discarded.
    ///
    /// # Errors
    ///
    /// [`Error::outcome`] says whether the command may have run.
    #[inline]
    pub fn send<C: Command>(&self, command: C) -> Sending<'_, C> {
        Sending(self.link.call(Single(command)))
    }

    /// Sends several commands in one round trip. Each has its own result, in order.
    ///
    /// A tuple of up to twelve commands returns a tuple of results. An iterator over commands of
    /// one type returns a vector. The commands keep their order, but they are not a transaction. If
    /// one command cannot be sent, because it is refused or too large, none is sent: each result
    /// then has the reason.
    ///
    /// Up to 64 KiB are sent at once, without commands of other tasks in between. A larger batch is
    /// sent in pieces of that size, a few at a time, and commands of other tasks may run between
    /// the pieces. Pieces whose deadline has passed are not sent.
    ///
    /// ```no_run
    /// # use bourn::{Client, Error, XAdd, XLen};
    /// # async fn f(client: &Client) -> Result<(), Error> {
    /// let (id, len) = client.send_all((XAdd::new("a").field("k", "v"), XLen::new("b"))).await;
    /// let ids = client.send_all((0..100).map(|n| XAdd::new("a").field("n", n))).await;
    /// # let _ = (id?, len?, ids); Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As [`Client::send`], for all of them together. Pieces of a large batch that were not written
    /// yet are not sent.
    pub fn send_all<K, B: IntoBatch<K>>(&self, commands: B) -> SendAll<'_, B::Batch> {
        SendAll::new(&self.link, commands.into_batch())
    }

    /// Sends several commands as one transaction, in one round trip. Either all of them run, with
    /// nothing in between, or none.
    ///
    /// Sends `MULTI`, the commands, `EXEC`. If the server refuses a command while queueing (invalid
    /// argument, out of memory, no permission), the whole transaction is discarded. A command that
    /// fails while running does not undo the others, so each has its own result. In a cluster all
    /// keys must be in one slot.
    ///
    /// ```no_run
    /// # use bourn::{Client, EntryId, Error, XAck, XAdd};
    /// # async fn f(client: &Client, id: EntryId) -> Result<(), Error> {
    /// let dead = XAdd::new("{jobs}:dead").field("reason", "poison");
    /// let (dead, acked) = client.transact((dead, XAck::new("{jobs}", "workers", id))).await?;
    /// # let _ = (dead?, acked?); Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As [`Client::send`], for all of them together.
    ///
    /// # Errors
    ///
    /// [`Error::Server`] if the transaction was discarded: with the error of the first refused
    /// command, if there is one. None of the commands has run then. [`Error::Decode`] if the server
    /// refused MULTI itself and yet ran one of the commands: they were then single ones. Others as
    /// in [`Client::send`].
    pub fn transact<K, B: IntoBatch<K>>(&self, commands: B) -> Transact<'_, B::Batch> {
        Transact(self.link.call(Transaction::new(commands.into_batch())))
    }

    /// Opens a dedicated connection for reads that block.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub async fn reader(&self) -> Result<Reader, Error> {
        Reader::open(&self.opener).await
    }

    /// Opens a connection as [`Client::reader`] does, with this limit of a whole reply if it is lower.
    /// Also returns the limit.
    pub(crate) async fn reader_within(&self, bytes: usize) -> Result<(Reader, usize), Error> {
        let bytes = bytes.min(self.opener.config.for_reader().limits.reply_bytes);
        let config = Arc::new(Config::clone(&self.opener.config).reply_bytes(bytes));
        let opener = self.opener.with(config);
        Ok((Reader::open(&opener).await?, bytes))
    }

    /// Returns the entries of a stream as they are added: a [`Stream`](futures_core::Stream) that
    /// does not end.
    ///
    /// Runs `XREAD BLOCK` repeatedly on a dedicated connection, continuing after the last id
    /// received. [`ReadFrom::End`] is resolved once, when the stream is first polled: every entry
    /// added after that is returned. If the key is deleted and created again with lower ids, those
    /// entries are below the cursor and are not returned.
    ///
    /// ```no_run
    /// # use bourn::{Client, ReadFrom};
    /// # use futures_util::StreamExt;
    /// # async fn f(client: &Client) -> Result<(), bourn::Error> {
    /// let mut tail = client.tail("orders", ReadFrom::End);
    /// while let Some(entry) = tail.next().await {
    ///     println!("{:?}", entry?);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn tail(&self, key: impl AsRef<[u8]>, from: impl Into<ReadFrom>) -> Tail {
        Tail::new(self.opener.clone(), key.as_ref(), from.into())
    }

    /// Returns the entries of a range of ids, oldest first: a [`Stream`](futures_core::Stream) that
    /// ends with the range.
    ///
    /// Runs `XRANGE key start end COUNT n`, page by page, on a dedicated connection: a long range
    /// does not delay the commands of this client. Accepts any of Rust's ranges over [`EntryId`],
    /// `..` for the whole stream. For a single page, [`XRange`](crate::XRange) is enough.
    ///
    /// ```no_run
    /// # use bourn::{Client, EntryId};
    /// # use futures_util::StreamExt;
    /// # use std::time::{Duration, SystemTime};
    /// # async fn f(client: &Client) -> Result<(), bourn::Error> {
    /// let yesterday = SystemTime::now() - Duration::from_secs(24 * 60 * 60);
    /// let mut entries = client.range("orders", EntryId::from_time(yesterday)..);
    /// while let Some(entry) = entries.next().await {
    ///     println!("{:?}", entry?);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn range(&self, key: impl AsRef<[u8]>, range: impl RangeBounds<EntryId>) -> RangeStream {
        RangeStream::new(self.opener.clone(), key.as_ref(), &range, false)
    }

    /// Returns the entries of a range of ids, newest first. Otherwise as [`Client::range`].
    ///
    /// `XREVRANGE key end start COUNT n`. The range is given from its lower end to its upper end.
    ///
    /// ```no_run
    /// # use bourn::Client;
    /// # use futures_util::StreamExt;
    /// # async fn f(client: &Client) -> Result<(), bourn::Error> {
    /// let mut failures = client.rev_range("runs", ..).take(1000);
    /// while let Some(run) = failures.next().await.transpose()? {
    ///     if run.get("state") == Some(b"failed") {
    ///         println!("the last failure was {}", run.id());
    ///         break;
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn rev_range(
        &self,
        key: impl AsRef<[u8]>,
        range: impl RangeBounds<EntryId>,
    ) -> RangeStream {
        RangeStream::new(self.opener.clone(), key.as_ref(), &range, true)
    }

    /// Returns the connection's state changes: when it is lost, why, and when it is established
    /// again. A reader's connection has its own [`Reader::events`].
    ///
    /// In a cluster `Connected` means that the map was read. [`Event::Topology`](crate::Event::Topology)
    /// reports changes of the map, and [`Event::Node`](crate::Event::Node) those of one connection.
    ///
    /// ```no_run
    /// # use bourn::{Client, Event};
    /// # async fn f(client: &Client) {
    /// let mut events = client.events();
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         Event::Disconnected { reason, .. } => eprintln!("connection lost: {reason}"),
    ///         Event::CredentialsRejected { error, .. } => eprintln!("check the password: {error}"),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn events(&self) -> Events {
        self.link.events()
    }

    /// Waits until there is a connection, at most for `within`. Returns at once if there is one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing: the client keeps connecting.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`] with the error of the last attempt, when the time is over.
    /// [`Error::Lost`] if the client is closed.
    pub async fn ready(&self, within: Duration) -> Result<(), Error> {
        self.link.ready(within).await
    }

    /// Whether there is a connection and no reply on it is overdue. Takes no round trip.
    ///
    /// Intended for health checks. A broken connection counts as connected until the failure is
    /// detected. [`Client::ready`] waits for a connection, and
    /// `client.send(Ping::new()).within(time)` checks the server.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.link.is_connected()
    }

    /// Returns the number of requests that are not answered yet, written or not. A batch or a
    /// transaction counts as one.
    #[must_use]
    pub fn requests_in_flight(&self) -> usize {
        self.link.requests()
    }

    /// Returns the bytes of the requests that are not answered yet, as [`Config::budget_bytes`]
    /// counts them.
    #[must_use]
    pub fn bytes_in_flight(&self) -> usize {
        self.link.bytes()
    }

    /// Closes the connection for this client and all its clones.
    ///
    /// Commands in flight complete. Later commands fail with
    /// [`Unsent::Closed`](crate::Unsent::Closed). Returns when the socket is closed, and those of
    /// [`Client::durable`] are. Readers, tails and the queue's consumers keep their own connections.
    ///
    /// # Cancel safety
    ///
    /// The connection closes even if the future is dropped after its first poll.
    pub async fn close(&self) {
        let durables = self.durables.begin_close();
        self.link.close().await;
        durables.ended().await;
    }

    /// Returns the server's flavour, version and supported features, as reported when the
    /// connection was last established. `None` if the server does not report them (before Redis
    /// 6.0).
    ///
    /// ```no_run
    /// # use bourn::{Client, Feature};
    /// # fn f(client: &Client) {
    /// let server = client.server();
    /// let nack = server.is_some_and(|server| server.supports(Feature::XNack) == Some(true));
    /// # let _ = nack; }
    /// ```
    #[must_use]
    pub fn server(&self) -> Option<Arc<Server>> {
        self.link.server()
    }

    /// Returns the time at which the current or last connection was established. No two connections
    /// of a client have the same; the server's ids begin again when it is restarted.
    pub(crate) fn connected_since(&self) -> Option<Instant> {
        self.link.since()
    }

    /// Returns the id of the current or last connection at the server, as in CLIENT LIST. `None` if
    /// the server does not report it (before Redis 6.0), and in a cluster.
    #[must_use]
    pub fn connection_id(&self) -> Option<i64> {
        self.link.server_id()
    }
}
