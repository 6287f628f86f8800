//! XGROUP SETID: moves a group. Pure.

use super::list_entries_read;
use crate::command::reply::ok;
use crate::command::{Arg, Command, Safety};
use crate::id::{IdArg, StartAt};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Moves a group, which is then given the entries above an id.
///
/// `XGROUP SETID key group id|$ [ENTRIESREAD n]` (Redis 5.0). Moved back it is given entries a second time, moved on it
/// is never given those between; what is pending stays so. A read that waits at the time notices with the next entry
/// added.
///
/// # Errors
///
/// [`Code::NoGroup`](crate::Code::NoGroup) when there is no such group; [`Code::Err`](crate::Code::Err) when there is
/// no stream.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, StartAt, XGroupSetId};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// client.send(XGroupSetId::new("orders", "billing", StartAt::START)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XGroupSetId<'a> {
    key: Arg<'a>,
    group: Arg<'a>,
    start: StartAt,
    entries_read: Option<u64>,
}

impl<'a> XGroupSetId<'a> {
    /// Moves this group of this stream there.
    pub fn new(
        key: impl Into<Arg<'a>>,
        group: impl Into<Arg<'a>>,
        start: impl Into<StartAt>,
    ) -> Self {
        Self { key: key.into(), group: group.into(), start: start.into(), entries_read: None }
    }

    /// How many entries of the stream the group counts as having read, which the server tells its lag from (Redis 7.0).
    ///
    /// Without it the number is not known any more, which is what `ENTRIESREAD -1` says.
    pub fn entries_read(self, entries: u64) -> Self {
        Self { entries_read: Some(entries), ..self }
    }
}

impl Command for XGroupSetId<'_> {
    const NAME: &'static str = "XGROUP SETID";
    // What the group was given between the two runs, the second takes back or passes over.
    const SAFETY: Safety = Safety::Write;
    type Reply = ();

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.group.list(out);
        self.start.arg(out);
        list_entries_read(self.entries_read, out);
    }

    fn needs(&self) -> Features {
        Features::NONE.and_if(self.entries_read.is_some(), Feature::EntriesRead)
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
    use crate::EntryId;
    use crate::command::{Raw, encode};

    #[test]
    fn the_number_read_follows_the_start() {
        let (end, id) = (StartAt::End, EntryId::new(1, 2));
        let rows = [
            (XGroupSetId::new("s", "g", end), "XGROUP SETID s g $"),
            (XGroupSetId::new("s", "g", id), "XGROUP SETID s g 1-2"),
            (XGroupSetId::new("s", "g", end).entries_read(7), "XGROUP SETID s g $ ENTRIESREAD 7"),
        ];
        for (set_id, expected) in rows {
            assert_eq!(encode(&set_id), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(set_id.key(), Some(&b"s"[..]));
        }
    }
}
