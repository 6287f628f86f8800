//! Connections to the in-memory server that count errors, and end when their process crashes.

use bourn::Config;
use bourn::testing::{Connection, Server};
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reconnects soon.
pub(crate) fn config() -> Config {
    Config::tcp("in-memory", 6379).reconnect(Duration::from_millis(1), Duration::from_millis(10))
}

/// Dials the server while the process is alive, and counts the errors in its replies.
pub(crate) fn dialler(
    server: &Server,
    alive: &Arc<AtomicBool>,
    errors: &Arc<AtomicU64>,
) -> impl Fn() -> Ready<io::Result<Counted>> + Send + Sync + 'static {
    let (server, alive, errors) = (server.clone(), Arc::clone(alive), Arc::clone(errors));
    move || {
        if !alive.load(Ordering::Relaxed) {
            return ready(Err(io::ErrorKind::ConnectionRefused.into()));
        }
        let errors = Arc::clone(&errors);
        ready(server.dial().map(|inner| Counted { inner, errors, last: b'\n' }))
    }
}

/// A connection whose errors are counted. No payload of a test begins a line with `-`.
pub(crate) struct Counted {
    inner: Connection,
    errors: Arc<AtomicU64>,
    /// The last byte that was read.
    last: u8,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        for byte in &buf.filled()[before..] {
            if self.last == b'\n' && *byte == b'-' {
                self.errors.fetch_add(1, Ordering::Relaxed);
            }
            self.last = *byte;
        }
        read
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
