//! Errors of decoding: bytes that are not RESP, and replies of another shape than expected. No I/O.

use std::fmt;

/// The bytes are not RESP, or exceed a limit. The connection can no longer be used.
///
/// ```
/// use bourn::resp::{Frame, Limits, ProtocolError};
///
/// // A web server in place of Redis.
/// let error = Frame::parse("HTTP/1.1 400 Bad Request\r\n", Limits::default()).unwrap_err();
/// assert_eq!(error, ProtocolError::UnknownType { byte: b'H' });
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// No RESP value begins with this byte. The peer may not be a Redis server.
    #[error("no RESP value begins with byte {byte:#04x}{}", hint(*.byte))]
    UnknownType {
        /// The byte in place of a type byte.
        byte: u8,
    },
    /// A length or count is not a decimal number, or is negative without being null.
    #[error("malformed length")]
    Length,
    /// An integer, double or big number is malformed, or an integer exceeds 64 bits.
    #[error("malformed number")]
    Number,
    /// A boolean is neither `t` nor `f`.
    #[error("malformed boolean")]
    Boolean,
    /// A null is not empty.
    #[error("malformed null")]
    Null,
    /// A verbatim string lacks its three letters and colon.
    #[error("malformed verbatim string")]
    Verbatim,
    /// A line contains a CR or LF that does not end it.
    #[error("CR or LF inside a line")]
    Line,
    /// A body does not have the announced length: no CRLF follows it.
    #[error("missing CRLF after a bulk string")]
    Body,
    /// A chunk, or the end of a streamed value, is not expected here; or a streamed map ends after
    /// a key.
    #[error("streamed value out of order")]
    Streamed,
    /// A push occurs inside another value.
    #[error("push frame inside another value")]
    Push,
    /// A line is longer than [`Limits::line_bytes`](super::Limits::line_bytes).
    #[error("line longer than {limit} bytes")]
    LineTooLong {
        /// The limit in force.
        limit: usize,
    },
    /// The nesting is deeper than [`Limits::depth`](super::Limits::depth).
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit in force.
        limit: usize,
    },
    /// The reply is larger than [`Limits::reply_bytes`](super::Limits::reply_bytes), in bytes
    /// received or announced by a length.
    #[error("reply larger than {limit} bytes")]
    TooLarge {
        /// The limit in force.
        limit: usize,
    },
    /// The reply to PING was not PONG: a reply is missing or superfluous, and later replies belong
    /// to other commands.
    #[error("unexpected reply to PING: replies no longer match their commands")]
    Shifted,
    /// A reply arrived although no command was waiting for one.
    #[error("reply that no command waited for")]
    Unasked,
}

debug_is_display!(ProtocolError, DecodeError);

fn hint(byte: u8) -> &'static str {
    match byte {
        b'H' => " (an HTTP server?)",
        0x15 | 0x16 => " (a TLS server?)",
        _ => "",
    }
}

/// A complete reply does not have the shape that its command returns. The command may have
/// executed.
///
/// ```
/// use bourn::resp::{Frame, Limits};
///
/// let frame = Frame::parse("+OK\r\n", Limits::default())?;
/// let error = frame.cursor().integer("the length").unwrap_err();
/// assert!(error.to_string().starts_with("expected the length, got"));
/// # Ok::<(), bourn::ProtocolError>(())
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got {got}")]
pub struct DecodeError {
    expected: &'static str,
    got: Got,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    Kind(&'static str),
    Text(Box<str>),
}

impl DecodeError {
    /// Creates an error from the expected value and the name of the received type.
    #[must_use]
    pub fn new(expected: &'static str, got: &'static str) -> Self {
        Self { expected, got: Got::Kind(got) }
    }

    /// Creates an error from the expected value and the received text, which is escaped and cut
    /// after 64 bytes.
    #[must_use]
    pub fn text(expected: &'static str, got: &[u8]) -> Self {
        let shown = got.get(..64).unwrap_or(got);
        let text = format!("\"{}\"", shown.escape_ascii());
        Self { expected, got: Got::Text(text.into_boxed_str()) }
    }

    /// Returns a description of the expected value.
    #[must_use]
    pub fn expected(&self) -> &'static str {
        self.expected
    }
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => f.write_str(kind),
            Self::Text(text) => f.write_str(text),
        }
    }
}
