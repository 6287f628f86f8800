//! XAUTOCLAIM: claims entries that have been pending for too long, page by page. No I/O.

use super::arg::{Arg, ms};
use super::reply::{at_least, id, ids};
use super::{Command, Safety};
use crate::EntryId;
use crate::entry::Entries;
use crate::id::IdRange;
use crate::resp::{Args, Cursor, DecodeError, Frame};
use crate::server::{Feature, Features};
use std::ops::Bound;
use std::time::Duration;

/// Claims pending entries that have been idle for at least a given time, one page per call.
///
/// `XAUTOCLAIM key group consumer min-idle start [COUNT n]` (Redis 6.2). Start at [`EntryId::MIN`]
/// and continue with the [cursor](AutoClaimed::cursor) of the reply until it is `None`. One call
/// scans at most ten times COUNT pending entries, so a reply can have a cursor but no entries.
///
/// # Errors
///
/// [`Code::NoGroup`](crate::Code::NoGroup) when the stream or the group does not exist.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, EntryId, Error, XAutoClaim};
/// # use std::time::Duration;
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let mut next = Some(EntryId::MIN);
/// while let Some(start) = next {
///     let minute = Duration::from_secs(60);
///     let claim = XAutoClaim::new("orders", "billing", "worker-2", minute, start);
///     let page = client.send(claim).await?;
///     for entry in &page.entries { /* ... */ }
///     next = page.cursor;
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XAutoClaim<'a> {
    key: Arg<'a>,
    group: Arg<'a>,
    consumer: Arg<'a>,
    min_idle: Duration,
    start: Bound<EntryId>,
    count: Option<u64>,
}

impl<'a> XAutoClaim<'a> {
    /// Claims entries for this consumer, starting at this id. The consumer is created if it does
    /// not exist. `min_idle` is rounded up to a millisecond; zero claims entries whatever their
    /// idle time.
    pub fn new(
        key: impl Into<Arg<'a>>,
        group: impl Into<Arg<'a>>,
        consumer: impl Into<Arg<'a>>,
        min_idle: Duration,
        start: EntryId,
    ) -> Self {
        Self {
            key: key.into(),
            group: group.into(),
            consumer: consumer.into(),
            min_idle,
            start: Bound::Included(start),
            count: None,
        }
    }

    /// Starts above the id instead of at it: `(start`. Do not use it with a cursor, which is the
    /// first entry not yet scanned.
    ///
    /// With [`EntryId::MAX`] it is refused with [`Code::Err`](crate::Code::Err).
    pub fn exclusive(self) -> Self {
        let (Bound::Included(start) | Bound::Excluded(start)) = self.start else { return self };
        Self { start: Bound::Excluded(start), ..self }
    }

    /// Sets `COUNT`, the maximum number of entries in one call; 100 by default.
    ///
    /// The server allocates memory for that number. It refuses 0 and more than [`i64::MAX`] / 16,
    /// with [`Code::Err`](crate::Code::Err).
    pub fn count(self, entries: u64) -> Self {
        Self { count: Some(entries), ..self }
    }

    /// Returns only ids: `JUSTID`. The delivery count of the entries is then not incremented.
    pub fn just_id(self) -> XAutoClaimJustId<'a> {
        XAutoClaimJustId(self)
    }

    fn list(&self, out: &mut impl Args) {
        self.key.list(out);
        self.group.list(out);
        self.consumer.list(out);
        out.number(ms(self.min_idle));
        IdRange::from_bounds((self.start, Bound::Unbounded)).start_arg(out);
        if let Some(entries) = self.count {
            out.text("COUNT");
            out.number(entries);
        }
    }
}

/// An [`XAutoClaim`] that returns only ids: `XAUTOCLAIM ... JUSTID` (Redis 6.2).
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{EntryId, XAutoClaim};
/// use std::time::Duration;
///
/// let idle = Duration::from_secs(60);
/// let claim = XAutoClaim::new("orders", "billing", "worker-1", idle, EntryId::MIN).just_id();
/// println!("{:?}", client.send(claim).await?.entries);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XAutoClaimJustId<'a>(XAutoClaim<'a>);

/// One page of claimed entries: [`Entries`], or ids after [`XAutoClaim::just_id`].
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{EntryId, XAutoClaim};
/// use std::time::Duration;
///
/// let mut from = EntryId::MIN;
/// loop {
///     let idle = Duration::from_secs(60);
///     let page = client.send(XAutoClaim::new("orders", "billing", "worker-1", idle, from)).await?;
///     println!("claimed {}", page.entries.len());
///     match page.cursor {
///         Some(cursor) => from = cursor,
///         None => break,
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AutoClaimed<E = Entries> {
    /// The id to continue at; `None` when all pending entries have been scanned.
    pub cursor: Option<EntryId>,
    /// The entries that this consumer now owns. Redis 6.2 also claims entries that were deleted
    /// from the stream: as a null, which [`Entries::nulls`] counts, or as their id.
    pub entries: E,
    /// The ids that were pending and no longer exist in the stream (Redis 7.0). They are no longer
    /// pending, whatever their idle time was. `None` on Redis 6.2, which does not report them.
    pub deleted: Option<Vec<EntryId>>,
}

impl Command for XAutoClaim<'_> {
    const NAME: &'static str = "XAUTOCLAIM";
    const SAFETY: Safety = Safety::Write;
    type Reply = AutoClaimed;

    fn args(&self, out: &mut impl Args) {
        self.list(out);
    }

    fn needs(&self) -> Features {
        Feature::XAutoClaim.into()
    }

    fn reply(frame: Frame) -> Result<AutoClaimed, DecodeError> {
        let bytes = frame.into_bytes();
        page(Cursor::at(&bytes, 0), |cursor| Entries::decode_at(&bytes, cursor))
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

impl Command for XAutoClaimJustId<'_> {
    const NAME: &'static str = "XAUTOCLAIM";
    const SAFETY: Safety = Safety::Write;
    type Reply = AutoClaimed<Vec<EntryId>>;

    fn args(&self, out: &mut impl Args) {
        self.0.list(out);
        out.text("JUSTID");
    }

    fn needs(&self) -> Features {
        Feature::XAutoClaim.into()
    }

    fn reply(frame: Frame) -> Result<AutoClaimed<Vec<EntryId>>, DecodeError> {
        page(frame.cursor(), ids)
    }

    fn keys(&self, out: &mut impl Args) {
        self.0.key.list(out);
    }
}

/// Decodes the cursor, the claimed entries and, since Redis 7.0, the deleted ids. Further elements
/// of later servers are ignored.
fn page<'a, E>(
    mut cursor: Cursor<'a>,
    claimed: impl FnOnce(&mut Cursor<'a>) -> Result<E, DecodeError>,
) -> Result<AutoClaimed<E>, DecodeError> {
    const PAGE: &str = "a page of claimed entries";
    let parts = at_least(2, cursor.array(PAGE)?, PAGE)?;
    let next = id(cursor.string("where to go on claiming")?)?;
    let entries = claimed(&mut cursor)?;
    let deleted = if parts > 2 { Some(ids(&mut cursor)?) } else { None };
    Ok(AutoClaimed { cursor: Some(next).filter(|id| *id != EntryId::MIN), entries, deleted })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn count_and_justid_follow_the_start() {
        let new = |start| XAutoClaim::new("s", "g", "c", Duration::from_secs(1), start);
        let (min, ten) = (new(EntryId::MIN), 10);
        let rows = [
            (min.clone(), "XAUTOCLAIM s g c 1000 0-0"),
            (new(EntryId::new(1, 2)), "XAUTOCLAIM s g c 1000 1-2"),
            (new(EntryId::new(1, 2)).exclusive(), "XAUTOCLAIM s g c 1000 (1-2"),
            (min.clone().exclusive().exclusive(), "XAUTOCLAIM s g c 1000 (0-0"),
            (min.clone().count(ten), "XAUTOCLAIM s g c 1000 0-0 COUNT 10"),
            (min.count(ten).exclusive(), "XAUTOCLAIM s g c 1000 (0-0 COUNT 10"),
        ];
        for (claim, plain) in rows {
            assert_eq!(encode(&claim), encode(&Raw::new(plain)), "{plain}");
            assert_eq!(listed_keys(&claim), ["s"]);
            let (just_id, plain) = (claim.just_id(), format!("{plain} JUSTID"));
            assert_eq!(encode(&just_id), encode(&Raw::new(&plain)), "{plain}");
            assert_eq!(listed_keys(&just_id), ["s"]);
        }
    }

    #[test]
    fn last_page_has_no_cursor_and_redis_6_2_reports_no_deleted_ids() {
        let (a, b) = (EntryId::new(1, 1), EntryId::new(2, 1));
        const ENTRY: &str = "*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n";
        let rows = [
            (
                format!("*3\r\n$3\r\n2-1\r\n*1\r\n{ENTRY}*0\r\n"),
                Some((Some(b), 1, 0, Some(vec![]))),
            ),
            (
                format!("*3\r\n$3\r\n0-0\r\n*1\r\n{ENTRY}*1\r\n$3\r\n2-1\r\n"),
                Some((None, 1, 0, Some(vec![b]))),
            ),
            ("*3\r\n$3\r\n1-1\r\n*0\r\n*0\r\n".into(), Some((Some(a), 0, 0, Some(vec![])))),
            // Redis 6.2
            (format!("*2\r\n$3\r\n0-0\r\n*2\r\n{ENTRY}*-1\r\n"), Some((None, 1, 1, None))),
            (format!("*2\r\n$3\r\n2-1\r\n*2\r\n_\r\n{ENTRY}"), Some((Some(b), 1, 1, None))),
            // A future server
            (
                format!(
                    "*4\r\n$3\r\n0-0\r\n*1\r\n{ENTRY}*1\r\n$3\r\n2-1\r\n%1\r\n+k\r\n*1\r\n:1\r\n"
                ),
                Some((None, 1, 0, Some(vec![b]))),
            ),
            ("*1\r\n$3\r\n0-0\r\n".into(), None),
            ("*2\r\n$-1\r\n*0\r\n".into(), None),
            ("*2\r\n$3\r\n0-0\r\n:1\r\n".into(), None),
            (format!("*3\r\n$3\r\n0-0\r\n*0\r\n*1\r\n{ENTRY}"), None),
            ("*-1\r\n".into(), None),
            ("_\r\n".into(), None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes.clone(), Limits::default()).unwrap();
            let page = XAutoClaim::reply(frame).ok();
            let page = page.map(|p| (p.cursor, p.entries.len(), p.entries.nulls(), p.deleted));
            assert_eq!(page, expected, "{bytes:?}");
        }
    }

    #[test]
    fn just_id_replies_decode_as_a_page() {
        let (a, b) = (EntryId::new(1, 1), EntryId::new(2, 1));
        let page = |cursor, entries, deleted| Some(AutoClaimed { cursor, entries, deleted });
        let rows = [
            ("*3\r\n$3\r\n2-1\r\n*1\r\n$3\r\n1-1\r\n*0\r\n", page(Some(b), vec![a], Some(vec![]))),
            ("*3\r\n+0-0\r\n*0\r\n*1\r\n+1-1\r\n", page(None, vec![], Some(vec![a]))),
            ("*2\r\n$3\r\n0-0\r\n*2\r\n$3\r\n1-1\r\n$3\r\n2-1\r\n", page(None, vec![a, b], None)),
            ("*2\r\n$3\r\n0-0\r\n*1\r\n$-1\r\n", None),
            ("*2\r\n$3\r\n0-0\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*0\r\n", None),
            ("*0\r\n", None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XAutoClaimJustId::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
