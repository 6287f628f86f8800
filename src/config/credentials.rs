//! Credentials: a user and a password, and who is asked for them. Pure.

use super::Secret;
use crate::error::CredentialsError;
use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

/// A user and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(crate) user: Option<String>,
    pub(crate) password: Secret,
}

impl Credentials {
    /// The default user, with this password. It is never shown, whatever is printed.
    #[must_use]
    pub fn new(password: impl Into<Secret>) -> Self {
        Self { user: None, password: password.into() }
    }

    /// The ACL user, in place of the default one (Redis 6.0).
    #[must_use]
    pub fn user(self, user: impl Into<String>) -> Self {
        Self { user: Some(user.into()), ..self }
    }
}

/// A future in a box.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who knows the credentials, for [`Config::credentials`](crate::Config::credentials): a file, a vault, a service whose tokens
/// expire.
///
/// It is asked by every connection for itself: the shared one, each reader's. A function that returns a future is one:
///
/// ```
/// # use bourn::{Config, Credentials, CredentialsError};
/// # async fn token() -> Result<String, std::io::Error> { Ok(String::new()) }
/// let config = Config::tcp("redis.example.com", 6379).credentials(|| async {
///     let token = token().await.map_err(|error| CredentialsError::new(error.kind().to_string()))?;
///     Ok(Credentials::new(token).user("worker"))
/// });
/// ```
///
/// So is a `tokio::sync::watch::Receiver<Credentials>`: what is sent there reaches live connections.
pub trait CredentialsProvider: Send + Sync + 'static {
    /// The credentials that are good now. Asked each time a connection is made, when the server has been reached; what it
    /// takes is part of the connect timeout.
    ///
    /// # Errors
    ///
    /// Why there are none. The attempt to connect has failed then, as
    /// [`ConnectReason::Credentials`](crate::ConnectReason::Credentials), and another one follows.
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>>;

    /// Ends when there are other credentials than these, which a connection uses. They are then asked for, and the connection
    /// says AUTH with them between the commands of others, none of which is concerned.
    ///
    /// Never, by default: then only a new connection asks. It is dropped and called again as connections come and go, so it has
    /// to look at what there is, and not to wait for the next change.
    fn changed<'a>(&'a self, used: &'a Credentials) -> BoxFuture<'a, ()> {
        let _ = used;
        Box::pin(pending())
    }
}

impl<F, R> CredentialsProvider for F
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<Credentials, CredentialsError>> + Send + 'static,
{
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        Box::pin(self())
    }
}

/// A provider among the settings.
#[derive(Clone)]
pub(crate) struct Provider(pub(crate) Arc<dyn CredentialsProvider>);

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialsProvider")
    }
}
