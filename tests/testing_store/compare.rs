//! Equal replies, but for what depends on the time of the call.

use std::fmt;

/// A reply as it is on the wire.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Wire {
    /// The kind's byte, and the rest of the line.
    Line(u8, Vec<u8>),
    Bulk(Vec<u8>),
    Integer(i64),
    /// The kind's byte, and the elements; of a map, names and values in turn.
    Many(u8, Vec<Self>),
}

impl Wire {
    /// Parses a reply, and returns the rest of the bytes. `None`: it is not complete.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let (line, rest) = (bytes.get(1..end)?, bytes.get(end + 2..)?);
        let kind = *bytes.first()?;
        let number = || std::str::from_utf8(line).ok()?.parse::<i64>().ok();
        match (kind, number()) {
            (b'$', Some(len @ 0..)) => {
                let len = usize::try_from(len).ok()?;
                let text = rest.get(..len)?.to_vec();
                Some((Self::Bulk(text), rest.get(len + 2..)?))
            }
            (b'*' | b'%', Some(len @ 0..)) => {
                let len = if kind == b'%' { 2 * len } else { len };
                let mut rest = rest;
                let mut elements = Vec::new();
                for _ in 0..len {
                    let (element, after) = Self::parse(rest)?;
                    elements.push(element);
                    rest = after;
                }
                Some((Self::Many(kind, elements), rest))
            }
            (b':', Some(number)) => Some((Self::Integer(number), rest)),
            _ => Some((Self::Line(kind, line.to_vec()), rest)),
        }
    }

    /// Returns the id that a bulk string is.
    pub(crate) fn as_id_ms(&self) -> Option<u64> {
        let Self::Bulk(text) = self else { return None };
        let text = std::str::from_utf8(text).ok()?;
        text.split_once('-')?.0.parse().ok()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(kind, text) => write!(f, "{}{}", char::from(*kind), text.escape_ascii()),
            Self::Bulk(text) if text.len() > 60 => {
                let start = text.get(..40).unwrap_or_default();
                write!(f, "'{}...{} bytes'", start.escape_ascii(), text.len())
            }
            Self::Bulk(text) => write!(f, "'{}'", text.escape_ascii()),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Many(kind, elements) => {
                let (open, close) = if *kind == b'%' { ("{", "}") } else { ("[", "]") };
                f.write_str(open)?;
                for (index, element) in elements.iter().enumerate() {
                    let blank = if index == 0 { "" } else { " " };
                    write!(f, "{blank}{element:?}")?;
                }
                f.write_str(close)
            }
        }
    }
}

/// The difference between two clocks that counts as none, in milliseconds.
const TOLERANCE: u64 = 80;

/// From here on, a number is a time of day.
const TIME_OF_DAY: i64 = 1_000_000_000_000;

/// The names of properties that are durations or times.
const TIMES: [&[u8]; 4] = [b"idle", b"inactive", b"seen-time", b"active-time"];

/// Whether two replies are the same, but for the time of the call.
pub(crate) fn same(real: &Wire, memory: &Wire, any_tree: bool) -> bool {
    is_same(real, memory, false, any_tree)
}

fn is_same(real: &Wire, memory: &Wire, is_time: bool, any_tree: bool) -> bool {
    match (real, memory) {
        (Wire::Integer(a), Wire::Integer(b)) => {
            let close = a.abs_diff(*b) <= TOLERANCE;
            let is_time = is_time || *a >= TIME_OF_DAY && *b >= TIME_OF_DAY;
            a == b || is_time && close && *a >= 0 && *b >= 0
        }
        (Wire::Many(kind, real), Wire::Many(of, memory)) => {
            let is_pending = real.len() == 4 && matches!(real.first(), Some(Wire::Bulk(_)));
            let name = |index: usize| match real.get(index.checked_sub(1)?) {
                Some(Wire::Bulk(name)) => Some(name.as_slice()),
                _ => None,
            };
            kind == of
                && real.len() == memory.len()
                && real.iter().zip(memory).enumerate().all(|(index, (real, memory))| {
                    let is_time = is_pending && index == 2
                        || name(index).is_some_and(|name| TIMES.contains(&name));
                    let is_tree = name(index) == Some(b"radix-tree-nodes");
                    is_tree && any_tree || is_same(real, memory, is_time, any_tree)
                })
        }
        (real, memory) => real == memory,
    }
}
