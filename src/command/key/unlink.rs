//! UNLINK: removes keys and frees their memory in the background. No I/O.

use super::Keys;
use crate::command::reply::at_most;
use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Removes keys, and frees their memory in another thread.
///
/// `UNLINK key [key ...]` (Redis 4.0). Otherwise the same as [`Del`](crate::Del): when the reply
/// arrives, the keys and their groups are removed, and the reply is their number. A long stream
/// does not block the server.
///
/// # Errors
///
/// [`Code::CrossSlot`](crate::Code::CrossSlot) from a cluster, for keys in different slots.
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

    /// Adds a key to remove.
    pub fn and(self, key: impl Into<Arg<'a>>) -> Self {
        Self { keys: self.keys.and(key.into()) }
    }
}

impl Command for Unlink<'_> {
    const NAME: &'static str = "UNLINK";
    // The stream may be recreated in between; a second run would remove the new one.
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

    fn keys(&self, out: &mut impl Args) {
        self.keys.list(out);
    }
}

const COUNT: &str = "a number of keys";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn every_key_is_listed() {
        let rows =
            [(Unlink::new("a"), "UNLINK a"), (Unlink::new("a").and("b").and("a"), "UNLINK a b a")];
        for (unlink, expected) in rows {
            assert_eq!(encode(&unlink), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&unlink), expected.split(' ').skip(1).collect::<Vec<_>>());
        }
    }

    #[test]
    fn reply_is_a_count() {
        for (bytes, expected) in
            [(":0\r\n", Some(0)), (":2\r\n", Some(2)), ("+OK\r\n", None), ("_\r\n", None)]
        {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(Unlink::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
