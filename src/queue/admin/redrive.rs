//! Redrive: moves dead letters back to their queue. An operation.
//!
//! Each letter is claimed in the group `bourn-redrive` of the dead-letter stream, which keeps other
//! operators from it. Its job is added to the queue first, and the letter is removed after that. If
//! the operator dies in between, the claim stays, with a mark: the next redrive looks for the job in
//! the queue before it adds one.

use crate::command::{
    XClaim, XDel, XGroupCreate, XGroupDelConsumer, XPendingRange, XRange, XRevRange,
};
use crate::entry::{EntryRef, Fields};
use crate::error::Error;
use crate::id::{EntryId, StartAt};
use crate::queue::admin::letter::{is_foreign, own};
use crate::queue::codec::origin::{Address, Letter};
use crate::queue::operation::ack::Acked;
use crate::queue::operation::clock;
use crate::queue::operation::relay::{Origin, Relay};
use crate::queue::policy::mark::{Mark, split_count};
use crate::queue::policy::plan::PAGE;
use crate::queue::settings::{OPERATORS, Settings};
use crate::queue::shared::Shared;
use crate::random;
use std::collections::BTreeSet;
use std::time::Duration;

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
    jobs: Option<Vec<EntryId>>,
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

    /// Selects those with these ids in the dead-letter stream: [`DeadLetter::id`].
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

/// Returns whether the id is one of these, or all are selected.
fn is_in(selected: &Option<Vec<EntryId>>, id: EntryId) -> bool {
    selected.as_ref().is_none_or(|ids| ids.contains(&id))
}

/// The time for which one operator's claim keeps others from a dead letter.
const CLAIM: Duration = Duration::from_secs(30);

/// Moves the selected dead letters from this stream to the queue. Returns their number.
pub(crate) async fn redrive(shared: &Shared, key: &[u8], which: &Redrive) -> Result<u64, Error> {
    // It reads nothing. From the last possible id on, no entry is kept for it (XACKDEL ACKED).
    let create = XGroupCreate::new(key, OPERATORS, StartAt::After(EntryId::MAX)).mk_stream();
    shared.client.send(create.if_missing()).await?;
    let mut operator = Operator {
        shared,
        key,
        name: format!("operator-{}", random::name()),
        is_interrupted: false,
    };
    let result = operator.redrive(which).await;
    if !operator.is_interrupted {
        // This removes its claims too: jobs that were not moved can be claimed again at once.
        let _ = shared.client.send(XGroupDelConsumer::new(key, OPERATORS, &operator.name)).await;
    }
    result
}

/// One run of a redrive.
struct Operator<'a> {
    shared: &'a Shared,
    key: &'a [u8],
    /// Its consumer in the group of the operators.
    name: String,
    /// Whether a letter stays of which the job may have been added: its claim is needed.
    is_interrupted: bool,
}

impl Operator<'_> {
    async fn redrive(&mut self, which: &Redrive) -> Result<u64, Error> {
        let (shared, key) = (self.shared, self.key);
        let client = &shared.client;
        // Jobs that are dead-lettered from now on come after this entry.
        let last = client.send(XRevRange::new(key, ..).count(1)).await?;
        let Some(last) = last.first().map(|entry| entry.id()) else { return Ok(0) };
        let first = match which.since {
            Some(since) => {
                clock::id_seen(shared, last);
                clock::ask(shared).await?;
                clock::id_of_age_at_server(shared, since).unwrap_or(EntryId::MIN)
            }
            None => EntryId::MIN,
        };
        let mut next = Some(first);
        let mut pace = Pace::new(which.rate);
        let mut added = 0;
        let mut moved = BTreeSet::new();
        while let Some(from) = next.filter(|from| *from <= last) {
            let page = client.send(XRange::new(key, from..=last).count(PAGE as u64)).await?;
            next = page.last().and_then(|entry| entry.id().next());
            for entry in &page {
                if which.most.is_some_and(|most| added >= most) {
                    return Ok(added);
                }
                let Some((address, fields)) = which.select(&shared.settings, entry) else {
                    continue;
                };
                if moved.contains(&address.id) {
                    // A second copy, left by a worker that died during its move.
                    client.send(XDel::new(key, entry.id())).await?;
                    continue;
                }
                pace.wait().await;
                if self.move_one(entry.id(), address, fields).await? {
                    moved.insert(address.id);
                    added += 1;
                }
            }
        }
        Ok(added)
    }

    /// Moves one job; false if another operator has claimed it.
    async fn move_one(
        &mut self,
        id: EntryId,
        address: Address<'_>,
        fields: Fields<'_>,
    ) -> Result<bool, Error> {
        let (shared, key, me) = (self.shared, self.key, self.name.as_str());
        // FORCE creates the claim, and the minimum idle time keeps other operators from it.
        let claim = XClaim::new(key, OPERATORS, me, CLAIM, id).force().just_id();
        let expiry = clock::now() + CLAIM / 2;
        if shared.client.send(claim).await?.is_empty() {
            return Ok(false);
        }
        // The mark that an operator has left who died.
        let claimed = shared.client.send(XPendingRange::new(key, OPERATORS, id..=id, 1)).await?;
        let count = claimed.first().map_or(0, |claimed| claimed.deliveries);
        let (count, mark) = split_count(u32::try_from(count).unwrap_or(u32::MAX));
        let mut relay = Relay::new(
            &shared.client,
            (key, OPERATORS.as_bytes(), me.as_bytes()),
            (id, count, mark == Mark::Copied),
            (&shared.settings.stream, shared.capabilities().idmp),
            Origin::Redriven(address),
        );
        let left = || Some(expiry).filter(|expiry| clock::now() < *expiry);
        let moved = relay.send_until_known(fields, left, CLAIM / 2).await;
        self.is_interrupted |= moved.is_err() && relay.is_begun();
        Ok(moved?.is_some_and(|(acked, _)| acked == Acked::Done))
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
