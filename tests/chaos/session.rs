//! A session that is cut once: its commands, their outcomes, and whether these are true.

use crate::proxy::Proxy;
use bourn::{
    AddId, Client, Del, EntryId, Error, GroupFrom, Outcome, Reader, StartAt, XAck, XAdd,
    XGroupCreate, XLen, XPendingRange, XRange, XReadGroup,
};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const TASKS: usize = 5;
const EACH: usize = 10;
pub(crate) const ENTRIES: usize = TASKS * EACH;

/// The maximum backoff between two attempts to connect.
const BACKOFF: Duration = Duration::from_millis(5);

/// The limit for recovery after a cut: the backoff, and a busy machine.
const RECOVERY: Duration = Duration::from_secs(1);

/// The command timeout where it should expire soon.
const SHORT: Duration = Duration::from_millis(25);

/// The state of the network after the cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Then {
    /// The next connection works.
    Another,
    /// No connection lasts until all commands have ended.
    Nothing,
}

/// The sum of many sessions.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By kind of cut, in the order of [`Cut`].
    pub(crate) cuts: [usize; 3],
    pub(crate) confirmed: usize,
    pub(crate) unsent: usize,
    pub(crate) unknown: usize,
    /// The number of unknown additions that ran.
    pub(crate) ran: usize,
    /// Confirmed, not sent, unknown.
    pub(crate) acks: [usize; 3],
    /// The longest time to recover.
    pub(crate) recovery: Duration,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        let sum = |to: &mut [usize; 3], from: [usize; 3]| {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        };
        sum(&mut self.cuts, other.cuts);
        sum(&mut self.acks, other.acks);
        self.confirmed += other.confirmed;
        self.unsent += other.unsent;
        self.unknown += other.unknown;
        self.ran += other.ran;
        self.recovery = self.recovery.max(other.recovery);
    }
}

pub(crate) struct Session<'a> {
    pub(crate) admin: &'a Client,
    pub(crate) proxy: &'a Proxy,
    pub(crate) ids: AddId,
    pub(crate) key: String,
}

type Acked = (Vec<EntryId>, Result<u64, Error>);

/// The outcomes of a session, and the state of the server.
pub(crate) struct Results {
    added: Vec<(usize, Result<EntryId, Error>)>,
    read: BTreeSet<EntryId>,
    acked: Vec<Acked>,
    /// Read after every command had ended.
    late: BTreeSet<EntryId>,
    recovery: Duration,
    /// By number.
    stored: BTreeMap<usize, EntryId>,
    pending: BTreeSet<EntryId>,
}

impl Session<'_> {
    /// Runs the session; calls `settled` when every command has ended.
    pub(crate) async fn run(&self, then: Then, settled: &impl Fn()) -> Results {
        let key = self.key.as_str();
        let group = XGroupCreate::new(key, "g", StartAt::START).mk_stream();
        self.admin.send(group).await.expect("it is the first");
        let mut config = self.proxy.config().reconnect(Duration::from_millis(1), BACKOFF);
        if then == Then::Nothing {
            config = config.command_timeout(SHORT);
        }
        let client = twice(async || Client::connect(&config).await).await;
        let mut reader = twice(async || client.reader().await).await;

        let added = self.add(&client, then).await;
        let read = self.read(&mut reader).await;
        let acked = self.acknowledge(&client, &read).await;

        settled();
        let start = Instant::now();
        while let Err(error) = client.send(XLen::new(key)).await {
            assert!(start.elapsed() < RECOVERY, "no recovery: {error:?}");
        }
        // Entries that are read only now were added late.
        let late = self.read(&mut reader).await;
        let recovery = start.elapsed();
        assert!(recovery < RECOVERY, "recovered after {recovery:?}");

        drop((client, reader));
        // No command is running on the server any more.
        self.proxy.settled(0).await;
        let pending = XPendingRange::new(key, "g", .., 1000);
        let all = (XRange::new(key, ..), pending, Del::new(key));
        let (entries, pending, _) = self.admin.send_all(all).await;
        let pending = pending.expect("there is a group").iter().map(|entry| entry.id).collect();
        let mut stored = BTreeMap::new();
        for entry in &entries.expect("it is a stream") {
            let n = entry.get_str("n").ok().flatten().and_then(|n| n.parse().ok());
            let n: usize = n.expect("it is a number");
            assert_eq!(stored.insert(n, entry.id()), None, "{n} is there twice");
        }
        Results { added, read, acked, late, recovery, stored, pending }
    }

    /// Adds all entries from five tasks: each sends its ten at once, or five and then five.
    async fn add(&self, client: &Client, then: Then) -> Vec<(usize, Result<EntryId, Error>)> {
        let wave = if then == Then::Another { EACH } else { EACH / 2 };
        let tasks = (0..TASKS).map(|task| {
            let (client, key, ids) = (client.clone(), self.key.clone(), self.ids);
            tokio::spawn(async move {
                let mut collected = Vec::new();
                for first in (task * EACH..(task + 1) * EACH).step_by(wave) {
                    let names: Vec<_> = (first..first + wave).map(|n| format!("{n:02}")).collect();
                    let adds = names.iter().map(|n| XAdd::new(&key).id(ids).field("n", n));
                    let results = join_all(adds.map(|add| client.send(add))).await;
                    collected.extend((first..).zip(results));
                }
                collected
            })
        });
        let all = join_all(tasks).await.into_iter();
        all.flat_map(|task| task.expect("it does not panic")).collect()
    }

    /// Reads the entries; those delivered in a lost read are read again as pending.
    async fn read(&self, reader: &mut Reader) -> BTreeSet<EntryId> {
        let from = |from: GroupFrom| XReadGroup::new("g", "c").stream(&self.key, from);
        let mut read = BTreeSet::new();
        for _ in 0..2 {
            // It does not block, but has a reader's timeout.
            let new = from(GroupFrom::New).block(Duration::from_millis(1));
            match reader.read(new).await {
                Ok(streams) => {
                    read.extend(streams.iter().map(|entry| entry.id()));
                    return read;
                }
                Err(error) if error.outcome() == Outcome::Unknown => {
                    // After the server has finished with the connection that was cut.
                    self.proxy.over(1).await;
                    let pending = from(GroupFrom::ALL_PENDING).block(Duration::from_millis(1));
                    let streams = reader.read(pending).await.expect("it is cut once");
                    read.extend(streams.iter().map(|entry| entry.id()));
                }
                Err(_) => {}
            }
        }
        panic!("it is cut once");
    }

    /// Acknowledges the entries in five concurrent commands.
    async fn acknowledge(&self, client: &Client, read: &BTreeSet<EntryId>) -> Vec<Acked> {
        let read: Vec<_> = read.iter().copied().collect();
        let acks = read.chunks(ENTRIES / 5).map(|ids| async move {
            (ids.to_vec(), client.send(XAck::new(&self.key, "g", ids)).await)
        });
        join_all(acks).await
    }
}

impl Results {
    /// Checks the outcomes, and counts them.
    pub(crate) fn count(mut self, tally: &mut Tally) {
        for (n, result) in &self.added {
            let there = self.stored.remove(n);
            match outcome(result) {
                Ok(id) => {
                    assert_eq!(there, Some(id), "entry {n} was confirmed");
                    assert!(self.read.contains(&id), "{id} was not read");
                    tally.confirmed += 1;
                }
                Err(Outcome::NotSent) => {
                    assert_eq!(there, None, "{n}: {result:?}");
                    tally.unsent += 1;
                }
                Err(_) => {
                    tally.unknown += 1;
                    tally.ran += usize::from(there.is_some());
                }
            }
        }
        assert!(self.stored.is_empty(), "unexpected entries: {:?}", self.stored);

        // Entries that may be pending although they were read.
        let mut open: BTreeSet<_> = self.late.difference(&self.read).copied().collect();
        for (ids, result) in &self.acked {
            let left = ids.iter().filter(|id| self.pending.contains(id)).count();
            // One command: it applies to all of them or to none.
            assert!(left == 0 || left == ids.len(), "{left} of {ids:?}");
            let nth = match outcome(result) {
                Ok(_) => {
                    assert_eq!(left, 0, "{ids:?} were acknowledged");
                    0
                }
                Err(Outcome::NotSent) => {
                    assert_eq!(left, ids.len(), "{ids:?}: {result:?}");
                    1
                }
                Err(_) => 2,
            };
            tally.acks[nth] += 1;
            open.extend(ids.iter().filter(|_| left > 0));
        }
        assert_eq!(self.pending, open, "entries that were read and not acknowledged are pending");
        tally.recovery = tally.recovery.max(self.recovery);
    }
}

/// Returns the outcome of an error.
fn outcome<T: Copy>(result: &Result<T, Error>) -> Result<T, Outcome> {
    result.as_ref().copied().map_err(|error| {
        let outcome = error.outcome();
        assert_ne!(outcome, Outcome::NotApplied, "the server refuses nothing: {error:?}");
        outcome
    })
}

/// Attempts something twice: a session is cut once, so the second attempt works.
async fn twice<T>(mut attempt: impl AsyncFnMut() -> Result<T, Error>) -> T {
    match attempt().await {
        Ok(value) => value,
        Err(_) => {
            attempt().await.unwrap_or_else(|error| panic!("the second attempt failed: {error:?}"))
        }
    }
}
