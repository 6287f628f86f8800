//! Stores recurring jobs, and adds the job of a tick. An operation.
//!
//! A recurring job is an entry of `{s}:recurring`, which is pending in a group of that stream. The
//! time of its last delivery is its last tick; the number of deliveries says how far that has come.
//!
//! | step | commands |
//! |---|---|
//! | store it | `XADD {s}:recurring`; `MULTI`, with `XDEL` of the one before, `EXEC` |
//! | make it pending, unless it is | `XCLAIM ... <longer than any idle time> id FORCE TIME t RETRYCOUNT 2 JUSTID` |
//! | begin a tick | `XCLAIM ... <since the tick before> id TIME tick RETRYCOUNT 1`: of several consumers one succeeds, and none if it was removed |
//! | add its job | `MULTI`, `XADD s`, `XCLAIM ... id TIME tick RETRYCOUNT 2 JUSTID`, `EXEC` |
//! | remove it | `MULTI`, `XDEL`, `XACK`, `EXEC` |
//!
//! A consumer that dies in between leaves a tick that was begun: the next one adds its job.

use crate::command::{
    XAck, XAdd, XClaim, XDel, XGroupCreate, XGroupCreateConsumer, XLen, XPending,
};
use crate::command::{XRange, XRevRange};
use crate::entry::Entry;
use crate::error::{Code, Error};
use crate::id::{EntryId, StartAt};
use crate::queue::codec::origin::producer_id;
use crate::queue::codec::{FieldList, recurring};
use crate::queue::policy::plan::LIST;
use crate::queue::policy::recurrence::{MARKER, Recurrence};
use crate::queue::shared::Shared;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The group of the stored entries, and the only consumer in it.
const GROUP: &str = "ticks";
const CONSUMER: &str = "bourn";

/// The delivery counts of an entry.
const BEGUN: u64 = 1;
const DONE: u64 = 2;

/// Longer than any idle time.
const NEVER: Duration = Duration::from_millis(9_000_000_000_000_000);

/// The last tick of a new entry is this long before its creation, so that the first one is later by
/// more than clocks differ.
const BEFORE: u64 = 1_000;

/// The largest error of the time of the last tick, which the server reports as an idle time.
const INEXACT: u64 = 500;

/// A stored recurring job.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) entry: Entry,
    pub(crate) name: Vec<u8>,
    /// `None` if this version does not know it.
    pub(crate) recurrence: Option<Recurrence>,
}

impl Stored {
    fn parse(entry: Entry) -> Option<Self> {
        let (name, texts, _) = recurring::split(entry.fields())?;
        let (name, recurrence) = (name.to_vec(), Recurrence::parse(texts));
        Some(Self { name, recurrence, entry })
    }

    pub(crate) fn id(&self) -> EntryId {
        self.entry.id()
    }
}

/// The last tick of a stored job, as the server reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastTick {
    /// The time, off by no more than half a second.
    pub(crate) about: u64,
    /// Whether its job is still to be added.
    pub(crate) is_begun: bool,
}

impl LastTick {
    /// Returns that of an entry for which there was no tick.
    pub(crate) fn none(id: EntryId) -> Self {
        Self { about: id.ms().saturating_sub(BEFORE), is_begun: false }
    }

    /// Returns a time up to which the exact one is.
    pub(crate) fn by(self) -> u64 {
        self.about.saturating_add(INEXACT)
    }
}

fn key(shared: &Shared) -> Vec<u8> {
    shared.settings.recurring_key()
}

fn time(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

/// Returns the stored jobs, the newest of each name, in the order of their names; and those that a
/// newer one has replaced.
pub(crate) async fn list(shared: &Shared) -> Result<(Vec<Stored>, Vec<EntryId>), Error> {
    let (key, mut next) = (key(shared), Some(EntryId::MIN));
    let (mut newest, mut old) = (BTreeMap::new(), Vec::new());
    while let Some(from) = next {
        let page = shared.client.send(XRange::new(&key, from..).count(LIST)).await?;
        next = page.last().and_then(|last| last.id().next()).filter(|_| page.len() as u64 >= LIST);
        for stored in page.iter().filter_map(|entry| Stored::parse(entry.to_entry())) {
            let before = newest.insert(stored.name.clone(), stored);
            old.extend(before.map(|before| before.id()));
        }
    }
    Ok((newest.into_values().collect(), old))
}

/// Returns the number of stored jobs and the last one: what changes when they do.
pub(crate) async fn version(shared: &Shared) -> Result<(u64, Option<EntryId>), Error> {
    let key = key(shared);
    let both = (XLen::new(&key), XRevRange::new(&key, ..).count(1));
    let (count, last) = shared.client.transact(both).await?;
    Ok((count?, last?.first().map(|last| last.id())))
}

/// Returns the last ticks of the stored jobs that are pending. `now` is the time of the server.
pub(crate) async fn last_ticks(
    shared: &Shared,
    now: impl Fn() -> u64,
) -> Result<BTreeMap<EntryId, LastTick>, Error> {
    let (key, mut next, mut found) = (key(shared), Some(EntryId::MIN), BTreeMap::new());
    while let Some(from) = next {
        let page = XPending::new(&key, GROUP).range(from.., LIST);
        let page = match shared.client.send(page).await {
            Ok(page) => page,
            Err(error) if error.code() == Some(&Code::NoGroup) => return Ok(found),
            Err(error) => return Err(error),
        };
        next = page.last().and_then(|last| last.id.next()).filter(|_| page.len() as u64 >= LIST);
        for pending in page {
            let idle = pending.idle.unwrap_or_default().as_millis();
            let about = now().saturating_sub(u64::try_from(idle).unwrap_or(u64::MAX));
            found.insert(pending.id, LastTick { about, is_begun: pending.deliveries == BEGUN });
        }
    }
    Ok(found)
}

/// Stores a recurring job, unless the same is stored.
pub(crate) async fn set(
    shared: &Shared,
    name: &[u8],
    recurrence: &Recurrence,
    own: &FieldList,
) -> Result<(), Error> {
    let (key, texts) = (key(shared), recurrence.texts());
    let fields = recurring::stored(name, &texts, own.iter());
    let (found, _) = list(shared).await?;
    let found = found.into_iter().find(|stored| stored.name == name);
    let is_same = |it: &Stored| it.entry.fields().eq(recurring::stored(name, &texts, own.iter()));
    if !found.as_ref().is_some_and(is_same) {
        let add = XAdd::new(&key).fields(fields);
        match found {
            None => drop(shared.client.send(add).await?),
            Some(before) => {
                let id = before.id();
                let (added, ..) = shared
                    .client
                    .transact((add, XDel::new(&key, id), XAck::new(&key, GROUP, id)))
                    .await?;
                added?;
            }
        }
    }
    // Another process may have stored it at the same time.
    let (_, old) = list(shared).await?;
    delete(shared, &old).await?;
    let (stream, group) = (&shared.settings.stream, &shared.settings.group);
    shared.client.send(XGroupCreateConsumer::new(stream, group, MARKER)).await?;
    shared.recurring.used();
    Ok(())
}

/// Removes the recurring job of this name. Returns whether there was one. No job is added for it
/// later.
pub(crate) async fn remove(shared: &Shared, name: &[u8]) -> Result<bool, Error> {
    let (found, mut ids) = list(shared).await?;
    let found = found.into_iter().find(|stored| stored.name == name);
    ids.extend(found.iter().map(Stored::id));
    delete(shared, &ids).await?;
    Ok(found.is_some())
}

async fn delete(shared: &Shared, ids: &[EntryId]) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let key = key(shared);
    let (deleted, _) =
        shared.client.transact((XDel::new(&key, ids), XAck::new(&key, GROUP, ids))).await?;
    deleted.map(drop)
}

/// Makes a stored job pending, unless it is. Its ticks begin after its creation.
pub(crate) async fn create(shared: &Shared, id: EntryId) -> Result<(), Error> {
    let key = key(shared);
    shared.client.send(XGroupCreate::new(&key, GROUP, StartAt::START).if_missing()).await?;
    let claim = XClaim::new(&key, GROUP, CONSUMER, NEVER, id).force().retry_count(DONE);
    let claim = claim.time(time(LastTick::none(id).about));
    shared.client.send(claim.just_id()).await.map(drop)
}

/// Returns the command that records a tick, unless one later than halfway from the one before was
/// recorded.
fn claim<'a>(key: &'a [u8], id: EntryId, tick: u64, last: LastTick, now: u64) -> XClaim<'a> {
    let since = now.saturating_sub(tick).saturating_add(tick.saturating_sub(last.about) / 2);
    let claim = XClaim::new(key, GROUP, CONSUMER, Duration::from_millis(since), id);
    claim.time(time(tick))
}

/// Begins a tick. Returns the stored entry; `None` if it was removed, or another consumer has begun
/// the tick.
pub(crate) async fn begin(
    shared: &Shared,
    id: EntryId,
    tick: u64,
    last: LastTick,
    now: u64,
) -> Result<Option<Stored>, Error> {
    let key = key(shared);
    let begun = claim(&key, id, tick, last, now).retry_count(BEGUN);
    let begun = shared.client.send(begun).await?;
    // Before Redis 7.0 a removed entry is returned without fields.
    Ok(begun
        .first()
        .filter(|entry| !entry.is_deleted())
        .and_then(|it| Stored::parse(it.to_entry())))
}

/// Records a tick for which no job is added.
pub(crate) async fn skip(
    shared: &Shared,
    id: EntryId,
    tick: u64,
    last: LastTick,
    now: u64,
) -> Result<(), Error> {
    let key = key(shared);
    let skipped = claim(&key, id, tick, last, now).retry_count(DONE).just_id();
    shared.client.send(skipped).await.map(drop)
}

/// Adds the job of a tick that was begun.
pub(crate) async fn add(shared: &Shared, stored: &Stored, tick: u64) -> Result<(), Error> {
    let (key, settings, text) = (key(shared), &shared.settings, tick.to_string());
    let Some((name, _, own)) = recurring::split(stored.entry.fields()) else { return Ok(()) };
    let fields = recurring::job(name, &text, own);
    let add = XAdd::new(&settings.stream);
    let add = fields.iter().fold(add, |add, (name, value)| add.field(name.as_slice(), *value));
    let (pid, iid) =
        (producer_id("tick", &settings.stream, b""), format!("{}/{text}", stored.id()));
    let add = if shared.capabilities().idmp { add.idmp(&pid, &iid) } else { add };
    let done = XClaim::new(&key, GROUP, CONSUMER, Duration::ZERO, stored.id());
    let done = done.time(time(tick)).retry_count(DONE).just_id();
    let (added, _) = shared.client.transact((add, done)).await?;
    added.map(drop)
}
