//! XACK: removes entries from the pending entries list of a group. No I/O.

use super::arg::Arg;
use super::ids::Ids;
use super::reply::at_most;
use super::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Acknowledges entries: removes them from the group's pending entries list (PEL), whichever
/// consumer owns them.
///
/// `XACK key group id [id ...]` (Redis 5.0). Returns the number of ids that were pending. 0 is not
/// an error: the entries were acknowledged before, or the stream or group does not exist. The
/// entries stay in the stream.
///
/// # Errors
///
/// [`Code::WrongType`](crate::Code::WrongType) when the key is not a stream;
/// [`Code::Err`](crate::Code::Err) when there is no id.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Entries, Error, XAck};
/// # async fn f(client: &Client, done: &Entries) -> Result<(), Error> {
/// let ids: Vec<_> = done.ids().collect();
/// client.send(XAck::new("orders", "billing", &ids)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XAck<'a> {
    key: Arg<'a>,
    group: Arg<'a>,
    ids: Ids<'a>,
}

impl<'a> XAck<'a> {
    /// Acknowledges these entries in this group. At least one id is required.
    pub fn new(
        key: impl Into<Arg<'a>>,
        group: impl Into<Arg<'a>>,
        ids: impl Into<Ids<'a>>,
    ) -> Self {
        Self { key: key.into(), group: group.into(), ids: ids.into() }
    }
}

impl Command for XAck<'_> {
    const NAME: &'static str = "XACK";
    const SAFETY: Safety = Safety::Idempotent;
    type Reply = u64;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.group.list(out);
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

const COUNT: &str = "a number of acknowledged entries";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EntryId;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn single_id_and_list_of_one_encode_alike() {
        let ids = [EntryId::new(1, 2), EntryId::new(u64::MAX, 0)];
        let list = ids.to_vec();
        let rows = [
            (XAck::new("s", "g", ids[0]), "XACK s g 1-2"),
            (XAck::new("s", "g", &ids[..1]), "XACK s g 1-2"),
            (XAck::new("s", "g", &ids), "XACK s g 1-2 18446744073709551615-0"),
            (XAck::new("s", "g", &list), "XACK s g 1-2 18446744073709551615-0"),
            (XAck::new("s", "g", &ids[..0]), "XACK s g"),
        ];
        for (ack, expected) in rows {
            assert_eq!(encode(&ack), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&ack), ["s"]);
        }
    }

    #[test]
    fn reply_is_a_count() {
        for (bytes, expected) in [(":0\r\n", Some(0)), (":2\r\n", Some(2)), ("*0\r\n", None)] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XAck::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
