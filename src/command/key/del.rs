//! DEL: removes keys. Pure.

use super::Keys;
use crate::command::reply::at_most;
use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Removes keys, whatever they hold.
///
/// `DEL key [key ...]` (Redis 1.0). Answers with the number of keys that there were. A stream's groups go with it, and with
/// them all that is pending. A group's read that waits for the stream ends with an error:
/// [`Code::NoGroup`](crate::Code::NoGroup), on Redis 7.0 [`Code::Unblocked`](crate::Code::Unblocked); on Redis 6.2 it goes
/// on waiting, as a read without a group does everywhere. To keep the groups, trim the stream to nothing:
/// `XTrim::new(key, Trim::max_len(0))`.
///
/// The server does nothing else until all is removed, which for a long stream takes a while:
/// [`Unlink`](crate::Unlink) leaves that to another thread.
///
/// # Errors
///
/// [`Code::CrossSlot`](crate::Code::CrossSlot) from a cluster, for keys of different slots.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Del, Error};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let removed = client.send(Del::new("{orders}:eu").and("{orders}:us")).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Del<'a> {
    keys: Keys<'a>,
}

impl<'a> Del<'a> {
    /// Removes this key.
    pub fn new(key: impl Into<Arg<'a>>) -> Self {
        Self { keys: Keys::new(key.into()) }
    }

    /// One more key.
    pub fn and(self, key: impl Into<Arg<'a>>) -> Self {
        Self { keys: self.keys.and(key.into()) }
    }
}

impl Command for Del<'_> {
    const NAME: &'static str = "DEL";
    // Someone who misses the stream makes it anew; a second run would take that one.
    const SAFETY: Safety = Safety::Write;
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
        let rows = [(Del::new("a"), "DEL a"), (Del::new("a").and("b").and("a"), "DEL a b a")];
        for (del, expected) in rows {
            assert_eq!(encode(&del), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(del.key(), Some(&b"a"[..]));
        }
    }

    #[test]
    fn the_reply_is_a_count() {
        for (bytes, expected) in
            [(":0\r\n", Some(0)), (":2\r\n", Some(2)), ("+OK\r\n", None), ("_\r\n", None)]
        {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(Del::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
