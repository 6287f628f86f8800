//! The server, as a test sees it.

use super::fault::{End, Fault};
use super::request::Request;
use super::settings::Settings;
use super::state::State;
use super::store::Release;
use super::wire::{Connection, Shared};
use crate::client::Client;
use crate::config::Config;
use crate::error::Error;
use crate::resp::{Limits, Value};
use bytes::Bytes;
use std::future::{Ready, ready};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// An in-memory Redis or Valkey server. Clones are cheap and are the same server.
///
/// See the [module](super) for an example.
#[derive(Debug, Clone)]
pub struct Server(Arc<Shared>);

impl Server {
    /// The versions whose behaviour a server can have, for [`ServerBuilder::version`].
    pub const VERSIONS: [&'static str; 9] = [
        "redis-6.2",
        "redis-7.0",
        "redis-7.2",
        "redis-7.4",
        "redis-8.2",
        "redis-8.6",
        "redis-8.10",
        "valkey-8.1",
        "valkey-9.1",
    ];

    /// Creates an empty server of a current version.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Returns a builder for a server of another version, or with other settings.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    /// Connects a client with the default settings.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`]: a fault, a stopped server, or one that needs a password.
    pub async fn client(&self) -> Result<Client, Error> {
        self.connect(self.config()).await
    }

    /// Returns the default settings of a client, to be changed for [`connect`](Self::connect). The
    /// address is not used.
    #[must_use]
    pub fn config(&self) -> Config {
        Config::tcp("in-memory", 6379)
    }

    /// Connects a client with these settings.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    ///
    /// # Errors
    ///
    /// As [`client`](Self::client).
    pub async fn connect(&self, config: Config) -> Result<Client, Error> {
        Client::connect_with(config, self.dialler()).await
    }

    /// Creates a client like [`Client::lazy`], which connects in the background.
    ///
    /// # Errors
    ///
    /// As [`Client::lazy`].
    pub fn lazy(&self, config: Config) -> Result<Client, Error> {
        Client::lazy_with(config, self.dialler())
    }

    fn dialler(&self) -> impl Fn() -> Ready<io::Result<Connection>> + Send + Sync + 'static {
        let server = self.clone();
        move || ready(server.dial())
    }

    /// Opens a connection without a client.
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) by a fault, or if the server is
    /// stopped.
    pub fn dial(&self) -> io::Result<Connection> {
        self.0.dial()
    }

    /// Runs a command without a connection, and returns its reply. Arguments are separated by
    /// blanks.
    ///
    /// It has all permissions, meets no fault, is not in [`requests`](Self::requests), and does not
    /// wait: a read that would block returns null.
    ///
    /// ```
    /// # use bourn::testing::Server;
    /// let server = Server::new();
    /// server.command("XADD orders 1-1 sku A-7");
    /// assert_eq!(server.command("XLEN orders").as_integer(), Some(1));
    /// ```
    #[must_use = "the reply may be an error"]
    pub fn command(&self, words: &str) -> Value {
        let args: Vec<Bytes> =
            words.split_ascii_whitespace().map(|word| word.to_owned().into()).collect();
        let reply = self.0.with(|state| state.command(&args));
        Value::parse(&reply, Limits::default())
            .ok()
            .flatten()
            .map_or(Value::Null, |(value, _)| value)
    }

    /// Returns the requests of all connections so far, in the order in which the server took them,
    /// also those it refused. At most the last 100,000.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.0.with(|state| state.log.iter().cloned().collect())
    }

    /// Returns the number of connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.with(|state| state.connected())
    }

    /// Returns the number of connections that wait in a blocking read, or in WAIT.
    #[must_use]
    pub fn blocked(&self) -> usize {
        self.0.with(|state| state.blocked())
    }

    /// Returns the time of the server's clock, by which it creates ids and counts idle times.
    ///
    /// The clock runs with tokio's, which a test can pause. So does everything that the server
    /// waits for.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        let ms = self.0.with(|state| state.clock.now_ms());
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    /// Moves the server's clock forward, and not tokio's. Idle times grow, keys expire, and blocking
    /// reads end, because a server measures them by this clock.
    pub fn advance_clock(&self, by: Duration) {
        self.0.with(|state| state.move_clock(by, true));
    }

    /// Moves the server's clock back, and not tokio's. What waits at the server waits longer.
    pub fn rewind_clock(&self, by: Duration) {
        self.0.with(|state| state.move_clock(by, false));
    }

    /// Sets the time that bytes take in each direction. The default is zero.
    pub fn set_latency(&self, latency: Duration) {
        self.0.with(|state| state.latency = latency);
    }

    /// Sets how many replicas `WAIT` and `WAITAOF` count. They have everything at once. The default
    /// is none.
    pub fn set_replicas(&self, replicas: u64) {
        self.0.with(|state| state.replicas = replicas);
    }

    /// Adds a fault.
    pub fn inject(&self, fault: Fault) {
        self.0.with(|state| state.inject(fault));
    }

    /// Removes the faults that have not happened, and ends the stalls.
    pub fn clear_faults(&self) {
        self.0.with(State::clear_faults);
    }

    /// Ends all connections, like `CLIENT KILL TYPE normal`.
    pub fn disconnect_all(&self) {
        self.0.with(|state| state.close_all(End::Eof));
    }

    /// Stops the server: ends all connections, and refuses new ones.
    pub fn stop(&self) {
        self.0.with(State::stop);
    }

    /// Starts the server again, with the data that it had.
    pub fn start(&self) {
        self.0.with(State::start);
    }

    /// Stops the server and starts it again. Nothing is lost.
    pub fn restart(&self) {
        self.0.with(|state| {
            state.stop();
            state.start();
        });
    }

    /// Marks the data as saved: a [`crash`](Self::crash) does not lose it.
    pub fn sync(&self) {
        self.0.with(|state| state.synced = state.store.clone());
    }

    /// Kills the server and starts it again with the data of the last [`sync`](Self::sync), or
    /// without any. With `appendonly yes` and `appendfsync always`, nothing is lost.
    pub fn crash(&self) {
        self.0.with(|state| {
            state.stop();
            state.lose_unsynced();
            state.start();
        });
    }

    /// Marks the data as replicated: a [`fail_over`](Self::fail_over) does not lose it.
    pub fn replicate(&self) {
        self.0.with(|state| state.replica = state.store.clone());
    }

    /// Makes a replica the master: it has the data of the last [`replicate`](Self::replicate), or
    /// none.
    ///
    /// Open connections stay with the old master, which is a replica of the new one: their blocking
    /// reads end with `UNBLOCKED`, their writes with `READONLY`. New connections are with the new
    /// master. [`disconnect_all`](Self::disconnect_all) ends the old ones, as Sentinel does.
    pub fn fail_over(&self) {
        self.0.with(State::fail_over);
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

/// Configures an in-memory [`Server`]. Created by [`Server::builder`].
///
/// ```
/// # use bourn::{Error, Protocol, testing::Server};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let server = Server::builder().version("redis-7.0").setting("requirepass", "secret").build();
/// let client = server.connect(server.config().password("secret")).await?;
/// assert_eq!(client.server().expect("HELLO reports it").to_string(), "redis 7.0.15");
/// assert!(server.client().await.is_err());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a `ServerBuilder` does nothing until `build` is called"]
pub struct ServerBuilder {
    settings: Settings,
    time: Option<SystemTime>,
}

impl ServerBuilder {
    fn new() -> Self {
        Self { settings: Settings::new(Release::Redis8_10), time: None }
    }

    /// Sets the version whose behaviour the server has: one of [`Server::VERSIONS`]. The default is
    /// `redis-8.10`.
    ///
    /// # Panics
    ///
    /// If the version is none of them.
    pub fn version(mut self, label: &str) -> Self {
        let release = Release::ALL.into_iter().find(|release| release.label() == label);
        self.settings.release = release.unwrap_or_else(|| {
            panic!("no version {label:?}; there are {}", Server::VERSIONS.join(", "))
        });
        self
    }

    /// Changes a setting, as in the server's configuration file.
    ///
    /// | name | value |
    /// |---|---|
    /// | `requirepass` | the password of the default user |
    /// | `appendonly`, `appendfsync` | `yes` and `always`: [`Server::crash`] loses nothing |
    /// | `stream-node-max-entries` | 100; how many entries `~` trims at once |
    /// | `cluster-enabled` | `yes`: CLUSTER and HELLO reply as a node of a cluster; keys are not checked |
    /// | `rename-command` | a command and its new name, `HELLO NOHELLO`; no new name removes it |
    ///
    /// # Panics
    ///
    /// If there is no such setting.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        if name == "rename-command" {
            let (command, to) = value.split_once(' ').unwrap_or((value, ""));
            self.settings.rename(command, to);
        } else {
            let value = Bytes::copy_from_slice(value.as_bytes());
            self.settings.set(name, value).unwrap_or_else(|| panic!("no setting {name:?}"));
        }
        self
    }

    /// Sets what the server's clock shows at first. The default is the current time.
    pub fn time(mut self, time: SystemTime) -> Self {
        self.time = Some(time);
        self
    }

    /// Creates the server. It is empty, and runs as long as it has handles or connections.
    #[must_use]
    pub fn build(self) -> Server {
        let time = self.time.unwrap_or_else(SystemTime::now);
        let state = State::new(self.settings, Instant::now().into_std(), time);
        Server(Shared::new(state))
    }
}
