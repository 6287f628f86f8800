//! XPENDING: inspects the pending entries list of a group. No I/O.

use super::arg::{Arg, ms};
use super::reply::{at_least, counter, id};
use super::{Command, Safety};
use crate::EntryId;
use crate::id::IdRange;
use crate::resp::{Args, Cursor, DecodeError, Frame};
use crate::server::{Feature, Features};
use bytes::Bytes;
use std::ops::RangeBounds;
use std::time::Duration;

/// Returns a summary of a group's pending entries list.
///
/// `XPENDING key group` (Redis 5.0). [`XPending::range`] lists the single entries.
///
/// # Errors
///
/// [`Code::NoGroup`](crate::Code::NoGroup) when the stream or the group does not exist.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, XPending};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// for (consumer, count) in client.send(XPending::new("orders", "billing")).await?.consumers {
///     println!("{}: {count}", consumer.escape_ascii());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XPending<'a> {
    key: Arg<'a>,
    group: Arg<'a>,
}

impl<'a> XPending<'a> {
    /// Summarizes the pending entries of this group of this stream.
    pub fn new(key: impl Into<Arg<'a>>, group: impl Into<Arg<'a>>) -> Self {
        Self { key: key.into(), group: group.into() }
    }

    /// Lists the pending entries in a range of ids instead, at most `count` of them.
    pub fn range(self, range: impl RangeBounds<EntryId>, count: u64) -> XPendingRange<'a> {
        XPendingRange::new(self.key, self.group, range, count)
    }
}

/// A summary of a group's pending entries list.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XPending;
///
/// let summary = client.send(XPending::new("orders", "billing")).await?;
/// println!("{} pending, the oldest is {:?}", summary.count, summary.min);
/// for (consumer, pending) in summary.consumers {
///     println!("{}: {pending}", consumer.escape_ascii());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingSummary {
    /// The number of pending entries.
    pub count: u64,
    /// The smallest pending id; `None` if nothing is pending.
    pub min: Option<EntryId>,
    /// The largest pending id; `None` if nothing is pending.
    pub max: Option<EntryId>,
    /// The consumers with pending entries, and the number of entries of each. Entries released by
    /// XNACK have no consumer, so the numbers may add up to less than `count`. The names share the
    /// buffer of the reply.
    pub consumers: Vec<(Bytes, u64)>,
}

/// Lists pending entries in a range of ids.
///
/// `XPENDING key group [IDLE min-idle] start end count [consumer]` (Redis 5.0; an excluded end
/// 6.2). The range is any Rust range over [`EntryId`]; `..` is all of them. The reply is empty if
/// nothing is pending in the range. For the next page, start above the last id.
///
/// # Errors
///
/// [`Code::NoGroup`](crate::Code::NoGroup) when the stream or the group does not exist;
/// [`Code::Err`](crate::Code::Err) when the range excludes [`EntryId::MIN`] as its upper end or
/// [`EntryId::MAX`] as its lower one.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, XPendingRange};
/// # use std::time::Duration;
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let stuck = XPendingRange::new("orders", "billing", .., 100).idle(Duration::from_secs(60));
/// for entry in client.send(stuck).await?.iter().filter(|entry| entry.deliveries > 5) {
///     println!("{} fails again and again", entry.id);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XPendingRange<'a> {
    key: Arg<'a>,
    group: Arg<'a>,
    idle: Option<Duration>,
    range: IdRange,
    count: u64,
    consumer: Option<Arg<'a>>,
}

impl<'a> XPendingRange<'a> {
    /// Lists the pending entries in this range, at most `count` of them; 0 returns none.
    pub fn new(
        key: impl Into<Arg<'a>>,
        group: impl Into<Arg<'a>>,
        range: impl RangeBounds<EntryId>,
        count: u64,
    ) -> Self {
        let (key, group, range) = (key.into(), group.into(), IdRange::from_bounds(range));
        Self { key, group, idle: None, range, count, consumer: None }
    }

    /// Lists only entries delivered at least this long ago (Redis 6.2), rounded up to a
    /// millisecond.
    ///
    /// Entries released by XNACK are always listed.
    pub fn idle(self, min_idle: Duration) -> Self {
        Self { idle: Some(min_idle), ..self }
    }

    /// Lists only entries of this consumer; none if it does not exist.
    pub fn consumer(self, consumer: impl Into<Arg<'a>>) -> Self {
        Self { consumer: Some(consumer.into()), ..self }
    }
}

/// An entry that was delivered and not acknowledged.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XPending;
///
/// // The ten oldest entries that were delivered and not acknowledged.
/// for entry in client.send(XPending::new("orders", "billing").range(.., 10)).await? {
///     let consumer = entry.consumer.escape_ascii();
///     println!("{} with {consumer}, delivered {} times", entry.id, entry.deliveries);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingEntry {
    /// The entry's id. The entry itself may have been deleted.
    pub id: EntryId,
    /// The owner. It is empty for an entry released by XNACK, and also for a consumer whose name is
    /// empty. It shares the buffer of the reply.
    pub consumer: Bytes,
    /// The time since the last delivery; `None` for an entry that XNACK released and that has not
    /// been claimed since.
    pub idle: Option<Duration>,
    /// The delivery count; [`i64::MAX`] after XNACK FATAL.
    pub deliveries: u64,
}

/// Minimum size of a consumer on the wire: `*2`, an empty name, a count of one digit.
const CONSUMER_BYTES: usize = 17;

/// Minimum size of a pending entry on the wire: `*4`, an id of three characters, an empty name, two
/// numbers.
const ENTRY_BYTES: usize = 27;

impl Command for XPending<'_> {
    const NAME: &'static str = "XPENDING";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = PendingSummary;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.group.list(out);
    }

    fn reply(frame: Frame) -> Result<PendingSummary, DecodeError> {
        let bytes = frame.into_bytes();
        let mut cursor = Cursor::at(&bytes, 0);
        at_least(4, cursor.array(SUMMARY)?, SUMMARY)?;
        let count = cursor.count("a number of pending entries")?;
        let min = cursor.string_or_null("the smallest pending id")?.map(id).transpose()?;
        let max = cursor.string_or_null("the largest pending id")?.map(id).transpose()?;
        let len = cursor.array_or_null("consumers")?.unwrap_or_default();
        let mut consumers = Vec::with_capacity(len.min(bytes.len() / CONSUMER_BYTES));
        for _ in 0..len {
            let parts = at_least(2, cursor.array(CONSUMER)?, CONSUMER)?;
            let name = bytes.slice_ref(cursor.string("a consumer's name")?);
            consumers.push((name, cursor.count("a number of pending entries")?));
            (2..parts).for_each(|_| cursor.skip());
        }
        Ok(PendingSummary { count, min, max, consumers })
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

impl Command for XPendingRange<'_> {
    const NAME: &'static str = "XPENDING";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = Vec<PendingEntry>;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.group.list(out);
        if let Some(min_idle) = self.idle {
            out.text("IDLE");
            out.number(ms(min_idle));
        }
        self.range.start_arg(out);
        self.range.end_arg(out);
        out.number(self.count);
        if let Some(consumer) = &self.consumer {
            consumer.list(out);
        }
    }

    fn needs(&self) -> Features {
        Features::NONE
            .and_if(self.idle.is_some(), Feature::PendingIdle)
            .and_if(self.range.is_exclusive(), Feature::Exclusive)
    }

    fn reply(frame: Frame) -> Result<Vec<PendingEntry>, DecodeError> {
        let bytes = frame.into_bytes();
        let mut cursor = Cursor::at(&bytes, 0);
        let len = cursor.array_or_null("pending entries")?.unwrap_or_default();
        let mut entries = Vec::with_capacity(len.min(bytes.len() / ENTRY_BYTES));
        for _ in 0..len {
            let parts = at_least(4, cursor.array(ENTRY)?, ENTRY)?;
            let id = id(cursor.string("a pending entry's id")?)?;
            let consumer = bytes.slice_ref(cursor.string("a pending entry's consumer")?);
            // XNACK clears the time of delivery; the server then sends -1.
            let idle = u64::try_from(cursor.integer("a pending entry's idle time")?).ok();
            let deliveries = counter(&mut cursor, "a pending entry's number of deliveries")?;
            (4..parts).for_each(|_| cursor.skip());
            let idle = idle.map(Duration::from_millis);
            entries.push(PendingEntry { id, consumer, idle, deliveries });
        }
        Ok(entries)
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

const SUMMARY: &str = "a summary of pending entries";
const CONSUMER: &str = "a consumer and a number";
const ENTRY: &str = "a pending entry";

#[cfg(feature = "serde")]
crate::record::serialize_fields!(PendingSummary: count, min, max, consumers);

#[cfg(feature = "serde")]
crate::record::serialize_fields!(PendingEntry: id, consumer, idle as "idle_ms", deliveries);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;
    use std::ops::Bound::{Excluded, Unbounded};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn idle_precedes_the_range_and_the_consumer_follows_it() {
        let (a, b) = (EntryId::new(1, 2), EntryId::new(3, 4));
        let all = XPending::new("s", "g").range(.., 10);
        let rows = [
            (all.clone(), "XPENDING s g - + 10"),
            (XPendingRange::new("s", "g", .., 0), "XPENDING s g - + 0"),
            (XPendingRange::new("s", "g", a..=b, 10), "XPENDING s g 1-2 3-4 10"),
            (XPendingRange::new("s", "g", (Excluded(a), Unbounded), 10), "XPENDING s g (1-2 + 10"),
            (all.clone().idle(SECOND), "XPENDING s g IDLE 1000 - + 10"),
            (all.clone().consumer("c"), "XPENDING s g - + 10 c"),
            (all.consumer("c").idle(Duration::from_nanos(1)), "XPENDING s g IDLE 1 - + 10 c"),
        ];
        for (range, expected) in rows {
            assert_eq!(encode(&range), encode(&Raw::new(expected)), "{expected}");
            assert_eq!(listed_keys(&range), ["s"]);
        }
        let summary = XPending::new("s", "g");
        assert_eq!(encode(&summary), encode(&Raw::new("XPENDING s g")));
        assert_eq!(listed_keys(&summary), ["s"]);
    }

    #[test]
    fn summary_counts_may_be_text_and_an_empty_summary_has_nulls() {
        let none = PendingSummary { count: 0, min: None, max: None, consumers: Vec::new() };
        let two = PendingSummary {
            count: 3,
            min: Some(EntryId::new(1, 1)),
            max: Some(EntryId::new(3, 1)),
            consumers: vec![("ann".into(), 2), (Bytes::new(), 1)],
        };
        let rows = [
            ("*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n", Some(none.clone())),
            ("*4\r\n:0\r\n_\r\n_\r\n_\r\n", Some(none)),
            (
                "*4\r\n:3\r\n$3\r\n1-1\r\n$3\r\n3-1\r\n\
                 *2\r\n*2\r\n$3\r\nann\r\n$1\r\n2\r\n*2\r\n$0\r\n\r\n$1\r\n1\r\n",
                Some(two.clone()),
            ),
            (
                // Counts as integers, and extra elements.
                "*5\r\n:3\r\n$3\r\n1-1\r\n$3\r\n3-1\r\n\
                 *2\r\n*3\r\n+ann\r\n:2\r\n*1\r\n:9\r\n*2\r\n$0\r\n\r\n:1\r\n:0\r\n",
                Some(two.clone()),
            ),
            (
                "*4\r\n:3\r\n$3\r\n1-1\r\n$3\r\n3-1\r\n*0\r\n",
                Some(PendingSummary { consumers: Vec::new(), ..two }),
            ),
            ("*3\r\n:0\r\n$-1\r\n$-1\r\n", None),
            ("*4\r\n:0\r\n$1\r\nx\r\n$-1\r\n*-1\r\n", None),
            ("*4\r\n:1\r\n$3\r\n1-1\r\n$3\r\n1-1\r\n*1\r\n*1\r\n$3\r\nann\r\n", None),
            ("*-1\r\n", None),
            ("_\r\n", None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XPending::reply(frame).ok(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn released_entries_have_no_idle_time() {
        let entry = |id, consumer: &'static str, idle: Option<u64>, deliveries| PendingEntry {
            id,
            consumer: consumer.into(),
            idle: idle.map(Duration::from_millis),
            deliveries,
        };
        let (a, b) = (EntryId::new(1, 1), EntryId::new(2, 1));
        let rows = [
            ("*0\r\n", Some(Vec::new())),
            ("*-1\r\n", Some(Vec::new())),
            ("_\r\n", Some(Vec::new())),
            (
                "*2\r\n*4\r\n$3\r\n1-1\r\n$3\r\nann\r\n:1500\r\n:2\r\n\
                 *4\r\n$3\r\n2-1\r\n$0\r\n\r\n:-1\r\n:3\r\n",
                Some(vec![entry(a, "ann", Some(1500), 2), entry(b, "", None, 3)]),
            ),
            (
                "*1\r\n*5\r\n+1-1\r\n$0\r\n\r\n:0\r\n:9223372036854775807\r\n*1\r\n:1\r\n",
                Some(vec![entry(a, "", Some(0), 9_223_372_036_854_775_807)]),
            ),
            (
                // Claimed after RETRYCOUNT had set the largest signed number.
                "*1\r\n*4\r\n$3\r\n1-1\r\n$3\r\nann\r\n:0\r\n:-9223372036854775808\r\n",
                Some(vec![entry(a, "ann", Some(0), 1 << 63)]),
            ),
            ("*1\r\n*3\r\n$3\r\n1-1\r\n$3\r\nann\r\n:1500\r\n", None),
            ("*1\r\n*4\r\n$3\r\n1-1\r\n$-1\r\n:1500\r\n:2\r\n", None),
            ("*1\r\n_\r\n", None),
            (":0\r\n", None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XPendingRange::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
