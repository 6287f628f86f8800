//! XIDMPRECORD: records the producer and iid of an existing entry. No I/O.

use super::arg::Arg;
use super::reply::ok;
use super::{Command, Safety};
use crate::EntryId;
use crate::id::IdArg;
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Records that this producer added this entry with this iid, as if by [`XAdd::idmp`].
///
/// `XIDMPRECORD key pid iid id` (Redis 8.6.2). The server uses it in its own files; a client needs
/// it only to restore a stream elsewhere. The pair becomes the producer's newest; pairs beyond the
/// limit of [`XCfgSet`] are discarded, the oldest first. Two pairs may refer to the same entry. A
/// pair that is already recorded with this id is unchanged.
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) when the stream or the entry does not exist, when the pair is
/// recorded with another id, or when the producer or the iid is empty.
/// [`Code::WrongType`](crate::Code::WrongType) when the key is not a stream;
/// [`Code::Oom`](crate::Code::Oom) when the server is out of memory.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, EntryId, Error, XIdmpRecord};
/// # async fn f(client: &Client, id: EntryId) -> Result<(), Error> {
/// client.send(XIdmpRecord::new("orders", "shop-1", "A-7", id)).await?;
/// # Ok(()) }
/// ```
///
/// [`XAdd::idmp`]: crate::XAdd::idmp
/// [`XCfgSet`]: crate::XCfgSet
#[derive(Debug, Clone)]
#[must_use]
pub struct XIdmpRecord<'a> {
    key: Arg<'a>,
    producer: Arg<'a>,
    iid: Arg<'a>,
    id: EntryId,
}

impl<'a> XIdmpRecord<'a> {
    /// Records this pair of producer and iid, both not empty, for this entry of this stream.
    pub fn new(
        key: impl Into<Arg<'a>>,
        producer: impl Into<Arg<'a>>,
        iid: impl Into<Arg<'a>>,
        id: EntryId,
    ) -> Self {
        Self { key: key.into(), producer: producer.into(), iid: iid.into(), id }
    }
}

impl Command for XIdmpRecord<'_> {
    const NAME: &'static str = "XIDMPRECORD";
    // Repeating the pair with the same id changes nothing; with another id it is refused.
    const SAFETY: Safety = Safety::Idempotent;
    type Reply = ();

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.producer.list(out);
        self.iid.list(out);
        self.id.arg(out);
    }

    fn needs(&self) -> Features {
        Feature::XIdmpRecord.into()
    }

    fn reply(frame: Frame) -> Result<(), DecodeError> {
        ok(frame)
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn xidmprecord_pair_precedes_the_id() {
        let id = EntryId::new(1, 2);
        let rows = [
            (XIdmpRecord::new("s", "p", "i", id), "XIDMPRECORD s p i 1-2"),
            (XIdmpRecord::new("s", 7, -8, id), "XIDMPRECORD s 7 -8 1-2"),
        ];
        for (record, expected) in rows {
            assert_eq!(encode(&record), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&record), ["s"]);
            assert_eq!(record.needs(), Feature::XIdmpRecord.into(), "{expected}");
        }
    }

    #[test]
    fn reply_is_ok() {
        for (bytes, expected) in [("+OK\r\n", true), ("$3\r\n1-2\r\n", false), ("_\r\n", false)] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XIdmpRecord::reply(frame).is_ok(), expected, "{bytes:?}");
        }
    }
}
