//! Records: the headers of the last element, used to skip similar ones quickly. No I/O.
//!
//! Most of a large reply is an array of arrays of equal shape: entries. Decoding them header by
//! header is a chain of dependent loads, about forty instructions per header. So the headers of one
//! element are recorded, and the next element is compared with them eight bytes at a time. If a
//! string has another length, its header is decoded and replaces the recorded one. Anything else is
//! left to the scanner, which handles all of RESP: a record accepts only what the scanner accepts.

/// Additional cost of an element when the size of a reply is compared with the limit.
///
/// Many tiny values take more space in memory than on the wire. So the limit applies to the bytes
/// plus this cost for each value in an array, map or set.
pub(super) const ELEMENT_BYTES: usize = 32;

/// Maximum number of headers in a record: an entry of 30 fields has 63.
const MAX_HEADERS: usize = 64;

/// Minimum number of received bytes for recording headers.
const MIN_BYTES: usize = 512;

/// The headers of one element, if it consists of arrays and bulk strings only.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    headers: Vec<Header>,
    state: State,
    /// Number of open levels around the element.
    depth: usize,
    /// Cost of its arrays, when the size of a reply is compared with the limit.
    cost: usize,
    /// Size of the last element, if its headers match the one before: the next probably matches
    /// too.
    steady: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// There is no record.
    #[default]
    None,
    /// The element is being read for the first time.
    Learning,
    /// The record is complete.
    Known,
}

/// A header, with the CRLF of the string before it, if any: both are compared at once.
#[derive(Debug, Clone, Copy)]
struct Header {
    bytes: u64,
    mask: u64,
    /// Distance to the next header: these bytes, and the string after them without its CRLF.
    stride: usize,
    /// Size of the CRLF.
    lead: usize,
    is_string: bool,
    /// Its position in the last element.
    at: u32,
}

/// The content of a header.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// A bulk string with this number of bytes.
    String(usize),
    /// An array with this number of values.
    Array(usize),
}

impl Record {
    /// Starts a record for an array at this depth, with this number of bytes received from there
    /// on.
    #[inline]
    pub(super) fn begin(&mut self, depth: usize, bytes: usize) {
        self.headers.clear();
        // When bytes arrive one at a time, a record would never be used.
        self.state = if bytes < MIN_BYTES { State::None } else { State::Learning };
        self.depth = depth;
        self.cost = 0;
        self.steady = None;
    }

    /// Whether an element is being recorded.
    #[inline]
    pub(super) fn is_learning(&self) -> bool {
        self.state == State::Learning
    }

    /// Records a header of `header` bytes that the scanner has read at `pos`.
    pub(super) fn learn(&mut self, buf: &[u8], pos: usize, header: usize, content: Content) {
        let mut lead = if self.headers.last().is_some_and(|last| last.is_string) { 2 } else { 0 };
        if lead + header > 8 {
            // Both do not fit into a word: the CRLF has one of its own.
            self.headers.push(Header::new(u64::from(u16::from_le_bytes(*b"\r\n")), 0, 2, 0, false));
            lead = 0;
        }
        let (len, is_string) = match content {
            Content::String(len) => (len, true),
            Content::Array(count) => {
                self.cost += count * ELEMENT_BYTES;
                (0, false)
            }
        };
        match load(buf, pos - lead) {
            Some(word) if header <= 8 && self.headers.len() < MAX_HEADERS => {
                self.headers.push(Header::new(word, lead, header, len, is_string));
            }
            _ => self.forget(),
        }
    }

    /// Ends the record when a level is complete, with `depth` levels left around it.
    #[inline]
    pub(super) fn closed(&mut self, depth: usize) {
        if self.state == State::Learning && depth == self.depth {
            let ends_in_string = self.headers.last().is_some_and(|last| last.is_string);
            self.state = if ends_in_string { State::Known } else { State::None };
        }
    }

    /// Discards the record, because another kind of value follows.
    pub(super) fn forget(&mut self) {
        self.state = State::None;
    }

    /// Returns the end and cost of the element at `pos`, `depth` levels deep, if it differs from
    /// the last one only in string lengths. `None` leaves it to the scanner.
    #[inline]
    pub(super) fn pass(&mut self, buf: &[u8], pos: usize, depth: usize) -> Option<(usize, usize)> {
        if self.state != State::Known || self.depth != depth {
            return None;
        }
        let element = buf.get(pos..)?;
        if let Some(size) = self.steady.filter(|size| self.is_same(element, *size)) {
            return Some((pos + size, self.cost));
        }
        let size = self.pass_each(element)?;
        Some((pos + size, self.cost))
    }

    /// Whether an element of the last one's size has all its headers, at the same positions. No
    /// comparison depends on another.
    #[inline]
    fn is_same(&self, element: &[u8], size: usize) -> bool {
        let Some(last) = size.checked_sub(2).and_then(|end| element.get(end..size)) else {
            return false;
        };
        let mut unlike = u64::from(last != b"\r\n");
        for header in &self.headers {
            let at = header.at as usize;
            let Some(word) = element.get(at..at + 8).and_then(<[u8]>::first_chunk) else {
                return false;
            };
            unlike |= (u64::from_le_bytes(*word) ^ header.bytes) & header.mask;
        }
        unlike == 0
    }

    /// Compares one header after the other; strings may have another length than before.
    fn pass_each(&mut self, element: &[u8]) -> Option<usize> {
        let mut rest = element;
        let mut steady = true;
        for header in &mut self.headers {
            let word = u64::from_le_bytes(*rest.first_chunk()?);
            if (word ^ header.bytes) & header.mask != 0 {
                *header = header.of_other_length(word)?;
                steady = false;
            }
            rest = rest.get(header.stride..)?;
        }
        let rest = rest.strip_prefix(b"\r\n")?;
        let size = element.len() - rest.len();
        self.steady = if steady { self.remember_positions(size) } else { None };
        Some(size)
    }

    /// Records the position of each header in an element of this size.
    fn remember_positions(&mut self, size: usize) -> Option<usize> {
        let mut at = 0;
        for header in &mut self.headers {
            header.at = u32::try_from(at).ok()?;
            at += header.stride;
        }
        Some(size)
    }
}

impl Header {
    #[inline]
    fn new(word: u64, lead: usize, header: usize, len: usize, is_string: bool) -> Self {
        let compared = lead + header;
        let mask = u64::MAX >> (64 - 8 * compared.clamp(1, 8));
        Self { bytes: word & mask, mask, stride: compared + len, lead, is_string, at: 0 }
    }

    /// Returns the header of a string with another length, to replace this one; `None` for other
    /// values.
    #[inline]
    fn of_other_length(&self, word: u64) -> Option<Self> {
        if !self.is_string {
            return None;
        }
        let bytes = word.to_le_bytes();
        let header = match (self.lead, &bytes) {
            (0, header) => header.as_slice(),
            (_, [b'\r', b'\n', header @ ..]) => header,
            _ => return None,
        };
        let (len, used) = match *header {
            [b'$', a @ b'0'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] => {
                (usize::from(a - b'0') * 10 + usize::from(b - b'0'), 5)
            }
            [b'$', a @ b'0'..=b'9', b'\r', b'\n', ..] => (usize::from(a - b'0'), 4),
            [b'$', ..] => short_length(header)?,
            _ => return None,
        };
        Some(Self::new(word, self.lead, used, len, true))
    }
}

/// Returns length and header size of a bulk string or array, up to five digits; `None` for other
/// values.
#[inline]
pub(crate) fn short_length(header: &[u8]) -> Option<(usize, usize)> {
    let mut len = 0;
    for (n, byte) in header.iter().enumerate().skip(1).take(6) {
        match byte {
            b'0'..=b'9' => len = len * 10 + usize::from(byte - b'0'),
            b'\r' if n > 1 && header.get(n + 1) == Some(&b'\n') => return Some((len, n + 2)),
            _ => return None,
        }
    }
    None
}

#[inline]
fn load(bytes: &[u8], pos: usize) -> Option<u64> {
    bytes.get(pos..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}
