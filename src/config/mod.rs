//! Config: which server, who we are, how long and how much. Reads URLs. Pure.

#[cfg(feature = "tokio")]
mod credentials;
mod foreign;
mod identity;
#[cfg(feature = "tokio")]
mod runtime;
mod secret;
#[cfg(feature = "tls")]
mod tls;
mod url;

#[cfg(feature = "tokio")]
pub(crate) use credentials::Provider;
#[cfg(feature = "tokio")]
pub use credentials::{BoxFuture, Credentials, CredentialsProvider};
#[cfg(feature = "tokio")]
pub(crate) use runtime::Runtime;
pub use secret::Secret;
#[cfg(feature = "tls")]
pub(crate) use tls::{Text, TlsSource};
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsProvider};

use crate::error::ConfigError;
use crate::resp::Limits;
use std::fmt;
#[cfg(unix)]
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The default limit of a whole reply on a connection that callers share.
const SHARED_REPLY_BYTES: usize = 256 << 20;

/// How to reach a server, and what a connection to it may take.
///
/// Made from a URL, or from [`Config::tcp`] and [`Config::unix`]; each setting is a method.
///
/// | URL | |
/// |---|---|
/// | `redis://[user[:password]@]host[:port][/db]` | TCP, port 6379 and database 0 unless given; `valkey://` is the same |
/// | `rediss://`, `valkeys://` | the same with TLS (feature `tls`), as `Config::tls(Tls::new())` |
/// | `redis+unix:///path?db=1&user=u&password=p` | a Unix socket, on Unix; `valkey+unix` and `unix` are the same |
///
/// Both take the parameters `db`, `user`, `password`, `client_name`, `client_info` (`true` or `false`), `protocol` (2 or 3),
/// `connect_timeout_ms` and `command_timeout_ms`. User, password, path and parameters are percent-decoded. An IPv6 address is in
/// brackets, with its zone if it has one: `[fe80::1%25eth0]` or `[fe80::1%eth0]`. Blanks and line ends around a URL are left
/// out: a secret in a file often ends with one.
///
/// `database`, `username`, `clientName` and `connectionName`, as other clients have them, mean `db`, `user` and
/// `client_name`. Other parameters of other clients are [refused](ConfigError::Foreign), with the words to write in their
/// place.
///
/// ```
/// # use bourn::Config;
/// # use std::time::Duration;
/// let config: Config = "redis://worker:s3cret@redis.example.com/1".parse()?;
/// let config = config.client_name("billing-7").command_timeout(Duration::from_secs(2));
/// assert!(!format!("{config:?}").contains("s3cret"));
/// # Ok::<(), bourn::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "tokio"), expect(dead_code, reason = "what reads it connects"))]
pub struct Config {
    pub(crate) address: Address,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    #[cfg(feature = "tokio")]
    pub(crate) credentials: Option<Provider>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<TlsSource>,
    pub(crate) database: u32,
    pub(crate) client_name: Option<String>,
    pub(crate) protocol: Protocol,
    pub(crate) connect_timeout: Duration,
    pub(crate) command_timeout: Duration,
    pub(crate) block_grace: Duration,
    pub(crate) budget_bytes: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) limits: Limits,
    /// The limit of a whole reply, if it was set.
    pub(crate) reply_bytes: Option<usize>,
    pub(crate) client_info: bool,
    pub(crate) reconnect_min: Duration,
    pub(crate) reconnect_max: Duration,
    pub(crate) keepalive: Option<Duration>,
    pub(crate) user_timeout: Option<Duration>,
    pub(crate) probe: Option<Duration>,
    pub(crate) retry: Retry,
    pub(crate) idmp_iids: u64,
    pub(crate) idmp_duration: Duration,
    pub(crate) events_buffer: usize,
    pub(crate) wait_for_server: Duration,
    #[cfg(feature = "tokio")]
    pub(crate) runtime: Option<Runtime>,
    /// The client's runtime: for its readers, where they are made outside any.
    #[cfg(feature = "tokio")]
    pub(crate) home: Option<Runtime>,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// A host name or an address, and a port. An IPv6 address may have a zone: `fe80::1%eth0`.
    Tcp {
        /// The name is resolved on each connect.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket. This variant exists on Unix only.
    #[cfg(unix)]
    Unix {
        /// The socket's path.
        path: PathBuf,
    },
}

/// As `host:port`, `[IPv6]:port` or the path.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            #[cfg(unix)]
            Self::Unix { path } => write!(f, "{}", path.display()),
        }
    }
}

/// A version of RESP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// RESP3, and RESP2 where the server refuses HELLO or hangs up at it: servers before 6.0, proxies.
    ///
    /// A client remembers that HELLO does not work. It tries HELLO again after a failed attempt to connect, and when ten minutes
    /// have passed, so an upgraded server is asked for RESP3 by one of the next connections.
    #[default]
    Auto,
    /// RESP2 always; HELLO is never sent.
    ///
    /// The server's name and version, and the connection's id, then come from `INFO server` and `CLIENT ID`. Where a server
    /// refuses those, [`Client::server`](crate::Client::server) and
    /// [`Client::connection_id`](crate::Client::connection_id) return `None`.
    Resp2,
}

/// What a command does when the byte budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// Waits for room, within its deadline.
    #[default]
    Wait,
    /// Fails at once with [`Unsent::Full`](crate::Unsent::Full).
    Fail,
}

/// Whether commands are sent again after they failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Retry {
    /// Where it can do no harm, and within the command's deadline.
    ///
    /// | what happened | what is sent again |
    /// |---|---|
    /// | the connection ended before the reply came | a command that reads or is idempotent ([`Safety`](crate::Safety)); a batch that only reads, if no reply had come |
    /// | `LOADING`, `MASTERDOWN`, `TRYAGAIN`, `CLUSTERDOWN`, `BUSY` | a command or a transaction that did not run, after 10 ms and more each time |
    /// | `READONLY` | the same; a connection older than 5 s is replaced first: a failover may be under way |
    /// | `NOAUTH` | the same, once |
    /// | `UNBLOCKED`, for a change of role | the read, on a new connection |
    ///
    /// After a lost connection the first repeat is written at once, later ones after pauses that double from 20 ms to 2 s.
    /// With less than 100 ms left nothing refused is sent again: the error says that it has not run. In a batch single refusals
    /// are not sent again. A script is only sent again after a refusal that proves that it did not run ([`Refusal`](crate::Refusal)).
    ///
    /// An XADD with IDMP is only sent again until 64 more replies were asked for on this client, or 80 s have passed since its
    /// call began ([`Config::idmp_window`]); then it ends as [`Error::Lost`](crate::Error::Lost). So give each client a producer
    /// of its own. XACK and others that need no such window have no bound but their deadline.
    ///
    /// A command that is sent again runs behind those that were sent after it.
    #[default]
    Safe,
    /// Never: each error is returned at once.
    Never,
}

impl Config {
    /// A server at this host and port.
    #[must_use]
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::at(Address::Tcp { host: host.into(), port })
    }

    /// A server at this Unix socket. This function exists on Unix only.
    #[cfg(unix)]
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::at(Address::Unix { path: path.into() })
    }

    fn at(address: Address) -> Self {
        Self {
            address,
            user: None,
            password: None,
            #[cfg(feature = "tokio")]
            credentials: None,
            #[cfg(feature = "tls")]
            tls: None,
            database: 0,
            client_name: None,
            protocol: Protocol::Auto,
            connect_timeout: Duration::from_secs(5),
            command_timeout: Duration::from_secs(5),
            block_grace: Duration::from_secs(5),
            budget_bytes: 16 << 20,
            when_full: WhenFull::Wait,
            limits: Limits { reply_bytes: SHARED_REPLY_BYTES, ..Limits::default() },
            reply_bytes: None,
            client_info: true,
            reconnect_min: Duration::from_millis(10),
            reconnect_max: Duration::from_secs(1),
            keepalive: Some(Duration::from_secs(30)),
            user_timeout: None,
            probe: Some(Duration::from_secs(10)),
            retry: Retry::Safe,
            idmp_iids: 100,
            idmp_duration: Duration::from_secs(100),
            events_buffer: 64,
            wait_for_server: Duration::ZERO,
            #[cfg(feature = "tokio")]
            runtime: None,
            #[cfg(feature = "tokio")]
            home: None,
        }
    }

    /// The same settings for a reader's connection.
    #[cfg(feature = "tokio")]
    pub(crate) fn for_reader(&self) -> Self {
        let mut config = self.clone();
        config.limits.reply_bytes =
            self.reply_bytes.unwrap_or_else(|| Limits::default().reply_bytes);
        config
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The database to use; 0 by default, and the only one in a cluster.
    #[must_use]
    pub fn database(self, database: u32) -> Self {
        Self { database, ..self }
    }

    /// What CLIENT LIST shows as this connection's name. No blanks or control characters.
    #[must_use]
    pub fn client_name(self, name: impl Into<String>) -> Self {
        Self { client_name: Some(name.into()), ..self }
    }

    /// Sets the version of RESP: RESP3 by default, with RESP2 where that is refused.
    #[must_use]
    pub fn protocol(self, protocol: Protocol) -> Self {
        Self { protocol, ..self }
    }

    /// Sets the time for one attempt to connect: resolving, dialling, TLS, asking for credentials and the handshake. 5 s by
    /// default.
    ///
    /// Resolving the name may take three quarters of it. The addresses of a name are raced, each with a head start of 250 ms
    /// (RFC 8305). A server that hangs up at HELLO is dialled again within the same time. The error of an attempt that took too
    /// long names the step.
    #[must_use]
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        Self { connect_timeout: timeout, ..self }
    }

    /// Sets how long [`Client::connect`](crate::Client::connect) keeps trying to make the first connection, for a server that
    /// starts at the same time. By default it tries once.
    ///
    /// Between attempts it waits as [`Config::reconnect`] says. An error that does not pass by itself, such as a wrong password,
    /// is returned at once.
    #[must_use]
    pub fn wait_for_server(self, time: Duration) -> Self {
        Self { wait_for_server: time, ..self }
    }

    /// The time that a command has from the first poll of its future to its reply: for waiting in line, for a connection, for writing and for
    /// the server. 5 s by default.
    #[must_use]
    pub fn command_timeout(self, timeout: Duration) -> Self {
        Self { command_timeout: timeout, ..self }
    }

    /// How much longer than its BLOCK a read may take before its connection is given up. 5 s by default.
    ///
    /// Some servers (7.0 to 7.2.4) begin the wait anew when they look at the stream, so this should be generous.
    #[must_use]
    pub fn block_grace(self, grace: Duration) -> Self {
        Self { block_grace: grace, ..self }
    }

    /// How many bytes of commands may be queued or waiting for a reply. 16 MiB by default.
    ///
    /// It is what bounds memory when a server is slow, silent or gone: what waits for a new connection is in it too. Each
    /// command counts with its bytes on the wire and 128 more. A command larger than the whole budget is sent alone.
    #[must_use]
    pub fn budget_bytes(self, bytes: usize) -> Self {
        Self { budget_bytes: bytes, ..self }
    }

    /// What a command does when the budget is used up: wait, by default.
    #[must_use]
    pub fn when_full(self, what: WhenFull) -> Self {
        Self { when_full: what, ..self }
    }

    /// Sets the limit of a whole reply: its bytes, and 32 more for each element. 4 GiB - 1 at most.
    ///
    /// By default it is 256 MiB on a client's shared connection, where a large reply delays all others, and 512 MiB on a
    /// [`Reader`](crate::Reader)'s own. A limit that is set holds for both.
    ///
    /// A reply has to be in memory as a whole before anyone can read it, and what announces it may lie: a larger one ends the
    /// connection. Ask for less at a time (COUNT) rather than allow more.
    #[must_use]
    pub fn reply_bytes(mut self, bytes: usize) -> Self {
        self.limits.reply_bytes = bytes;
        self.reply_bytes = Some(bytes);
        self
    }

    /// How long one line of a reply may be: simple strings, errors, numbers. 64 KiB by default.
    ///
    /// No length announces a line, so nothing else would end one that never ends.
    #[must_use]
    pub fn line_bytes(mut self, bytes: usize) -> Self {
        self.limits.line_bytes = bytes;
        self
    }

    /// How deep a reply may be nested. 64 by default; the deepest stream reply has 7 levels.
    #[must_use]
    pub fn reply_depth(mut self, levels: usize) -> Self {
        self.limits.depth = levels;
        self
    }

    /// How long to wait before connecting again: a random time below a bound that doubles from `min` to `max`. 10 ms and
    /// 1 s by default.
    #[must_use]
    pub fn reconnect(self, min: Duration, max: Duration) -> Self {
        Self { reconnect_min: min, reconnect_max: max, ..self }
    }

    /// After how long an idle TCP connection is probed by the kernel. 30 s by default; `None` for never.
    #[must_use]
    pub fn keepalive(self, idle: Option<Duration>) -> Self {
        Self { keepalive: idle, ..self }
    }

    /// How long what was sent may stay unconfirmed by the peer's kernel before a TCP connection ends (TCP_USER_TIMEOUT, Linux);
    /// it counts too while the peer takes nothing. By default twice the command timeout, and 10 s at least.
    #[must_use]
    pub fn user_timeout(self, timeout: Duration) -> Self {
        Self { user_timeout: Some(timeout), ..self }
    }

    /// After how long an idle connection is asked (PING) whether anybody is there. 10 s by default; `None` for never.
    ///
    /// A connection is replaced when the oldest reply that it owes, PING's or another, is overdue by that command's time again
    /// (by 2 s at least), and no reply came in time since. While a reply is overdue nothing new is written.
    #[must_use]
    pub fn probe(self, idle: Option<Duration>) -> Self {
        Self { probe: idle, ..self }
    }

    /// Whether commands are sent again where that can do no harm: [`Retry::Safe`] by default.
    #[must_use]
    pub fn retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// Sets the window in which the server recognizes a repeated XADD with IDMP, where XCFGSET or the server's configuration
    /// changed it: IDMP-MAXSIZE and IDMP-DURATION. 100 `iid`s of a producer for 100 s by default, as in Redis 8.6.
    ///
    /// The client uses 64 % of the count and 80 % of the time: [`Retry::Safe`].
    #[must_use]
    pub fn idmp_window(self, max_size: u64, duration: Duration) -> Self {
        Self { idmp_iids: max_size, idmp_duration: duration, ..self }
    }

    /// How many events each listener's mailbox holds; the oldest is dropped for one too many. 64 by default.
    #[must_use]
    pub fn events_buffer(self, events: usize) -> Self {
        Self { events_buffer: events, ..self }
    }

    /// Whether every setting is in its range.
    ///
    /// # Errors
    ///
    /// Names the first setting that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let range = |setting, range| Err(ConfigError::Range { setting, range });
        if self
            .client_name
            .as_deref()
            .is_some_and(|name| !name.bytes().all(|b| b.is_ascii_graphic()))
        {
            return Err(ConfigError::ClientName);
        }
        #[cfg(all(unix, feature = "tls"))]
        if self.tls.is_some() && matches!(self.address, Address::Unix { .. }) {
            return Err(ConfigError::UnixTls);
        }
        if self.limits.reply_bytes < 1024 || self.limits.reply_bytes > u32::MAX as usize {
            return range("reply_bytes", "between 1 KiB and 4 GiB - 1");
        }
        if self.limits.line_bytes < 1024 {
            return range("line_bytes", "at least 1 KiB");
        }
        if !(8..=1024).contains(&self.limits.depth) {
            return range("reply_depth", "between 8 and 1024");
        }
        if self.budget_bytes < 1024 {
            return range("budget_bytes", "at least 1 KiB");
        }
        if self.connect_timeout.is_zero() {
            return range("connect_timeout", "greater than zero");
        }
        if self.command_timeout.is_zero() {
            return range("command_timeout", "greater than zero");
        }
        if self.probe.is_some_and(|idle| idle.is_zero()) {
            return range("probe", "greater than zero");
        }
        if self.user_timeout.is_some_and(|timeout| timeout.is_zero()) {
            return range("user_timeout", "greater than zero");
        }
        if self.idmp_iids == 0 || self.idmp_duration.is_zero() {
            return range("idmp_window", "above zero");
        }
        if self.events_buffer == 0 {
            return range("events_buffer", "at least 1");
        }
        if self.reconnect_min.is_zero() || self.reconnect_min > self.reconnect_max {
            return range("reconnect", "greater than zero, with min not above max");
        }
        Ok(())
    }
}

impl FromStr for Config {
    type Err = ConfigError;

    fn from_str(url: &str) -> Result<Self, ConfigError> {
        url::parse(url)
    }
}

impl TryFrom<&str> for Config {
    type Error = ConfigError;

    fn try_from(url: &str) -> Result<Self, ConfigError> {
        url.parse()
    }
}

impl TryFrom<&String> for Config {
    type Error = ConfigError;

    fn try_from(url: &String) -> Result<Self, ConfigError> {
        url.parse()
    }
}

impl TryFrom<String> for Config {
    type Error = ConfigError;

    fn try_from(url: String) -> Result<Self, ConfigError> {
        url.parse()
    }
}

impl From<&Self> for Config {
    fn from(config: &Self) -> Self {
        config.clone()
    }
}
