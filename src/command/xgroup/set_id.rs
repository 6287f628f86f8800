//! XGROUP SETID: sets a group's last delivered id. No I/O.

use super::list_entries_read;
use crate::command::reply::ok;
use crate::command::{Arg, Command, Safety};
use crate::id::{IdArg, StartAt};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Moves a group to an id; it then receives the entries above that id.
///
/// `XGROUP SETID key group id|$ [ENTRIESREAD n]` (Redis 5.0). A group that is moved back receives
/// entries a second time; one that is moved forward skips entries. Pending entries are unchanged. A
/// blocking read notices only when the next entry is added.
///
/// # Errors
///
/// [`Code::NoGroup`](crate::Code::NoGroup) when the group does not exist;
/// [`Code::Err`](crate::Code::Err) when the stream does not exist.
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
    /// Moves this group of this stream to this position.
    pub fn new(
        key: impl Into<Arg<'a>>,
        group: impl Into<Arg<'a>>,
        start: impl Into<StartAt>,
    ) -> Self {
        Self { key: key.into(), group: group.into(), start: start.into(), entries_read: None }
    }

    /// Sets the number of entries of the stream that the group has read, from which the server
    /// computes its lag (Redis 7.0).
    ///
    /// By default the number becomes unknown, which is `ENTRIESREAD -1`.
    pub fn entries_read(self, entries: u64) -> Self {
        Self { entries_read: Some(entries), ..self }
    }
}

impl Command for XGroupSetId<'_> {
    const NAME: &'static str = "XGROUP SETID";
    // A second run repeats or skips entries that were delivered between the two.
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

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EntryId;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};

    #[test]
    fn entriesread_follows_the_start_id() {
        let (end, id) = (StartAt::End, EntryId::new(1, 2));
        let rows = [
            (XGroupSetId::new("s", "g", end), "XGROUP SETID s g $"),
            (XGroupSetId::new("s", "g", id), "XGROUP SETID s g 1-2"),
            (XGroupSetId::new("s", "g", end).entries_read(7), "XGROUP SETID s g $ ENTRIESREAD 7"),
        ];
        for (set_id, expected) in rows {
            assert_eq!(encode(&set_id), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&set_id), ["s"]);
        }
    }
}
