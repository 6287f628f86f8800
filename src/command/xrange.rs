//! XRANGE and XREVRANGE: read entries between two ids, from either end. No I/O.

use super::arg::Arg;
use super::{Command, Safety};
use crate::EntryId;
use crate::entry::Entries;
use crate::id::IdRange;
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};
use std::ops::RangeBounds;

/// Reads the entries of a range, oldest first.
///
/// `XRANGE key start end [COUNT n]` (Redis 5.0; an excluded end 6.2). The range is any Rust range
/// over [`EntryId`]; `..` is the whole stream. The reply is empty if the stream does not exist or
/// the range has no entries.
///
/// # Errors
///
/// [`Code::WrongType`](crate::Code::WrongType) when the key is not a stream;
/// [`Code::Err`](crate::Code::Err) when the range excludes [`EntryId::MIN`] as its upper end or
/// [`EntryId::MAX`] as its lower one.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, EntryId, Error, XRange};
/// # use std::ops::Bound;
/// # async fn f(client: &Client, seen: EntryId) -> Result<(), Error> {
/// let page = client.send(XRange::new("orders", ..).count(100)).await?;
/// let range = (Bound::Excluded(seen), Bound::Unbounded);
/// let next_page = client.send(XRange::new("orders", range).count(100)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XRange<'a> {
    key: Arg<'a>,
    range: IdRange,
    count: Option<u64>,
}

impl<'a> XRange<'a> {
    /// Reads the entries of this range.
    pub fn new(key: impl Into<Arg<'a>>, range: impl RangeBounds<EntryId>) -> Self {
        Self { key: key.into(), range: IdRange::from_bounds(range), count: None }
    }

    /// Sets `COUNT`, the maximum number of entries; 0 returns none. The default is no limit.
    pub fn count(self, entries: u64) -> Self {
        Self { count: Some(entries), ..self }
    }
}

/// Reads the entries of a range, newest first.
///
/// `XREVRANGE key end start [COUNT n]` (Redis 5.0; an excluded end 6.2). The range is given from
/// its lower to its upper end, as for [`XRange`]. The reply is empty if the stream does not exist
/// or the range has no entries.
///
/// # Errors
///
/// The same as for [`XRange`].
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, XRevRange};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let newest = client.send(XRevRange::new("orders", ..).count(10)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XRevRange<'a> {
    key: Arg<'a>,
    range: IdRange,
    count: Option<u64>,
}

impl<'a> XRevRange<'a> {
    /// Reads the entries of this range, from its upper end down.
    pub fn new(key: impl Into<Arg<'a>>, range: impl RangeBounds<EntryId>) -> Self {
        Self { key: key.into(), range: IdRange::from_bounds(range), count: None }
    }

    /// Sets `COUNT`, the maximum number of entries; 0 returns none. The default is no limit.
    pub fn count(self, entries: u64) -> Self {
        Self { count: Some(entries), ..self }
    }
}

fn list_count(count: Option<u64>, out: &mut impl Args) {
    if let Some(entries) = count {
        out.text("COUNT");
        out.number(entries);
    }
}

impl Command for XRange<'_> {
    const NAME: &'static str = "XRANGE";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = Entries;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.range.start_arg(out);
        self.range.end_arg(out);
        list_count(self.count, out);
    }

    fn needs(&self) -> Features {
        Features::NONE.and_if(self.range.is_exclusive(), Feature::Exclusive)
    }

    fn reply(frame: Frame) -> Result<Entries, DecodeError> {
        Entries::decode(frame)
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

impl Command for XRevRange<'_> {
    const NAME: &'static str = "XREVRANGE";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = Entries;

    fn args(&self, out: &mut impl Args) {
        self.key.list(out);
        self.range.end_arg(out);
        self.range.start_arg(out);
        list_count(self.count, out);
    }

    fn needs(&self) -> Features {
        Features::NONE.and_if(self.range.is_exclusive(), Feature::Exclusive)
    }

    fn reply(frame: Frame) -> Result<Entries, DecodeError> {
        Entries::decode(frame)
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;
    use std::ops::Bound::{Excluded, Included, Unbounded};

    #[test]
    fn xrange_lists_its_lower_end_first_and_xrevrange_its_upper_one() {
        let (a, b) = (EntryId::new(1, 2), EntryId::new(3, 4));
        let rows = [
            ((Unbounded, Unbounded), "-", "+"),
            ((Included(a), Unbounded), "1-2", "+"),
            ((Unbounded, Included(b)), "-", "3-4"),
            ((Included(a), Included(b)), "1-2", "3-4"),
            ((Included(a), Excluded(b)), "1-2", "(3-4"),
            ((Excluded(a), Unbounded), "(1-2", "+"),
        ];
        for (range, low, high) in rows {
            let up = Raw::new("XRANGE").args(["s", low, high]);
            let down = Raw::new("XREVRANGE").args(["s", high, low]);
            assert_eq!(encode(&XRange::new("s", range)), encode(&up), "{range:?}");
            assert_eq!(encode(&XRevRange::new("s", range)), encode(&down), "{range:?}");
            let (up, down) = (up.args(["COUNT", "5"]), down.args(["COUNT", "5"]));
            assert_eq!(encode(&XRange::new("s", range).count(5)), encode(&up), "{range:?}");
            assert_eq!(encode(&XRevRange::new("s", range).count(5)), encode(&down), "{range:?}");
        }
    }

    #[test]
    fn rust_ranges_and_their_bounds_encode_alike() {
        let (a, b) = (EntryId::new(1, 2), EntryId::new(3, 4));
        let rows = [
            (XRange::new("s", ..), "XRANGE s - +"),
            (XRange::new("s", a..), "XRANGE s 1-2 +"),
            (XRange::new("s", a..b), "XRANGE s 1-2 (3-4"),
            (XRange::new("s", a..=b), "XRANGE s 1-2 3-4"),
            (XRange::new("s", ..b).count(0), "XRANGE s - (3-4 COUNT 0"),
        ];
        for (range, expected) in rows {
            assert_eq!(encode(&range), encode(&Raw::new(expected)), "{expected}");
        }
    }

    #[test]
    fn null_decodes_as_no_entries_and_other_types_are_refused() {
        let two = "*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n\
                   *2\r\n+2-1\r\n*2\r\n$0\r\n\r\n$0\r\n\r\n";
        let rows = [
            (two, Some(2)),
            ("*0\r\n", Some(0)),
            ("*-1\r\n", Some(0)),
            ("_\r\n", Some(0)),
            (":1\r\n", None),
            ("*1\r\n*1\r\n$3\r\n1-1\r\n", None),
            ("*1\r\n*2\r\n$1\r\nx\r\n*0\r\n", None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            let len = XRange::reply(frame.clone()).ok().map(|entries| entries.len());
            assert_eq!(len, expected, "{bytes:?}");
            assert_eq!(XRevRange::reply(frame).ok().map(|entries| entries.len()), len, "{bytes:?}");
        }
    }
}
