//! Opens connections: by the address of the settings, or by a user function.

use super::addresses::{Resolver, Tried, race};
use super::handshake_history::HandshakeHistory;
use super::panics::{Caught, Guarded};
use super::resolve::Resolve;
#[cfg(feature = "tls")]
pub(super) use super::tls::is_tls;
use super::transport::{ByteStream, Dialled, Io};
use crate::config::{Address, BoxFuture, Config};
use crate::error::ConnectReason;
use socket2::{SockRef, TcpKeepalive};
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::timeout;

/// The share of the connect timeout that resolving a name may take.
const RESOLVING: f64 = 0.75;

/// The minimum of the default TCP_USER_TIMEOUT, after which unacknowledged data ends a TCP
/// connection.
const UNCONFIRMED: Duration = Duration::from_secs(10);

/// A user function's connection in progress.
type Dialling = BoxFuture<'static, io::Result<Dialled>>;

/// The method of opening connections.
#[derive(Clone)]
enum Dial {
    /// The address of the settings.
    Address(Arc<Resolver>),
    /// An address that is found before each attempt.
    Found(Arc<dyn Resolve>),
    /// A user function.
    By(Arc<dyn Fn() -> Dialling + Send + Sync>),
}

/// Opens the connections of one client, and keeps what they learnt about the server.
#[derive(Clone)]
pub(crate) struct Dialler {
    dial: Dial,
    history: Arc<Mutex<HandshakeHistory>>,
    #[cfg(feature = "tls")]
    tls: super::tls::Connector,
}

impl Dialler {
    /// Creates a dialler for the address of the settings.
    pub(crate) fn by_address() -> Self {
        Self::new(Dial::Address(Arc::new(Resolver::of_system())))
    }

    /// Creates a dialler that calls a user function.
    pub(crate) fn by<F, S>(dial: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: ByteStream,
    {
        Self::new(Dial::By(Arc::new(move || {
            let stream = dial();
            Box::pin(async move { Ok(Dialled::Other(Box::new(Guarded::new(stream.await?)))) })
        })))
    }

    fn new(dial: Dial) -> Self {
        Self {
            dial,
            history: Arc::default(),
            #[cfg(feature = "tls")]
            tls: super::tls::Connector::default(),
        }
    }

    /// Returns a dialler for another server: it has learnt nothing yet, and shares the TLS settings.
    pub(crate) fn for_node(&self) -> Self {
        Self { history: Arc::default(), ..self.clone() }
    }

    /// Returns a dialler whose address is found before each attempt.
    pub(crate) fn found_by(&self, resolve: Arc<dyn Resolve>) -> Self {
        Self { dial: Dial::Found(resolve), ..self.clone() }
    }

    /// Returns what finds the address, if it has to be found.
    pub(super) fn resolve(&self) -> Option<&Arc<dyn Resolve>> {
        if let Dial::Found(resolve) = &self.dial { Some(resolve) } else { None }
    }

    /// Whether it dials an address, of the settings or found, and not by a user function.
    pub(crate) fn is_by_address(&self) -> bool {
        !matches!(self.dial, Dial::By(_))
    }

    /// Whether it dials an address that is found before each attempt.
    pub(crate) fn is_found(&self) -> bool {
        self.resolve().is_some()
    }

    /// Opens a connection, and records the addresses in `tried`.
    pub(super) async fn dial(
        &self,
        config: &Config,
        tried: &Tried,
    ) -> Result<Dialled, ConnectReason> {
        let failed = |error| ConnectReason::Io(Arc::new(error));
        let of_one = || Arc::new(Resolver::of_system());
        let resolver = match &self.dial {
            Dial::Address(resolver) => Arc::clone(resolver),
            // A resolver is for one name.
            Dial::Found(_) => of_one(),
            Dial::By(dial) => {
                let panicked = |panic| io::Error::other(format!("the dialler panicked: {panic}"));
                let dialled = Caught::new(|| dial()).await;
                return dialled.unwrap_or_else(|panic| Err(panicked(panic))).map_err(failed);
            }
        };
        match &config.address {
            Address::Tcp { host, port } => {
                let limit = config.connect_timeout.mul_f64(RESOLVING);
                let Ok(found) = timeout(limit, resolver.resolve(host, *port)).await else {
                    return Err(ConnectReason::TimedOut { after: limit, during: unresolved(host) });
                };
                let socket = race(&found.map_err(failed)?, tried, TcpStream::connect).await;
                let socket = socket.map_err(failed)?;
                let unconfirmed = config
                    .user_timeout
                    .unwrap_or_else(|| config.command_timeout.saturating_mul(2).max(UNCONFIRMED));
                set_options(&socket, config.keepalive, unconfirmed).map_err(failed)?;
                Ok(Dialled::Tcp(socket))
            }
            #[cfg(unix)]
            Address::Unix { path } => {
                Ok(Dialled::Unix(UnixStream::connect(path).await.map_err(failed)?))
            }
        }
    }

    /// Describes the step at which a dial timed out.
    pub(super) fn overdue(&self, config: &Config, tried: &Tried) -> String {
        match (&self.dial, &config.address) {
            (Dial::By(_), _) => "the dialler did not return".to_owned(),
            (_, Address::Tcp { host, .. }) if tried.is_empty() => unresolved(host),
            _ => format!("no connection to {tried}"),
        }
    }

    /// Gives access to what the connections of this client learnt.
    pub(super) fn history<T>(&self, access: impl FnOnce(&mut HandshakeHistory) -> T) -> T {
        access(&mut self.history.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does the TLS handshake, if the settings enable TLS.
    #[cfg(feature = "tls")]
    pub(super) async fn secure(&self, config: &Config, dialled: Dialled) -> io::Result<Io> {
        self.tls.secure(config, dialled).await
    }

    /// Without TLS the dialled stream is the connection.
    #[cfg(not(feature = "tls"))]
    pub(super) async fn secure(&self, _: &Config, dialled: Dialled) -> io::Result<Io> {
        Ok(dialled.into())
    }
}

impl fmt::Debug for Dialler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialler")
    }
}

/// Whether an error comes from TLS, and not from the stream below it.
#[cfg(not(feature = "tls"))]
pub(super) fn is_tls(_: &io::Error) -> bool {
    false
}

fn unresolved(host: &str) -> String {
    format!("the name {host} was not resolved")
}

fn set_options(
    socket: &TcpStream,
    keepalive: Option<Duration>,
    unconfirmed: Duration,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    if let Some(idle) = keepalive {
        let interval = (idle / 3).max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(3);
        SockRef::from(socket).set_tcp_keepalive(&keepalive)?;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // The kernel's value has 32 bits, in milliseconds. A socket without the option works as
        // well.
        let most = Duration::from_millis(i32::MAX.unsigned_abs().into());
        let _ = SockRef::from(socket).set_tcp_user_timeout(Some(unconfirmed.min(most)));
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = unconfirmed;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn tcp_options_are_set_and_capped_at_the_kernel_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (idle, unconfirmed) = (Duration::from_secs(30), Duration::from_secs(12));
        set_options(&socket, Some(idle), unconfirmed).unwrap();
        let set = SockRef::from(&socket);
        assert!(set.tcp_nodelay().unwrap() && set.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        {
            assert_eq!(set.tcp_keepalive_time().unwrap(), idle);
            assert_eq!(set.tcp_user_timeout().unwrap(), Some(unconfirmed));
        }
        // A longer time is capped at the kernel's maximum.
        set_options(&socket, None, Duration::MAX).unwrap();
        #[cfg(target_os = "linux")]
        assert!(set.tcp_user_timeout().unwrap() > Some(unconfirmed));
    }
}
