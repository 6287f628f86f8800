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
/// [`Code::BusyGroup`](crate::Code::BusyGroup) when the group exists: it is left as it is. [`XGroupCreate::if_missing`] takes
/// that as success.
/// [`Code::Err`](crate::Code::Err) when there is no stream. [`Code::Oom`](crate::Code::Oom) when the server's memory is
/// used up.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, StartAt, XGroupCreate};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let create = XGroupCreate::new("orders", "billing", StartAt::START).mk_stream();
/// let created = client.send(create.if_missing()).await?;
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

    /// Takes a group that exists as success: the reply is whether the group was created.
    pub fn if_missing(self) -> XGroupCreateIfMissing<'a> {
        XGroupCreateIfMissing(self)
    }
}

/// [`XGroupCreate`] that takes `BUSYGROUP` as success. Created by [`XGroupCreate::if_missing`].
///
/// The reply is `true` if the group was created, and `false` if it was there: then it is left as it is, whatever the start
/// says. If the command was repeated after a lost connection, `false` may be about the group that its first run created.
#[derive(Debug, Clone)]
#[must_use]
pub struct XGroupCreateIfMissing<'a>(XGroupCreate<'a>);

impl Command for XGroupCreateIfMissing<'_> {
    const NAME: &'static str = "XGROUP CREATE";
    const SAFETY: Safety = Safety::Idempotent;
    type Reply = bool;

    fn args(&self, out: &mut impl Args) {
        self.0.args(out);
    }

    fn needs(&self) -> Features {
        self.0.needs()
    }

    fn reply(frame: Frame) -> Result<bool, DecodeError> {
        ok(frame).map(|()| true)
    }

    fn accepted(&self, error: &[u8]) -> Option<bool> {
        error.starts_with(b"BUSYGROUP ").then_some(false)
    }

    fn key(&self) -> Option<&[u8]> {
        self.0.key()
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
            let create = create.if_missing();
            assert_eq!(encode(&create), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(create.key(), Some(&b"s"[..]));
        }
    }
}
