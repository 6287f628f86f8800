//! XIDMPRECORD: makes a stream remember who added an entry. Pure.

use super::arg::Arg;
use super::reply::ok;
use super::{Command, Safety};
use crate::EntryId;
use crate::id::IdArg;
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Makes a stream remember that this producer added this entry with this iid, as if by [`XAdd::idmp`].
///
/// `XIDMPRECORD key pid iid id` (Redis 8.6.2). The server has it for its own files; a client has no use for it but to
/// restore a stream elsewhere. The pair is the producer's newest, and the oldest beyond what [`XCfgSet`] allows is
/// forgotten. Two pairs may name one entry. A pair that is remembered with this id already stays as it is.
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) when there is no stream, or no such entry in it; when the pair is remembered with
/// another id; when the producer or the iid is empty. [`Code::WrongType`](crate::Code::WrongType) when the key holds
/// something else; [`Code::Oom`](crate::Code::Oom) when the server's memory is used up.
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
    /// Remembers this pair of producer and iid, neither of them empty, for this entry of this stream.
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
    // The same pair with the same id again changes nothing; with another id it is refused.
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

    fn key(&self) -> Option<&[u8]> {
        self.key.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn the_pair_stands_before_the_id() {
        let id = EntryId::new(1, 2);
        let rows = [
            (XIdmpRecord::new("s", "p", "i", id), "XIDMPRECORD s p i 1-2"),
            (XIdmpRecord::new("s", 7, -8, id), "XIDMPRECORD s 7 -8 1-2"),
        ];
        for (record, expected) in rows {
            assert_eq!(encode(&record), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(record.key(), Some(&b"s"[..]));
            assert_eq!(record.needs(), Feature::XIdmpRecord.into(), "{expected}");
        }
    }

    #[test]
    fn the_reply_is_ok() {
        for (bytes, expected) in [("+OK\r\n", true), ("$3\r\n1-2\r\n", false), ("_\r\n", false)] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XIdmpRecord::reply(frame).is_ok(), expected, "{bytes:?}");
        }
    }
}
