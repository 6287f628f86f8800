//! XREADGROUP: delivers entries to a consumer of a group. No I/O.

use super::arg::{Arg, ms};
use super::block::{Block, Blockable, Blocking};
use super::listing::Listing;
use super::xread::{ReadLimits, list_streams};
use super::{Command, Safety};
use crate::entry::Streams;
use crate::id::GroupFrom;
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};
use std::time::Duration;

/// Reads entries as a consumer of a group, from one or more streams.
///
/// `XREADGROUP GROUP group consumer [COUNT n] [MAXCOUNT n] [MAXSIZE bytes] [BLOCK ms] [CLAIM
/// min-idle] [NOACK] STREAMS key [key ...] id [id ...]` (Redis 5.0). Delivered entries are pending
/// until they are acknowledged with [`XAck`](super::XAck). The consumer is created if it does not
/// exist. Every stream must have the group.
///
/// This is a write: if the reply is lost, its entries are pending for this consumer although it
/// never received them. Read them again with [`GroupFrom::Pending`].
///
/// # Errors
///
/// [`Code::NoGroup`](crate::Code::NoGroup) when a stream or its group does not exist; nothing is
/// then read from any stream.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, GroupFrom, XReadGroup};
/// # use std::time::Duration;
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let mut reader = client.reader().await?;
/// let read = XReadGroup::new("billing", "worker-1").stream("orders", GroupFrom::New).count(100);
/// for entry in reader.read(read.block(Duration::from_secs(5))).await?.iter() { /* ... */ }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XReadGroup<'a> {
    group: Arg<'a>,
    consumer: Arg<'a>,
    limits: ReadLimits,
    claim: Option<Duration>,
    no_ack: bool,
    streams: Vec<(Arg<'a>, GroupFrom)>,
}

impl<'a> XReadGroup<'a> {
    /// Creates a read without streams, for this consumer of this group.
    pub fn new(group: impl Into<Arg<'a>>, consumer: impl Into<Arg<'a>>) -> Self {
        Self {
            group: group.into(),
            consumer: consumer.into(),
            limits: ReadLimits::default(),
            claim: None,
            no_ack: false,
            streams: Vec::new(),
        }
    }

    /// Adds a stream to read.
    pub fn stream(mut self, key: impl Into<Arg<'a>>, from: impl Into<GroupFrom>) -> Self {
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

    /// Also claims entries of any consumer that have been pending for at least this long: `CLAIM`
    /// (Redis 8.4).
    ///
    /// Claimed entries come before new ones. Every entry then has its [delivery
    /// information](crate::EntryRef::delivery). The time is rounded up to a millisecond.
    ///
    /// It applies only to streams read from [`GroupFrom::New`]. Pending entries that were deleted
    /// from the stream are skipped.
    pub fn claim(mut self, min_idle: Duration) -> Self {
        self.claim = Some(min_idle);
        self
    }

    /// Delivers new entries without making them pending, so at most once: `NOACK`.
    pub fn no_ack(mut self) -> Self {
        self.no_ack = true;
        self
    }

    /// Waits for entries, up to this duration, rounded up to a millisecond.
    ///
    /// A read that includes [`GroupFrom::Pending`] never waits.
    pub fn block(self, wait: Duration) -> Blocking<Self> {
        Blocking::new(self, Block::For(wait))
    }

    /// Waits for entries without a time limit.
    ///
    /// Redis 6.2 keeps waiting if the stream is deleted.
    pub fn block_forever(self) -> Blocking<Self> {
        Blocking::new(self, Block::Forever)
    }
}

impl Blockable for XReadGroup<'_> {
    fn args_with(&self, block: Option<Block>, out: &mut impl Args) {
        out.text("GROUP");
        self.group.list(out);
        self.consumer.list(out);
        self.limits.list(block, out);
        if let Some(min_idle) = self.claim {
            out.text("CLAIM");
            out.number(ms(min_idle));
        }
        if self.no_ack {
            out.text("NOACK");
        }
        list_streams(&self.streams, out);
    }
}

impl Command for XReadGroup<'_> {
    const NAME: &'static str = "XREADGROUP";
    const SAFETY: Safety = Safety::Write;
    // Only `Blocking` lists BLOCK, and a client does not accept that.
    const LISTING: Listing = Listing::CHECKED;
    type Reply = Streams;

    fn args(&self, out: &mut impl Args) {
        self.args_with(None, out);
    }

    fn needs(&self) -> Features {
        self.limits.needs().and_if(self.claim.is_some(), Feature::Claim)
    }

    fn reply(frame: Frame) -> Result<Streams, DecodeError> {
        Streams::decode(frame)
    }

    fn keys(&self, out: &mut impl Args) {
        self.streams.iter().for_each(|(key, _)| key.list(out));
    }
}
