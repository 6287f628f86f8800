//! Replies, and their bytes in RESP2 and RESP3. No I/O.

use bytes::Bytes;
use std::io::Write;

/// A reply, as RESP3 has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Simple(&'static str),
    /// An error: its code and text, without the `-`.
    Error(Bytes),
    Integer(i64),
    Bulk(Bytes),
    /// In RESP2 the null bulk string.
    Null,
    /// In RESP2 the null array.
    NullArray,
    Array(Vec<Self>),
    /// In RESP2 a flat array.
    Map(Vec<(Self, Self)>),
    /// Entries by key: in RESP2 an array of pairs, in RESP3 a map.
    Streams(Vec<(Self, Self)>),
}

impl Reply {
    /// Returns an error with this text.
    pub(crate) fn error(text: impl Into<String>) -> Self {
        Self::Error(Bytes::from(text.into()))
    }

    /// Returns the empty array.
    pub(crate) const fn empty() -> Self {
        Self::Array(Vec::new())
    }

    /// Returns a bulk string of a constant.
    pub(crate) const fn text(text: &'static str) -> Self {
        Self::Bulk(Bytes::from_static(text.as_bytes()))
    }

    /// Returns the number of some things.
    pub(crate) fn count(count: usize) -> Self {
        Self::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Returns a counter of the server, which has 64 bits without a sign.
    pub(crate) const fn counter(counter: u64) -> Self {
        Self::Integer(i64::from_ne_bytes(counter.to_ne_bytes()))
    }

    /// Appends the bytes of this reply.
    pub(crate) fn write(&self, resp3: bool, out: &mut Vec<u8>) {
        match self {
            Self::Simple(text) => line(out, b'+', text.as_bytes()),
            // A line ends at the first of these bytes, so the server replaces them.
            Self::Error(text) if text.iter().any(|byte| matches!(byte, b'\r' | b'\n')) => {
                let replaced = text.iter().map(|byte| match byte {
                    b'\r' | b'\n' => b' ',
                    other => *other,
                });
                line(out, b'-', &replaced.collect::<Vec<_>>());
            }
            Self::Error(text) => line(out, b'-', text),
            Self::Integer(number) => number_line(out, b':', *number),
            Self::Bulk(bytes) => {
                number_line(out, b'$', i64::try_from(bytes.len()).unwrap_or(i64::MAX));
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            Self::Null | Self::NullArray if resp3 => out.extend_from_slice(b"_\r\n"),
            Self::Null => out.extend_from_slice(b"$-1\r\n"),
            Self::NullArray => out.extend_from_slice(b"*-1\r\n"),
            Self::Array(items) => {
                head(out, b'*', items.len());
                items.iter().for_each(|item| item.write(resp3, out));
            }
            Self::Map(pairs) => {
                if resp3 {
                    head(out, b'%', pairs.len());
                } else {
                    head(out, b'*', pairs.len() * 2);
                }
                write_pairs(pairs, resp3, out);
            }
            Self::Streams(pairs) if resp3 => {
                head(out, b'%', pairs.len());
                write_pairs(pairs, resp3, out);
            }
            Self::Streams(pairs) => {
                head(out, b'*', pairs.len());
                for (key, entries) in pairs {
                    head(out, b'*', 2);
                    key.write(resp3, out);
                    entries.write(resp3, out);
                }
            }
        }
    }
}

fn write_pairs(pairs: &[(Reply, Reply)], resp3: bool, out: &mut Vec<u8>) {
    for (name, value) in pairs {
        name.write(resp3, out);
        value.write(resp3, out);
    }
}

fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn head(out: &mut Vec<u8>, kind: u8, len: usize) {
    number_line(out, kind, i64::try_from(len).unwrap_or(i64::MAX));
}

fn number_line(out: &mut Vec<u8>, kind: u8, number: i64) {
    out.push(kind);
    write!(out, "{number}\r\n").expect("a Vec takes all bytes");
}
