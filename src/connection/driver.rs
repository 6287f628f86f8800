//! The one task that reads and writes the socket.
//!
//! It knows where a reply ends and nothing of what it says: small frames are copied out of the read buffer, large ones are
//! split off it without a copy, and whoever waits for them reads them on its own task. Reading goes on while writing is
//! blocked, and the other way round.

use super::health::{Health, Verdict};
use super::outbox::{Orders, Shared, Turn};
use super::transport::Io;
use crate::config::Config;
use crate::error::Disconnect;
use crate::resp::{Frame, ProtocolError, Scanner};
use bytes::{Buf, Bytes, BytesMut};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use tokio::time::Sleep;

/// The read buffer grows in steps of this many bytes.
const READ_STEP: usize = 64 << 10;

/// No read is made into less room than this.
const READ_LEAST: usize = 8 << 10;

/// A buffer that grew beyond this for a large reply is given back after it.
const READ_KEPT: usize = 4 * READ_STEP;

/// Reads in a row before others on the same thread get their turn.
const READS: usize = 16;

/// Works on one socket until that ends; then says how.
#[derive(Debug)]
pub(super) struct Driver {
    io: Io,
    shared: Arc<Shared>,
    input: BytesMut,
    scanner: Scanner,
    output: Vec<u8>,
    /// How much of `output` has been written.
    written: usize,
    gave_way: bool,
    /// Nothing has been done yet: `input` has not been looked at.
    fresh: bool,
    alarm: Alarm,
    frames: Vec<Frame>,
    wakers: Vec<Waker>,
    ended: Option<Disconnect>,
}

impl Driver {
    /// `input` is what was read behind the handshake.
    pub(super) fn new(io: Io, shared: Arc<Shared>, input: BytesMut, config: &Config) -> Self {
        shared.connected(io.direct());
        let now = tokio::time::Instant::now().into_std();
        let health = Health::new(config.probe, now);
        let alarm = Alarm::new(Arc::clone(&shared), Some(health));
        Self {
            io,
            shared,
            input,
            scanner: Scanner::new(config.limits),
            output: Vec::new(),
            written: 0,
            gave_way: false,
            fresh: true,
            alarm,
            frames: Vec::new(),
            wakers: Vec::new(),
            ended: None,
        }
    }

    /// Reads what has come and hands the replies out.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), Disconnect> {
        for _ in 0..READS {
            self.make_room();
            match self.io.poll_read(cx, &mut self.input) {
                Poll::Ready(Ok(0)) => return Err(Disconnect::Eof),
                Poll::Ready(Ok(_)) => self.hand_out().map_err(Disconnect::Protocol)?,
                Poll::Ready(Err(error)) => return Err(Disconnect::Io(Arc::new(error))),
                Poll::Pending => return Ok(()),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Room for the next read: a step, or the rest of a large reply, but never more than has come already.
    fn make_room(&mut self) {
        let len = self.input.len();
        let missing = self.scanner.need().saturating_sub(len);
        if self.input.capacity() - len < missing.clamp(READ_LEAST, READ_STEP) {
            if len > READ_KEPT {
                self.grow(missing.clamp(len / 8, len));
            } else {
                self.input.reserve(missing.clamp(READ_STEP, READ_STEP.max(len)));
            }
        }
    }

    /// Room for a reply that is large already, and no more than that: to double it would hold as much again.
    fn grow(&mut self, bytes: usize) {
        let mut input = Vec::from(std::mem::take(&mut self.input));
        input.reserve_exact(bytes);
        self.input = BytesMut::from(Bytes::from(input));
    }

    fn hand_out(&mut self) -> Result<(), ProtocolError> {
        let mut start = 0;
        let scanned = loop {
            let rest = self.input.get(start..).unwrap_or_default();
            let len = match self.scanner.scan(rest) {
                Ok(Some(len)) => len,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            let frame = match rest.get(..len).and_then(Frame::inline) {
                Some(frame) => {
                    start += len;
                    frame
                }
                None => {
                    self.input.advance(start);
                    start = 0;
                    Frame::scanned(self.split(len))
                }
            };
            // Pushes are out-of-band: they answer nobody.
            if !frame.is_push() {
                self.frames.push(frame);
            }
        };
        self.input.advance(start);
        // What was whole before a fault is still delivered.
        if !self.frames.is_empty() {
            self.alarm.heard();
            self.shared.replies(&mut self.frames, &mut self.wakers)?;
        }
        // The beginning of a reply that nobody asked for: who asks next must not get its end.
        if self.input.first().is_some_and(|byte| *byte != b'>') && !self.shared.is_owed() {
            scanned?;
            return Err(ProtocolError::Unasked);
        }
        scanned
    }

    /// Splits a frame off the input. One that is much has the memory for itself, and no more than it needs.
    fn split(&mut self, len: usize) -> Bytes {
        if len <= READ_KEPT {
            return self.input.split_to(len).freeze();
        }
        let behind = BytesMut::from(self.input.get(len..).unwrap_or_default());
        self.input.truncate(len);
        let mut frame = Vec::from(std::mem::replace(&mut self.input, behind));
        frame.shrink_to_fit();
        Bytes::from(frame)
    }

    /// Writes what is queued, as far as the socket takes it.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Disconnect> {
        loop {
            if self.written == self.output.len() {
                self.output.clear();
                self.written = 0;
                match self.shared.turn(&mut self.output, self.gave_way, cx) {
                    Turn::Write(start) => {
                        self.gave_way = false;
                        self.written = start;
                    }
                    Turn::GiveWay => {
                        self.gave_way = true;
                        cx.waker().wake_by_ref();
                        return Ok(());
                    }
                    Turn::Sleep => {
                        self.gave_way = false;
                        return self.flush(cx);
                    }
                }
            }
            let rest = self.output.get(self.written..).unwrap_or_default();
            match self.io.poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Err(Disconnect::Eof),
                Poll::Ready(Ok(n)) => self.written += n,
                Poll::Ready(Err(error)) => {
                    if self.io.fails_late() {
                        self.written = self.output.len();
                    }
                    return Err(Disconnect::Io(Arc::new(error)));
                }
                Poll::Pending => {
                    self.shared.sleep(cx);
                    return Ok(());
                }
            }
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Disconnect> {
        match self.io.poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(Disconnect::Io(Arc::new(error))),
            _ => Ok(()),
        }
    }

    fn go_on(&mut self, cx: &mut Context<'_>) -> Result<(), Disconnect> {
        if std::mem::take(&mut self.fresh) {
            // What came behind the handshake.
            self.hand_out().map_err(Disconnect::Protocol)?;
        }
        self.read(cx)?;
        self.write(cx)?;
        match self.alarm.poll(cx) {
            Some(end) => Err(end),
            None => Ok(()),
        }
    }
}

impl Future for Driver {
    type Output = Disconnect;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Disconnect> {
        let this = self.get_mut();
        match this.go_on(cx) {
            Ok(()) => Poll::Pending,
            Err(reason) => {
                if matches!(reason, Disconnect::Closed) {
                    // As far as the socket takes it now: TLS tells an end from a connection that was cut.
                    let _ = this.io.poll_shutdown(cx);
                }
                this.ended = Some(reason.clone());
                Poll::Ready(reason)
            }
        }
    }
}

/// However the driver ends, also when its task is cancelled, those who wait are told.
impl Drop for Driver {
    fn drop(&mut self) {
        let unwritten = self.output.get(self.written..).unwrap_or_default();
        let reason = self.ended.take().unwrap_or(Disconnect::Closed);
        self.shared.disconnected(unwritten, &reason);
    }
}

/// Wakes for overdue waiters and for a silent server, and says when the connection is to end.
#[derive(Debug)]
pub(super) struct Alarm {
    shared: Arc<Shared>,
    /// None while there is no connection.
    health: Option<Health>,
    set: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    pub(super) fn new(shared: Arc<Shared>, health: Option<Health>) -> Self {
        let sleep = Box::pin(tokio::time::sleep_until(tokio::time::Instant::now()));
        Self { shared, health, set: None, sleep }
    }

    /// Something came from the server.
    fn heard(&mut self) {
        if let Some(health) = &mut self.health {
            health.heard(tokio::time::Instant::now().into_std());
        }
    }

    /// Settles who is overdue. The driver's waker is registered with what it shares before this.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Option<Disconnect> {
        loop {
            let Orders { alarm, owed, end, alive } = self.shared.orders(self.health.is_some(), cx);
            if end.is_some() {
                return end;
            }
            if let Some(health) = self.health.as_mut().filter(|_| alive) {
                health.alive();
            }
            let look = self.health.as_ref().and_then(|health| health.next(&owed));
            let next = alarm.into_iter().chain(look).min()?;
            if self.set != Some(next) {
                self.set = Some(next);
                self.sleep.as_mut().reset(tokio::time::Instant::from_std(next));
            }
            if self.sleep.as_mut().poll(cx).is_pending() {
                return None;
            }
            self.set = None;
            let now = tokio::time::Instant::now().into_std();
            self.shared.expire(now);
            match self.health.as_mut().map(|health| health.look(now, &owed)) {
                Some(Verdict::Dead) => return Some(Disconnect::Silent),
                Some(Verdict::Doubt) => self.shared.hold(),
                Some(Verdict::Probe) => {
                    self.shared.probe(now);
                    // It is still to be written.
                    cx.waker().wake_by_ref();
                }
                Some(Verdict::Wait) | None => {}
            }
        }
    }
}
