//! What can be wrong with bytes: not RESP at all, or not the reply that was promised. Pure.

use std::fmt;

/// The bytes are not RESP, or break a limit. The connection that they came from cannot be trusted any more.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// No RESP value begins with this byte. Something other than a Redis server may have answered.
    #[error("no RESP value begins with byte {byte:#04x}{}", hint(*.byte))]
    UnknownType {
        /// The byte at the place of a type byte.
        byte: u8,
    },
    /// A length or count that is not a decimal number, or is negative without being null.
    #[error("malformed length")]
    Length,
    /// An integer, double or big number that is none, or an integer beyond 64 bits.
    #[error("malformed number")]
    Number,
    /// A boolean other than `t` and `f`.
    #[error("malformed boolean")]
    Boolean,
    /// A null with something in it.
    #[error("malformed null")]
    Null,
    /// A verbatim string without its three letters and colon.
    #[error("malformed verbatim string")]
    Verbatim,
    /// A line with a CR or LF that does not end it.
    #[error("CR or LF inside a line")]
    Line,
    /// A body longer than its length says: no CRLF stands behind it.
    #[error("missing CRLF after a bulk string")]
    Body,
    /// A chunk, or the end of a streamed value, where none may stand; or a streamed map that ends after a key.
    #[error("streamed value out of order")]
    Streamed,
    /// A push inside another value.
    #[error("push frame inside another value")]
    Push,
    /// A line longer than [`Limits::line_bytes`](super::Limits::line_bytes).
    #[error("line longer than {limit} bytes")]
    LineTooLong {
        /// The limit in force.
        limit: usize,
    },
    /// Nested deeper than [`Limits::depth`](super::Limits::depth).
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The limit in force.
        limit: usize,
    },
    /// Larger than [`Limits::reply_bytes`](super::Limits::reply_bytes), by bytes that came or by what a length announced.
    #[error("reply larger than {limit} bytes")]
    TooLarge {
        /// The limit in force.
        limit: usize,
    },
    /// The reply to PING was not PONG: a reply is missing or one too many came, and later ones answer the wrong command.
    #[error("unexpected reply to PING: replies no longer match their commands")]
    Shifted,
    /// A reply came that no command was waiting for.
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

/// A complete reply, but not of the shape that its command answers with. The command may have run.
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
    /// What was expected, and the name of the type that came instead.
    #[must_use]
    pub fn new(expected: &'static str, got: &'static str) -> Self {
        Self { expected, got: Got::Kind(got) }
    }

    /// What was expected, and the text that came instead: escaped, and cut after 64 bytes.
    #[must_use]
    pub fn text(expected: &'static str, got: &[u8]) -> Self {
        let shown = got.get(..64).unwrap_or(got);
        let text = format!("\"{}\"", shown.escape_ascii());
        Self { expected, got: Got::Text(text.into_boxed_str()) }
    }

    /// What the reply should have been.
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
