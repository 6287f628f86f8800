//! XDEL: deletes entries from a stream. No I/O.

use super::arg::Arg;
use super::ids::Ids;
use super::reply::at_most;
use super::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Deletes entries from a stream.
///
/// `XDEL key id [id ...]` (Redis 5.0). Returns the number of entries deleted; 0 if the stream does
/// not exist. Deleted entries stay pending in groups, and are read as
/// [deleted](crate::EntryRef::is_deleted). A stream without entries still exists.
///
/// # Errors
///
/// [`Code::WrongType`](crate::Code::WrongType) when the key is not a stream;
/// [`Code::Err`](crate::Code::Err) when there is no id.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, EntryId, Error, XDel};
/// # async fn f(client: &Client, wrong: EntryId) -> Result<(), Error> {
/// let was_there = client.send(XDel::new("orders", wrong)).await? == 1;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XDel<'a> {
    key: Arg<'a>,
    ids: Ids<'a>,
}

impl<'a> XDel<'a> {
    /// Deletes these entries. At least one id is required.
    pub fn new(key: impl Into<Arg<'a>>, ids: impl Into<Ids<'a>>) -> Self {
        Self { key: key.into(), ids: ids.into() }
    }
}

impl Command for XDel<'_> {
    const NAME: &'static str = "XDEL";
    const SAFETY: Safety = Safety::Idempotent;
    type Reply = u64;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.ids.list(out);
    }

    fn reply(frame: Frame) -> Result<u64, DecodeError> {
        frame.cursor().count(COUNT)
    }

    fn reply_to(&self, frame: Frame) -> Result<u64, DecodeError> {
        at_most(self.ids.len(), Self::reply(frame)?, COUNT)
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

const COUNT: &str = "a number of removed entries";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EntryId;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn xdel_ids_follow_the_key() {
        let ids = [EntryId::new(1, 2), EntryId::new(3, 0)];
        let rows =
            [(XDel::new("s", ids[0]), "XDEL s 1-2"), (XDel::new("s", &ids), "XDEL s 1-2 3-0")];
        for (del, expected) in rows {
            assert_eq!(encode(&del), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&del), ["s"]);
        }
    }

    #[test]
    fn reply_is_a_count() {
        for (bytes, expected) in [(":0\r\n", Some(0)), (":2\r\n", Some(2)), ("_\r\n", None)] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XDel::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
