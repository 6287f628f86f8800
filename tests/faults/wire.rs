//! The client's end of a scripted connection: a pipe that can fail at an exact byte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// The result of a dial.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Plan {
    /// The connection is accepted at once.
    Accept,
    /// The connection is refused.
    Refuse,
    /// The dial stays pending.
    Never,
}

/// The state of a wire, which the test may change while it is in use.
#[derive(Debug, Clone)]
pub(crate) struct Valve(Arc<State>);

#[derive(Debug)]
struct State {
    /// The number of bytes that may still leave. The write after them fails.
    left: AtomicUsize,
    /// The number of bytes that have left.
    written: AtomicUsize,
    flush_fails: AtomicBool,
    /// Whether the client holds the wire.
    held: AtomicBool,
}

impl Default for Valve {
    fn default() -> Self {
        Self(Arc::new(State {
            left: AtomicUsize::new(usize::MAX),
            written: AtomicUsize::new(0),
            flush_fails: AtomicBool::new(false),
            held: AtomicBool::new(false),
        }))
    }
}

impl Valve {
    /// Resets the connection after this many further bytes.
    pub(crate) fn reset_after(&self, bytes: usize) {
        self.0.left.store(bytes, SeqCst);
    }

    /// Accepts writes from now on, and fails the flush.
    pub(crate) fn fail_flushes(&self) {
        self.0.flush_fails.store(true, SeqCst);
    }

    /// Whether the client holds its end.
    pub(crate) fn is_held(&self) -> bool {
        self.0.held.load(SeqCst)
    }

    /// Returns the number of bytes that have left.
    pub(crate) fn written(&self) -> usize {
        self.0.written.load(SeqCst)
    }
}

/// The stream that a client uses.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: DuplexStream,
    valve: Valve,
}

impl Wire {
    pub(crate) fn new(stream: DuplexStream, valve: Valve) -> Self {
        valve.0.held.store(true, SeqCst);
        Self { stream, valve }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.valve.0.held.store(false, SeqCst);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let valve = self.valve.clone();
        let left = valve.0.left.load(SeqCst);
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let bytes = bytes.get(..left).unwrap_or(bytes);
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(n)) = result {
            valve.0.written.fetch_add(n, SeqCst);
            if left != usize::MAX {
                valve.0.left.fetch_sub(n, SeqCst);
            }
        }
        result
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let fails = self.valve.0.flush_fails.load(SeqCst);
        Poll::Ready(if fails { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) })
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
