//! Byte streams to a server: TCP, Unix sockets or user-provided streams, with or without TLS.

use bytes::BytesMut;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, tcp};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};
use tokio_util::io::{poll_read_buf, poll_write_buf};

/// A byte stream that a [`Client`](crate::Client) can work on.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Client, Config};
/// use tokio::net::TcpStream;
///
/// // Any stream of bytes can carry the protocol: a tunnel, a pipe in a test.
/// let dial = || async { TcpStream::connect("127.0.0.1:6379").await };
/// let client = Client::connect_with(Config::tcp("behind the tunnel", 6379), dial).await?;
/// # let _ = client;
/// # Ok(()) }
/// ```
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
