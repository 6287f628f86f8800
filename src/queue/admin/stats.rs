//! Counts and ages of a queue, as the server reports them. An operation.

use crate::command::{
    GroupInfo, StreamInfo, XInfoConsumers, XInfoGroups, XInfoStream, XLen, XPending, XRange,
};
use crate::entry::Entry;
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::admin::letter_count;
use crate::queue::error::QueueError;
use crate::queue::operation::claim::reply_limit;
use crate::queue::operation::{clock, delay};
use crate::queue::policy::delay::is_reserved;
use crate::queue::policy::retention_kind::RetentionKind;
use crate::queue::policy::unread;
use crate::queue::settings::Retention;
use crate::queue::shared::{Queue, Shared};
use bytes::Bytes;
use std::ops::Bound;
use std::time::{Duration, SystemTime};

/// Statistics of a queue, as the server reports them.
///
/// ```no_run
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// let stats = queue.stats().await?;
/// println!("{:?} ready, {} in flight, {} dead", stats.ready, stats.in_flight, stats.dead);
/// println!("the oldest waits since {:?}", stats.oldest_ready_age());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// Jobs that were not delivered yet; `None` if the server does not know.
    ///
    /// It is the server's lag (Redis 7.0). The server does not know it after some deletions, and for
    /// a group that was created in the middle of the stream. With [`Retention::DeleteOnAck`] it is
    /// then the stream's length minus the pending entries, unless the stream begins with entries
    /// that are never delivered: left by a crash, acknowledged by another client, or older than the
    /// group.
    ///
    /// Before Redis 8.0 the lag contains entries that were trimmed or deleted unread. So it is not
    /// used with a lossy retention. With the others, entries that another client has deleted unread
    /// may be counted. Before Redis 7.0, entries are counted that are never delivered and behind a
    /// pending one.
    pub ready: Option<u64>,
    /// Entries that were acknowledged and are still in the stream: those that the group has read,
    /// and that are not pending. With [`Retention::DeleteOnAck`] another client has acknowledged them
    /// without deleting them, or has deleted a consumer with pending entries; they are not delivered
    /// again. `None` if [`QueueStats::ready`] is.
    pub acknowledged: Option<u64>,
    /// Jobs that are pending for consumers, including abandoned consumers, and jobs that wait with
    /// them for a retry in less than 2 s.
    pub in_flight: u64,
    /// Jobs that wait for another attempt in 2 s or later, or were given back and are ready for one.
    pub waiting_retry: u64,
    /// Dead letters of this queue: see [`DeadLetters::count`](crate::queue::DeadLetters::count).
    pub dead: u64,
    /// Entries in the stream.
    pub length: u64,
    /// The oldest job that was not delivered yet; `None` if there is none, or if it is larger than
    /// [`Config::reply_bytes`](crate::Config::reply_bytes).
    pub oldest_ready: Option<EntryId>,
    /// The oldest job that is in flight or waits for a retry; `None` if there is none.
    pub oldest_pending: Option<EntryId>,
    /// The oldest dead letter; `None` if there is none.
    pub oldest_dead: Option<EntryId>,
    /// Entries that were trimmed or deleted before they were delivered, directly after the group's
    /// position (Redis 7.0). They are lost, unless they were deleted on purpose. `None` if the
    /// server does not know. They are no longer counted once the group has read further.
    pub skipped: Option<u64>,
    /// Entries that were not delivered to the group yet, as the server counts (Redis 7.0). `None`
    /// if it does not know.
    pub lag: Option<u64>,
    /// All consumers of the group that were not removed. Names of the queue itself are not included.
    pub consumers: Vec<ConsumerStats>,
    /// The server's time of day. Where TIME is not allowed, the latest time that is known from the
    /// ids that the server has assigned; `None` if there is none.
    pub server_time: Option<SystemTime>,
}

/// A consumer of a queue's group.
///
/// ```no_run
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// let stats = queue.stats().await?;
/// for consumer in stats.consumers.iter().filter(|consumer| consumer.pending > 0) {
///     println!("{} has {} jobs", consumer.name.escape_ascii(), consumer.pending);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerStats {
    /// Its name.
    pub name: Bytes,
    /// Jobs that are pending for it.
    pub pending: u64,
    /// The time since its last activity. Before Redis 7.2 a read without a result does not count.
    pub idle: Duration,
}

impl QueueStats {
    /// Returns how long the oldest undelivered job has been waiting, by the server's clock.
    #[must_use]
    pub fn oldest_ready_age(&self) -> Option<Duration> {
        self.age(self.oldest_ready?)
    }

    /// Returns the age of the oldest job that is in flight or waits for a retry, by the server's
    /// clock.
    #[must_use]
    pub fn oldest_pending_age(&self) -> Option<Duration> {
        self.age(self.oldest_pending?)
    }

    fn age(&self, id: EntryId) -> Option<Duration> {
        Some(self.server_time?.duration_since(id.time()?).unwrap_or_default())
    }
}

impl<T: 'static> Queue<T> {
    /// Returns the queue's statistics, as the server reports them. Most of its commands run in one
    /// transaction.
    ///
    /// # Cancel safety
    ///
    /// Read-only.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`]; with [`Code::NoGroup`](crate::Code::NoGroup) or
    /// [`Code::Err`](crate::Code::Err) if the stream or the group does not exist.
    pub async fn stats(&self) -> Result<QueueStats, QueueError> {
        stats(self.shared()).await
    }
}

/// Reads the statistics from the server.
pub(crate) async fn stats(shared: &Shared) -> Result<QueueStats, QueueError> {
    let settings = &shared.settings;
    let (stream, group) = (&*settings.stream, &*settings.group);
    // One transaction, so that the values are consistent.
    let now = (
        XLen::new(stream),
        XPending::new(stream, group),
        XInfoGroups::new(stream),
        XInfoConsumers::new(stream, group),
        XInfoStream::new(stream),
    );
    let (length, pending, groups, consumers, info) = match shared.client.transact(now).await {
        Ok((length, pending, groups, consumers, info)) => {
            (length?, pending?, groups?, consumers?, Some(info?))
        }
        // Its first and last entry are too large.
        Err(error) if reply_limit(&error).is_some() => {
            let now = (
                XLen::new(stream),
                XPending::new(stream, group),
                XInfoGroups::new(stream),
                XInfoConsumers::new(stream, group),
            );
            let (length, pending, groups, consumers) = shared.client.transact(now).await?;
            (length?, pending?, groups?, consumers?, None)
        }
        Err(error) => return Err(error.into()),
    };
    let own = groups.into_iter().find(|info| info.name == group);
    // Before Redis 8.0, what was lost before the group's position is in the server's counts too.
    let is_place = shared.capabilities().place;
    let counted = consumers.iter().filter_map(|info| Some(unread::counted(&info.name)?.to)).max();
    let counted = counted.filter(|_| !is_place).unwrap_or_default();
    let skipped = own.as_ref().and_then(|own| skipped(own, info.as_ref()?, counted));
    let last = own.as_ref().map(|info| info.last_delivered_id).unwrap_or_default();
    let first = info.as_ref().and_then(|info| info.first_entry.as_ref());
    let is_all_unread = first.is_some_and(|first| first.id() > last);
    // An entry that the group has passed and that is not pending is never delivered.
    let has_rest = first.is_some_and(|first| {
        first.id() <= last && pending.min.is_none_or(|pending| first.id() < pending)
    });
    let lag = own.and_then(|info| u64::try_from(info.lag?).ok());

    clock::id_seen(shared, last);
    clock::ask(shared).await?;
    let after = (Bound::Excluded(last), Bound::Unbounded);
    // `None` if it is not known.
    let oldest_ready =
        if last == EntryId::MAX { Some(None) } else { oldest(shared, stream, after).await? };
    let letters = letter_count::count(shared).await?;
    let waits = |name: &[u8]| is_reserved(name);
    let waiting: u64 =
        consumers.iter().filter(|info| waits(&info.name)).map(|info| info.pending).sum();
    // Entries given back by XNACK have no owner.
    let owned: u64 = pending.consumers.iter().map(|(_, count)| count).sum();
    let given_back = waiting + pending.count.saturating_sub(owned);
    let waiting_retry = given_back + delay::waiting(shared).await?;
    let ready = match oldest_ready {
        Some(None) => Some(0),
        // Nothing that the group has read is left.
        _ if is_all_unread => Some(length),
        // Before Redis 8.0 the lag contains what was trimmed unread, indefinitely.
        _ if settings.retention.is_lossy() && !is_place => None,
        _ => ready(settings.retention, (length, pending.count), has_rest, lag),
    };
    Ok(QueueStats {
        ready,
        acknowledged: ready.map(|ready| length.saturating_sub(pending.count).saturating_sub(ready)),
        in_flight: pending.count.saturating_sub(given_back),
        waiting_retry,
        dead: letters.own,
        length,
        oldest_ready: oldest_ready.flatten(),
        oldest_pending: pending.min,
        oldest_dead: letters.oldest,
        skipped,
        lag,
        consumers: consumers
            .into_iter()
            .filter(|info| !waits(&info.name))
            .filter(|info| RetentionKind::of_marker(&info.name).is_none())
            .filter(|info| unread::counted(&info.name).is_none())
            .map(|info| ConsumerStats { name: info.name, pending: info.pending, idle: info.idle })
            .collect(),
        server_time: clock::at_server(shared),
    })
}

/// Returns how many entries were not delivered yet, where some of the stream were.
fn ready(
    retention: Retention,
    (length, pending): (u64, u64),
    has_rest: bool,
    lag: Option<u64>,
) -> Option<u64> {
    if retention != Retention::DeleteOnAck {
        return lag.filter(|lag| *lag <= length);
    }
    let left = length.saturating_sub(pending);
    let known = lag.filter(|lag| *lag <= left);
    if has_rest { known } else { known.or(Some(left)) }
}

/// Returns the id of the first entry in this range, if there is one; `None` if it is not known,
/// because the entry is larger than a reply may be.
async fn oldest(
    shared: &Shared,
    key: &[u8],
    range: (Bound<EntryId>, Bound<EntryId>),
) -> Result<Option<Option<EntryId>>, Error> {
    match shared.client.send(XRange::new(key, range).count(1)).await {
        Ok(found) => Ok(Some(found.first().map(|entry| entry.id()))),
        Err(error) if reply_limit(&error).is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns how many entries directly after the group's position were deleted before delivery, where
/// `counted` entries before it were.
fn skipped(group: &GroupInfo, stream: &StreamInfo, counted: u64) -> Option<u64> {
    group.entries_read?;
    let first = stream.first_entry.as_ref().map(Entry::id);
    if first.is_some_and(|first| first <= group.last_delivered_id) {
        return Some(0);
    }
    Some(unread::missing(group, stream)?.saturating_sub(counted))
}

#[cfg(feature = "serde")]
crate::record::serialize_fields!(QueueStats: ready, acknowledged, in_flight, waiting_retry, dead, length, oldest_ready, oldest_pending, oldest_dead, skipped, lag, consumers);

#[cfg(feature = "serde")]
crate::record::serialize_fields!(ConsumerStats: name, pending, idle as "idle_ms");
