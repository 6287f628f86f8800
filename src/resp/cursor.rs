//! Cursor: iterates over the values of a frame, without allocating. No I/O.
//!
//! The bytes were checked by the [`Scanner`](super::Scanner), so errors are not checked again.
//! Bytes that cannot occur in a scanned frame end the iteration early; they never cause a panic.

use super::DecodeError;
use super::line::{self, Length};
use super::short_length;

/// One step through a value: a scalar, or the start of an aggregate.
///
/// The inner values of an aggregate follow it. [`Token::Attribute`] is followed by its pairs and
/// then by the value that they describe.
///
/// ```
/// use bourn::resp::{Frame, Limits, Token};
///
/// let frame = Frame::parse("*1\r\n:7\r\n", Limits::default())?;
/// let mut cursor = frame.cursor();
/// assert_eq!(cursor.token(), Some(Token::Array(1)));
/// assert_eq!(cursor.token(), Some(Token::Integer(7)));
/// assert_eq!(cursor.token(), None);
/// # Ok::<(), bourn::ProtocolError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Token<'a> {
    /// Any of the three nulls.
    Null,
    /// `+`
    Simple(&'a [u8]),
    /// `-`, the text without the type byte.
    Error(&'a [u8]),
    /// `:`
    Integer(i64),
    /// `$`
    Bulk(&'a [u8]),
    /// `*`, with the number of values.
    Array(usize),
    /// `%`, with the number of pairs.
    Map(usize),
    /// `~`, with the number of values.
    Set(usize),
    /// `>`, with the number of values.
    Push(usize),
    /// `|`, with the number of pairs; the value that they describe follows.
    Attribute(usize),
    /// `,`
    Double(f64),
    /// `#`
    Boolean(bool),
    /// `(`, with sign and digits.
    BigNumber(&'a [u8]),
    /// `=`, with its three letters and colon.
    Verbatim(&'a [u8]),
    /// `!`
    BulkError(&'a [u8]),
    /// `$?`: chunks follow; the last one is empty.
    StreamedString,
    /// `;`: a chunk of a streamed string; the empty chunk ends it.
    Chunk(&'a [u8]),
    /// `*?`: values follow until [`Token::End`].
    StreamedArray,
    /// `~?`: values follow until [`Token::End`].
    StreamedSet,
    /// `%?`: keys and values follow until [`Token::End`].
    StreamedMap,
    /// `.`
    End,
}

impl Token<'_> {
    /// Returns the name of the type, as used in error messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Simple(_) => "a simple string",
            Self::Error(_) => "an error",
            Self::Integer(_) => "an integer",
            Self::Bulk(_) => "a bulk string",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Set(_) => "a set",
            Self::Push(_) => "a push",
            Self::Attribute(_) => "an attribute",
            Self::Double(_) => "a double",
            Self::Boolean(_) => "a boolean",
            Self::BigNumber(_) => "a big number",
            Self::Verbatim(_) => "a verbatim string",
            Self::BulkError(_) => "a bulk error",
            Self::StreamedString | Self::Chunk(_) => "a streamed string",
            Self::StreamedArray | Self::StreamedSet | Self::StreamedMap | Self::End => {
                "a streamed aggregate"
            }
        }
    }

    /// Creates the start of an array, set, map, attribute or push from its type byte.
    pub(super) fn aggregate(kind: u8, n: usize) -> Self {
        match kind {
            b'~' => Self::Set(n),
            b'%' => Self::Map(n),
            b'|' => Self::Attribute(n),
            b'>' => Self::Push(n),
            _ => Self::Array(n),
        }
    }

    /// Returns the number of inner values; `None` for a streamed aggregate.
    pub(super) fn inner(&self) -> Option<usize> {
        match *self {
            Self::Array(n) | Self::Set(n) | Self::Push(n) => Some(n),
            Self::Map(n) => Some(n.saturating_mul(2)),
            Self::Attribute(n) => Some(n.saturating_mul(2).saturating_add(1)),
            Self::StreamedArray | Self::StreamedSet | Self::StreamedMap | Self::StreamedString => {
                None
            }
            _ => Some(0),
        }
    }
}

/// Iterates over the values of a [`Frame`](super::Frame), in wire order.
///
/// ```
/// use bourn::resp::{Frame, Limits};
///
/// let frame = Frame::parse("*2\r\n:7\r\n$3\r\nabc\r\n", Limits::default())?;
/// let mut cursor = frame.cursor();
/// assert_eq!(cursor.array("a pair")?, 2);
/// assert_eq!(cursor.integer("a number")?, 7);
/// assert_eq!(cursor.string("a text")?, b"abc");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
}

impl<'a> Cursor<'a> {
    /// Creates a cursor at the start of a value, in bytes that were scanned.
    pub(crate) fn at(bytes: &'a [u8], pos: usize) -> Self {
        Self { bytes, pos }
    }

    /// Moves to the start of another value of the same frame.
    pub(crate) fn set_position(&mut self, pos: usize) {
        self.pos = pos;
    }

    /// Returns the byte offset of the next value in the frame.
    #[must_use]
    pub fn position(&self) -> usize {
        self.pos
    }

    /// Returns the next token, including attributes; `None` at the end of the frame.
    pub fn token(&mut self) -> Option<Token<'a>> {
        let rest = self.bytes.get(self.pos..)?;
        let (&kind, tail) = rest.split_first()?;
        if kind == b'$' {
            if let Some((len, header)) = short_length(rest) {
                return self.body(kind, self.pos + header, len);
            }
        }
        match kind {
            b'$' | b'=' | b'!' | b';' | b'*' | b'~' | b'%' | b'|' | b'>' => {
                let (length, used) = line::length(tail).ok()??;
                let start = self.pos + 1 + used;
                match (kind, length) {
                    (b'$' | b'=' | b'!' | b';', Length::Known(len)) => self.body(kind, start, len),
                    (_, Length::Known(n)) => self.step(start, Token::aggregate(kind, n)),
                    (_, Length::Null) => self.step(start, Token::Null),
                    (b'$', Length::Streamed) => self.step(start, Token::StreamedString),
                    (b'~', Length::Streamed) => self.step(start, Token::StreamedSet),
                    (b'%', Length::Streamed) => self.step(start, Token::StreamedMap),
                    (_, Length::Streamed) => self.step(start, Token::StreamedArray),
                }
            }
            _ => {
                let len = memchr::memchr(b'\r', tail)?;
                let text = tail.get(..len)?;
                let token = match kind {
                    b'+' => Token::Simple(text),
                    b'-' => Token::Error(text),
                    b':' => Token::Integer(line::integer(text)?),
                    b',' => Token::Double(line::double(text)?),
                    b'(' => Token::BigNumber(text),
                    b'#' => Token::Boolean(text == b"t"),
                    b'_' => Token::Null,
                    _ => Token::End,
                };
                self.step(self.pos + 1 + len + 2, token)
            }
        }
    }

    fn step(&mut self, pos: usize, token: Token<'a>) -> Option<Token<'a>> {
        self.pos = pos;
        Some(token)
    }

    fn body(&mut self, kind: u8, start: usize, len: usize) -> Option<Token<'a>> {
        if kind == b';' && len == 0 {
            return self.step(start, Token::Chunk(b""));
        }
        let end = start.checked_add(len)?;
        let text = self.bytes.get(start..end)?;
        self.pos = end + 2;
        Some(match kind {
            b'$' => Token::Bulk(text),
            b'=' => Token::Verbatim(text),
            b'!' => Token::BulkError(text),
            _ => Token::Chunk(text),
        })
    }

    /// Skips the next value and its inner values.
    pub fn skip(&mut self) {
        // Number of values to skip. Streamed aggregates count as open until their own end.
        let mut left = 1usize;
        let mut streamed: Vec<usize> = Vec::new();
        while left > 0 {
            let Some(token) = self.token() else { return };
            left -= 1;
            match token {
                Token::StreamedString => {
                    while matches!(self.token(), Some(Token::Chunk(chunk)) if !chunk.is_empty()) {}
                }
                Token::End => left = streamed.pop().unwrap_or_default(),
                token => match token.inner() {
                    Some(n) => left = left.saturating_add(n),
                    None => {
                        streamed.push(left);
                        left = usize::MAX;
                    }
                },
            }
        }
    }

    /// Returns the first token of the next value, after any attributes.
    ///
    /// # Errors
    ///
    /// The frame has no further value.
    pub fn value(&mut self, expected: &'static str) -> Result<Token<'a>, DecodeError> {
        loop {
            match self.token() {
                Some(Token::Attribute(pairs)) => {
                    for _ in 0..pairs {
                        self.skip();
                        self.skip();
                    }
                }
                Some(token) => return Ok(token),
                None => return Err(DecodeError::new(expected, "the end of the reply")),
            }
        }
    }

    /// Returns the bytes of a string of any kind, without the prefix of a verbatim one.
    ///
    /// # Errors
    ///
    /// The value has another type, or is null.
    pub fn string(&mut self, expected: &'static str) -> Result<&'a [u8], DecodeError> {
        match self.string_or_null(expected)? {
            Some(text) => Ok(text),
            None => Err(DecodeError::new(expected, "null")),
        }
    }

    /// Returns the same as [`Cursor::string`], or `None` for null.
    ///
    /// # Errors
    ///
    /// The value has another type.
    pub fn string_or_null(
        &mut self,
        expected: &'static str,
    ) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.value(expected)? {
            Token::Bulk(text) | Token::Simple(text) => Ok(Some(text)),
            Token::Verbatim(text) => Ok(Some(text.get(4..).unwrap_or_default())),
            Token::Null => Ok(None),
            other => Err(DecodeError::new(expected, other.kind())),
        }
    }

    /// Returns an integer, also if it is sent as a string.
    ///
    /// # Errors
    ///
    /// The value has another type, is null, or is a string without a 64-bit integer.
    pub fn integer(&mut self, expected: &'static str) -> Result<i64, DecodeError> {
        match self.integer_or_null(expected)? {
            Some(n) => Ok(n),
            None => Err(DecodeError::new(expected, "null")),
        }
    }

    /// Returns the same as [`Cursor::integer`], or `None` for null.
    ///
    /// # Errors
    ///
    /// The value has another type, or is a string without a 64-bit integer.
    pub fn integer_or_null(&mut self, expected: &'static str) -> Result<Option<i64>, DecodeError> {
        match self.value(expected)? {
            Token::Integer(n) => Ok(Some(n)),
            Token::Bulk(text) | Token::Simple(text) => match line::integer(text) {
                Some(n) => Ok(Some(n)),
                None => Err(DecodeError::text(expected, text)),
            },
            Token::Null => Ok(None),
            other => Err(DecodeError::new(expected, other.kind())),
        }
    }

    /// Returns a count: an integer that is not negative.
    ///
    /// # Errors
    ///
    /// The value has another type, or is negative.
    pub fn count(&mut self, expected: &'static str) -> Result<u64, DecodeError> {
        let n = self.integer(expected)?;
        u64::try_from(n).map_err(|_| DecodeError::new(expected, "a negative number"))
    }

    /// Returns the number of values of an array or set; `None` for null.
    ///
    /// # Errors
    ///
    /// The value has another type.
    pub fn array_or_null(&mut self, expected: &'static str) -> Result<Option<usize>, DecodeError> {
        match self.value(expected)? {
            Token::Array(n) | Token::Set(n) | Token::Push(n) => Ok(Some(n)),
            Token::Null => Ok(None),
            other => Err(DecodeError::new(expected, other.kind())),
        }
    }

    /// Returns the same as [`Cursor::array_or_null`]; null is an error.
    ///
    /// # Errors
    ///
    /// The value has another type, or is null.
    pub fn array(&mut self, expected: &'static str) -> Result<usize, DecodeError> {
        match self.array_or_null(expected)? {
            Some(n) => Ok(n),
            None => Err(DecodeError::new(expected, "null")),
        }
    }

    /// Returns the number of pairs of a map, or of the flat array that RESP2 has instead.
    ///
    /// # Errors
    ///
    /// The value has another type, or is an array with an odd number of values.
    pub fn pairs(&mut self, expected: &'static str) -> Result<usize, DecodeError> {
        match self.value(expected)? {
            Token::Map(n) => Ok(n),
            Token::Array(n) if n % 2 == 0 => Ok(n / 2),
            Token::Array(_) => Err(DecodeError::new(expected, "an array of odd length")),
            other => Err(DecodeError::new(expected, other.kind())),
        }
    }
}
