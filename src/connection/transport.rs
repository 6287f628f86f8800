//! Byte streams to a server: TCP, Unix sockets or user-provided streams, with or without TLS.

use super::addresses::{Resolver, Tried, race};
use super::handshake_history::HandshakeHistory;
use super::panics::{Caught, Guarded};
#[cfg(feature = "tls")]
pub(super) use super::tls::is_tls;
use crate::config::{Address, BoxFuture, Config};
use crate::error::ConnectReason;
use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, tcp};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};
use tokio::time::timeout;
use tokio_util::io::{poll_read_buf, poll_write_buf};

/// The share of the connect timeout that resolving a name may take.
const RESOLVING: f64 = 0.75;

/// The minimum of the default TCP_USER_TIMEOUT, after which unacknowledged data ends a TCP
/// connection.
const UNCONFIRMED: Duration = Duration::from_secs(10);

/// A byte stream that a [`Client`](crate::Client) can work on.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// A dialled stream, before TLS.
pub(crate) enum Dialled {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Other(Box<dyn ByteStream>),
}

/// An open connection, before RESP. Direct writes to a TLS connection would bypass the encryption.
pub(crate) enum Io {
    Tcp(tcp::OwnedReadHalf, Arc<tcp::OwnedWriteHalf>),
    #[cfg(unix)]
    Unix(unix::OwnedReadHalf, Arc<unix::OwnedWriteHalf>),
    Other(Box<dyn ByteStream>),
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "constructed with TLS only"))]
    Tls(Box<dyn ByteStream>),
}

/// The write half of a socket, for non-blocking writes by any task.
#[derive(Debug, Clone)]
pub(super) enum Direct {
    Tcp(Arc<tcp::OwnedWriteHalf>),
    #[cfg(unix)]
    Unix(Arc<unix::OwnedWriteHalf>),
}

impl Direct {
    /// Writes as much as the socket accepts now.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_write(bytes),
            #[cfg(unix)]
            Self::Unix(socket) => socket.try_write(bytes),
        }
    }
}

impl Io {
    /// Whether a failed write may have sent some of its bytes, such as a TLS record that went out
    /// before the next one failed.
    pub(super) fn fails_late(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Returns the socket for direct writing, if there is one.
    pub(super) fn direct(&self) -> Option<Direct> {
        match self {
            Self::Tcp(_, socket) => Some(Direct::Tcp(Arc::clone(socket))),
            #[cfg(unix)]
            Self::Unix(_, socket) => Some(Direct::Unix(Arc::clone(socket))),
            Self::Other(_) | Self::Tls(_) => None,
        }
    }

    /// Reads available bytes into the spare capacity at the end of the buffer. Returns 0 at the end
    /// of the stream.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket, _) => poll_read_buf(Pin::new(socket), cx, buf),
            #[cfg(unix)]
            Self::Unix(socket, _) => poll_read_buf(Pin::new(socket), cx, buf),
            Self::Other(stream) | Self::Tls(stream) => poll_read_buf(Pin::new(stream), cx, buf),
        }
    }

    /// Writes some of the bytes.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        mut bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // The socket is shared with callers who write directly, so readiness is polled and then a
        // write is tried.
        macro_rules! try_write {
            ($socket:expr) => {
                loop {
                    ready!($socket.as_ref().as_ref().poll_write_ready(cx))?;
                    match $socket.try_write(bytes) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        result => return Poll::Ready(result),
                    }
                }
            };
        }
        match self {
            Self::Tcp(_, socket) => try_write!(socket),
            #[cfg(unix)]
            Self::Unix(_, socket) => try_write!(socket),
            Self::Other(stream) | Self::Tls(stream) => {
                let written = ready!(poll_write_buf(Pin::new(stream), cx, &mut bytes))?;
                // A buffering stream, such as TLS, must be flushed. The next call reports a flush
                // error; these bytes are accepted and may already be sent.
                let _ = Pin::new(stream).poll_flush(cx);
                Poll::Ready(Ok(written))
            }
        }
    }

    /// Flushes a buffering stream; sockets buffer nothing.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(..) => Poll::Ready(Ok(())),
            #[cfg(unix)]
            Self::Unix(..) => Poll::Ready(Ok(())),
            Self::Other(stream) | Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Ends the write side, where that is more than closing the socket.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(..) => Poll::Ready(Ok(())),
            #[cfg(unix)]
            Self::Unix(..) => Poll::Ready(Ok(())),
            Self::Other(stream) | Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl From<Dialled> for Io {
    fn from(dialled: Dialled) -> Self {
        match dialled {
            Dialled::Tcp(socket) => {
                let (read, write) = socket.into_split();
                Self::Tcp(read, Arc::new(write))
            }
            #[cfg(unix)]
            Dialled::Unix(socket) => {
                let (read, write) = socket.into_split();
                Self::Unix(read, Arc::new(write))
            }
            Dialled::Other(stream) => Self::Other(stream),
        }
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(..) => "Io::Tcp",
            #[cfg(unix)]
            Self::Unix(..) => "Io::Unix",
            Self::Other(..) => "Io::Other",
            Self::Tls(..) => "Io::Tls",
        })
    }
}

/// A user function's connection in progress.
type Dialling = BoxFuture<'static, io::Result<Dialled>>;

/// The method of opening connections.
#[derive(Clone)]
enum Dial {
    /// The address of the settings.
    Address(Arc<Resolver>),
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

    /// Opens a connection, and records the addresses in `tried`.
    pub(super) async fn dial(
        &self,
        config: &Config,
        tried: &Tried,
    ) -> Result<Dialled, ConnectReason> {
        let failed = |error| ConnectReason::Io(Arc::new(error));
        let resolver = match &self.dial {
            Dial::Address(resolver) => resolver,
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
