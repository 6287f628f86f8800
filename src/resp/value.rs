//! Value: an owned tree, for raw replies, for printing, and as the oracle of the tests. No I/O.
//!
//! It is slower than a [`Frame`]: every string is copied, every level is a vector. Nothing
//! recurses, not even dropping, so the depth of a tree is limited only by memory.

use super::{Frame, Limits, Token};
use std::mem;

/// Any RESP value.
///
/// Streamed values are equal to those with a length: a streamed string is a [`Value::Bulk`].
///
/// ```
/// use bourn::resp::{Frame, Limits, Value};
///
/// let frame = Frame::parse("*2\r\n:1\r\n_\r\n", Limits::default())?;
/// let value = Value::from(&frame);
/// let list = value.as_list().expect("an array");
/// assert_eq!(list.first().and_then(Value::as_integer), Some(1));
/// assert!(list.last().is_some_and(Value::is_null));
/// # Ok::<(), bourn::ProtocolError>(())
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Any of the three nulls.
    Null,
    /// A simple string.
    Simple(Vec<u8>),
    /// The text of an error, simple or bulk.
    Error(Vec<u8>),
    /// An integer.
    Integer(i64),
    /// A bulk string.
    Bulk(Vec<u8>),
    /// An array.
    Array(List),
    /// A map: alternating keys and values. [`List::pairs`] returns them in pairs.
    Map(List),
    /// A set.
    Set(List),
    /// A push.
    Push(List),
    /// An attribute: alternating keys and values, then the value that they describe.
    Attribute(List),
    /// A double.
    Double(f64),
    /// A boolean.
    Boolean(bool),
    /// A big number: sign and digits.
    BigNumber(Vec<u8>),
    /// A verbatim string with its three letters and colon, such as `txt:hello`.
    Verbatim(Vec<u8>),
}

/// The inner values of a [`Value`].
///
/// ```
/// use bourn::resp::{Frame, Limits, Value};
///
/// let frame = Frame::parse("%1\r\n+length\r\n:3\r\n", Limits::default())?;
/// let value = Value::from(&frame);
/// let list = value.as_list().expect("a map");
/// let (name, length) = list.pairs().next().expect("one pair");
/// assert_eq!((name.as_str(), length.as_integer()), (Some("length"), Some(3)));
/// # Ok::<(), bourn::ProtocolError>(())
/// ```
#[derive(Default)]
pub struct List(Vec<Value>);

impl Value {
    /// Returns the value that attributes describe, or the value itself if it has none.
    #[must_use]
    pub fn described(&self) -> &Self {
        let mut value = self;
        while let Self::Attribute(list) = value {
            match list.last() {
                Some(last) => value = last,
                None => break,
            }
        }
        value
    }

    /// Returns the bytes of a string of any kind, without the prefix of a verbatim one; `None` for
    /// other types.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self.described() {
            Self::Simple(text) | Self::Bulk(text) => Some(text),
            Self::Verbatim(text) => Some(text.get(4..).unwrap_or_default()),
            _ => None,
        }
    }

    /// Returns the text of a string of any kind; `None` for other types and for bytes that are not
    /// UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// Returns the integer; `None` for other types.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        if let Self::Integer(n) = self.described() { Some(*n) } else { None }
    }

    /// Returns the values of an array, map, set or push; `None` for other types.
    #[must_use]
    pub fn as_list(&self) -> Option<&List> {
        match self.described() {
            Self::Array(list) | Self::Map(list) | Self::Set(list) | Self::Push(list) => Some(list),
            _ => None,
        }
    }

    /// Whether this is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.described(), Self::Null)
    }

    /// Returns the tokens of this value and its inner values, in wire order.
    pub(super) fn tokens(&self) -> Tokens<'_> {
        Tokens { ahead: vec![self] }
    }

    fn token(&self) -> Token<'_> {
        match self {
            Self::Null => Token::Null,
            Self::Simple(text) => Token::Simple(text),
            Self::Error(text) if text.iter().any(|b| matches!(b, b'\r' | b'\n')) => {
                Token::BulkError(text)
            }
            Self::Error(text) => Token::Error(text),
            Self::Integer(n) => Token::Integer(*n),
            Self::Bulk(text) => Token::Bulk(text),
            Self::Array(list) => Token::Array(list.len()),
            Self::Map(list) => Token::Map(list.len() / 2),
            Self::Set(list) => Token::Set(list.len()),
            Self::Push(list) => Token::Push(list.len()),
            Self::Attribute(list) => Token::Attribute(list.len().saturating_sub(1) / 2),
            Self::Double(n) => Token::Double(*n),
            Self::Boolean(b) => Token::Boolean(*b),
            Self::BigNumber(text) => Token::BigNumber(text),
            Self::Verbatim(text) => Token::Verbatim(text),
        }
    }

    fn inner(&self) -> &[Self] {
        match self {
            Self::Array(list)
            | Self::Map(list)
            | Self::Set(list)
            | Self::Push(list)
            | Self::Attribute(list) => list,
            _ => &[],
        }
    }

    fn inner_mut(&mut self) -> Option<&mut List> {
        match self {
            Self::Array(list)
            | Self::Map(list)
            | Self::Set(list)
            | Self::Push(list)
            | Self::Attribute(list) => Some(list),
            _ => None,
        }
    }
}

impl From<&Frame> for Value {
    fn from(frame: &Frame) -> Self {
        // The frame was scanned within limits, so only its own size bounds the value.
        let limits = Limits { reply_bytes: usize::MAX, line_bytes: usize::MAX, depth: usize::MAX };
        match Self::parse(frame.as_bytes(), limits) {
            Ok(Some((value, _))) => value,
            Ok(None) | Err(_) => Self::Null,
        }
    }
}

impl List {
    fn tokens(&self) -> Tokens<'_> {
        Tokens { ahead: self.iter().rev().collect() }
    }

    /// Returns keys and values of a map, or of the flat array that RESP2 has instead.
    pub fn pairs(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.0.chunks_exact(2).filter_map(|pair| match pair {
            [key, value] => Some((key, value)),
            _ => None,
        })
    }
}

impl std::ops::Deref for List {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.0
    }
}

impl From<Vec<Value>> for List {
    fn from(values: Vec<Value>) -> Self {
        Self(values)
    }
}

impl FromIterator<Value> for List {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl IntoIterator for List {
    type Item = Value;
    type IntoIter = std::vec::IntoIter<Value>;

    fn into_iter(mut self) -> Self::IntoIter {
        mem::take(&mut self.0).into_iter()
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // Takes the inner lists out before their values are dropped, so that no drop recurses.
        let mut ahead = mem::take(&mut self.0);
        while let Some(mut value) = ahead.pop() {
            if let Some(list) = value.inner_mut() {
                ahead.append(&mut list.0);
            }
        }
    }
}

impl Clone for List {
    fn clone(&self) -> Self {
        let mut builder = Builder::default();
        let mut whole = builder.add(Token::Array(self.len()));
        for token in self.tokens() {
            whole = builder.add(token);
        }
        whole.and_then(|mut value| value.inner_mut().map(mem::take)).unwrap_or_default()
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.tokens().eq(other.tokens())
    }
}

/// Iterates over values and their inner values, in wire order.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    ahead: Vec<&'a Value>,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let value = self.ahead.pop()?;
        self.ahead.extend(value.inner().iter().rev());
        Some(value.token())
    }
}

/// Builds a tree from tokens in wire order.
#[derive(Debug, Default)]
pub(super) struct Builder {
    open: Vec<Open>,
}

/// A value whose inner values are not complete yet.
#[derive(Debug)]
struct Open {
    kind: Kind,
    left: usize,
    values: Vec<Value>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Array,
    Map,
    Set,
    Push,
    Attribute,
    /// A streamed string, whose chunks arrive one by one.
    Chunks,
}

impl Builder {
    /// Adds a token. Returns the whole value when it is complete.
    pub(super) fn add(&mut self, token: Token<'_>) -> Option<Value> {
        let value = match token {
            Token::Chunk(chunk) if !chunk.is_empty() => {
                if let Some(Open { values, .. }) = self.open.last_mut() {
                    values.push(Value::Bulk(chunk.to_vec()));
                }
                return None;
            }
            Token::Chunk(_) | Token::End => self.open.pop().map(Open::close)?,
            Token::StreamedString => return self.begin(Kind::Chunks, usize::MAX),
            Token::Array(n) => return self.begin(Kind::Array, n),
            Token::Map(n) => return self.begin(Kind::Map, 2 * n),
            Token::Set(n) => return self.begin(Kind::Set, n),
            Token::Push(n) => return self.begin(Kind::Push, n),
            Token::Attribute(n) => return self.begin(Kind::Attribute, 2 * n + 1),
            Token::StreamedArray => return self.begin(Kind::Array, usize::MAX),
            Token::StreamedSet => return self.begin(Kind::Set, usize::MAX),
            Token::StreamedMap => return self.begin(Kind::Map, usize::MAX),
            Token::Null => Value::Null,
            Token::Simple(text) => Value::Simple(text.to_vec()),
            Token::Error(text) | Token::BulkError(text) => Value::Error(text.to_vec()),
            Token::Integer(n) => Value::Integer(n),
            Token::Bulk(text) => Value::Bulk(text.to_vec()),
            Token::Double(n) => Value::Double(n),
            Token::Boolean(b) => Value::Boolean(b),
            Token::BigNumber(text) => Value::BigNumber(text.to_vec()),
            Token::Verbatim(text) => Value::Verbatim(text.to_vec()),
        };
        self.complete(value)
    }

    fn begin(&mut self, kind: Kind, left: usize) -> Option<Value> {
        let open = Open { kind, left, values: Vec::new() };
        if left == 0 {
            return self.complete(open.close());
        }
        self.open.push(open);
        None
    }

    fn complete(&mut self, mut value: Value) -> Option<Value> {
        loop {
            let Some(open) = self.open.last_mut() else { return Some(value) };
            open.values.push(value);
            open.left -= 1;
            if open.left > 0 {
                return None;
            }
            value = self.open.pop().map(Open::close)?;
        }
    }
}

impl Open {
    fn close(self) -> Value {
        let Self { kind, values, .. } = self;
        match kind {
            Kind::Array => Value::Array(List(values)),
            Kind::Map => Value::Map(List(values)),
            Kind::Set => Value::Set(List(values)),
            Kind::Push => Value::Push(List(values)),
            Kind::Attribute => Value::Attribute(List(values)),
            Kind::Chunks => {
                Value::Bulk(values.iter().filter_map(Value::as_bytes).collect::<Vec<_>>().concat())
            }
        }
    }
}
