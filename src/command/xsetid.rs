//! XSETID: sets a stream's last id. No I/O.

use super::arg::Arg;
use super::reply::ok;
use super::{Command, Safety};
use crate::EntryId;
use crate::id::IdArg;
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Sets the last id of a stream; new entries get ids above it. Intended for restoring a stream
/// elsewhere.
///
/// `XSETID key id [ENTRIESADDED n] [MAXDELETEDID id]` (Redis 5.0). The stream must exist; no entry
/// is added or removed. If the id is set back over removed entries, the stream reuses their ids.
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) when the stream does not exist; when the id is below that of the
/// last entry, below [`XSetId::max_deleted_id`], or, since Redis 7.2, below the largest deleted id;
/// when [`XSetId::entries_added`] is less than the length of the stream.
/// [`Code::WrongType`](crate::Code::WrongType) when the key is not a stream;
/// [`Code::Oom`](crate::Code::Oom) when the server is out of memory.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, EntryId, Error, XSetId};
/// # async fn f(client: &Client, last: EntryId, added: u64) -> Result<(), Error> {
/// client.send(XSetId::new("orders", last).entries_added(added)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XSetId<'a> {
    key: Arg<'a>,
    id: EntryId,
    entries_added: Option<u64>,
    max_deleted_id: Option<EntryId>,
}

impl<'a> XSetId<'a> {
    /// Sets the last id of this stream.
    pub fn new(key: impl Into<Arg<'a>>, id: EntryId) -> Self {
        Self { key: key.into(), id, entries_added: None, max_deleted_id: None }
    }

    /// Sets the number of entries ever added, from which the server computes the lag of groups; at
    /// most [`i64::MAX`] (Redis 7.0). By default it is unchanged.
    pub fn entries_added(self, entries: u64) -> Self {
        Self { entries_added: Some(entries), ..self }
    }

    /// Sets the largest deleted id, which may be smaller than before (Redis 7.0). By default, and
    /// for [`EntryId::MIN`], it is unchanged.
    pub fn max_deleted_id(self, id: EntryId) -> Self {
        Self { max_deleted_id: Some(id), ..self }
    }
}

impl Command for XSetId<'_> {
    const NAME: &'static str = "XSETID";
    // A second run discards the count of entries added in between; if they were trimmed, their ids
    // are reused.
    const SAFETY: Safety = Safety::Write;
    type Reply = ();

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.id.arg(out);
        if let Some(entries) = self.entries_added {
            out.text("ENTRIESADDED");
            out.number(entries);
        }
        if let Some(id) = self.max_deleted_id {
            out.text("MAXDELETEDID");
            id.arg(out);
        }
    }

    fn needs(&self) -> Features {
        Features::NONE
            .and_if(self.entries_added.is_some(), Feature::EntriesAdded)
            .and_if(self.max_deleted_id.is_some(), Feature::MaxDeletedId)
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
    fn xsetid_options_follow_the_id_and_need_redis_7() {
        let set = XSetId::new("s", EntryId::new(9, 2));
        let (added, deleted) = (Feature::EntriesAdded, Feature::MaxDeletedId);
        let rows = [
            (set.clone(), "XSETID s 9-2", Features::NONE),
            (set.clone().entries_added(0), "XSETID s 9-2 ENTRIESADDED 0", added.into()),
            (
                set.clone().max_deleted_id(EntryId::MIN),
                "XSETID s 9-2 MAXDELETEDID 0-0",
                deleted.into(),
            ),
            (
                set.max_deleted_id(EntryId::new(3, 4)).entries_added(7),
                "XSETID s 9-2 ENTRIESADDED 7 MAXDELETEDID 3-4",
                Features::NONE.and(added).and(deleted),
            ),
        ];
        for (set, expected, needs) in rows {
            assert_eq!(encode(&set), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&set), ["s"]);
            assert_eq!(set.needs(), needs, "{expected}");
        }
    }

    #[test]
    fn reply_is_ok() {
        for (bytes, expected) in [("+OK\r\n", true), ("$3\r\n9-2\r\n", false), ("_\r\n", false)] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XSetId::reply(frame).is_ok(), expected, "{bytes:?}");
        }
    }
}
