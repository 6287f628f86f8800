//! Puts a job into the wheel, for another attempt after a delay. An operation.
//!
//! ```text
//! XADD {s}:delay:jobs:1m [IDMP <stream and group> id/token] * _wait 5000 _id ... <own fields>
//! MULTI
//! XGROUP CREATECONSUMER s g ~delay                                          the marker
//! XADD {s}:delay:after:3375 * job 1m/<id> due <ms> bytes <bytes>            the timer
//! XCLAIM s g me 0 id RETRYCOUNT 2000000000+n JUSTID                         the mark
//! EXEC
//! MULTI                                                                     the removal
//! XACK s g id
//! XDEL s id
//! EXEC
//! ```
//!
//! | event | action |
//! |---|---|
//! | the worker dies after the first XADD | its copy has no timer and is never moved; the job's lease expires |
//! | the worker dies after the mark | the next consumer sees the delivery count, and removes the entry: `XPENDING`, then the removal, on one connection |
//! | the reply to the first XADD is lost | sent again: with IDMP (Redis 8.6) it is the same copy, otherwise another one |
//! | the reply to the timer is lost | sent again: a second timer does no harm. The copy is kept, whatever follows |
//! | another consumer had finished the job: XCLAIM returns nothing | the copy is deleted |
//! | the connection is another one at the end | the server may have lost what it confirmed: the copy is looked for, and the timer is added again |
//! | the timer's key holds another type | MULTI does not undo: the mark is removed, and all is tried again |

use crate::command::{XAdd, XClaim, XDel, XGroupCreateConsumer, XLen, XPending, XRange};
use crate::entry::Entry;
use crate::error::{Error, Outcome};
use crate::id::EntryId;
use crate::queue::codec::origin::{self, Address, WAIT, producer_id};
use crate::queue::operation::ack::Acked;
use crate::queue::operation::clock;
use crate::queue::operation::copied::Copied;
use crate::queue::operation::dead_letter::remove;
use crate::queue::policy::delay::{self, MARKER, Timer};
use crate::queue::policy::mark::{self, Mark};
use crate::queue::settings::Settings;
use crate::queue::shared::Shared;
use crate::random;
use std::time::{Duration, Instant};

/// A job that is put into the wheel, and how far that has come.
#[derive(Debug)]
pub(crate) struct Delay {
    entry: Entry,
    /// Its attempts, including the one that failed.
    attempts: u32,
    /// Whether its next job may be there.
    is_copied: bool,
    /// The time at which it is due; `None` if that is beyond all time.
    due: Option<Instant>,
    token: String,
    /// The timer of the copy, once that is confirmed.
    timer: Option<Timer>,
    copied: Option<Copied>,
    /// Whether the timer was added, and the entry was marked. Another consumer may then remove the
    /// entry.
    is_marked: bool,
    /// Whether that may have been done at any time.
    may_be_marked: bool,
}

impl Delay {
    /// Creates the delay of an entry whose job had this many attempts, and whose next job may be
    /// there.
    pub(crate) fn new(
        entry: Entry,
        (attempts, is_copied): (u32, bool),
        due: Option<Instant>,
    ) -> Self {
        let token = format!("{:016x}", random::bits());
        let (timer, copied, is_marked, may_be_marked) = (None, None, false, false);
        Self { entry, attempts, is_copied, due, token, timer, copied, is_marked, may_be_marked }
    }

    /// Whether there may be a copy.
    pub(crate) fn is_begun(&self) -> bool {
        self.copied.is_some() || self.is_marked || self.may_be_marked
    }

    /// Whether the job will be moved at its time, whatever happens to its entry.
    pub(crate) fn is_marked(&self) -> bool {
        self.is_marked
    }
}

/// Puts the job into the wheel. An error means that this is not complete, and is to be continued by
/// another call. No command is sent that arrives after `expiry`, when another consumer may have the
/// job.
pub(crate) async fn send(
    shared: &Shared,
    me: &[u8],
    job: &mut Delay,
    expiry: Instant,
) -> Result<Acked, Error> {
    let left = || expiry.saturating_duration_since(clock::now());
    loop {
        let (timer, mut copied) = match job.timer.zip(job.copied) {
            Some(copy) => copy,
            None => copy(shared, job, left()).await?,
        };
        let (key, before) = (shared.settings.waiting_key(timer.class), copied);
        let exists = copied.exists(&shared.client, &key, left()).await?;
        // A server that may have lost the copy may have lost the timer.
        job.is_marked &= before == copied;
        job.timer = exists.then_some(timer);
        job.copied = exists.then_some(copied);
        if !exists {
            continue;
        }
        if job.is_marked {
            remove(shared, job.entry.id(), copied.connection(), left()).await?;
            return Ok(Acked::Done);
        }
        // XCLAIM JUSTID of such a server returns entries that were deleted.
        if !shared.capabilities().deleted && !job.may_be_marked && is_deleted(shared, job).await? {
            discard(shared, job).await?;
            return Ok(Acked::AlreadyGone);
        }
        let is_pending =
            mark(shared, me, job, timer, copied, left()).await.inspect_err(|error| {
                job.may_be_marked |= error.outcome() == Outcome::Unknown;
            })?;
        // An entry that we have marked before may be gone for that reason.
        if !is_pending && !job.may_be_marked {
            discard(shared, job).await?;
            return Ok(Acked::AlreadyGone);
        }
        (job.is_marked, job.may_be_marked) = (true, true);
    }
}

/// Whether the entry was deleted while it was pending.
async fn is_deleted(shared: &Shared, job: &Delay) -> Result<bool, Error> {
    let id = job.entry.id();
    let look = XRange::new(&shared.settings.stream, id..=id).count(1);
    Ok(shared.client.send(look).await?.is_empty())
}

/// Adds the copy. Returns its timer.
async fn copy(shared: &Shared, job: &Delay, left: Duration) -> Result<(Timer, Copied), Error> {
    let connection = shared.client.connected_since();
    let (stream, group) = (&*shared.settings.stream, &*shared.settings.group);
    let wait = match job.due {
        Some(due) => delay::ms(due.saturating_duration_since(clock::now())),
        None => u64::MAX,
    };
    let class = delay::class(wait);
    let key = shared.settings.waiting_key(class);
    let (id, own) = origin::of_job(job.entry.fields(), job.entry.id(), stream);
    let (id, text) = (id.to_string(), wait.to_string());
    let attempts = origin::attempts_text(job.attempts, job.is_copied);
    let fields = [(WAIT.as_bytes(), text.as_bytes())].into_iter();
    let fields = fields.chain(Address::fields(&id, stream, group));
    let fields = fields.chain([origin::tried(&attempts)]).chain(own);
    let bytes = fields.clone().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    let (pid, iid) =
        (producer_id("delay", stream, group), format!("{}/{}", job.entry.id(), job.token));
    let add = XAdd::new(&key).fields(fields);
    let add = if shared.capabilities().idmp { add.idmp(&pid, &iid) } else { add };
    let copy = shared.client.send(add).within(left).await?;
    // An id is in whole milliseconds: the time was up to one more.
    let due = copy.ms().saturating_add(wait).saturating_add(1);
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    Ok((Timer { class, job: copy, due, bytes }, Copied::new(copy, connection)))
}

/// Adds the timer, and marks the entry, on the connection on which the copy is known to exist. All
/// consumers of the group learn from the marker that the wheel is used. False if the entry was not
/// pending: another consumer had finished the job.
async fn mark(
    shared: &Shared,
    me: &[u8],
    job: &Delay,
    timer: Timer,
    copied: Copied,
    left: Duration,
) -> Result<bool, Error> {
    let (stream, group, id) = (&shared.settings.stream, &shared.settings.group, job.entry.id());
    let wait = timer.due.saturating_sub(timer.job.ms());
    let key = shared.settings.rung_key(delay::rung(wait));
    let add = XAdd::new(&key).fields(timer.fields());
    let claim = |count: u32| {
        let claim = XClaim::new(stream, group, me, Duration::ZERO, id);
        claim.retry_count(count.into()).just_id()
    };
    let before = origin::attempts_before(job.entry.fields(), stream);
    let deliveries = job.attempts.saturating_sub(before);
    let marker = XGroupCreateConsumer::new(stream, group, MARKER);
    let marked = shared.client.transact((marker, add, claim(mark::delayed(deliveries))));
    // The group may be missing: its entries are delivered again, unless they are removed.
    let (_, added, claimed) = marked.within(left).on(copied.connection()).await?;
    shared.wheel.used();
    if let Err(error) = added {
        let before = if job.is_copied { mark::copied(deliveries) } else { deliveries };
        shared.client.send(claim(before)).within(left).await?;
        return Err(error);
    }
    Ok(claimed.map_or(true, |ids| !ids.is_empty()))
}

/// Removes the entry of a job that is in the wheel, if its mark is still there. A server that has
/// lost the mark, since it was seen, may have lost the job in the wheel too.
pub(crate) async fn finish(shared: &Shared, id: EntryId) -> Result<(), Error> {
    let Settings { stream, group, lease, .. } = &shared.settings;
    let connection = shared.client.connected_since();
    let pending = shared.client.send(XPending::new(stream, group).range(id..=id, 1)).await?;
    let count = pending.first().map_or(0, |pending| pending.deliveries);
    let (_, mark) = mark::split_count(u32::try_from(count).unwrap_or(u32::MAX));
    if mark == Mark::Delayed {
        remove(shared, id, connection, *lease).await?;
    }
    Ok(())
}

/// Deletes the copy of a job whose entry is certainly not marked.
pub(crate) async fn discard(shared: &Shared, job: &Delay) -> Result<(), Error> {
    if let Some(timer) = job.timer.filter(|_| !job.is_marked && !job.may_be_marked) {
        let key = shared.settings.waiting_key(timer.class);
        shared.client.send(XDel::new(&key, timer.job)).await?;
    }
    Ok(())
}

/// Returns the number of jobs that wait in the wheel.
pub(crate) async fn waiting(shared: &Shared) -> Result<u64, Error> {
    let keys: Vec<_> =
        (0..delay::CLASSES.len()).map(|class| shared.settings.waiting_key(class)).collect();
    let counts = shared.client.send_all(keys.iter().map(XLen::new)).await;
    counts.into_iter().sum()
}
