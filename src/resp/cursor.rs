//! Cursor: walks a frame's values, without allocating. Pure.
//!
//! What it walks has passed the [`Scanner`](super::Scanner), so it does not look for errors a second time; bytes that
//! could not be in a scanned frame end the walk early and never panic.

use super::DecodeError;
use super::line::{self, Length};
use super::short_length;

/// One step of a walk through a value: a value without others in it, or the beginning of one with.
///
/// A value's inner values follow it. [`Token::Attribute`] is followed by its pairs and then by the value described.
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
    /// `*`, the number of values in it.
    Array(usize),
    /// `%`, the number of pairs in it.
    Map(usize),
    /// `~`, the number of values in it.
    Set(usize),
    /// `>`, the number of values in it.
    Push(usize),
    /// `|`, the number of pairs before the value that they describe.
    Attribute(usize),
    /// `,`
    Double(f64),
    /// `#`
    Boolean(bool),
    /// `(`, sign and digits.
    BigNumber(&'a [u8]),
    /// `=`, with its three letters and colon.
    Verbatim(&'a [u8]),
    /// `!`
    BulkError(&'a [u8]),
    /// `$?`: chunks follow, the last of them empty.
    StreamedString,
    /// `;`: a part of a streamed string; empty for its end.
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
    /// The name of the type, as error messages say it.
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

    /// The beginning of an array, set, map, attribute or push, by its type byte.
    pub(super) fn aggregate(kind: u8, n: usize) -> Self {
        match kind {
            b'~' => Self::Set(n),
            b'%' => Self::Map(n),
            b'|' => Self::Attribute(n),
            b'>' => Self::Push(n),
            _ => Self::Array(n),
        }
    }

    /// How many values follow inside this one; `None` for a streamed one.
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

/// Walks the values of a [`Frame`](super::Frame) in the order of the wire.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at some place in bytes that the scanner has passed: the beginning of a value.
    pub(crate) fn at(bytes: &'a [u8], pos: usize) -> Self {
        Self { bytes, pos }
    }

    /// Goes to the beginning of another value of the same frame.
    pub(crate) fn set_position(&mut self, pos: usize) {
        self.pos = pos;
    }

    /// The place in the frame of the value that comes next, in bytes.
    #[must_use]
    pub fn position(&self) -> usize {
        self.pos
    }

    /// The next token, attributes included; `None` at the end of the frame.
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

    /// Passes over the next value, with all that is in it.
    pub fn skip(&mut self) {
        // Values still to pass over; streamed ones are added up as open ends, which only their own end takes off again.
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

    /// The next value's first token, behind any attributes.
    ///
    /// # Errors
    ///
    /// The frame is at its end.
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

    /// A string of any kind: its bytes, without the letters of a verbatim one.
    ///
    /// # Errors
    ///
    /// Another type, null among them.
    pub fn string(&mut self, expected: &'static str) -> Result<&'a [u8], DecodeError> {
        match self.string_or_null(expected)? {
            Some(text) => Ok(text),
            None => Err(DecodeError::new(expected, "null")),
        }
    }

    /// As [`Cursor::string`], and `None` for null.
    ///
    /// # Errors
    ///
    /// Another type.
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

    /// An integer, or a string that is one.
    ///
    /// # Errors
    ///
    /// Another type, null among them; a string that is no integer of 64 bits.
    pub fn integer(&mut self, expected: &'static str) -> Result<i64, DecodeError> {
        match self.integer_or_null(expected)? {
            Some(n) => Ok(n),
            None => Err(DecodeError::new(expected, "null")),
        }
    }

    /// As [`Cursor::integer`], and `None` for null.
    ///
    /// # Errors
    ///
    /// Another type; a string that is no integer of 64 bits.
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

    /// A count: an integer that is not negative.
    ///
    /// # Errors
    ///
    /// Another type, or a negative number.
    pub fn count(&mut self, expected: &'static str) -> Result<u64, DecodeError> {
        let n = self.integer(expected)?;
        u64::try_from(n).map_err(|_| DecodeError::new(expected, "a negative number"))
    }

    /// The number of values in an array or set that begins here; `None` for null.
    ///
    /// # Errors
    ///
    /// Another type.
    pub fn array_or_null(&mut self, expected: &'static str) -> Result<Option<usize>, DecodeError> {
        match self.value(expected)? {
            Token::Array(n) | Token::Set(n) | Token::Push(n) => Ok(Some(n)),
            Token::Null => Ok(None),
            other => Err(DecodeError::new(expected, other.kind())),
        }
    }

    /// As [`Cursor::array_or_null`], and null is an error.
    ///
    /// # Errors
    ///
    /// Another type, null among them.
    pub fn array(&mut self, expected: &'static str) -> Result<usize, DecodeError> {
        match self.array_or_null(expected)? {
            Some(n) => Ok(n),
            None => Err(DecodeError::new(expected, "null")),
        }
    }

    /// The number of pairs in a map, or in the flat array that RESP2 has in its place.
    ///
    /// # Errors
    ///
    /// Another type, or an array of an odd number of values.
    pub fn pairs(&mut self, expected: &'static str) -> Result<usize, DecodeError> {
        match self.value(expected)? {
            Token::Map(n) => Ok(n),
            Token::Array(n) if n % 2 == 0 => Ok(n / 2),
            Token::Array(_) => Err(DecodeError::new(expected, "an array of odd length")),
            other => Err(DecodeError::new(expected, other.kind())),
        }
    }
}
