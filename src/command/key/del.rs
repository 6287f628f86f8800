//! DEL: removes keys. No I/O.

use super::Keys;
use crate::command::reply::at_most;
use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Removes keys of any type.
///
/// `DEL key [key ...]` (Redis 1.0). Returns the number of keys removed. A stream is removed with
/// its groups and their pending entries lists. A blocking read of a group ends with an error:
/// [`Code::NoGroup`](crate::Code::NoGroup), or [`Code::Unblocked`](crate::Code::Unblocked) on Redis
/// 7.0. On Redis 6.2 it keeps waiting, as reads without a group do on every server. To keep the
/// groups, trim the stream to nothing: `XTrim::new(key, Trim::max_len(0))`.
///
/// The server blocks until everything is removed, which can take long for a long stream:
/// [`Unlink`](crate::Unlink) frees the memory in another thread.
///
/// # Errors
///
/// [`Code::CrossSlot`](crate::Code::CrossSlot) from a cluster, for keys in different slots.
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

    /// Adds a key to remove.
    pub fn and(self, key: impl Into<Arg<'a>>) -> Self {
        Self { keys: self.keys.and(key.into()) }
    }
}

impl Command for Del<'_> {
    const NAME: &'static str = "DEL";
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
        let rows = [(Del::new("a"), "DEL a"), (Del::new("a").and("b").and("a"), "DEL a b a")];
        for (del, expected) in rows {
            assert_eq!(encode(&del), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&del), expected.split(' ').skip(1).collect::<Vec<_>>());
        }
    }

    #[test]
    fn reply_is_a_count() {
        for (bytes, expected) in
            [(":0\r\n", Some(0)), (":2\r\n", Some(2)), ("+OK\r\n", None), ("_\r\n", None)]
        {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(Del::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
