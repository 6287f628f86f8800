//! EXISTS: counts existing keys. No I/O.

use super::Keys;
use crate::command::reply::at_most;
use crate::command::{Arg, Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Counts the keys that exist.
///
/// `EXISTS key [key ...]` (Redis 1.0, several keys 3.0.3). A stream without entries exists.
///
/// # Errors
///
/// [`Code::CrossSlot`](crate::Code::CrossSlot) from a cluster, for keys in different slots.
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
    /// Checks this key: the reply is 1 if it exists and 0 if not.
    pub fn new(key: impl Into<Arg<'a>>) -> Self {
        Self { keys: Keys::new(key.into()) }
    }

    /// Adds a key to check. A key that is named twice counts twice.
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
            [(Exists::new("a"), "EXISTS a"), (Exists::new("a").and("b").and("a"), "EXISTS a b a")];
        for (exists, expected) in rows {
            assert_eq!(encode(&exists), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&exists), expected.split(' ').skip(1).collect::<Vec<_>>());
        }
    }

    #[test]
    fn reply_is_a_count() {
        for (bytes, expected) in
            [(":0\r\n", Some(0)), (":2\r\n", Some(2)), ("+OK\r\n", None), ("_\r\n", None)]
        {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(Exists::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
