//! XGROUP CREATE: creates a group. No I/O.

use super::list_entries_read;
use crate::command::reply::ok;
use crate::command::{Arg, Command, Safety};
use crate::id::{IdArg, StartAt};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Creates a group, which receives the entries above an id.
///
/// `XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD n]` (Redis 5.0).
///
/// # Errors
///
/// [`Code::BusyGroup`](crate::Code::BusyGroup) when the group exists; it is unchanged.
/// [`XGroupCreate::if_missing`] treats that as success. [`Code::Err`](crate::Code::Err) when the
/// stream does not exist. [`Code::Oom`](crate::Code::Oom) when the server is out of memory.
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
    /// Creates a group of this stream that starts at this position.
    pub fn new(
        key: impl Into<Arg<'a>>,
        group: impl Into<Arg<'a>>,
        start: impl Into<StartAt>,
    ) -> Self {
        let (key, group, start) = (key.into(), group.into(), start.into());
        Self { key, group, start, mk_stream: false, entries_read: None }
    }

    /// Creates an empty stream if it does not exist: `MKSTREAM`.
    pub fn mk_stream(self) -> Self {
        Self { mk_stream: true, ..self }
    }

    /// Sets the number of entries of the stream that the group has read, from which the server
    /// computes its lag (Redis 7.0).
    ///
    /// By default the number is unknown, which is `ENTRIESREAD -1`.
    pub fn entries_read(self, entries: u64) -> Self {
        Self { entries_read: Some(entries), ..self }
    }

    /// Treats an existing group as success: the reply is whether the group was created.
    pub fn if_missing(self) -> XGroupCreateIfMissing<'a> {
        XGroupCreateIfMissing(self)
    }
}

/// An [`XGroupCreate`] that treats `BUSYGROUP` as success. Created by [`XGroupCreate::if_missing`].
///
/// The reply is `true` if the group was created. It is `false` if the group existed; the group is
/// then unchanged, whatever the start position. If the command was retried after a lost connection,
/// `false` may refer to the group that its first run created.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{StartAt, XGroupCreate};
///
/// let create = XGroupCreate::new("orders", "billing", StartAt::START).mk_stream().if_missing();
/// println!("created now: {}", client.send(create).await?);
/// # Ok(()) }
/// ```
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
        // Some proxies put a code of their own in front.
        let error = error.strip_prefix(b"ERR ").unwrap_or(error);
        error.starts_with(b"BUSYGROUP ").then_some(false)
    }

    fn keys(&self, out: &mut impl Args) {
        self.0.keys(out);
    }
}

impl Command for XGroupCreate<'_> {
    const NAME: &'static str = "XGROUP CREATE";
    // In a second run the group exists, and is unchanged.
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
    fn xgroup_create_options_follow_the_start_id() {
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
            assert_eq!(listed_keys(&create), ["s"]);
            let create = create.if_missing();
            assert_eq!(encode(&create), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&create), ["s"]);
        }
    }
}
