//! One connection, as a pipe each way: the client's end, and the bytes in transit.

use super::world::{Shared, World};
use fastrand::Rng;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The way in which the server's end was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Later writes are discarded.
    Eof,
    /// Later writes fail.
    Reset,
}

/// Both directions of a connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// Written by the client, and not yet taken by the server.
    pub(crate) accepted: VecDeque<u8>,
    /// Taken by the server, and not yet a whole request.
    pub(crate) input: Vec<u8>,
    /// The requests of an open transaction, and whether one was refused.
    pub(crate) queued: Option<(Vec<Vec<String>>, bool)>,
    /// Replies, and the time when each is sent.
    pub(crate) answers: VecDeque<(Instant, Vec<u8>)>,
    /// Sent by the server, and not yet read.
    pub(crate) output: VecDeque<u8>,
    pub(crate) end: Option<End>,
    /// The client still has its end.
    pub(crate) held: bool,
    /// More than a handshake has come on it.
    pub(crate) used: bool,
    /// The server reads.
    pub(crate) reads: bool,
    /// The server writes.
    pub(crate) speaks: bool,
    /// Bytes that the server sends before it disconnects.
    pub(crate) life: usize,
    /// Bytes that the client may write before a write fails.
    pub(crate) left: usize,
    /// The number of bytes that fit each way.
    pub(crate) capacity: usize,
    /// The most bytes that one read returns.
    pub(crate) piece: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Link {
    pub(crate) fn new(capacity: usize, piece: usize) -> Self {
        Self {
            accepted: VecDeque::new(),
            input: Vec::new(),
            queued: None,
            answers: VecDeque::new(),
            output: VecDeque::new(),
            end: None,
            held: true,
            used: false,
            reads: true,
            speaks: true,
            life: usize::MAX,
            left: usize::MAX,
            capacity,
            piece,
            reader: None,
            writer: None,
        }
    }

    /// The server takes this many bytes of those in transit.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.input.extend(self.accepted.drain(..bytes));
        self.writer.take().into_iter().for_each(Waker::wake);
    }

    /// Sends the replies that are due; returns the time of the next one.
    pub(crate) fn send(&mut self, now: Instant) -> Option<Instant> {
        while self.speaks && self.end.is_none() {
            let (due, answer) = self.answers.front_mut()?;
            if *due > now {
                return Some(*due);
            }
            // The rest follows when the client has read.
            let capacity = self.capacity.saturating_sub(self.output.len());
            let n = answer.len().min(capacity).min(self.life);
            self.output.extend(answer.drain(..n));
            self.life -= if self.life == usize::MAX { 0 } else { n };
            let sent = answer.is_empty();
            self.reader.take().into_iter().for_each(Waker::wake);
            if self.life == 0 {
                self.close(End::Eof);
            } else if sent {
                self.answers.pop_front();
            } else {
                break;
            }
        }
        None
    }

    /// The server disconnects, or the connection is reset.
    pub(crate) fn close(&mut self, end: End) {
        self.end = Some(end);
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    /// Returns the bytes that the client has written and the server has not read.
    pub(crate) fn left_over(&self) -> String {
        let bytes: Vec<u8> = self.input.iter().chain(&self.accepted).copied().collect();
        let queued = self.queued.iter().flat_map(|(requests, _)| requests).flatten();
        queued.fold(String::from_utf8_lossy(&bytes).into_owned(), |all, word| all + " " + word)
    }
}

/// The client's end.
pub(crate) struct Wire {
    world: Shared,
    number: usize,
}

impl Wire {
    pub(crate) fn new(world: Shared, number: usize) -> Self {
        Self { world, number }
    }

    fn with<T>(&self, what: impl FnOnce(&mut Link, &mut Rng) -> T) -> T {
        let World { links, rng, .. } = &mut *self.world.lock();
        what(&mut links[self.number], rng)
    }
}

/// Written bytes may still reach the server: all of them, or a prefix.
impl Drop for Wire {
    fn drop(&mut self) {
        let broken = self.with(|link, rng| {
            link.held = false;
            rng.u8(0..3) == 0
        });
        if broken {
            self.world.lock().cut(self.number);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.with(|link, _| {
            let n = link.output.len().min(buf.remaining()).min(link.piece);
            if n > 0 {
                let bytes: Vec<u8> = link.output.drain(..n).collect();
                buf.put_slice(&bytes);
            } else if link.end == Some(End::Reset) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            } else if link.end.is_none() {
                link.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        });
        if read.is_ready() {
            self.world.stir();
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.with(|link, _| {
            if link.end == Some(End::Reset) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            let capacity = link.capacity.saturating_sub(link.accepted.len());
            // Without a reader, the kernel still accepts the bytes.
            let capacity = if link.end.is_some() { bytes.len() } else { capacity };
            if capacity == 0 {
                link.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let n = bytes.len().min(capacity).min(link.left);
            link.accepted.extend(&bytes[..n]);
            link.left -= if link.left == usize::MAX { 0 } else { n };
            Poll::Ready(Ok(n))
        });
        if let Poll::Ready(Ok(0)) = written {
            let mut world = self.world.lock();
            world.cut(self.number);
            world.links[self.number].close(End::Reset);
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        self.world.stir();
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
