//! Scanner: finds the end of the next frame, and resumes where it stopped. No I/O.
//!
//! A frame may arrive in any number of reads. The scanner keeps its position between them: each
//! header is read once, and bodies are skipped. For each open level it stores the number of values
//! still expected. The levels are kept in a small vector of limited depth; nothing recurses.
//!
//! All errors are detected here: type bytes, lengths, numbers, line ends, order of streamed parts.
//! A scanned frame can be decoded without checking for errors again.

mod plain;
mod record;

pub(crate) use record::short_length;

use super::line::{self, Length};
use super::{Limits, ProtocolError};
use record::{ELEMENT_BYTES, Record};

/// Number of values that a level still expects. A streamed level, whose number is unknown, counts
/// down from one of two marks that no counted level reaches. So one comparison with zero ends every
/// level.
type Left = u64;

/// Start of the count of a streamed array or set.
const STREAMED: Left = 1 << 62;

/// Start of the count of a streamed map.
const STREAMED_MAP: Left = 1 << 63;

/// Upper bound of the values of a level, because no reply is that large.
const MAX_VALUES: Left = 1 << 59;

/// Minimum size of a value on the wire: `_` CR LF.
const MIN_VALUE_BYTES: usize = 3;

/// Maximum number of expected values whose minimum size is waited for at once. It avoids a scan per
/// byte when bytes arrive one at a time.
const AHEAD: usize = 16;

/// The frame itself is a level of one value.
const FRAME: Left = 1;

/// Finds the ends of consecutive frames.
///
/// ```
/// # use bourn::resp::{Limits, Scanner};
/// let mut scanner = Scanner::new(Limits::default());
/// assert_eq!(scanner.scan(b"$5\r\nhel"), Ok(None));
/// assert_eq!(scanner.scan(b"$5\r\nhello\r\n:1\r\n"), Ok(Some(11)));
/// // The caller takes those 11 bytes off; the next frame begins at the start of the buffer.
/// assert_eq!(scanner.scan(b":1\r\n"), Ok(Some(4)));
/// ```
#[derive(Debug, Clone)]
pub struct Scanner {
    limits: Limits,
    /// A shorter buffer cannot advance the scan.
    need: usize,
    /// Offset of the first byte not scanned yet.
    pos: usize,
    /// Offset up to which the line at `pos` was searched for its end.
    seen: usize,
    /// The part expected at `pos`.
    due: Due,
    left: Left,
    /// Values that the enclosing levels still expect.
    outer: Vec<Left>,
    /// Cost of the elements announced so far.
    charged: usize,
    record: Record,
    failed: Option<ProtocolError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The header of a value.
    Value,
    /// The CRLF after a body, which completes a value.
    BodyEnd,
    /// The header of a chunk of a streamed string.
    Chunk,
    /// The CRLF after a chunk.
    ChunkEnd,
}

/// The result of one step of the scan.
enum Step {
    /// A value without inner values is complete; the next byte has this offset.
    Done(usize),
    /// A level was opened, or a part was read that completes no value.
    Open(usize),
    /// More bytes are needed.
    Wait,
}

impl Scanner {
    /// Creates a scanner at the start of a frame.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            need: 1,
            pos: 0,
            seen: 0,
            due: Due::Value,
            left: FRAME,
            outer: Vec::new(),
            charged: 0,
            record: Record::default(),
            failed: None,
        }
    }

    /// Returns the length of the frame at the start of `buf`; `None` if it is not complete.
    ///
    /// If it is not complete, call it again with the same bytes and more after them. After
    /// `Some(len)` remove `len` bytes: the next frame is expected at the start of the buffer.
    ///
    /// # Errors
    ///
    /// The bytes are not RESP or exceed a limit. Every later call returns the same error.
    #[inline]
    pub fn scan(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
        if buf.len() < self.need {
            return Ok(None);
        }
        self.resume(buf)
    }

    /// Returns the minimum length of the buffer at which the scan can continue: a hint for the size
    /// of reads.
    ///
    /// It may derive from a length that the peer sent. Do not allocate more than the received bytes
    /// justify.
    #[must_use]
    pub fn need(&self) -> usize {
        self.need
    }

    /// Returns the offset of the first byte not scanned yet, from the start of the frame. After an
    /// error it is in or before the wrong value.
    #[must_use]
    pub fn position(&self) -> usize {
        self.pos
    }

    fn resume(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if let Some(len) = self.short(buf) {
            self.pos = len;
            return Ok(Some(self.next_frame()));
        }
        let end = self.frame(buf);
        if let Err(error) = &end {
            self.failed = Some(error.clone());
            self.need = 0;
        }
        end
    }

    fn frame(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
        loop {
            if self.due == Due::Value && self.plain(buf) {
                return Ok(Some(self.next_frame()));
            }
            if self.record.is_learning() {
                self.record.forget();
            }
            let rest = buf.get(self.pos..).unwrap_or_default();
            let step = match self.due {
                Due::Value => self.value(buf, rest)?,
                Due::BodyEnd => self.body_end(rest, true)?,
                Due::Chunk => self.chunk(rest)?,
                Due::ChunkEnd => self.body_end(rest, false)?,
            };
            match step {
                Step::Done(pos) => {
                    self.pos = pos;
                    if self.value_done() {
                        return Ok(Some(self.next_frame()));
                    }
                }
                Step::Open(pos) => self.pos = pos,
                Step::Wait => return Ok(None),
            }
        }
    }

    /// Counts a complete value, and every level that it completes. Returns true if that completes
    /// the frame.
    #[inline]
    fn value_done(&mut self) -> bool {
        self.left -= 1;
        while self.left == 0 {
            match self.outer.pop() {
                Some(left) => self.left = left,
                None => return true,
            }
        }
        false
    }

    fn next_frame(&mut self) -> usize {
        let len = self.pos;
        self.need = 1;
        self.pos = 0;
        self.seen = 0;
        self.due = Due::Value;
        self.left = FRAME;
        self.charged = 0;
        len
    }

    /// Skips the bytes after the header of a bulk string or similar value.
    #[inline]
    fn body(&mut self, buf: &[u8], start: usize, len: usize) -> Result<Step, ProtocolError> {
        let end = self.within(start, len)?;
        match buf.get(end..) {
            Some([b'\r', b'\n', ..]) => Ok(Step::Done(end + 2)),
            Some([_, _, ..]) => Err(ProtocolError::Body),
            _ => {
                self.pos = end;
                self.due = Due::BodyEnd;
                Ok(self.wait(2))
            }
        }
    }

    /// Returns `start + len`, if the limit allows it.
    #[inline]
    fn within(&self, start: usize, len: usize) -> Result<usize, ProtocolError> {
        let limit = self.limits.reply_bytes;
        match start.checked_add(len).and_then(|end| Some((end, end.checked_add(self.charged)?))) {
            Some((end, size)) if size <= limit => Ok(end),
            _ => Err(ProtocolError::TooLarge { limit }),
        }
    }

    /// Opens a level of `count` values, after a header that ends at `pos`.
    fn open(&mut self, pos: usize, count: usize) -> Result<Step, ProtocolError> {
        self.check_depth()?;
        self.charge(pos, count)?;
        Ok(if count == 0 { Step::Done(pos) } else { self.begin(pos, count as Left) })
    }

    /// Opens a streamed level.
    fn open_streamed(&mut self, pos: usize, mark: Left) -> Result<Step, ProtocolError> {
        self.check_depth()?;
        Ok(self.begin(pos, mark))
    }

    fn check_depth(&self) -> Result<(), ProtocolError> {
        let limit = self.limits.depth;
        if self.outer.len() < limit { Ok(()) } else { Err(ProtocolError::TooDeep { limit }) }
    }

    fn begin(&mut self, pos: usize, left: Left) -> Step {
        self.outer.push(self.left - 1);
        self.left = left;
        Step::Open(pos)
    }

    fn charge(&mut self, pos: usize, count: usize) -> Result<(), ProtocolError> {
        let limit = self.limits.reply_bytes;
        let charged = count.checked_mul(ELEMENT_BYTES).and_then(|c| c.checked_add(self.charged));
        match charged.filter(|_| (count as Left) < MAX_VALUES) {
            Some(charged) if charged.checked_add(pos).is_some_and(|size| size <= limit) => {
                self.charged = charged;
                Ok(())
            }
            _ => Err(ProtocolError::TooLarge { limit }),
        }
    }

    /// Scans a value according to its type byte.
    fn value(&mut self, buf: &[u8], rest: &[u8]) -> Result<Step, ProtocolError> {
        let Some((&kind, tail)) = rest.split_first() else {
            return Ok(self.wait(MIN_VALUE_BYTES));
        };
        match kind {
            b'$' | b'=' | b'!' => self.bulk(buf, kind, tail),
            b'*' | b'~' | b'%' | b'|' | b'>' => self.aggregate(kind, tail),
            b'+' | b'-' | b':' | b',' | b'(' | b'#' | b'_' | b'.' => self.line(kind, tail),
            b';' => Err(ProtocolError::Streamed),
            byte => Err(ProtocolError::UnknownType { byte }),
        }
    }

    /// Requests more bytes: at least `bytes` from `pos`, for the current value to continue. The
    /// minimum size of other expected values is added.
    fn wait(&mut self, bytes: usize) -> Step {
        // The number of values of a streamed level is unknown: none is certain.
        let sure = |left: Left| if left < MAX_VALUES { left } else { 0 };
        let mut more = sure(self.left).saturating_sub(1);
        for left in self.outer.iter().rev() {
            if more >= AHEAD as Left {
                break;
            }
            more += sure(*left);
        }
        let more = usize::try_from(more).map_or(AHEAD, |more| more.min(AHEAD));
        self.need = self.pos.saturating_add(bytes).saturating_add(more * MIN_VALUE_BYTES);
        Step::Wait
    }

    fn bulk(&mut self, buf: &[u8], kind: u8, tail: &[u8]) -> Result<Step, ProtocolError> {
        let Some((length, used)) = line::length(tail)? else {
            return Ok(self.wait(header_need(tail)));
        };
        let start = self.pos + 1 + used;
        match (kind, length) {
            (b'$', Length::Null) => Ok(Step::Done(start)),
            (b'$', Length::Streamed) => {
                self.due = Due::Chunk;
                Ok(Step::Open(start))
            }
            (b'=', Length::Known(len)) => self.verbatim(buf, tail.get(used..), start, len),
            (_, Length::Known(len)) => self.body(buf, start, len),
            _ => Err(ProtocolError::Length),
        }
    }

    /// A verbatim string begins with three letters and a colon. The header is read again if those
    /// four bytes have not arrived yet.
    fn verbatim(
        &mut self,
        buf: &[u8],
        text: Option<&[u8]>,
        start: usize,
        len: usize,
    ) -> Result<Step, ProtocolError> {
        if len < 4 {
            return Err(ProtocolError::Verbatim);
        }
        self.within(start, len)?;
        match text.and_then(|text| text.get(3)) {
            Some(b':') => self.body(buf, start, len),
            Some(_) => Err(ProtocolError::Verbatim),
            None => Ok(self.wait(start - self.pos + 4)),
        }
    }

    fn aggregate(&mut self, kind: u8, tail: &[u8]) -> Result<Step, ProtocolError> {
        if kind == b'>' && (self.pos > 0 || !self.outer.is_empty()) {
            return Err(ProtocolError::Push);
        }
        let Some((length, used)) = line::length(tail)? else {
            return Ok(self.wait(header_need(tail)));
        };
        let pos = self.pos + 1 + used;
        match (kind, length) {
            (b'*', Length::Null) => Ok(Step::Done(pos)),
            (b'*' | b'~' | b'>', Length::Known(n)) => self.open(pos, n),
            (b'%', Length::Known(n)) => self.open(pos, n.saturating_mul(2)),
            // An attribute is a level of its pairs and the value that it describes.
            (b'|', Length::Known(n)) => self.open(pos, n.saturating_mul(2).saturating_add(1)),
            (b'*' | b'~', Length::Streamed) => self.open_streamed(pos, STREAMED),
            (b'%', Length::Streamed) => self.open_streamed(pos, STREAMED_MAP),
            _ => Err(ProtocolError::Length),
        }
    }

    fn line(&mut self, kind: u8, tail: &[u8]) -> Result<Step, ProtocolError> {
        let limit = self.limits.line_bytes;
        let from = self.seen.saturating_sub(self.pos + 1).min(tail.len());
        let found = memchr::memchr2(b'\r', b'\n', tail.get(from..).unwrap_or_default());
        let Some(end) = found.map(|i| from + i) else {
            if tail.len() > limit {
                return Err(ProtocolError::LineTooLong { limit });
            }
            self.seen = self.pos + 1 + tail.len();
            return Ok(self.wait(tail.len() + 2));
        };
        if end > limit {
            return Err(ProtocolError::LineTooLong { limit });
        }
        match tail.get(end..) {
            Some([b'\r', b'\n', ..]) => {}
            Some([b'\r']) => {
                self.seen = self.pos + 1 + end;
                return Ok(self.wait(end + 3));
            }
            _ => return Err(ProtocolError::Line),
        }
        line::check(kind, tail.get(..end).unwrap_or_default())?;
        let pos = self.within(self.pos + 1 + end, 2)?;
        if kind == b'.' { self.streamed_end(pos) } else { Ok(Step::Done(pos)) }
    }

    /// `.`: ends the streamed level, which completes a value of the enclosing level.
    fn streamed_end(&mut self, pos: usize) -> Result<Step, ProtocolError> {
        // The mark of a map is the higher one, and no level counts down from one mark to the other.
        let (mark, step) = match self.left {
            left if left > STREAMED => (STREAMED_MAP, 2),
            left if left > MAX_VALUES => (STREAMED, 1),
            _ => return Err(ProtocolError::Streamed),
        };
        let count = usize::try_from(mark - self.left).unwrap_or(usize::MAX);
        if count % step != 0 {
            return Err(ProtocolError::Streamed);
        }
        self.charge(pos, count)?;
        // The enclosing level counted this one at its start, so it ends like a level with one value
        // left.
        self.left = 1;
        Ok(Step::Done(pos))
    }

    fn chunk(&mut self, rest: &[u8]) -> Result<Step, ProtocolError> {
        let tail = match rest {
            [] => return Ok(self.wait(MIN_VALUE_BYTES)),
            [b';', tail @ ..] => tail,
            _ => return Err(ProtocolError::Streamed),
        };
        let Some((length, used)) = line::length(tail)? else {
            return Ok(self.wait(header_need(tail)));
        };
        let start = self.pos + 1 + used;
        match length {
            Length::Known(0) => {
                self.due = Due::Value;
                Ok(Step::Done(start))
            }
            Length::Known(len) => {
                let end = self.within(start, len)?;
                self.due = Due::ChunkEnd;
                Ok(Step::Open(end))
            }
            _ => Err(ProtocolError::Length),
        }
    }

    fn body_end(&mut self, rest: &[u8], completes: bool) -> Result<Step, ProtocolError> {
        match rest {
            [b'\r', b'\n', ..] if completes => {
                self.due = Due::Value;
                Ok(Step::Done(self.pos + 2))
            }
            [b'\r', b'\n', ..] => {
                self.due = Due::Chunk;
                Ok(Step::Open(self.pos + 2))
            }
            [_, _, ..] => Err(ProtocolError::Body),
            _ => Ok(self.wait(2)),
        }
    }
}

/// Returns the minimum size of a header from the type byte on, of which `tail` has arrived.
/// `$0\r\n` is the shortest; a longer one ends with the next byte at the earliest.
fn header_need(tail: &[u8]) -> usize {
    let line_feed_only = tail.last() == Some(&b'\r');
    let missing = if line_feed_only { 1 } else { 2 };
    (1 + tail.len() + missing).max(4)
}
