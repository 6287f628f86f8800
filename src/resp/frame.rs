//! Frame: one complete frame still in wire form. Pure.
//!
//! Most replies are small (an id, a count, `OK`) and lie in the frame itself, so that they hold no part of the read
//! buffer back. A longer one shares the buffer that it was read into: no byte of it is copied.

use super::{Cursor, DecodeError, Limits, ProtocolError, Scanner, Token, short_length};
use bytes::Bytes;
use std::fmt;

/// A frame of at most this many bytes lies in the frame itself. An id made by a server's clock takes 22.
const INLINE_BYTES: usize = 38;

/// One whole reply or push, checked by the [`Scanner`].
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(Repr);

#[derive(Clone)]
enum Repr {
    Inline { len: u8, bytes: [u8; INLINE_BYTES] },
    Shared(Bytes),
}

impl Frame {
    /// Reads one frame that takes up all of `bytes`.
    ///
    /// # Errors
    ///
    /// The bytes are not RESP or break a limit; [`ProtocolError::Length`] if they are less or more than one frame.
    pub fn parse(bytes: impl Into<Bytes>, limits: Limits) -> Result<Self, ProtocolError> {
        let bytes = bytes.into();
        match Scanner::new(limits).scan(&bytes)? {
            Some(len) if len == bytes.len() => Ok(Self::scanned(bytes)),
            _ => Err(ProtocolError::Length),
        }
    }

    /// A frame of bytes that the scanner has found to be one.
    pub(crate) fn scanned(bytes: Bytes) -> Self {
        Self::inline(&bytes).unwrap_or(Self(Repr::Shared(bytes)))
    }

    /// A copy of bytes that the scanner has found to be one frame, if they are few.
    #[inline]
    pub(crate) fn inline(frame: &[u8]) -> Option<Self> {
        let mut bytes = [0; INLINE_BYTES];
        bytes.get_mut(..frame.len())?.copy_from_slice(frame);
        Some(Self(Repr::Inline { len: u8::try_from(frame.len()).ok()?, bytes }))
    }

    /// The bytes as they came.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Repr::Shared(bytes) => bytes,
        }
    }

    /// The bytes as they came, sharing the buffer of a frame that is not small.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::Shared(bytes) => bytes,
            Repr::Inline { .. } => Bytes::copy_from_slice(self.as_bytes()),
        }
    }

    /// A cursor at the beginning of the frame.
    #[must_use]
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor::at(self.as_bytes(), 0)
    }

    /// The text of an error reply; `None` for every other.
    #[must_use]
    #[inline]
    pub fn error(&self) -> Option<&[u8]> {
        if !matches!(self.as_bytes().first(), Some(b'-' | b'!' | b'|')) {
            return None;
        }
        self.error_text()
    }

    fn error_text(&self) -> Option<&[u8]> {
        match self.cursor().value("a reply") {
            Ok(Token::Error(text) | Token::BulkError(text)) => Some(text),
            _ => None,
        }
    }

    /// The text of a bulk string with a short length; `None` for others, and for every other value.
    #[inline]
    pub(crate) fn short_bulk(&self) -> Option<&[u8]> {
        let bytes = self.as_bytes();
        let (len, header) = short_length(bytes).filter(|_| bytes.first() == Some(&b'$'))?;
        bytes.get(header..header + len)
    }

    /// Whether this is out-of-band and answers no command.
    #[must_use]
    pub fn is_push(&self) -> bool {
        self.as_bytes().first() == Some(&b'>')
    }

    /// Whether this is any of the three nulls.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.cursor().value("a reply"), Ok(Token::Null))
    }

    /// The values of an array, each as a frame of its own; `None` for null.
    ///
    /// # Errors
    ///
    /// Not an array.
    pub fn elements(self) -> Result<Option<Vec<Self>>, DecodeError> {
        let bytes = self.into_bytes();
        let mut cursor = Cursor::at(&bytes, 0);
        let Some(count) = cursor.array_or_null("an array")? else {
            return Ok(None);
        };
        let mut elements = Vec::with_capacity(count.min(bytes.len() / 3));
        for _ in 0..count {
            let start = cursor.position();
            cursor.skip();
            elements.push(Self::scanned(bytes.slice(start..cursor.position())));
        }
        Ok(Some(elements))
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.as_bytes();
        let shown = bytes.get(..128).unwrap_or(bytes);
        write!(f, "Frame({} bytes: \"{}\")", bytes.len(), shown.escape_ascii())
    }
}

impl PartialEq for Repr {
    fn eq(&self, other: &Self) -> bool {
        fn bytes(repr: &Repr) -> &[u8] {
            match repr {
                Repr::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
                Repr::Shared(bytes) => bytes,
            }
        }
        bytes(self) == bytes(other)
    }
}

impl Eq for Repr {}
