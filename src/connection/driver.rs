//! The task that reads and writes the socket.
//!
//! It finds the end of each reply and does not decode it. Small frames are copied out of the read
//! buffer, large ones are split off without a copy, and callers decode them on their own tasks.
//! Reading continues while writing is blocked, and vice versa.

use super::health::{Health, Verdict};
use super::outbox::{DriverOrders, Shared, Turn};
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

/// The minimum spare capacity for a read.
const READ_LEAST: usize = 8 << 10;

/// A buffer that grew beyond this for a large reply is freed after it.
const READ_KEPT: usize = 4 * READ_STEP;

/// The number of reads in a row before the task yields.
const READS: usize = 16;

/// Drives one socket until it ends, and returns the reason.
#[derive(Debug)]
pub(super) struct Driver {
    io: Io,
    shared: Arc<Shared>,
    input: BytesMut,
    scanner: Scanner,
    output: Vec<u8>,
    /// The number of bytes of `output` that are written.
    written: usize,
    yielded: bool,
    /// The driver was not polled yet, and `input` was not scanned.
    is_new: bool,
    alarm: Alarm,
    frames: Vec<Frame>,
    wakers: Vec<Waker>,
    ended: Option<Disconnect>,
}

impl Driver {
    /// Creates a driver; `input` has the bytes that were read after the handshake.
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
            yielded: false,
            is_new: true,
            alarm,
            frames: Vec::new(),
            wakers: Vec::new(),
            ended: None,
        }
    }

    /// Reads available bytes and delivers the replies.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), Disconnect> {
        for _ in 0..READS {
            self.make_room();
            match self.io.poll_read(cx, &mut self.input) {
                Poll::Ready(Ok(0)) => return Err(Disconnect::Eof),
                Poll::Ready(Ok(_)) => self.dispatch_replies().map_err(Disconnect::Protocol)?,
                Poll::Ready(Err(error)) => return Err(Disconnect::Io(Arc::new(error))),
                Poll::Pending => return Ok(()),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Reserves capacity for the next read: a step, or the rest of a large reply, but never more
    /// than was received already.
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

    /// Reserves exactly this much for a large reply: doubling would hold as much memory again.
    fn grow(&mut self, bytes: usize) {
        let mut input = Vec::from(std::mem::take(&mut self.input));
        input.reserve_exact(bytes);
        self.input = BytesMut::from(Bytes::from(input));
    }

    fn dispatch_replies(&mut self) -> Result<(), ProtocolError> {
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
            // Pushes are out-of-band: they answer no request.
            if !frame.is_push() {
                self.frames.push(frame);
            }
        };
        self.input.advance(start);
        // Complete replies before a protocol error are still delivered.
        if !self.frames.is_empty() {
            self.alarm.heard();
            self.shared.replies(&mut self.frames, &mut self.wakers)?;
        }
        // An unsolicited reply has begun: the next request must not receive its end.
        if self.input.first().is_some_and(|byte| *byte != b'>') && !self.shared.is_owed() {
            scanned?;
            return Err(ProtocolError::Unasked);
        }
        scanned
    }

    /// Splits a frame off the input. A large one gets its own allocation of exactly its size.
    fn split(&mut self, len: usize) -> Bytes {
        if len <= READ_KEPT {
            return self.input.split_to(len).freeze();
        }
        let after = BytesMut::from(self.input.get(len..).unwrap_or_default());
        self.input.truncate(len);
        let mut frame = Vec::from(std::mem::replace(&mut self.input, after));
        frame.shrink_to_fit();
        Bytes::from(frame)
    }

    /// Writes queued requests, as far as the socket accepts them.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Disconnect> {
        loop {
            if self.written == self.output.len() {
                self.output.clear();
                self.written = 0;
                match self.shared.turn(&mut self.output, self.yielded, cx) {
                    Turn::Write(start) => {
                        self.yielded = false;
                        self.written = start;
                    }
                    Turn::Yield => {
                        self.yielded = true;
                        cx.waker().wake_by_ref();
                        return Ok(());
                    }
                    Turn::Sleep => {
                        self.yielded = false;
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

    fn drive(&mut self, cx: &mut Context<'_>) -> Result<(), Disconnect> {
        if std::mem::take(&mut self.is_new) {
            // Bytes that were received after the handshake.
            self.dispatch_replies().map_err(Disconnect::Protocol)?;
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
        match this.drive(cx) {
            Ok(()) => Poll::Pending,
            Err(reason) => {
                if matches!(reason, Disconnect::Closed) {
                    // Done as far as the socket accepts it now: TLS distinguishes a shutdown from a
                    // truncated connection.
                    let _ = this.io.poll_shutdown(cx);
                }
                this.ended = Some(reason.clone());
                Poll::Ready(reason)
            }
        }
    }
}

/// However the driver ends, including cancellation of its task, waiting callers are notified.
impl Drop for Driver {
    fn drop(&mut self) {
        let unwritten = self.output.get(self.written..).unwrap_or_default();
        let reason = self.ended.take().unwrap_or(Disconnect::Closed);
        self.shared.disconnected(unwritten, &reason);
    }
}

/// Wakes the driver for overdue waiters and for a silent server, and returns the reason for which
/// the connection is to end.
#[derive(Debug)]
pub(super) struct Alarm {
    shared: Arc<Shared>,
    /// `None` while there is no connection.
    health: Option<Health>,
    set: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    pub(super) fn new(shared: Arc<Shared>, health: Option<Health>) -> Self {
        let sleep = Box::pin(tokio::time::sleep_until(tokio::time::Instant::now()));
        Self { shared, health, set: None, sleep }
    }

    /// Records that a reply arrived.
    fn heard(&mut self) {
        if let Some(health) = &mut self.health {
            health.heard(tokio::time::Instant::now().into_std());
        }
    }

    /// Settles overdue callers. The driver's waker must be registered in the shared state first.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Option<Disconnect> {
        loop {
            let DriverOrders { alarm, owed, end, alive } =
                self.shared.orders(self.health.is_some(), cx);
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
                Some(Verdict::Doubt) => self.shared.suspend_writes(),
                Some(Verdict::Probe) => {
                    self.shared.probe(now);
                    // The probe must still be written.
                    cx.waker().wake_by_ref();
                }
                Some(Verdict::Check) => {
                    self.shared.check(now);
                    cx.waker().wake_by_ref();
                }
                Some(Verdict::Wait) | None => {}
            }
        }
    }
}
