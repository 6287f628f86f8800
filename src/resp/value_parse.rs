//! A simple parser that copies everything, used as a test oracle. No I/O.

use super::line::{self, Length};
use super::value::{Builder, Value};
use super::{Limits, ProtocolError, Token};

impl Value {
    /// Parses the value at the start of `bytes`. Returns it with the number of bytes consumed;
    /// `None` if it is not complete.
    ///
    /// Every call starts from the beginning. For bytes that arrive in parts, use
    /// [`Scanner`](super::Scanner).
    ///
    /// # Errors
    ///
    /// The bytes are not RESP or exceed a limit.
    pub fn parse(bytes: &[u8], limits: Limits) -> Result<Option<(Self, usize)>, ProtocolError> {
        parse(bytes, limits)
    }
}

/// Parses one value. A second, independent implementation of the [`Scanner`](super::Scanner)'s
/// rules.
fn parse(bytes: &[u8], limits: Limits) -> Result<Option<(Value, usize)>, ProtocolError> {
    let mut reader = Reader { bytes, pos: 0, limits, charged: 0 };
    let mut builder = Builder::default();
    let mut open: Vec<Open> = Vec::new();
    loop {
        let first = reader.pos == 0;
        let Some(token) = reader.token(matches!(open.last(), Some(Open::Chunks)))? else {
            return Ok(None);
        };
        match token {
            Token::Push(_) if !first => return Err(ProtocolError::Push),
            Token::Chunk(chunk) if !chunk.is_empty() => {}
            Token::Chunk(_) => {
                open.pop();
            }
            Token::End => match open.pop() {
                Some(Open::Until { values, map }) if !map || values % 2 == 0 => {
                    reader.charge(values)?;
                }
                _ => return Err(ProtocolError::Streamed),
            },
            Token::StreamedString => open.push(Open::Chunks),
            ref token => {
                let inner = token.inner();
                if inner != Some(0) || is_empty_aggregate(token) {
                    let depth = open.iter().filter(|o| !matches!(o, Open::Chunks)).count();
                    if depth >= limits.depth {
                        return Err(ProtocolError::TooDeep { limit: limits.depth });
                    }
                }
                match inner {
                    Some(0) if !is_empty_aggregate(token) => {}
                    Some(0) => reader.charge(0)?,
                    Some(left) => {
                        reader.charge(left)?;
                        open.push(Open::Counted { left });
                    }
                    None => open
                        .push(Open::Until { values: 0, map: matches!(token, Token::StreamedMap) }),
                }
            }
        }
        let opened = match token {
            Token::StreamedString => true,
            Token::Chunk(chunk) => !chunk.is_empty(),
            Token::End => false,
            ref token => token.inner() != Some(0),
        };
        let value = builder.add(token);
        if !opened {
            // The value is complete, and so is every level whose last value it was.
            while let Some(level) = open.last_mut() {
                match level {
                    Open::Counted { left } => {
                        *left -= 1;
                        if *left > 0 {
                            break;
                        }
                        open.pop();
                    }
                    Open::Until { values, .. } => {
                        *values += 1;
                        break;
                    }
                    Open::Chunks => break,
                }
            }
        }
        if let Some(value) = value {
            return Ok(Some((value, reader.pos)));
        }
    }
}

/// A value whose inner values are being parsed.
enum Open {
    Counted { left: usize },
    Until { values: usize, map: bool },
    Chunks,
}

fn is_empty_aggregate(token: &Token<'_>) -> bool {
    matches!(token, Token::Array(0) | Token::Map(0) | Token::Set(0) | Token::Push(0))
}

struct Reader<'a> {
    bytes: &'a [u8],
    pos: usize,
    limits: Limits,
    charged: usize,
}

impl<'a> Reader<'a> {
    /// Returns the next token; `None` if it is not complete.
    fn token(&mut self, in_chunks: bool) -> Result<Option<Token<'a>>, ProtocolError> {
        let Some((&kind, tail)) = self.bytes.get(self.pos..).and_then(<[u8]>::split_first) else {
            return Ok(None);
        };
        if in_chunks != (kind == b';') {
            return Err(ProtocolError::Streamed);
        }
        match kind {
            b'+' | b'-' | b':' | b',' | b'(' | b'#' | b'_' | b'.' => self.line(kind, tail),
            b'$' | b'=' | b'!' | b';' | b'*' | b'~' | b'%' | b'|' | b'>' => {
                if kind == b'>' && self.pos > 0 {
                    return Err(ProtocolError::Push);
                }
                let Some((length, used)) = line::length(tail)? else { return Ok(None) };
                let start = self.pos + 1 + used;
                match (kind, length) {
                    (b';', Length::Known(0)) => self.at(start, Token::Chunk(b"")),
                    (b'$' | b'=' | b'!' | b';', Length::Known(len)) => self.body(kind, start, len),
                    (_, Length::Known(n)) => self.at(start, Token::aggregate(kind, n)),
                    (b'$' | b'*', Length::Null) => self.at(start, Token::Null),
                    (b'$', Length::Streamed) => self.at(start, Token::StreamedString),
                    (b'*', Length::Streamed) => self.at(start, Token::StreamedArray),
                    (b'~', Length::Streamed) => self.at(start, Token::StreamedSet),
                    (b'%', Length::Streamed) => self.at(start, Token::StreamedMap),
                    _ => Err(ProtocolError::Length),
                }
            }
            byte => Err(ProtocolError::UnknownType { byte }),
        }
    }

    fn at(&mut self, pos: usize, token: Token<'a>) -> Result<Option<Token<'a>>, ProtocolError> {
        self.pos = pos;
        Ok(Some(token))
    }

    fn line(&mut self, kind: u8, tail: &'a [u8]) -> Result<Option<Token<'a>>, ProtocolError> {
        let limit = self.limits.line_bytes;
        let end = tail.iter().position(|b| matches!(b, b'\r' | b'\n'));
        if end.unwrap_or(tail.len()) > limit {
            return Err(ProtocolError::LineTooLong { limit });
        }
        let Some((text, rest)) = end.and_then(|end| tail.split_at_checked(end)) else {
            return Ok(None);
        };
        match rest {
            [b'\r', b'\n', ..] => {}
            [b'\r'] => return Ok(None),
            _ => return Err(ProtocolError::Line),
        }
        line::check(kind, text)?;
        let pos = self.within(self.pos + 1 + text.len(), 2)?;
        let token = match kind {
            b'+' => Token::Simple(text),
            b'-' => Token::Error(text),
            b':' => Token::Integer(line::integer(text).ok_or(ProtocolError::Number)?),
            b',' => Token::Double(line::double(text).ok_or(ProtocolError::Number)?),
            b'(' => Token::BigNumber(text),
            b'#' => Token::Boolean(text == b"t"),
            b'_' => Token::Null,
            _ => Token::End,
        };
        self.at(pos, token)
    }

    fn body(
        &mut self,
        kind: u8,
        start: usize,
        len: usize,
    ) -> Result<Option<Token<'a>>, ProtocolError> {
        if kind == b'=' && len < 4 {
            return Err(ProtocolError::Verbatim);
        }
        let end = self.within(start, len)?;
        if kind == b'=' && self.bytes.get(start + 3).is_some_and(|b| *b != b':') {
            return Err(ProtocolError::Verbatim);
        }
        match self.bytes.get(end..).unwrap_or_default() {
            [b'\r', b'\n', ..] => {}
            [_, _, ..] => return Err(ProtocolError::Body),
            _ => return Ok(None),
        }
        let text = self.bytes.get(start..end).unwrap_or_default();
        let token = match kind {
            b'$' => Token::Bulk(text),
            b'=' => Token::Verbatim(text),
            b'!' => Token::BulkError(text),
            _ => Token::Chunk(text),
        };
        self.at(end + 2, token)
    }

    fn within(&self, start: usize, len: usize) -> Result<usize, ProtocolError> {
        let end = start.checked_add(len).ok_or_else(|| self.too_large())?;
        let size = end.checked_add(self.charged).ok_or_else(|| self.too_large())?;
        if size > self.limits.reply_bytes { Err(self.too_large()) } else { Ok(end) }
    }

    fn charge(&mut self, values: usize) -> Result<(), ProtocolError> {
        let charged = values.checked_mul(32).and_then(|c| c.checked_add(self.charged));
        self.charged = charged.ok_or_else(|| self.too_large())?;
        self.within(self.pos, 0).map(drop)
    }

    fn too_large(&self) -> ProtocolError {
        ProtocolError::TooLarge { limit: self.limits.reply_bytes }
    }
}
