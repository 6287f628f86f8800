//! The settings that say who connects: user, password, credentials, name, TLS. Pure.

use super::{Config, Secret};
#[cfg(feature = "tokio")]
use super::{CredentialsProvider, Provider};
#[cfg(feature = "tls")]
use super::{Tls, TlsProvider, TlsSource};

impl Config {
    /// Sets the ACL user to authenticate as (Redis 6.0). Without one, a password is the default user's.
    ///
    /// A user without a password authenticates with the empty one: a user with `nopass` is let in, others are refused
    /// (`WRONGPASS`). Servers before 6.0 have no users and get the password alone.
    ///
    /// # Permissions
    ///
    /// `AUTH` needs none, and `HELLO` only without a user and a password. Beside the commands that the application sends
    /// itself, these are used:
    ///
    /// | used by | commands | without permission |
    /// |---|---|---|
    /// | each connection | `CLIENT SETINFO` | not sent again ([`send_client_info`](Self::send_client_info) turns it off) |
    /// | each connection, with a [`database`](Self::database) | `SELECT` | no connection |
    /// | an idle connection ([`probe`](Self::probe)) | `PING` | works all the same: any answer shows life |
    /// | [`Protocol::Resp2`](crate::Protocol::Resp2) | `CLIENT ID`, `INFO` | id and version are not known |
    /// | RESP2, with a [`client_name`](Self::client_name) | `CLIENT SETNAME` | no connection |
    /// | [`Client::transact`](crate::Client::transact) | `MULTI`, `EXEC`, `DISCARD` | the transaction fails |
    /// | [`Client::tail`](crate::Client::tail) | `XREAD`, `XREVRANGE` on the stream | the tail ends with the error |
    /// | a [`Queue`](crate::queue::Queue) | `@stream`, `MULTI`, `EXEC`, `DISCARD`, `CLIENT UNBLOCK` on `{name}*` | its operations fail |
    ///
    /// For a client, its readers and tails, and for a queue named `jobs`:
    ///
    /// ```text
    /// ACL SETUSER app    on >s3cret ~orders         +@stream +ping +client|setinfo
    /// ACL SETUSER worker on >s3cret ~jobs ~{jobs}*  +@stream +multi +exec +discard +ping +client|setinfo +client|unblock +client|id
    /// ```
    ///
    /// Redis 6.2 has no rules for subcommands that start from nothing: there it is `+client`.
    #[must_use]
    pub fn user(self, user: impl Into<String>) -> Self {
        Self { user: Some(user.into()), ..self }
    }

    /// Sets the password. It is never shown, whatever is printed.
    #[must_use]
    pub fn password(self, password: impl Into<Secret>) -> Self {
        Self { password: Some(password.into()), ..self }
    }

    /// Sets a provider of user and password. It is asked each time a connection is made, and may announce new credentials to
    /// live connections. The user and password of the settings are then not used.
    ///
    /// ```no_run
    /// # use bourn::{Client, Config, Credentials, Error};
    /// # async fn f() -> Result<(), Error> {
    /// let (sender, receiver) = tokio::sync::watch::channel(Credentials::new("first").user("worker"));
    /// let client = Client::connect(Config::tcp("127.0.0.1", 6379).credentials(receiver)).await?;
    /// // The client and its readers go on with the new password, on the connections that they have.
    /// sender.send_replace(Credentials::new("second").user("worker"));
    /// # let _ = client; Ok(()) }
    /// ```
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn credentials(self, provider: impl CredentialsProvider) -> Self {
        Self { credentials: Some(Provider(std::sync::Arc::new(provider))), ..self }
    }

    /// Sets whether connections announce the library's name and version (`CLIENT SETINFO`, Redis 7.2). On by default.
    ///
    /// Older servers, some proxies and users without permission refuse it. That is harmless, and a client does not send it
    /// again to a server that refused it. Turned off, nothing is written to the server's ACL log either.
    #[must_use]
    pub fn send_client_info(self, send: bool) -> Self {
        Self { client_info: send, ..self }
    }

    /// Speaks TLS (feature `tls`): over TCP, or over the stream that
    /// [`Client::connect_with`](crate::Client::connect_with) is given. Not over a Unix socket.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(self, tls: Tls) -> Self {
        Self { tls: Some(TlsSource::Fixed(tls)), ..self }
    }

    /// Speaks TLS with settings from a provider (feature `tls`), which is asked each time a connection is made: for
    /// certificates and authorities that are renewed while the client lives.
    ///
    /// Live connections are not affected: TLS checks a certificate when a connection begins.
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
