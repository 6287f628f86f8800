//! XREADGROUP: takes entries for a consumer of a group. Pure.

use super::arg::{Arg, ms};
use super::block::{Block, Blockable, Blocking};
use super::unfit::Listing;
use super::xread::{ReadLimits, list_streams};
use super::{Command, Safety};
use crate::entry::Streams;
use crate::id::GroupFrom;
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};
use std::time::Duration;

/// Takes entries for a consumer of a group, from one stream or several.
///
/// `XREADGROUP GROUP group consumer [COUNT n] [MAXCOUNT n] [MAXSIZE bytes] [BLOCK ms] [CLAIM min-idle] [NOACK] STREAMS key
/// [key ...] id [id ...]` (Redis 5.0). Entries taken are pending until they are acknowledged with
/// [`XAck`](super::XAck). The consumer is made if there is none. All streams need the group.
///
/// It is a write: a lost reply leaves entries pending for this consumer that nobody has seen. They are read again with
/// [`GroupFrom::Pending`].
///
/// # Errors
///
/// [`Code::NoGroup`](crate::Code::NoGroup) when a stream or its group does not exist; nothing is then read from any.
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
    /// A read of no stream yet, for this consumer of this group.
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

    /// One more stream to read.
    pub fn stream(mut self, key: impl Into<Arg<'a>>, from: impl Into<GroupFrom>) -> Self {
        self.streams.push((key.into(), from.into()));
        self
    }

    /// `COUNT`: at most this many entries of each stream. 0 means no limit, the default.
    pub fn count(mut self, entries: u64) -> Self {
        self.limits.count = Some(entries);
        self
    }

    /// `MAXCOUNT`: at most this many entries of all streams together, filled in the order of the streams (Redis 8.10).
    /// 0 is refused with [`Code::Err`](crate::Code::Err).
    pub fn max_count(mut self, entries: u64) -> Self {
        self.limits.max_count = Some(entries);
        self
    }

    /// `MAXSIZE`: no further entry once the reply has this many bytes; one entry always comes (Redis 8.10).
    /// 0 is refused with [`Code::Err`](crate::Code::Err).
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.limits.max_size = Some(bytes);
        self
    }

    /// Takes over, before new entries, those of any consumer that have been pending for this long (Redis 8.4). Each entry
    /// then says how often it was [delivered](crate::EntryRef::delivery) before. Rounded up to a millisecond.
    ///
    /// Only for streams read from [`GroupFrom::New`]. Entries whose body is gone are passed over.
    pub fn claim(mut self, min_idle: Duration) -> Self {
        self.claim = Some(min_idle);
        self
    }

    /// Does not make new entries pending: they are delivered at most once.
    pub fn no_ack(mut self) -> Self {
        self.no_ack = true;
        self
    }

    /// Waits for entries, up to this long; rounded up to a millisecond.
    ///
    /// A read with [`GroupFrom::Pending`] in it never waits.
    pub fn block(self, wait: Duration) -> Blocking<Self> {
        Blocking::new(self, Block::For(wait))
    }

    /// Waits for entries, however long it takes.
    ///
    /// Redis 6.2 goes on waiting when the stream is deleted.
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
    // BLOCK is listed only by `Blocking`, which a client does not take.
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

    fn key(&self) -> Option<&[u8]> {
        self.streams.first().and_then(|(key, _)| key.as_bytes())
    }
}
