//! Redrive: moves dead letters back to their queue. An operation.
//!
//! Letters are moved in batches, each letter on its own. It is claimed in the group `bourn-redrive` of
//! the dead-letter stream, which keeps other operators from it. Its job is added to the queue first,
//! and the letter is removed after that. If the operator dies in between, the claim stays, with a
//! mark: the next redrive looks for the job in the queue before it adds one.

use crate::command::{
    XClaim, XDel, XGroupCreate, XGroupDelConsumer, XInfoStream, XPendingRange, XRange, XRevRange,
};
use crate::entry::{Entries, EntryRef, Fields};
use crate::error::{Code, Error};
use crate::id::{EntryId, StartAt};
use crate::queue::admin::letter::{is_foreign, own};
use crate::queue::codec::origin::{Address, Letter};
use crate::queue::first::all;
use crate::queue::operation::ack::Acked;
use crate::queue::operation::clock;
use crate::queue::operation::relay::{Origin, Relay};
use crate::queue::policy::mark::{Mark, split_count};
use crate::queue::policy::plan::PAGE;
use crate::queue::settings::{OPERATORS, Settings};
use crate::queue::shared::Shared;
use crate::random;
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

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
    ids: Option<BTreeSet<EntryId>>,
    jobs: Option<BTreeSet<EntryId>>,
    rate: Option<f64>,
    most: Option<u64>,
    foreign: bool,
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

    /// Selects those with these ids in the dead-letter stream: [`DeadLetter::id`]. Only they are read.
    ///
    /// [`DeadLetter::id`]: crate::queue::DeadLetter::id
    pub fn ids(ids: impl IntoIterator<Item = EntryId>) -> Self {
        Self { ids: Some(ids.into_iter().collect()), ..Self::default() }
    }

    /// Selects those of the jobs with these ids: [`DeadLetter::original`], or what `enqueue`
    /// returned. They are found by reading the whole dead-letter stream.
    ///
    /// [`DeadLetter::original`]: crate::queue::DeadLetter::original
    pub fn jobs(ids: impl IntoIterator<Item = EntryId>) -> Self {
        Self { jobs: Some(ids.into_iter().collect()), ..Self::default() }
    }

    /// Limits the selection to those dead-lettered no longer ago than this, by the server's clock.
    /// If TIME is refused, the server's time is known from the ids that it has assigned, and
    /// the selection may have older ones.
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

    /// Also selects entries that are not dead letters of any queue: those that other programs added
    /// to the dead-letter stream. Default: they stay. Dead letters of other queues always stay.
    ///
    /// Such an entry becomes a job with all its fields as they are, and with its id in the
    /// dead-letter stream as [`original_id`](crate::queue::Job::original_id). It has no reason and
    /// no job, so [`Redrive::reason`] and [`Redrive::jobs`] do not select it.
    pub fn with_foreign(self) -> Self {
        Self { foreign: true, ..self }
    }

    /// Returns the origin that the entry gets as a job, and the job's fields; `None` if it is not
    /// selected.
    fn select<'a>(
        &self,
        settings: &'a Settings,
        entry: EntryRef<'a>,
    ) -> Option<(Address<'a>, Fields<'a>)> {
        match own(settings, entry) {
            Some((letter, fields)) => {
                // Without fields the job was too large to be read, and is still in its stream.
                let is_selected = fields.len() > 0 && self.wants(entry.id(), &letter);
                let address = Address { id: letter.id, group: letter.group, tried: 0 };
                is_selected.then_some((address, fields))
            }
            None => {
                let is_selected = self.foreign
                    && is_foreign(settings, entry)
                    && self.reason.is_none()
                    && self.jobs.is_none()
                    && is_in(&self.ids, entry.id());
                let address = Address { id: entry.id(), group: &settings.group, tried: 0 };
                is_selected.then(|| (address, entry.fields()))
            }
        }
    }

    fn wants(&self, id: EntryId, letter: &Letter<'_>) -> bool {
        is_in(&self.ids, id)
            && is_in(&self.jobs, letter.id)
            && self.reason.as_ref().is_none_or(|text| {
                let mut parts = letter.reason.windows(text.len().max(1));
                text.is_empty() || parts.any(|part| part == text.as_bytes())
            })
    }
}

/// Whether the id is one of these, or all are selected.
fn is_in(selected: &Option<BTreeSet<EntryId>>, id: EntryId) -> bool {
    selected.as_ref().is_none_or(|ids| ids.contains(&id))
}

/// The time for which one operator's claim keeps others from a dead letter.
const CLAIM: Duration = Duration::from_secs(30);

/// The maximum number of letters that are moved at once. The server recognises the copies of the
/// last hundred letters, of all operators together.
const BATCH: usize = 32;

/// The time for which jobs are added at once, with a rate.
const BATCH_TIME: Duration = Duration::from_millis(100);

/// Moves the selected dead letters from this stream to the queue. Returns their number.
pub(crate) async fn redrive(shared: &Shared, key: &[u8], which: &Redrive) -> Result<u64, Error> {
    // It reads nothing. From the last possible id on, no entry is kept for it (XACKDEL ACKED).
    let create = XGroupCreate::new(key, OPERATORS, StartAt::After(EntryId::MAX)).mk_stream();
    shared.client.send(create.if_missing()).await?;
    let mut operator = Operator {
        shared,
        key,
        which,
        name: format!("operator-{}", random::name()),
        pace: Pace::new(which.rate),
        newest: EntryId::MAX,
        connection: None,
        moved: BTreeSet::new(),
        added: 0,
        is_interrupted: false,
    };
    let result = operator.redrive().await;
    if !operator.is_interrupted {
        // This removes its claims too: jobs that were not moved can be claimed again at once.
        let _ = shared.client.send(XGroupDelConsumer::new(key, OPERATORS, &operator.name)).await;
    }
    result.map(|()| operator.added)
}

/// One run of a redrive.
struct Operator<'a> {
    shared: &'a Shared,
    key: &'a [u8],
    which: &'a Redrive,
    /// Its consumer in the group of the operators.
    name: String,
    pace: Pace,
    /// The last id of the queue before this run. The server may recognise a copy that was added
    /// before, and that job may have been dead-lettered again since.
    newest: EntryId,
    /// The connection on which they were added; on another one they may be lost.
    connection: Option<Instant>,
    /// The jobs that were added in this run.
    moved: BTreeSet<EntryId>,
    added: u64,
    /// Whether a letter stays of which the job may have been added: its claim is needed.
    is_interrupted: bool,
}

/// A selected letter: its id, its job's origin and fields.
type Selected<'a> = (EntryId, Address<'a>, Fields<'a>);

impl Operator<'_> {
    async fn redrive(&mut self) -> Result<(), Error> {
        let (shared, key) = (self.shared, self.key);
        let client = &shared.client;
        // Jobs that are dead-lettered from now on come after this entry.
        let last = client.send(XRevRange::new(key, ..).count(1)).await?;
        let Some(last) = last.first().map(|entry| entry.id()) else { return Ok(()) };
        self.newest = match client.send(XInfoStream::new(&shared.settings.stream)).await {
            Ok(info) => info.last_generated_id,
            // There is no such key.
            Err(error) if error.code() == Some(&Code::Err) => EntryId::MIN,
            // The reply is too large, or is refused.
            Err(_) => EntryId::MAX,
        };
        let first = match self.which.since {
            Some(since) => {
                clock::id_seen(shared, last);
                clock::ask(shared).await?;
                clock::id_of_age_at_server(shared, since).unwrap_or(EntryId::MIN)
            }
            None => EntryId::MIN,
        };
        if let Some(ids) = &self.which.ids {
            let ids: Vec<EntryId> = ids.iter().copied().filter(|id| *id >= first).collect();
            for ids in ids.chunks(PAGE) {
                let found = client.send_all(ids.iter().map(|id| XRange::new(key, *id..=*id))).await;
                let found = found.into_iter().collect::<Result<Vec<Entries>, Error>>()?;
                if !self.move_page(found.iter().flatten()).await? {
                    break;
                }
            }
            return Ok(());
        }
        let mut next = Some(first);
        while let Some(from) = next.filter(|from| *from <= last) {
            let page = client.send(XRange::new(key, from..=last).count(PAGE as u64)).await?;
            next = page.last().and_then(|entry| entry.id().next());
            if !self.move_page(&page).await? {
                break;
            }
        }
        Ok(())
    }

    /// Moves the selected ones of these letters; false if there are to be no more.
    async fn move_page<'e>(
        &mut self,
        page: impl IntoIterator<Item = EntryRef<'e>>,
    ) -> Result<bool, Error> {
        let (which, settings) = (self.which, &self.shared.settings);
        let mut letters: VecDeque<Selected<'_>> = VecDeque::new();
        for entry in page {
            if let Some((address, fields)) = which.select(settings, entry) {
                letters.push_back((entry.id(), address, fields));
            }
        }
        while !letters.is_empty() {
            let connection = self.shared.client.connected_since();
            if connection != self.connection {
                self.moved.clear();
                self.connection = connection;
            }
            let left = which.most.map_or(u64::MAX, |most| most.saturating_sub(self.added));
            let most = self.pace.batch().min(usize::try_from(left).unwrap_or(usize::MAX));
            if most == 0 {
                return Ok(false);
            }
            let (mut batch, mut jobs) = (Vec::new(), BTreeSet::new());
            while batch.len() < most {
                let Some((id, address, fields)) = letters.pop_front() else { break };
                if self.moved.contains(&address.id) {
                    // A second copy, left by a worker that died during its move.
                    let delete = self.shared.client.transact((XDel::new(self.key, id),));
                    delete.on(self.connection).await?.0?;
                } else if jobs.insert(address.id) {
                    batch.push((id, address, fields));
                } else {
                    // Whether it is a second copy is known when the first one was moved.
                    letters.push_front((id, address, fields));
                    break;
                }
            }
            if !batch.is_empty() {
                self.pace.wait(batch.len()).await;
                self.move_batch(batch).await?;
            }
        }
        Ok(true)
    }

    /// Moves these jobs, except those that another operator has claimed.
    async fn move_batch(&mut self, batch: Vec<Selected<'_>>) -> Result<(), Error> {
        let (shared, key, me) = (self.shared, self.key, self.name.as_str());
        let ids: Vec<EntryId> = batch.iter().map(|(id, ..)| *id).collect();
        // FORCE creates the claim, and the minimum idle time keeps other operators from it.
        let claim = XClaim::new(key, OPERATORS, me, CLAIM, &ids).force().just_id();
        let expiry = clock::now() + CLAIM / 2;
        // With the counts, which have the marks that operators have left who died.
        let range =
            ids.first().copied().unwrap_or_default()..=ids.last().copied().unwrap_or_default();
        let counts = XPendingRange::new(key, OPERATORS, range, PAGE as u64).consumer(me);
        let (claimed, counts) = shared.client.send_all((claim, counts)).await;
        let (claimed, counts) = (claimed?, counts?);
        let left = || Some(expiry).filter(|expiry| clock::now() < *expiry);
        let claimed = batch.into_iter().filter(|(id, ..)| claimed.contains(id));
        let moves = claimed.map(|(id, address, fields)| {
            let count = counts.iter().find(|claimed| claimed.id == id);
            let count = count.map_or(0, |claimed| claimed.deliveries);
            let (count, mark) = split_count(u32::try_from(count).unwrap_or(u32::MAX));
            let mut relay = Relay::new(
                &shared.client,
                (key, OPERATORS.as_bytes(), me.as_bytes()),
                (id, count, mark == Mark::Copied),
                (&shared.settings.stream, shared.capabilities().idmp),
                Origin::Redriven(address),
            );
            async move {
                let moved = relay.send_until_known(fields, left, CLAIM / 2).await;
                (address.id, moved, relay.is_begun())
            }
        });
        let mut failed = None;
        for (job, moved, is_begun) in all(moves).await {
            match moved {
                Ok(Some((Acked::Done, copy))) => {
                    if copy.is_some_and(|copy| copy > self.newest) {
                        self.moved.insert(job);
                    }
                    self.added += 1;
                }
                Ok(_) => {}
                Err(error) => {
                    self.is_interrupted |= is_begun;
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
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

    /// Returns how many jobs may be added at once.
    fn batch(&self) -> usize {
        let jobs = BATCH_TIME.as_nanos().checked_div(self.between.as_nanos());
        jobs.map_or(BATCH, |jobs| usize::try_from(jobs).unwrap_or(BATCH).clamp(1, BATCH))
    }

    /// Waits until this many jobs may be added.
    async fn wait(&mut self, jobs: usize) {
        if !self.between.is_zero() {
            tokio::time::sleep_until(self.next).await;
            let jobs = u32::try_from(jobs).unwrap_or(u32::MAX);
            self.next = self.next.max(tokio::time::Instant::now()) + self.between * jobs;
        }
    }
}
