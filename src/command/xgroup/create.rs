//! XGROUP CREATE: makes a group. Pure.

use super::list_entries_read;
use crate::command::reply::ok;
use crate::command::{Arg, Command, Safety};
use crate::id::{IdArg, StartAt};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Makes a group, which is given the entries above an id.
///
/// `XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD n]` (Redis 5.0).
///
/// # Errors
///
/// [`Code::BusyGroup`](crate::Code::BusyGroup) when the group exists: it is left as it is, so take it as done.
/// [`Code::Err`](crate::Code::Err) when there is no stream. [`Code::Oom`](crate::Code::Oom) when the server's memory is
/// used up.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Code, Error, StartAt, XGroupCreate};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let create = XGroupCreate::new("orders", "billing", StartAt::START).mk_stream();
/// match client.send(create).await {
///     Err(error) if error.code() == Some(&Code::BusyGroup) => {}
///     made => made?,
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XGroupCreate<'a> {
    key: Arg<'a>,
    group: Arg<'a>,
    start: StartAt,
    mk_stream: bool,
    entries_read: Option<u64>,
}

impl<'a> XGroupCreate<'a> {
    /// A group of this stream that begins there.
    pub fn new(
        key: impl Into<Arg<'a>>,
        group: impl Into<Arg<'a>>,
        start: impl Into<StartAt>,
    ) -> Self {
        let (key, group, start) = (key.into(), group.into(), start.into());
        Self { key, group, start, mk_stream: false, entries_read: None }
    }

    /// Makes an empty stream if there is none.
    pub fn mk_stream(self) -> Self {
        Self { mk_stream: true, ..self }
    }

    /// How many entries of the stream the group counts as having read, which the server tells its lag from (Redis 7.0).
    ///
    /// Without it the number is not known, which is what `ENTRIESREAD -1` says.
    pub fn entries_read(self, entries: u64) -> Self {
        Self { entries_read: Some(entries), ..self }
    }
}

impl Command for XGroupCreate<'_> {
    const NAME: &'static str = "XGROUP CREATE";
    // The second time the group is there, and stays as it is.
    const SAFETY: Safety = Safety::Idempotent;
    type Reply = ();

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.group.list(out);
        self.start.arg(out);
        if self.mk_stream {
            out.text("MKSTREAM");
        }
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
    fn options_follow_the_start() {
        let (end, id) = (StartAt::End, EntryId::new(1, 2));
        let rows = [
            (XGroupCreate::new("s", "g", end), "XGROUP CREATE s g $"),
            (XGroupCreate::new("s", "g", id), "XGROUP CREATE s g 1-2"),
            (XGroupCreate::new("s", "g", StartAt::START), "XGROUP CREATE s g 0-0"),
            (XGroupCreate::new("s", "g", end).mk_stream(), "XGROUP CREATE s g $ MKSTREAM"),
            (
                XGroupCreate::new("s", "g", id).entries_read(0),
                "XGROUP CREATE s g 1-2 ENTRIESREAD 0",
            ),
            (
                XGroupCreate::new("s", "g", id).entries_read(7).mk_stream(),
                "XGROUP CREATE s g 1-2 MKSTREAM ENTRIESREAD 7",
            ),
        ];
        for (create, expected) in rows {
            assert_eq!(encode(&create), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(create.key(), Some(&b"s"[..]));
        }
    }
}
