//! Client: what users hold; sends a command to the right connection.

mod batch;
mod pieces;
mod send;
mod transaction;

pub use batch::{Batch, IntoBatch, IterKind, SendAll, TupleKind};
pub use send::Sending;
pub use transaction::Transact;

use crate::command::Command;
use crate::config::Config;
use crate::connection::{ByteStream, Connection, Dialler, Events, One};
use crate::error::Error;
use crate::id::{EntryId, ReadFrom};
use crate::reader::{RangeStream, Reader, Tail};
use crate::server::Server;
use std::future::Future;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::Duration;
use transaction::Transaction;

/// A connection to a server, shared by everyone who has a clone of it.
///
/// Clones are cheap and use the same connection; commands of many tasks go out together. It is kept up for ever: when it is
/// lost, another one is made, and commands that were not sent yet wait for it within their own time.
///
/// A command is sent when its future is first polled, after all commands whose futures were polled before. Dropping the
/// future before that sends nothing; dropping it later throws the reply away, and the command runs, unless it was still
/// waiting for another connection. No other command is concerned either way.
///
/// When the last clone is dropped, what is queued is still finished; [`Client::close`] waits for that. Without a connection
/// nothing can be: what waits for one then ends as unsent.
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
    connection: Arc<Connection>,
    config: Arc<Config>,
    dialler: Dialler,
}

impl Client {
    /// Connects to a server: a URL or a [`Config`]. Returns when the connection stands, or with the reason why there is none.
    ///
    /// It tries once, unless [`Config::wait_for_server`] says for how long to try. [`Client::lazy`] does not wait at all.
    ///
    /// The connection runs on the tokio runtime that this is called in, or on that of [`Config::runtime`]; it needs the I/O and time
    /// drivers. Commands can then be sent from any runtime or executor.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for settings that are wrong, [`Error::Connect`] if there is no connection within the connect
    /// timeout. Only this first connection is an error of this function; later ones are tried for ever.
    pub async fn connect<C>(config: C) -> Result<Self, Error>
    where
        C: TryInto<Config>,
        Error: From<C::Error>,
    {
        Self::open(config.try_into()?, Dialler::by_address()).await
    }

    /// Connects by calling `dial` for each connection: through a proxy, over a stream of your own, to a fake in a test.
    ///
    /// A write of the stream that fails must not have sent any of its bytes, as `AsyncWrite` has it; otherwise what is said not to
    /// be sent may be. The settings' address is not used, but for its host where TLS is asked for: it is what the certificate is checked
    /// against.
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

    /// Makes a client that needs no server yet: a task connects, and goes on trying.
    ///
    /// Commands that are sent before there is a connection wait for it within their own time, and end as not sent if there is none.
    /// [`Client::ready`] waits for the connection, [`Client::is_connected`] says whether there is one, and [`Client::events`]
    /// reports each attempt that failed.
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
    /// [`Error::Config`] for settings that are wrong, and outside a tokio runtime if the settings name none.
    pub fn lazy<C>(config: C) -> Result<Self, Error>
    where
        C: TryInto<Config>,
        Error: From<C::Error>,
    {
        Self::open_lazy(config.try_into()?, Dialler::by_address())
    }

    /// Makes a client as [`Client::lazy`] does, which connects by calling `dial` as [`Client::connect_with`] does.
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
        let config = Arc::new(config.at_home());
        let connection = Connection::lazy(Arc::clone(&config), dialler.clone())?;
        Ok(Self { connection: Arc::new(connection), config, dialler })
    }

    async fn open(config: Config, dialler: Dialler) -> Result<Self, Error> {
        let config = Arc::new(config.at_home());
        let connection = Connection::open(Arc::clone(&config), dialler.clone()).await?;
        Ok(Self { connection: Arc::new(connection), config, dialler })
    }

    /// Sends a command and waits for its reply.
    ///
    /// A read that blocks is no such command: it does not compile. [`Client::reader`] has a connection for those.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its first poll the command is not sent. Dropped later it may run, and its reply is thrown away.
    ///
    /// # Errors
    ///
    /// [`Error::outcome`] says whether the command may have run.
    #[inline]
    pub fn send<C: Command>(&self, command: C) -> Sending<'_, C> {
        Sending(self.connection.call(One(command)))
    }

    /// Sends several commands in one round trip; each has its own result, in order.
    ///
    /// A tuple of up to twelve commands gives a tuple of results; anything that iterates over commands of one type gives a
    /// vector. The commands keep their order, but they are not a transaction. One that may not be sent at all, refused or too
    /// large, keeps all of them from being sent: each result then has its reason.
    ///
    /// Up to 64 KiB go out at once, and other tasks' commands do not come in between. A larger batch is sent in pieces of that
    /// size, a few at a time, and others' commands get their turn between them; those pieces for which there is no time left are
    /// not sent.
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
    /// As [`Client::send`], for all of them together; pieces of a large batch that were not written yet are not sent.
    pub fn send_all<K, B: IntoBatch<K>>(&self, commands: B) -> SendAll<'_, B::Batch> {
        SendAll::new(&self.connection, commands.into_batch())
    }

    /// Sends several commands as one transaction, in one round trip: all of them run, with nothing in between, or none.
    ///
    /// `MULTI`, the commands, `EXEC`. A command that the server refuses while queueing (a wrong argument, no memory, no
    /// permission) discards the whole; one that fails while running does not undo the others, so each has its own result.
    /// In a cluster all keys must be in one slot.
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
    /// [`Error::Server`] if it was discarded: with the error of the command that was refused, if one was. Nothing was done
    /// then. [`Error::Decode`] if the server refused MULTI itself and yet ran one of the commands, for they were then single
    /// ones. Others as in [`Client::send`].
    pub fn transact<K, B: IntoBatch<K>>(&self, commands: B) -> Transact<'_, B::Batch> {
        Transact(self.connection.call(Transaction::new(commands.into_batch())))
    }

    /// A connection of its own for reads that block.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub async fn reader(&self) -> Result<Reader, Error> {
        Reader::open(Arc::clone(&self.config), self.dialler.clone()).await
    }

    /// The entries of a stream as they are added: a [`Stream`](futures_core::Stream) that does not end.
    ///
    /// `XREAD BLOCK` on a connection of its own, again and again from the last id on. [`ReadFrom::End`] is resolved once,
    /// when the stream is first polled, so nothing that is added from then on is missed. Should the stream be deleted and begun
    /// again with lower ids, those are below the cursor and are not seen.
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
        Tail::new(Arc::clone(&self.config), self.dialler.clone(), key.as_ref(), from.into())
    }

    /// Returns the entries of a range of ids, oldest first: a [`Stream`](futures_core::Stream) that ends with the range.
    ///
    /// `XRANGE key start end COUNT n`, page by page, on a connection of its own: a long range does not delay the commands of
    /// this client. Any of Rust's ranges over [`EntryId`] will do, `..` for the whole stream. For one page,
    /// [`XRange`](crate::XRange) is enough.
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
        let (config, dialler) = (Arc::clone(&self.config), self.dialler.clone());
        RangeStream::new(config, dialler, key.as_ref(), &range, false)
    }

    /// Returns the entries of a range of ids, newest first. Otherwise as [`Client::range`].
    ///
    /// `XREVRANGE key end start COUNT n`. The range is written from its lower end to its upper one.
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
        let (config, dialler) = (Arc::clone(&self.config), self.dialler.clone());
        RangeStream::new(config, dialler, key.as_ref(), &range, true)
    }

    /// What becomes of the connection: when it is lost, why, and when there is one again. A reader's connection has
    /// [`Reader::events`] of its own.
    ///
    /// ```no_run
    /// # use bourn::{Client, Event};
    /// # async fn f(client: &Client) {
    /// let mut events = client.events();
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         Event::Disconnected { reason, .. } => eprintln!("connection lost: {reason}"),
    ///         Event::CredentialsRejected { error, .. } => eprintln!("look at the password: {error}"),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn events(&self) -> Events {
        self.connection.shared().events().listen()
    }

    /// Waits until there is a connection, for at most this long. Returns at once if there is one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing: the client goes on connecting.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`] with the error of the last attempt, when the time is over; [`Error::Lost`] if the client is closed.
    pub async fn ready(&self, within: Duration) -> Result<(), Error> {
        self.connection.ready(within).await
    }

    /// Whether there is a connection and no reply on it is overdue. Takes no round trip.
    ///
    /// For a health check: a connection that is found broken later counts as one until then. [`Client::ready`] waits for one, and
    /// `client.send(Ping::new()).within(time)` asks the server.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.shared().is_connected()
    }

    /// The number of requests that are not answered yet, whether they were written or not. A batch or a transaction is one.
    #[must_use]
    pub fn requests_in_flight(&self) -> usize {
        self.connection.shared().requests()
    }

    /// The bytes of the requests that are not answered yet, as [`Config::budget_bytes`] counts them.
    #[must_use]
    pub fn bytes_in_flight(&self) -> usize {
        self.connection.shared().bytes()
    }

    /// Closes the connection, for every clone: what is under way is finished, what comes later fails with
    /// [`Unsent::Closed`](crate::Unsent::Closed). Returns when the socket is closed. Readers and tails are not concerned.
    ///
    /// # Cancel safety
    ///
    /// The connection closes even if the future is dropped after its first poll.
    pub async fn close(&self) {
        self.connection.close().await;
    }

    /// Who answers: Redis, Valkey or another, in which version, and what that can do; of the connection that was made last.
    /// `None` if the server does not say it (before Redis 6.0).
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
        self.connection.shared().server()
    }

    /// The connection's id at the server, as in CLIENT LIST; of the connection that was made last. `None` if the server does
    /// not say it (before Redis 6.0).
    #[must_use]
    pub fn connection_id(&self) -> Option<i64> {
        self.connection.shared().server_id()
    }
}
