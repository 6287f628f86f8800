//! Inspects, redrives and purges the jobs of the dead-letter stream. An operation.

use crate::command::{Trim, XClaim, XGroupCreate, XGroupDelConsumer, XLen, XRange, XTrim};
use crate::entry::{Entry, EntryRef};
use crate::id::{EntryId, StartAt};
use crate::queue::codec::CodecError;
use crate::queue::codec::headers::Headers;
use crate::queue::error::QueueError;
use crate::queue::operation::ack::Acked;
use crate::queue::operation::clock;
use crate::queue::operation::dead_letter::{AT, ATTEMPT, GROUP, ID, OWN_FIELDS, REASON};
use crate::queue::operation::relay::Relay;
use crate::queue::policy::plan::PAGE;
use crate::queue::shared::{Queue, Shared};
use crate::random;
use std::fmt;
use std::ops::Bound;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The dead letters of a queue. Created by [`Queue::dead_letters`].
///
/// They are kept in their own stream, [`Queue::dead_letter_key`]. Each has the job's fields, and
/// the reason of its failure. A queue without a dead-letter stream has none.
///
/// ```no_run
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::Redrive;
/// use std::time::Duration;
///
/// let dead = queue.dead_letters();
/// println!("{} dead letters", dead.count().await?);
/// let redriven = dead.redrive(Redrive::reason("timeout").rate(100.0)).await?;
/// let purged = dead.purge(Duration::from_secs(14 * 86_400)).await?;
/// println!("{redriven} redriven, {purged} purged");
/// # Ok(()) }
/// ```
pub struct DeadLetters<T> {
    queue: Queue<T>,
}

/// A job without attempts left.
///
/// ```no_run
/// # async fn f(queue: &bourn::queue::Queue<String>) -> Result<(), Box<dyn std::error::Error>> {
/// for letter in queue.dead_letters().list(None, 10).await? {
///     println!("{} after {} attempts: {}", letter.id, letter.attempts, letter.reason);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadLetter<T> {
    /// Its id in the dead-letter stream.
    pub id: EntryId,
    /// The id of the job; `None` if the entry was not added by bourn.
    pub original: Option<EntryId>,
    /// The group in which it failed.
    pub group: Vec<u8>,
    /// The number of attempts.
    pub attempts: u32,
    /// The last error.
    pub reason: String,
    /// The time of its move to the dead-letter stream, by the clock of the worker that moved it.
    pub at: SystemTime,
    /// The payload; an error if it cannot be decoded, which may be why the job failed.
    pub payload: Result<T, CodecError>,
    entry: Entry,
}

impl<T> DeadLetter<T> {
    /// Returns the headers that were set when the job was enqueued.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(self.entry.by_ref())
    }

    /// Returns the entry itself: the fields of the dead letter, then those of the job.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }
}

/// The dead letters to redrive, and the rate.
///
/// ```
/// # use bourn::queue::Redrive;
/// # use std::time::Duration;
/// let some = Redrive::reason("timeout").since(Duration::from_secs(3_600)).rate(100.0);
/// # let _ = some;
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a `Redrive` does nothing until it is passed to `redrive`"]
pub struct Redrive {
    reason: Option<String>,
    since: Option<Duration>,
    ids: Option<Vec<EntryId>>,
    rate: Option<f64>,
    most: Option<u64>,
}

impl Redrive {
    /// Selects all dead letters, without a rate limit.
    pub fn all() -> Self {
        Self::default()
    }

    /// Selects those whose reason contains this text.
    pub fn reason(text: impl Into<String>) -> Self {
        Self { reason: Some(text.into()), ..Self::default() }
    }

    /// Selects these, by their ids in the dead-letter stream.
    pub fn ids(ids: impl IntoIterator<Item = EntryId>) -> Self {
        Self { ids: Some(ids.into_iter().collect()), ..Self::default() }
    }

    /// Limits the selection to those dead-lettered no longer ago than this, by the server's clock
    /// and the local one.
    pub fn since(self, time: Duration) -> Self {
        Self { since: Some(time), ..self }
    }

    /// Limits the number of jobs per second.
    pub fn rate(self, per_second: f64) -> Self {
        Self { rate: Some(per_second), ..self }
    }

    /// Limits the number of jobs.
    pub fn at_most(self, jobs: u64) -> Self {
        Self { most: Some(jobs), ..self }
    }

    fn wants(&self, entry: EntryRef<'_>) -> bool {
        let reason = entry.get(REASON).unwrap_or_default();
        let named = self.ids.as_ref().is_none_or(|ids| ids.contains(&entry.id()));
        named
            && self.reason.as_ref().is_none_or(|text| {
                text.is_empty() || reason.windows(text.len()).any(|part| part == text.as_bytes())
            })
    }
}

/// The group in which dead letters are claimed, so that two operators do not both add a job.
const OPERATORS: &str = "bourn-redrive";

/// The time for which one operator's claim keeps others from a dead letter.
const CLAIM: Duration = Duration::from_secs(30);

impl<T: 'static> Queue<T> {
    /// Returns a handle to the dead letters, for inspection and redrive.
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetters<T> {
        DeadLetters::new(self.clone())
    }
}

impl<T: 'static> DeadLetters<T> {
    fn new(queue: Queue<T>) -> Self {
        Self { queue }
    }

    fn shared(&self) -> &Shared {
        self.queue.shared()
    }

    fn key(&self) -> Option<&[u8]> {
        self.shared().settings.dead_letter.as_deref()
    }

    /// Returns the number of dead letters: `XLEN`.
    ///
    /// # Cancel safety
    ///
    /// Read-only.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`].
    pub async fn count(&self) -> Result<u64, QueueError> {
        match self.key() {
            Some(key) => Ok(self.shared().client.send(XLen::new(key)).await?),
            None => Ok(0),
        }
    }

    /// Returns up to `count` dead letters, oldest first, with ids after `after`: `XRANGE`.
    ///
    /// # Cancel safety
    ///
    /// Read-only.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`].
    pub async fn list(
        &self,
        after: Option<EntryId>,
        count: u64,
    ) -> Result<Vec<DeadLetter<T>>, QueueError> {
        let Some(key) = self.key().filter(|_| after != Some(EntryId::MAX)) else {
            return Ok(Vec::new());
        };
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let entries = self.shared().client.send(XRange::new(key, range).count(count)).await?;
        Ok(entries.iter().map(|entry| self.read(entry)).collect())
    }

    fn read(&self, entry: EntryRef<'_>) -> DeadLetter<T> {
        let text = |name| entry.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let number = |name| text(name).and_then(|text| text.parse::<u64>().ok());
        let at = number(AT).and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
        let entry_owned = entry.to_entry();
        DeadLetter {
            id: entry.id(),
            original: entry.get(ID).and_then(|id| EntryId::parse(id).ok()),
            group: entry.get(GROUP).unwrap_or_default().to_vec(),
            attempts: number(ATTEMPT).and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
            reason: text(REASON).unwrap_or_default(),
            at: at.or_else(|| entry.id().time()).unwrap_or(UNIX_EPOCH),
            payload: self.queue.decoded(&entry_owned),
            entry: entry_owned,
        }
    }

    /// Adds the selected jobs to the end of the queue, with all attempts again, and removes them
    /// from the dead-letter stream. Each job is moved atomically. Returns the number of jobs.
    ///
    /// Safe for several operators at once: each dead letter is first claimed for 30 s, in the group
    /// `bourn-redrive` of the dead-letter stream. Jobs that are dead-lettered during a redrive are
    /// not redriven by it.
    ///
    /// # Cancel safety
    ///
    /// Jobs that were moved stay moved. The one in progress may stay claimed for 30 s.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`]: the jobs before the failed one are moved.
    pub async fn redrive(&self, which: Redrive) -> Result<u64, QueueError> {
        let Some(key) = self.key() else { return Ok(0) };
        let shared = self.shared();
        let create = XGroupCreate::new(key, OPERATORS, StartAt::START).mk_stream();
        shared.client.send(create.if_missing()).await?;
        let me = format!("operator-{}", random::name());
        let result = self.redrive_as(key, &me, &which).await;
        // This removes its claims too: jobs that were not moved can be claimed again at once.
        let _ = shared.client.send(XGroupDelConsumer::new(key, OPERATORS, &me)).await;
        result
    }

    async fn redrive_as(&self, key: &[u8], me: &str, which: &Redrive) -> Result<u64, QueueError> {
        let client = &self.shared().client;
        // Jobs that are dead-lettered from now on come after this entry.
        let last = client.send(crate::command::XRevRange::new(key, ..).count(1)).await?;
        let Some(last) = last.first().map(|entry| entry.id()) else { return Ok(0) };
        let first = which.since.and_then(clock::id_of_age).unwrap_or(EntryId::MIN);
        let mut next = Some(first);
        let mut pace = Pace::new(which.rate);
        let mut added = 0;
        while let Some(from) = next.filter(|from| *from <= last) {
            let page = client.send(XRange::new(key, from..=last).count(PAGE as u64)).await?;
            next = page.last().and_then(|entry| entry.id().next());
            let wanted: Vec<EntryRef<'_>> =
                page.iter().filter(|entry| which.wants(*entry)).collect();
            for entry in wanted {
                if which.most.is_some_and(|most| added >= most) {
                    return Ok(added);
                }
                pace.wait().await;
                added += u64::from(self.redrive_one(key, me, entry).await?);
            }
        }
        Ok(added)
    }

    /// Moves one job; false if another operator has claimed it.
    async fn redrive_one(
        &self,
        key: &[u8],
        me: &str,
        entry: EntryRef<'_>,
    ) -> Result<bool, QueueError> {
        let shared = self.shared();
        let id = entry.id();
        // FORCE creates the claim, and the minimum idle time keeps other operators from it.
        let claim = XClaim::new(key, OPERATORS, me, CLAIM, id).force().just_id();
        if shared.client.send(claim).await?.is_empty() {
            return Ok(false);
        }
        let whole = Relay {
            from: key,
            group: OPERATORS.as_bytes(),
            entry: &entry.to_entry(),
            deletes: true,
            to: &shared.settings.stream,
            idmp: shared.capabilities().idmp,
        };
        let own = if entry.get(ID).is_some() { OWN_FIELDS } else { 0 };
        let fields = entry.fields().skip(own);
        let (acked, _) = whole.send_until_known(&shared.client, fields, CLAIM / 2).await?;
        Ok(acked == Acked::Done)
    }

    /// Deletes the dead letters older than this duration: `XTRIM MINID`. A duration of zero deletes
    /// all. Returns the number deleted.
    ///
    /// # Cancel safety
    ///
    /// They may have been deleted when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`].
    pub async fn purge(&self, older_than: Duration) -> Result<u64, QueueError> {
        let Some(key) = self.key() else { return Ok(0) };
        let trim = if older_than.is_zero() {
            Trim::max_len(0)
        } else {
            let Some(least) = clock::id_of_age(older_than) else { return Ok(0) };
            Trim::min_id(least)
        };
        Ok(self.shared().client.send(XTrim::new(key, trim)).await?)
    }
}

/// A limit on the jobs per second.
struct Pace {
    between: Duration,
    next: tokio::time::Instant,
}

impl Pace {
    fn new(rate: Option<f64>) -> Self {
        let between = rate.and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok());
        Self { between: between.unwrap_or_default(), next: tokio::time::Instant::now() }
    }

    async fn wait(&mut self) {
        if !self.between.is_zero() {
            tokio::time::sleep_until(self.next).await;
            self.next = self.next.max(tokio::time::Instant::now()) + self.between;
        }
    }
}

impl<T: 'static> fmt::Debug for DeadLetters<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").field("queue", &self.queue).finish()
    }
}
