//! XREAD: reads the entries above an id, from one or more streams. No I/O.

use super::arg::Arg;
use super::block::{Block, Blockable, Blocking};
use super::listing::Listing;
use super::{Command, Safety};
use crate::entry::Streams;
use crate::id::{IdArg, ReadFrom};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};
use std::time::Duration;

/// Reads the entries above an id, from one or more streams.
///
/// `XREAD [COUNT n] [MAXCOUNT n] [MAXSIZE bytes] [BLOCK ms] STREAMS key [key ...] id [id ...]`
/// (Redis 5.0). The reply contains only streams that have entries; it is empty if none has.
///
/// # Errors
///
/// [`Code::WrongType`](crate::Code::WrongType) when a key is not a stream.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, ReadFrom, XRead};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let read = XRead::new().stream("orders", ReadFrom::START).stream("returns", ReadFrom::START);
/// for stream in client.send(read.count(100)).await?.streams() {
///     println!("{}: {} entries", stream.key().escape_ascii(), stream.entries().len());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct XRead<'a> {
    limits: ReadLimits,
    streams: Vec<(Arg<'a>, ReadFrom)>,
}

impl<'a> XRead<'a> {
    /// Creates a read without streams.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a stream to read.
    pub fn stream(mut self, key: impl Into<Arg<'a>>, from: impl Into<ReadFrom>) -> Self {
        self.streams.push((key.into(), from.into()));
        self
    }

    /// Sets `COUNT`, the maximum number of entries from each stream. 0, the default, means no
    /// limit.
    pub fn count(mut self, entries: u64) -> Self {
        self.limits.count = Some(entries);
        self
    }

    /// Sets `MAXCOUNT`, the maximum number of entries from all streams together (Redis 8.10).
    /// Streams are read in the order given. 0 is refused with [`Code::Err`](crate::Code::Err).
    pub fn max_count(mut self, entries: u64) -> Self {
        self.limits.max_count = Some(entries);
        self
    }

    /// Sets `MAXSIZE`: no further entry is added once the reply has this many bytes (Redis 8.10).
    /// At least one entry is returned. 0 is refused with [`Code::Err`](crate::Code::Err).
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.limits.max_size = Some(bytes);
        self
    }

    /// Waits for entries, up to this duration, rounded up to a millisecond.
    pub fn block(self, wait: Duration) -> Blocking<Self> {
        Blocking::new(self, Block::For(wait))
    }

    /// Waits for entries without a time limit.
    pub fn block_forever(self) -> Blocking<Self> {
        Blocking::new(self, Block::Forever)
    }
}

/// The limits that XREAD and XREADGROUP have in common.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ReadLimits {
    pub(super) count: Option<u64>,
    pub(super) max_count: Option<u64>,
    pub(super) max_size: Option<u64>,
}

impl ReadLimits {
    /// Returns the limits in use that not every server supports.
    pub(super) fn needs(&self) -> Features {
        Features::NONE
            .and_if(self.max_count.is_some(), Feature::MaxCount)
            .and_if(self.max_size.is_some(), Feature::MaxSize)
    }

    pub(super) fn list(&self, block: Option<Block>, out: &mut impl Args) {
        if let Some(entries) = self.count {
            out.text("COUNT");
            out.number(entries);
        }
        if let Some(entries) = self.max_count {
            out.text("MAXCOUNT");
            out.number(entries);
        }
        if let Some(bytes) = self.max_size {
            out.text("MAXSIZE");
            out.number(bytes);
        }
        if let Some(block) = block {
            out.text("BLOCK");
            out.number(block.ms());
        }
    }
}

/// Lists all keys, then the id for each, as the server expects them.
pub(super) fn list_streams(streams: &[(Arg<'_>, impl IdArg)], out: &mut impl Args) {
    out.text("STREAMS");
    streams.iter().for_each(|(key, _)| key.list(out));
    streams.iter().for_each(|(_, from)| from.arg(out));
}

impl Blockable for XRead<'_> {
    fn args_with(&self, block: Option<Block>, out: &mut impl Args) {
        self.limits.list(block, out);
        list_streams(&self.streams, out);
    }
}

impl Command for XRead<'_> {
    const NAME: &'static str = "XREAD";
    const SAFETY: Safety = Safety::ReadOnly;
    // Only `Blocking` lists BLOCK, and a client does not accept that.
    const LISTING: Listing = Listing::CHECKED;
    type Reply = Streams;

    fn args(&self, out: &mut impl Args) {
        self.args_with(None, out);
    }

    /// A read from `$` is not repeatable: a second one misses what was added after the first.
    fn safety(&self) -> Safety {
        let latest = self.streams.iter().any(|(_, from)| *from == ReadFrom::End);
        if latest { Safety::Write } else { Self::SAFETY }
    }

    fn needs(&self) -> Features {
        let last = self.streams.iter().any(|(_, from)| *from == ReadFrom::Last);
        self.limits.needs().and_if(last, Feature::ReadLast)
    }

    fn reply(frame: Frame) -> Result<Streams, DecodeError> {
        Streams::decode(frame)
    }

    fn keys(&self, out: &mut impl Args) {
        self.streams.iter().for_each(|(key, _)| key.list(out));
    }
}
