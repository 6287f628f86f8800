//! XAUTOCLAIM: hands over what has been pending for too long, page by page. Pure.

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

/// Hands pending entries that have been idle for long enough over to this consumer, a page of them.
///
/// `XAUTOCLAIM key group consumer min-idle start [COUNT n]` (Redis 6.2). Begin with [`EntryId::MIN`], and go on with
/// the [cursor](AutoClaimed::cursor) of the reply until there is none. The server looks at ten times COUNT pending
/// entries in one call, so a reply without entries but with a cursor is not the end.
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
    /// Claims for this consumer, which is made if there is none, from this id on. The time is rounded up to a
    /// millisecond; zero takes an entry however lately it was delivered.
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

    /// `(start`: begins above the id, not at it. Not for a cursor, which names the first entry not looked at.
    ///
    /// Above [`EntryId::MAX`] there is nothing, which is [`Code::Err`](crate::Code::Err).
    pub fn exclusive(self) -> Self {
        let (Bound::Included(start) | Bound::Excluded(start)) = self.start else { return self };
        Self { start: Bound::Excluded(start), ..self }
    }

    /// `COUNT`: at most this many entries in one call; 100 by default.
    ///
    /// The server reserves memory for them: it refuses 0, and more than [`i64::MAX`] / 16, with
    /// [`Code::Err`](crate::Code::Err).
    pub fn count(self, entries: u64) -> Self {
        Self { count: Some(entries), ..self }
    }

    /// `JUSTID`: answers with ids alone. The entries then do not count as delivered once more.
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

/// [`XAutoClaim`] that answers with ids: `XAUTOCLAIM ... JUSTID` (Redis 6.2).
#[derive(Debug, Clone)]
#[must_use]
pub struct XAutoClaimJustId<'a>(XAutoClaim<'a>);

/// A page of what was claimed: [`Entries`], or ids after [`XAutoClaim::just_id`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AutoClaimed<E = Entries> {
    /// Where to go on; `None` when all that is pending has been looked at.
    pub cursor: Option<EntryId>,
    /// What is now this consumer's. On Redis 6.2 entries that are no longer in the stream are claimed as well: as a
    /// null, which [`Entries::nulls`] counts, or as their id.
    pub entries: E,
    /// The ids that were pending and are no longer in the stream: they are not pending any more, however short a time
    /// they were idle (Redis 7.0). `None` on Redis 6.2, which does not say.
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

    fn key(&self) -> Option<&[u8]> {
        self.key.as_bytes()
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

    fn key(&self) -> Option<&[u8]> {
        self.0.key.as_bytes()
    }
}

/// Where to go on, what was claimed and, since Redis 7.0, what was found deleted. What a later server adds is left
/// alone.
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
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn options_follow_the_start() {
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
            assert_eq!(claim.key(), Some(&b"s"[..]));
            let (just_id, plain) = (claim.just_id(), format!("{plain} JUSTID"));
            assert_eq!(encode(&just_id), encode(&Raw::new(&plain)), "{plain}");
            assert_eq!(just_id.key(), Some(&b"s"[..]));
        }
    }

    #[test]
    fn the_end_has_no_cursor_and_only_later_servers_say_what_was_deleted() {
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
            // A server to come
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
    fn just_ids_come_as_the_same_page() {
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
