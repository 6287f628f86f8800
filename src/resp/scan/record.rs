//! Records: the headers of the value before, by which the next one is passed over quickly. Pure.
//!
//! Most of a large reply is an array of arrays that are built alike: entries. Walking them header by header is one chain of
//! dependencies and some forty instructions a header. So the headers of one such element are kept, and the next one is
//! compared with them eight bytes at a time; a string of another length is read and takes the place of the one before it.
//! Whatever is otherwise is left to the scanner, which knows all of RESP: a record finds nothing that the scanner would not.

use super::ELEMENT_BYTES;

/// A record with more headers than this is not kept: an entry of 30 fields has 63.
const MOST_HEADERS: usize = 64;

/// With fewer bytes at hand nothing is learnt.
const LEAST_BYTES: usize = 512;

/// The headers of one element, if they are only of arrays and of bulk strings.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    headers: Vec<Header>,
    state: State,
    /// How many levels are open around the element.
    depth: usize,
    /// What its arrays cost, when a reply's size is held against the limit.
    cost: usize,
    /// The last element's bytes, if the one before it had the same headers: the next one may well have them too.
    steady: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// There is none.
    #[default]
    None,
    /// The element is being read for the first time.
    Learning,
    /// It is whole.
    Known,
}

/// A header, with the CRLF of the string before it if there is one: both are compared at once.
#[derive(Debug, Clone, Copy)]
struct Header {
    bytes: u64,
    mask: u64,
    /// From here to the next header: these bytes, and the string behind them without its CRLF.
    stride: usize,
    /// The bytes of the CRLF.
    lead: usize,
    is_string: bool,
    /// Where it was in the last element.
    at: u32,
}

/// What a header says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Says {
    /// A bulk string of so many bytes.
    String(usize),
    /// An array of so many values.
    Array(usize),
}

impl Record {
    /// An array begins that is an element like others, inside of so many levels, with so many bytes at hand from there on.
    #[inline]
    pub(super) fn begin(&mut self, depth: usize, bytes: usize) {
        self.headers.clear();
        // What is learnt from bytes that come in drops would never be used.
        self.state = if bytes < LEAST_BYTES { State::None } else { State::Learning };
        self.depth = depth;
        self.cost = 0;
        self.steady = None;
    }

    /// Whether an element is being learnt.
    #[inline]
    pub(super) fn is_learning(&self) -> bool {
        self.state == State::Learning
    }

    /// The scanner has read a header of so many bytes at `pos`.
    pub(super) fn learn(&mut self, buf: &[u8], pos: usize, header: usize, says: Says) {
        let mut lead = if self.headers.last().is_some_and(|last| last.is_string) { 2 } else { 0 };
        if lead + header > 8 {
            // Both do not fit into a word: the CRLF has one of its own.
            self.headers.push(Header::new(u64::from(u16::from_le_bytes(*b"\r\n")), 0, 2, 0, false));
            lead = 0;
        }
        let (len, is_string) = match says {
            Says::String(len) => (len, true),
            Says::Array(count) => {
                self.cost += count * ELEMENT_BYTES;
                (0, false)
            }
        };
        match load(buf, pos - lead) {
            Some(word) if header <= 8 && self.headers.len() < MOST_HEADERS => {
                self.headers.push(Header::new(word, lead, header, len, is_string));
            }
            _ => self.forget(),
        }
    }

    /// A level is complete, with so many left around it.
    #[inline]
    pub(super) fn closed(&mut self, depth: usize) {
        if self.state == State::Learning && depth == self.depth {
            let ends_in_string = self.headers.last().is_some_and(|last| last.is_string);
            self.state = if ends_in_string { State::Known } else { State::None };
        }
    }

    /// What comes is not of the kinds that a record is made of.
    pub(super) fn forget(&mut self) {
        self.state = State::None;
    }

    /// Where the element at `pos` ends, inside of so many levels, if it is like the one before but for the lengths of its
    /// strings; and what it costs. `None` leaves it to the scanner.
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

    /// Whether an element of the last one's size has all its headers, each in the same place. So no header waits for the
    /// one before it to be read.
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

    /// Passes one header after the other; those of strings may say another length than the last time.
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
        self.steady = if steady { self.places(size) } else { None };
        Some(size)
    }

    /// Notes where each header was in an element of this size.
    fn places(&mut self, size: usize) -> Option<usize> {
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

    /// The header of a string of another length, in the place of this one; `None` for anything else.
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

/// The length that a bulk string's or an array's header says, of up to five digits, and the header's bytes; `None` for
/// anything else.
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
