//! UNLINK: removes keys, and their memory later. Pure.

use super::Keys;
use crate::command::reply::at_most;
use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Removes keys, and leaves it to another thread to give their memory back.
///
/// `UNLINK key [key ...]` (Redis 4.0). In everything else it is [`Del`](crate::Del): the keys are gone when the answer
/// comes, with their groups, and it is the number of those that there were. A long stream does not hold the server up.
///
/// # Errors
///
/// [`Code::CrossSlot`](crate::Code::CrossSlot) from a cluster, for keys of different slots.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, Unlink};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let was_there = client.send(Unlink::new("orders")).await? > 0;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Unlink<'a> {
    keys: Keys<'a>,
}

impl<'a> Unlink<'a> {
    /// Removes this key.
    pub fn new(key: impl Into<Arg<'a>>) -> Self {
        Self { keys: Keys::new(key.into()) }
    }

    /// One more key.
    pub fn and(self, key: impl Into<Arg<'a>>) -> Self {
        Self { keys: self.keys.and(key.into()) }
    }
}

impl Command for Unlink<'_> {
    const NAME: &'static str = "UNLINK";
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
        let rows =
            [(Unlink::new("a"), "UNLINK a"), (Unlink::new("a").and("b").and("a"), "UNLINK a b a")];
        for (unlink, expected) in rows {
            assert_eq!(encode(&unlink), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(unlink.key(), Some(&b"a"[..]));
        }
    }

    #[test]
    fn the_reply_is_a_count() {
        for (bytes, expected) in
            [(":0\r\n", Some(0)), (":2\r\n", Some(2)), ("+OK\r\n", None), ("_\r\n", None)]
        {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(Unlink::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
