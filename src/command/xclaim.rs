//! XCLAIM: changes the owner of pending entries. No I/O.

use super::arg::{Arg, ms};
use super::ids::Ids;
use super::reply::{at_most, ids};
use super::{Command, Safety};
use crate::EntryId;
use crate::entry::Entries;
use crate::id::IdArg;
use crate::resp::{Args, DecodeError, Frame};
use std::time::{Duration, SystemTime};

/// Claims pending entries that have been idle for at least a given time.
///
/// `XCLAIM key group consumer min-idle id [id ...] [IDLE ms] [TIME unix-ms] [RETRYCOUNT n] [FORCE]
/// [LASTID id]` (Redis 5.0). Returns the entries that this consumer now owns. Entries that are not
/// pending, or that another consumer claimed first, are not in the reply: compare ids, do not
/// count.
///
/// Since Redis 7.0 a pending entry that was deleted from the stream is left out and is no longer
/// pending. Redis 6.2 claims it and returns null in its place, which [`Entries::nulls`] counts.
///
/// # Errors
///
/// [`Code::NoGroup`](crate::Code::NoGroup) when the stream or the group does not exist;
/// [`Code::Err`](crate::Code::Err) when there is no id.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, EntryId, Error, XClaim};
/// # use std::time::Duration;
/// # async fn f(client: &Client, stuck: &[EntryId]) -> Result<(), Error> {
/// let claim = XClaim::new("orders", "billing", "worker-2", Duration::from_secs(60), stuck);
/// for entry in &client.send(claim).await? { /* ... */ }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XClaim<'a> {
    key: Arg<'a>,
    group: Arg<'a>,
    consumer: Arg<'a>,
    min_idle: Duration,
    ids: Ids<'a>,
    delivered: Option<Delivered>,
    retry_count: Option<u64>,
    force: bool,
    last_id: Option<EntryId>,
}

/// The time of delivery to record.
#[derive(Debug, Clone, Copy)]
enum Delivered {
    Ago(Duration),
    At(SystemTime),
}

impl<'a> XClaim<'a> {
    /// Claims these entries for this consumer, which is created if it does not exist. `min_idle` is
    /// rounded up to a millisecond; zero claims entries whatever their idle time.
    pub fn new(
        key: impl Into<Arg<'a>>,
        group: impl Into<Arg<'a>>,
        consumer: impl Into<Arg<'a>>,
        min_idle: Duration,
        ids: impl Into<Ids<'a>>,
    ) -> Self {
        Self {
            key: key.into(),
            group: group.into(),
            consumer: consumer.into(),
            min_idle,
            ids: ids.into(),
            delivered: None,
            retry_count: None,
            force: false,
            last_id: None,
        }
    }

    /// Sets the idle time of the entries, rounded up to a millisecond. The default is 0, also if
    /// the time of delivery would be before 1970. Replaces [`XClaim::time`].
    pub fn idle(self, idle: Duration) -> Self {
        Self { delivered: Some(Delivered::Ago(idle)), ..self }
    }

    /// Sets the time of delivery of the entries, rounded down to a millisecond. The default is now,
    /// also if the time is in the future. A time before 1970 counts as 1970. Replaces
    /// [`XClaim::idle`].
    pub fn time(self, time: SystemTime) -> Self {
        Self { delivered: Some(Delivered::At(time)), ..self }
    }

    /// Sets the delivery count of the entries. By default it is incremented.
    pub fn retry_count(self, deliveries: u64) -> Self {
        Self { retry_count: Some(deliveries), ..self }
    }

    /// Also claims entries that are in the stream but not pending: `FORCE`.
    pub fn force(self) -> Self {
        Self { force: true, ..self }
    }

    /// Sets `LASTID`: advances the group's last delivered id to this id, and never moves it back.
    pub fn last_id(self, id: EntryId) -> Self {
        Self { last_id: Some(id), ..self }
    }

    /// Returns only ids: `JUSTID`. The delivery count of the entries is then not incremented.
    pub fn just_id(self) -> XClaimJustId<'a> {
        XClaimJustId(self)
    }

    fn list(&self, just_id: bool, out: &mut impl Args) {
        self.key.list(out);
        self.group.list(out);
        self.consumer.list(out);
        out.number(ms(self.min_idle));
        self.ids.list(out);
        match self.delivered {
            Some(Delivered::Ago(idle)) => {
                out.text("IDLE");
                out.number(ms(idle));
            }
            Some(Delivered::At(time)) => {
                out.text("TIME");
                // The server reads a signed number. A time this far in the future counts as now
                // anyway.
                out.number(EntryId::from_time(time).ms().min(i64::MAX.unsigned_abs()));
            }
            None => {}
        }
        if let Some(deliveries) = self.retry_count {
            out.text("RETRYCOUNT");
            out.number(deliveries);
        }
        if self.force {
            out.text("FORCE");
        }
        if just_id {
            out.text("JUSTID");
        }
        if let Some(id) = self.last_id {
            out.text("LASTID");
            id.arg(out);
        }
    }
}

/// An [`XClaim`] that returns only ids: `XCLAIM ... JUSTID` (Redis 5.0).
///
/// Returns the ids that this consumer now owns. Ids that were deleted from the stream are included
/// on Redis 6.2 and left out since 7.0.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{EntryId, XClaim};
/// use std::time::Duration;
///
/// // A heartbeat: the entry stays with this consumer, and its idle time starts again.
/// let claim = XClaim::new("orders", "billing", "worker-1", Duration::ZERO, EntryId::new(7, 0));
/// println!("{:?} are still ours", client.send(claim.just_id()).await?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XClaimJustId<'a>(XClaim<'a>);

impl Command for XClaim<'_> {
    const NAME: &'static str = "XCLAIM";
    const SAFETY: Safety = Safety::Write;
    type Reply = Entries;

    fn args(&self, out: &mut impl Args) {
        self.list(false, out);
    }

    fn reply(frame: Frame) -> Result<Entries, DecodeError> {
        Entries::decode(frame)
    }

    fn reply_to(&self, frame: Frame) -> Result<Entries, DecodeError> {
        let entries = Self::reply(frame)?;
        let count = entries.len() + entries.nulls();
        at_most(self.ids.len(), count as u64, "entries of the ids given").map(|_| entries)
    }

    fn keys(&self, out: &mut impl Args) {
        self.key.list(out);
    }
}

impl Command for XClaimJustId<'_> {
    const NAME: &'static str = "XCLAIM";
    const SAFETY: Safety = Safety::Write;
    type Reply = Vec<EntryId>;

    fn args(&self, out: &mut impl Args) {
        self.0.list(true, out);
    }

    fn reply(frame: Frame) -> Result<Vec<EntryId>, DecodeError> {
        ids(&mut frame.cursor())
    }

    fn reply_to(&self, frame: Frame) -> Result<Vec<EntryId>, DecodeError> {
        let ids = Self::reply(frame)?;
        at_most(self.0.ids.len(), ids.len() as u64, "ids of those given").map(|_| ids)
    }

    fn keys(&self, out: &mut impl Args) {
        self.0.key.list(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn replies_with_more_entries_than_ids_are_refused() {
        let claim = || XClaim::new("s", "g", "c", Duration::ZERO, EntryId::new(1, 1));
        let entry = "*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nk\r\n$1\r\nv\r\n";
        let rows = [(0, true), (1, true), (2, false)];
        for (count, taken) in rows {
            let entries = format!("*{count}\r\n{}", entry.repeat(count));
            let frame = Frame::parse(entries, Limits::default()).unwrap();
            assert_eq!(claim().reply_to(frame).is_ok(), taken, "{count}");
            let ids = format!("*{count}\r\n{}", "$3\r\n1-1\r\n".repeat(count));
            let frame = Frame::parse(ids, Limits::default()).unwrap();
            assert_eq!(claim().just_id().reply_to(frame).is_ok(), taken, "{count}");
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn xclaim_options_follow_the_ids() {
        let (id, ids) = (EntryId::new(1, 2), [EntryId::new(1, 2), EntryId::new(3, 4)]);
        let claim = XClaim::new("s", "g", "c", SECOND, id);
        let at = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        let rows = [
            (claim.clone(), "XCLAIM s g c 1000 1-2", ""),
            (XClaim::new("s", "g", "c", Duration::ZERO, &ids), "XCLAIM s g c 0 1-2 3-4", ""),
            (claim.clone().idle(SECOND), "XCLAIM s g c 1000 1-2 IDLE 1000", ""),
            (claim.clone().time(at(1500)), "XCLAIM s g c 1000 1-2 TIME 1500", ""),
            (claim.clone().time(at(1)).idle(SECOND), "XCLAIM s g c 1000 1-2 IDLE 1000", ""),
            (claim.clone().idle(SECOND).time(at(1)), "XCLAIM s g c 1000 1-2 TIME 1", ""),
            (
                claim.clone().time(SystemTime::UNIX_EPOCH - SECOND),
                "XCLAIM s g c 1000 1-2 TIME 0",
                "",
            ),
            (claim.clone().retry_count(0), "XCLAIM s g c 1000 1-2 RETRYCOUNT 0", ""),
            (claim.clone().force(), "XCLAIM s g c 1000 1-2 FORCE", ""),
            (claim.clone().last_id(id), "XCLAIM s g c 1000 1-2", " LASTID 1-2"),
            (
                claim.last_id(id).force().retry_count(7).idle(Duration::MAX),
                "XCLAIM s g c 1000 1-2 IDLE 9223372036854775807 RETRYCOUNT 7 FORCE",
                " LASTID 1-2",
            ),
        ];
        for (claim, head, tail) in rows {
            let plain = format!("{head}{tail}");
            assert_eq!(encode(&claim), encode(&Raw::new(&plain)), "{plain}");
            assert_eq!(listed_keys(&claim), ["s"]);
            let (just_id, plain) = (claim.just_id(), format!("{head} JUSTID{tail}"));
            assert_eq!(encode(&just_id), encode(&Raw::new(&plain)), "{plain}");
            assert_eq!(listed_keys(&just_id), ["s"]);
        }
    }

    #[test]
    fn nulls_in_place_of_entries_are_counted() {
        let rows = [
            ("*0\r\n", Some((0, 0))),
            ("*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n", Some((1, 0))),
            ("*3\r\n$-1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n*-1\r\n", Some((1, 2))),
            ("*2\r\n_\r\n_\r\n", Some((0, 2))),
            ("*1\r\n$3\r\n1-1\r\n", None),
            ("+OK\r\n", None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            let claimed = XClaim::reply(frame).ok().map(|entries| (entries.len(), entries.nulls()));
            assert_eq!(claimed, expected, "{bytes:?}");
        }
    }

    #[test]
    fn just_id_replies_accept_only_ids() {
        let rows = [
            ("*0\r\n", Some(vec![])),
            ("*-1\r\n", Some(vec![])),
            ("*2\r\n$3\r\n1-1\r\n+2-0\r\n", Some(vec![EntryId::new(1, 1), EntryId::new(2, 0)])),
            ("*1\r\n$-1\r\n", None),
            ("*1\r\n$1\r\nx\r\n", None),
            ("*1\r\n*2\r\n$3\r\n1-1\r\n*0\r\n", None),
            (":1\r\n", None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(XClaimJustId::reply(frame).ok(), expected, "{bytes:?}");
        }
    }
}
