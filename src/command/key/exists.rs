//! EXISTS: whether there are keys. Pure.

use super::Keys;
use crate::command::reply::at_most;
use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Counts those keys that exist.
///
/// `EXISTS key [key ...]` (Redis 1.0, several keys 3.0.3). A stream that is empty exists.
///
/// # Errors
///
/// [`Code::CrossSlot`](crate::Code::CrossSlot) from a cluster, for keys of different slots.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, Exists};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let exists = client.send(Exists::new("orders")).await? > 0;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Exists<'a> {
    keys: Keys<'a>,
}

impl<'a> Exists<'a> {
    /// Whether this key exists: 1 or 0.
    pub fn new(key: impl Into<Arg<'a>>) -> Self {
        Self { keys: Keys::new(key.into()) }
    }

    /// One more key. A key that is named twice counts twice.
    pub fn and(self, key: impl Into<Arg<'a>>) -> Self {
        Self { keys: self.keys.and(key.into()) }
    }
}

impl Command for Exists<'_> {
    const NAME: &'static str = "EXISTS";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = u64;

    fn args(&self, out: &mut impl Args) {
        self.keys.list(out);
    }

    fn reply(frame: Frame) -> Result<u64, DecodeError> {
        frame.cursor().count(COUNT)
    }

    fn reply_to(&self, frame: Frame) -> Result<u64, DecodeError> {
        at_most(self.keys.len(), Self::reply(frame)?, COUNT)
    }

    fn key(&self) -> Option<&[u8]> {
        self.keys.first.as_bytes()
    }
}

const COUNT: &str = "a number of keys";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn the_first_key_says_where() {
        let rows =
            [(Exists::new("a"), "EXISTS a"), (Exists::new("a").and("b").and("a"), "EXISTS a b a")];
        for (exists, expected) in rows {
            assert_eq!(encode(&exists), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(exists.key(), Some(&b"a"[..]));
        }
    }

    #[test]
    fn the_reply_is_a_count() {
        for (bytes, expected) in
            [(":0\r\n", Some(0)), (":2\r\n", Some(2)), ("+OK\r\n", None), ("_\r\n", None)]
        {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(Exists::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
