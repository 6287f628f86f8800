//! Settings of the client's identity: user, password, credentials, name, TLS. No I/O.

use super::{Config, Secret};
#[cfg(feature = "tokio")]
use super::{CredentialsProvider, Provider};
#[cfg(feature = "tls")]
use super::{Tls, TlsProvider, TlsSource};

impl Config {
    /// Sets the ACL user to authenticate as (Redis 6.0). Without one, a password is that of the
    /// default user.
    ///
    /// A user without a password authenticates with the empty one. The server accepts it for a user
    /// with `nopass` and rejects others (`WRONGPASS`). Servers before 6.0 have no users and are
    /// sent only the password.
    ///
    /// # Permissions
    ///
    /// `AUTH` needs no permission, and `HELLO` only without a user and a password. Besides the
    /// application's own commands, these are used:
    ///
    /// | used by | commands | without permission |
    /// |---|---|---|
    /// | each connection (see [`send_client_info`]) | `CLIENT SETINFO` | not sent again |
    /// | each connection, with a [`database`](Self::database) | `SELECT` | no connection |
    /// | an idle connection ([`probe`](Self::probe)) | `PING` | still works: any reply shows life |
    /// | [`Protocol::Resp2`] | `CLIENT ID`, `INFO` | id and version unknown |
    /// | RESP2, with a [`client_name`](Self::client_name) | `CLIENT SETNAME` | no connection |
    /// | [`Client::transact`] | `MULTI`, `EXEC`, `DISCARD` | the transaction fails |
    /// | [`Client::tail`] | `XREAD`, `XREVRANGE` on the stream | the tail ends with the error |
    /// | a [`Queue`], on `{name}*` | `@stream`, `CLIENT UNBLOCK` | its operations fail |
    /// | the same | `MULTI`, `EXEC`, `DISCARD` | its operations fail |
    ///
    /// [`send_client_info`]: Self::send_client_info
    /// [`Protocol::Resp2`]: crate::Protocol::Resp2
    /// [`Client::transact`]: crate::Client::transact
    /// [`Client::tail`]: crate::Client::tail
    /// [`Queue`]: crate::queue::Queue
    ///
    /// For a client, its readers and tails, and for a queue named `jobs`:
    ///
    /// ```text
    /// ACL SETUSER app    on >s3cret ~orders         +@stream +ping +client|setinfo
    /// ACL SETUSER worker on >s3cret ~jobs ~{jobs}*  +@stream +multi +exec +discard +ping +client|setinfo +client|unblock +client|id
    /// ```
    #[must_use]
    pub fn user(self, user: impl Into<String>) -> Self {
        Self { user: Some(user.into()), ..self }
    }

    /// Sets the password. It is never shown in any output.
    #[must_use]
    pub fn password(self, password: impl Into<Secret>) -> Self {
        Self { password: Some(password.into()), ..self }
    }

    /// Sets a provider of user and password. It is called each time a connection is made, and may
    /// announce new credentials to live connections. The user and password of the settings are then
    /// not used.
    ///
    /// ```no_run
    /// # use bourn::{Client, Config, Credentials, Error};
    /// # async fn f() -> Result<(), Error> {
    /// let (sender, receiver) = tokio::sync::watch::channel(Credentials::new("first").user("worker"));
    /// let client = Client::connect(Config::tcp("127.0.0.1", 6379).credentials(receiver)).await?;
    /// // The client and its readers use the new password, on their existing connections.
    /// sender.send_replace(Credentials::new("second").user("worker"));
    /// # let _ = client; Ok(()) }
    /// ```
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn credentials(self, provider: impl CredentialsProvider) -> Self {
        Self { credentials: Some(Provider(std::sync::Arc::new(provider))), ..self }
    }

    /// Sets whether connections announce the library's name and version (`CLIENT SETINFO`, Redis
    /// 7.2). On by default.
    ///
    /// Older servers, some proxies and users without permission reject it. That is harmless, and a
    /// client does not send it again to a server that rejected it. If turned off, it causes no
    /// entry in the server's ACL log.
    #[must_use]
    pub fn send_client_info(self, send: bool) -> Self {
        Self { client_info: send, ..self }
    }

    /// Enables TLS (feature `tls`): over TCP, or over the stream of
    /// [`Client::connect_with`](crate::Client::connect_with). Not supported over a Unix socket.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(self, tls: Tls) -> Self {
        Self { tls: Some(TlsSource::Fixed(tls)), ..self }
    }

    /// Enables TLS with settings from a provider (feature `tls`), for certificates and authorities
    /// that are renewed while the client lives. The provider is called each time a connection is
    /// made.
    ///
    /// Live connections are not affected: TLS checks a certificate only when a connection begins.
    ///
    /// ```
    /// # use bourn::{Config, Tls};
    /// let config = Config::tcp("redis.internal", 6380).tls_provider(|| async {
    ///     let (chain, key) = (std::fs::read("client.pem")?, std::fs::read("client.key")?);
    ///     Ok(Tls::new().ca_pem(std::fs::read("ca.pem")?).client_pem(chain, key))
    /// });
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls_provider(self, provider: impl TlsProvider) -> Self {
        Self { tls: Some(TlsSource::Provider(std::sync::Arc::new(provider))), ..self }
    }
}
