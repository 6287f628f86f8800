//! The settings of a connection: address, identity, timeouts and limits. Parses URLs. No I/O.

mod address;
mod cluster;
#[cfg(feature = "tokio")]
mod credentials;
mod foreign;
#[cfg(feature = "tokio")]
mod handle;
mod identity;
mod nodes;
mod retry;
#[cfg(feature = "tokio")]
mod runtime;
mod secret;
mod sentinel;
#[cfg(feature = "tls")]
mod tls;
mod url;
mod watched;

pub use address::Address;
pub(crate) use cluster::ClusterSettings;
#[cfg(feature = "tokio")]
pub(crate) use cluster::MapAddress;
pub use cluster::Replicas;
#[cfg(feature = "tokio")]
pub(crate) use credentials::Provider;
#[cfg(feature = "tokio")]
pub use credentials::{BoxFuture, Credentials, CredentialsProvider};
#[cfg(feature = "tokio")]
pub(crate) use handle::Runtime;
pub use retry::Retry;
pub use secret::Secret;
pub(crate) use sentinel::SentinelSettings;
#[cfg(feature = "tls")]
pub(crate) use tls::{Text, TlsSource};
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsProvider};

use crate::error::ConfigError;
use crate::resp::Limits;
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;

/// The default limit of a whole reply on a shared connection.
const SHARED_REPLY_BYTES: usize = 256 << 20;

/// The address of a server, and the settings of a connection to it.
///
/// Created from a URL, or with [`Config::tcp`], [`Config::unix`], [`Config::cluster`] or
/// [`Config::sentinel`]. Each setting is a method.
///
/// | URL | meaning |
/// |---|---|
/// | `redis://[user[:password]@]host[:port][/db]` | TCP; default port 6379, database 0 |
/// | `valkey://` | the same as `redis://` |
/// | `rediss://`, `valkeys://` | the same with TLS (feature `tls`): `Config::tls(Tls::new())` |
/// | `redis+unix:///path?db=1&user=u&password=p` | a Unix socket (Unix only) |
/// | `valkey+unix://`, `unix://` | the same as `redis+unix://` |
/// | `redis+cluster://[user[:password]@]host[:port][,host[:port]...]` | [`Config::cluster`] |
/// | `valkey+cluster://`, `redis-cluster://` | the same as `redis+cluster://` |
/// | `rediss+cluster://`, `valkeys+cluster://` | the same with TLS to each node (feature `tls`) |
/// | `redis+sentinel://[user[:password]@]host[:port][,host[:port]...]/master[/db]` | [`Config::sentinel`] |
/// | `valkey+sentinel://`, `redis-sentinel://`, with TLS `rediss+sentinel://` | the same |
///
/// All accept the parameters `db`, `user`, `password`, `client_name`, `client_info` (`true` or
/// `false`), `protocol` (2 or 3), `connect_timeout_ms` and `command_timeout_ms`. User, password,
/// path and parameters are percent-decoded. An IPv6 address is in brackets, with its zone if it has
/// one: `[fe80::1%25eth0]` or `[fe80::1%eth0]`. White space and line ends around a URL are removed:
/// a secret in a file often ends with a line end.
///
/// `database`, `username`, `clientName` and `connectionName` are accepted for `db`, `user` and
/// `client_name`, because other clients have them. Other parameters of other clients are
/// [rejected](ConfigError::Foreign); the error names the replacement.
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
#[cfg_attr(not(feature = "tokio"), expect(dead_code, reason = "only read when connecting"))]
pub struct Config {
    pub(crate) address: Address,
    /// `None` for a single server.
    pub(crate) cluster: Option<ClusterSettings>,
    pub(crate) sentinel: Option<Box<SentinelSettings>>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    #[cfg(feature = "tokio")]
    pub(crate) credentials: Option<Provider>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<TlsSource>,
    pub(crate) database: u32,
    /// The connection reads from a replica of a cluster: READONLY in the handshake.
    pub(crate) reads_from_replica: bool,
    pub(crate) client_name: Option<String>,
    pub(crate) protocol: Protocol,
    pub(crate) connect_timeout: Duration,
    pub(crate) command_timeout: Duration,
    pub(crate) block_grace: Duration,
    pub(crate) budget_bytes: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) limits: Limits,
    /// The limit of a whole reply, if set explicitly.
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
    /// The runtime that the client was created in, for readers that are created outside any.
    #[cfg(feature = "tokio")]
    pub(crate) client_runtime: Option<Runtime>,
}

/// The protocol version.
///
/// ```
/// use bourn::{Config, Protocol};
///
/// // A proxy that does not know HELLO.
/// let config = Config::tcp("proxy.internal", 6379).protocol(Protocol::Resp2);
/// # let _ = config;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// RESP3, with a fallback to RESP2 if the server rejects HELLO or closes the connection on it:
    /// servers before 6.0, proxies.
    ///
    /// A client remembers that HELLO does not work, and tries it again after a failed attempt to
    /// connect or after ten minutes. So one of the next connections to an upgraded server uses
    /// RESP3.
    #[default]
    Auto,
    /// RESP2 only. HELLO is never sent.
    ///
    /// The server's name and version, and the connection's id, then come from `INFO server` and
    /// `CLIENT ID`. If the server rejects those, [`Client::server`](crate::Client::server) and
    /// [`Client::connection_id`](crate::Client::connection_id) return `None`.
    Resp2,
}

/// The behaviour of a command when the byte budget is used up.
///
/// ```
/// use bourn::{Config, WhenFull};
///
/// // A request handler that would rather fail than wait for a slow server.
/// let config = Config::tcp("localhost", 6379).when_full(WhenFull::Fail);
/// # let _ = config;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// Waits for capacity, until its deadline.
    #[default]
    Wait,
    /// Fails immediately with [`Unsent::Full`](crate::Unsent::Full).
    Fail,
}

impl Config {
    /// Creates the settings for a server at this host and port.
    #[must_use]
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::at(Address::Tcp { host: host.into(), port })
    }

    /// Creates the settings for a server at this Unix socket. This function exists on Unix only.
    #[cfg(unix)]
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::at(Address::Unix { path: path.into() })
    }

    fn at(address: Address) -> Self {
        Self {
            address,
            cluster: None,
            sentinel: None,
            user: None,
            password: None,
            #[cfg(feature = "tokio")]
            credentials: None,
            #[cfg(feature = "tls")]
            tls: None,
            database: 0,
            reads_from_replica: false,
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
            client_runtime: None,
        }
    }

    /// Returns the same settings for a reader's connection.
    #[cfg(feature = "tokio")]
    pub(crate) fn for_reader(&self) -> Self {
        let mut config = self.clone();
        config.limits.reply_bytes =
            self.reply_bytes.unwrap_or_else(|| Limits::default().reply_bytes);
        config
    }

    /// Returns the server's address: in a cluster that of the first node to begin with, with
    /// sentinels that of the first one.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sets the database. Default 0, which is the only one in a cluster.
    #[must_use]
    pub fn database(self, database: u32) -> Self {
        Self { database, ..self }
    }

    /// Sets the connection's name, as shown by CLIENT LIST, without spaces or control characters.
    #[must_use]
    pub fn client_name(self, name: impl Into<String>) -> Self {
        Self { client_name: Some(name.into()), ..self }
    }

    /// Sets the protocol version. Default RESP3, with a fallback to RESP2 if the server rejects it.
    #[must_use]
    pub fn protocol(self, protocol: Protocol) -> Self {
        Self { protocol, ..self }
    }

    /// Sets the timeout of one attempt to connect. Default 5 s.
    ///
    /// It covers resolving, dialling, TLS, the credentials provider and the handshake. Resolving
    /// the name may take three quarters of it. The addresses of a name are raced, each with a head
    /// start of 250 ms (RFC 8305). A server that closes the connection on HELLO is dialled again
    /// within the same timeout. The error of an attempt that timed out names the step.
    #[must_use]
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        Self { connect_timeout: timeout, ..self }
    }

    /// Sets how long [`Client::connect`](crate::Client::connect) keeps trying to make the first
    /// connection, for a server that starts at the same time. By default it tries once.
    ///
    /// The delay between attempts is that of [`Config::reconnect`]. A permanent error, such as a
    /// wrong password, is returned immediately.
    #[must_use]
    pub fn wait_for_server(self, time: Duration) -> Self {
        Self { wait_for_server: time, ..self }
    }

    /// Sets the timeout of a command, from the first poll of its future to its reply. Default 5 s.
    ///
    /// It covers waiting for capacity and for a connection, writing, and the server's time.
    #[must_use]
    pub fn command_timeout(self, timeout: Duration) -> Self {
        Self { command_timeout: timeout, ..self }
    }

    /// Sets how long a read may take beyond its BLOCK before its connection is closed. Default 5 s.
    ///
    /// Some servers (7.0 to 7.2.4) restart the wait when they look at the stream, so be generous.
    #[must_use]
    pub fn block_grace(self, grace: Duration) -> Self {
        Self { block_grace: grace, ..self }
    }

    /// Sets the byte budget: the limit of commands that are queued or in flight. Default 16 MiB.
    ///
    /// The budget bounds memory when a server is slow, silent or gone: commands that wait for a new
    /// connection count too. Each command counts with its bytes on the wire plus 128. A command
    /// larger than the whole budget is sent alone. In a cluster each node has this budget.
    #[must_use]
    pub fn budget_bytes(self, bytes: usize) -> Self {
        Self { budget_bytes: bytes, ..self }
    }

    /// Sets the behaviour of a command when the budget is used up. Default: it waits.
    #[must_use]
    pub fn when_full(self, what: WhenFull) -> Self {
        Self { when_full: what, ..self }
    }

    /// Sets the limit of a whole reply: its bytes, plus 32 for each element. Maximum 4 GiB - 1.
    ///
    /// The default is 256 MiB on a client's shared connection, where a large reply delays all
    /// others, and 512 MiB on a [`Reader`](crate::Reader)'s own. A limit that is set applies to
    /// both.
    ///
    /// A reply is kept in memory as a whole until it is read, and the length that announces it may
    /// be wrong. A reply beyond the limit ends the connection. Request fewer entries (COUNT) rather
    /// than raise the limit.
    #[must_use]
    pub fn reply_bytes(mut self, bytes: usize) -> Self {
        self.limits.reply_bytes = bytes;
        self.reply_bytes = Some(bytes);
        self
    }

    /// Sets the limit of one line of a reply (simple strings, errors, numbers), in bytes. Default
    /// 64 KiB.
    ///
    /// A line has no announced length, so no other limit applies to it.
    #[must_use]
    pub fn line_bytes(mut self, bytes: usize) -> Self {
        self.limits.line_bytes = bytes;
        self
    }

    /// Sets the maximum nesting depth of a reply. Default 64; the deepest stream reply has 7
    /// levels.
    #[must_use]
    pub fn reply_depth(mut self, levels: usize) -> Self {
        self.limits.depth = levels;
        self
    }

    /// Sets the backoff between attempts to connect: a random delay below a bound that doubles from
    /// `min` to `max` (full jitter). Default 10 ms and 1 s.
    #[must_use]
    pub fn reconnect(self, min: Duration, max: Duration) -> Self {
        Self { reconnect_min: min, reconnect_max: max, ..self }
    }

    /// Sets how long a TCP connection may be idle before the kernel probes it. Default 30 s; `None`
    /// turns it off.
    #[must_use]
    pub fn keepalive(self, idle: Option<Duration>) -> Self {
        Self { keepalive: idle, ..self }
    }

    /// Sets how long sent data may stay unacknowledged by the peer's kernel before a TCP connection
    /// ends (TCP_USER_TIMEOUT, Linux). It also applies while the peer accepts no data. Default:
    /// twice the command timeout, at least 10 s.
    #[must_use]
    pub fn user_timeout(self, timeout: Duration) -> Self {
        Self { user_timeout: Some(timeout), ..self }
    }

    /// Sets how long a connection may be idle before it is probed with PING. Default 10 s; `None`
    /// turns it off.
    ///
    /// A busy connection is probed as often, behind the requests that wait. This shows replies that
    /// are delivered to the wrong command because the server or a proxy sent one too many. Consumers'
    /// own connections are probed after two leases, at most 60 s, if that is longer.
    ///
    /// A connection is replaced when its oldest reply stays overdue for that command's timeout
    /// again (at least 2 s), without a reply in time since. PING counts as a command. While a reply
    /// is overdue, nothing new is written.
    #[must_use]
    pub fn probe(self, idle: Option<Duration>) -> Self {
        Self { probe: idle, ..self }
    }

    /// Sets the retry policy. Default [`Retry::Safe`].
    #[must_use]
    pub fn retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// Sets the window in which the server recognizes a repeated XADD with IDMP, where XCFGSET or
    /// the server's configuration changed it: IDMP-MAXSIZE and IDMP-DURATION. 100 `iid`s of a
    /// producer for 100 s by default, as in Redis 8.6.
    ///
    /// The client uses 64 % of the count and 80 % of the time: [`Retry::Safe`].
    #[must_use]
    pub fn idmp_window(self, max_size: u64, duration: Duration) -> Self {
        Self { idmp_iids: max_size, idmp_duration: duration, ..self }
    }

    /// Sets the capacity of each listener's event buffer. Default 64. When it is full, the oldest
    /// event is dropped.
    #[must_use]
    pub fn events_buffer(self, events: usize) -> Self {
        Self { events_buffer: events, ..self }
    }

    /// Checks that every setting is in its range.
    ///
    /// # Errors
    ///
    /// The first setting that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let range = |setting, range| Err(ConfigError::Range { setting, range });
        if self
            .client_name
            .as_deref()
            .is_some_and(|name| !name.bytes().all(|b| b.is_ascii_graphic()))
        {
            return Err(ConfigError::ClientName);
        }
        if let Some(cluster) = &self.cluster {
            cluster.check()?;
        }
        if let Some(sentinel) = &self.sentinel {
            sentinel.check()?;
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

impl From<&Self> for Config {
    fn from(config: &Self) -> Self {
        config.clone()
    }
}
