//! Credentials, and the provider that returns them. No I/O.

use super::Secret;
use crate::error::CredentialsError;
use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

/// A user and a password.
///
/// ```
/// use bourn::Credentials;
///
/// let credentials = Credentials::new("s3cret").user("worker");
/// assert!(!format!("{credentials:?}").contains("s3cret"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub(crate) user: Option<String>,
    pub(crate) password: Secret,
}

impl Credentials {
    /// Creates credentials of the default user with this password. The password is never shown.
    #[must_use]
    pub fn new(password: impl Into<Secret>) -> Self {
        Self { user: None, password: password.into() }
    }

    /// Sets the ACL user, in place of the default one (Redis 6.0).
    #[must_use]
    pub fn user(self, user: impl Into<String>) -> Self {
        Self { user: Some(user.into()), ..self }
    }
}

/// A boxed future.
///
/// ```
/// use bourn::{BoxFuture, Credentials, CredentialsError, CredentialsProvider};
///
/// struct File(std::path::PathBuf);
///
/// impl CredentialsProvider for File {
///     fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
///         Box::pin(async {
///             let read = tokio::fs::read_to_string(&self.0).await;
///             let password = read.map_err(|error| CredentialsError::new(error.to_string()))?;
///             Ok(Credentials::new(password.trim()))
///         })
///     }
/// }
/// ```
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A source of credentials, for [`Config::credentials`](crate::Config::credentials): a file, a
/// vault, a service whose tokens expire.
///
/// Each connection calls it separately: the shared one, and that of each reader. A function that
/// returns a future implements it:
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
/// So does `tokio::sync::watch::Receiver<Credentials>`. Credentials that are sent there reach live
/// connections.
pub trait CredentialsProvider: Send + Sync + 'static {
    /// Returns the current credentials. Called each time a connection is made, after the server has
    /// been reached. Its time counts towards the connect timeout.
    ///
    /// # Errors
    ///
    /// The reason why there are no credentials. The attempt to connect then fails with
    /// [`ConnectReason::Credentials`](crate::ConnectReason::Credentials), and another one follows.
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>>;

    /// Completes when there are other credentials than these, which a connection uses. The
    /// connection then calls [`credentials`](Self::credentials) and sends AUTH in its pipeline.
    /// Other commands are not affected.
    ///
    /// By default it never completes, and only a new connection asks for credentials. The future is
    /// dropped and created again as connections come and go. So it must compare with the current
    /// state, and not wait for the next change.
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

/// A provider in the settings.
#[derive(Clone)]
pub(crate) struct Provider(pub(crate) Arc<dyn CredentialsProvider>);

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialsProvider")
    }
}
