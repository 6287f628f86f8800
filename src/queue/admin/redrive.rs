//! Redrive: moves dead letters back to their queue. An operation.

use crate::command::{XClaim, XDel, XGroupCreate, XGroupDelConsumer, XRange, XRevRange};
use crate::entry::EntryRef;
use crate::error::Error;
use crate::id::{EntryId, StartAt};
use crate::queue::admin::letter::own;
use crate::queue::codec::origin::{Address, Letter};
use crate::queue::operation::ack::Acked;
use crate::queue::operation::clock;
use crate::queue::operation::relay::Relay;
use crate::queue::policy::plan::PAGE;
use crate::queue::settings::OPERATORS;
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

    /// Selects these, by their ids in the dead-letter stream or by those of the jobs.
    pub fn ids(ids: impl IntoIterator<Item = EntryId>) -> Self {
        Self { ids: Some(ids.into_iter().collect()), ..Self::default() }
    }

    /// Limits the selection to those dead-lettered no longer ago than this, by the server's clock.
    /// Where TIME is not allowed, the server's time is known from the ids that it has assigned, and
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

    fn wants(&self, id: EntryId, letter: &Letter<'_>) -> bool {
        let is_named = |ids: &Vec<EntryId>| ids.contains(&id) || ids.contains(&letter.id);
        let named = self.ids.as_ref().is_none_or(is_named);
        named
            && self.reason.as_ref().is_none_or(|text| {
                let mut parts = letter.reason.windows(text.len().max(1));
                text.is_empty() || parts.any(|part| part == text.as_bytes())
            })
    }
}

/// The time for which one operator's claim keeps others from a dead letter.
const CLAIM: Duration = Duration::from_secs(30);

/// Moves the selected dead letters from this stream to the queue. Returns their number.
pub(crate) async fn redrive(shared: &Shared, key: &[u8], which: &Redrive) -> Result<u64, Error> {
    // It reads nothing. From the last possible id on, no entry is kept for it (XACKDEL ACKED).
    let create = XGroupCreate::new(key, OPERATORS, StartAt::After(EntryId::MAX)).mk_stream();
    shared.client.send(create.if_missing()).await?;
    let me = format!("operator-{}", random::name());
    let result = redrive_as(shared, key, &me, which).await;
    // This removes its claims too: jobs that were not moved can be claimed again at once.
    let _ = shared.client.send(XGroupDelConsumer::new(key, OPERATORS, &me)).await;
    result
}

async fn redrive_as(shared: &Shared, key: &[u8], me: &str, which: &Redrive) -> Result<u64, Error> {
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
            let Some((letter, fields)) = own(&shared.settings, entry) else { continue };
            // Without fields the job was too large to be read, and is still in its stream.
            if fields.len() == 0 || !which.wants(entry.id(), &letter) {
                continue;
            }
            if moved.contains(&letter.id) {
                // A second copy, left by a worker that died during its move.
                client.send(XDel::new(key, entry.id())).await?;
                continue;
            }
            pace.wait().await;
            if redrive_one(shared, key, me, entry).await? {
                moved.insert(letter.id);
                added += 1;
            }
        }
    }
    Ok(added)
}

/// Moves one job; false if another operator has claimed it.
async fn redrive_one(
    shared: &Shared,
    key: &[u8],
    me: &str,
    entry: EntryRef<'_>,
) -> Result<bool, Error> {
    let Some((letter, fields)) = own(&shared.settings, entry) else { return Ok(false) };
    // FORCE creates the claim, and the minimum idle time keeps other operators from it.
    let claim = XClaim::new(key, OPERATORS, me, CLAIM, entry.id()).force().just_id();
    if shared.client.send(claim).await?.is_empty() {
        return Ok(false);
    }
    let whole = Relay {
        from: key,
        group: OPERATORS.as_bytes(),
        entry: &entry.to_entry(),
        is_job: false,
        deletes: true,
        to: &shared.settings.stream,
        idmp: shared.capabilities().idmp,
    };
    let id = letter.id.to_string();
    let address = Address::fields(&id, letter.stream, letter.group);
    let fields = address.into_iter().chain(fields);
    let (acked, _) = whole.send_until_known(&shared.client, fields, CLAIM / 2).await?;
    Ok(acked == Acked::Done)
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
