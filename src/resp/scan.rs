//! Scanner: finds where the next frame ends, resuming where it stopped. Pure.
//!
//! A frame may come in any number of reads. The scanner keeps its place between them, so each header is looked at once
//! and a body is jumped over, not read. What it has to remember is how many values each open level still waits for; the
//! levels lie in a small vector whose depth is limited, and nothing recurses.
//!
//! Everything is checked here: type bytes, lengths, numbers, line ends, order of streamed parts. Behind the scanner a
//! frame can be walked without looking for errors again.

mod plain;
mod record;

pub(crate) use record::short_length;

use super::line::{self, Length};
use super::{Limits, ProtocolError};
use record::Record;

/// What a value costs beside its bytes, when the size of a reply is held against the limit.
///
/// Many tiny values weigh more in memory than on the wire; so a reply's limit is over its bytes and this for each value
/// that an array, map or set holds.
const ELEMENT_BYTES: usize = 32;

/// Values that a level still waits for. A streamed level, whose number is not known, begins at one of two marks that no
/// counted level reaches, and counts down from there: so one comparison with zero ends every level.
type Left = u64;

/// Where a streamed array or set begins to count down.
const STREAMED: Left = 1 << 62;

/// Where a streamed map begins to count down.
const STREAMED_MAP: Left = 1 << 63;

/// No level holds more values than this, for no reply has so many bytes.
const MOST_VALUES: Left = 1 << 59;

/// The least that a value takes on the wire, as `_` CR LF does.
const SHORTEST: usize = 3;

/// For so many values that are sure to come the scan waits at once, so that bytes that come in drops are not looked at drop
/// by drop.
const AHEAD: usize = 16;

/// The frame itself is a level of one value.
const FRAME: Left = 1;

/// Finds the end of one frame after the other.
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
    /// A buffer shorter than this cannot move the scan on.
    need: usize,
    /// The first byte not yet understood.
    pos: usize,
    /// How far the line that begins at `pos` has been looked through for its end.
    seen: usize,
    /// What is due at `pos`.
    due: Due,
    left: Left,
    /// What the levels around it wait for.
    outer: Vec<Left>,
    /// What the elements announced so far add to the size of the reply.
    charged: usize,
    record: Record,
    failed: Option<ProtocolError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The header of a value.
    Value,
    /// The CRLF behind a body, with which a value is complete.
    BodyEnd,
    /// The header of a chunk of a streamed string.
    Chunk,
    /// The CRLF behind a chunk.
    ChunkEnd,
}

/// What one step of the scan came to.
enum Step {
    /// A value without further values in it is complete; the next byte is at this place.
    Done(usize),
    /// A level was opened, or a part read that completes nothing.
    Open(usize),
    /// More bytes are needed.
    Wait,
}

impl Scanner {
    /// A scanner at the start of a frame.
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

    /// The length of the frame at the start of `buf`, or `None` if it is not complete.
    ///
    /// Call it again with the same bytes and more behind them. After `Some(len)` it expects the next frame at the start
    /// of the buffer: take `len` bytes off first.
    ///
    /// # Errors
    ///
    /// The bytes are not RESP or break a limit. From then on every call returns the same error.
    #[inline]
    pub fn scan(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
        if buf.len() < self.need {
            return Ok(None);
        }
        self.go_on(buf)
    }

    /// How many bytes the buffer must have at least before the scan can move on: a hint for how much to read.
    ///
    /// It may rest on the word of a length that the peer sent; reserve no more than bytes at hand justify.
    #[must_use]
    pub fn need(&self) -> usize {
        self.need
    }

    /// The place of the first byte not yet understood, counted from the start of the frame; after an error, in or before the
    /// value that is wrong.
    #[must_use]
    pub fn position(&self) -> usize {
        self.pos
    }

    fn go_on(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
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

    /// A value is complete: counts it, and every level that it completes. True when that was the frame.
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

    /// The bytes behind the header of a bulk string and its kin: jumps over them.
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

    /// `start + len`, if the reply may be that large.
    #[inline]
    fn within(&self, start: usize, len: usize) -> Result<usize, ProtocolError> {
        let limit = self.limits.reply_bytes;
        match start.checked_add(len).and_then(|end| Some((end, end.checked_add(self.charged)?))) {
            Some((end, size)) if size <= limit => Ok(end),
            _ => Err(ProtocolError::TooLarge { limit }),
        }
    }

    /// A level of `count` values begins behind a header that ends at `pos`.
    fn open(&mut self, pos: usize, count: usize) -> Result<Step, ProtocolError> {
        self.check_depth()?;
        self.charge(pos, count)?;
        Ok(if count == 0 { Step::Done(pos) } else { self.begin(pos, count as Left) })
    }

    /// A streamed level begins.
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
        match charged.filter(|_| (count as Left) < MOST_VALUES) {
            Some(charged) if charged.checked_add(pos).is_some_and(|size| size <= limit) => {
                self.charged = charged;
                Ok(())
            }
            _ => Err(ProtocolError::TooLarge { limit }),
        }
    }

    /// Any value, by its type byte.
    fn value(&mut self, buf: &[u8], rest: &[u8]) -> Result<Step, ProtocolError> {
        let Some((&kind, tail)) = rest.split_first() else {
            return Ok(self.wait(SHORTEST));
        };
        match kind {
            b'$' | b'=' | b'!' => self.bulk(buf, kind, tail),
            b'*' | b'~' | b'%' | b'|' | b'>' => self.aggregate(kind, tail),
            b'+' | b'-' | b':' | b',' | b'(' | b'#' | b'_' | b'.' => self.line(kind, tail),
            b';' => Err(ProtocolError::Streamed),
            byte => Err(ProtocolError::UnknownType { byte }),
        }
    }

    /// More bytes are needed: at least `bytes` of them from `pos` on, with which the value that is due can go on. Behind
    /// those come all the other values that are awaited.
    fn wait(&mut self, bytes: usize) -> Step {
        // How many a streamed level holds is not known: none is sure to come.
        let sure = |left: Left| if left < MOST_VALUES { left } else { 0 };
        let mut more = sure(self.left).saturating_sub(1);
        for left in self.outer.iter().rev() {
            if more >= AHEAD as Left {
                break;
            }
            more += sure(*left);
        }
        let more = usize::try_from(more).map_or(AHEAD, |more| more.min(AHEAD));
        self.need = self.pos.saturating_add(bytes).saturating_add(more * SHORTEST);
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

    /// `txt:` must stand first in a verbatim string; the header is read again if those four bytes are not there yet.
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

    /// `.`: the streamed level ends, and with it a value of the level around it.
    fn streamed_end(&mut self, pos: usize) -> Result<Step, ProtocolError> {
        // A map's mark is the higher one, and no level counts down from one mark to the other.
        let (mark, step) = match self.left {
            left if left > STREAMED => (STREAMED_MAP, 2),
            left if left > MOST_VALUES => (STREAMED, 1),
            _ => return Err(ProtocolError::Streamed),
        };
        let count = usize::try_from(mark - self.left).unwrap_or(usize::MAX);
        if count % step != 0 {
            return Err(ProtocolError::Streamed);
        }
        self.charge(pos, count)?;
        // The level was counted in the one around it when it began, so it ends as one that waits for one more value.
        self.left = 1;
        Ok(Step::Done(pos))
    }

    fn chunk(&mut self, rest: &[u8]) -> Result<Step, ProtocolError> {
        let tail = match rest {
            [] => return Ok(self.wait(SHORTEST)),
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

/// How many bytes from the type byte on a header needs at least, of which `tail` has come: `$0\r\n` is the shortest, and
/// one that goes on for longer ends with the next byte at the earliest.
fn header_need(tail: &[u8]) -> usize {
    let line_feed_only = tail.last() == Some(&b'\r');
    let missing = if line_feed_only { 1 } else { 2 };
    (1 + tail.len() + missing).max(4)
}
