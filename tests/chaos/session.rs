//! A session that is cut once: what it does, what it is told, and whether that is true.

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

/// The most between two attempts to connect.
const BACKOFF: Duration = Duration::from_millis(5);

/// After a cut, a client that works has answered by then: the backoff, and a busy machine.
const AGAIN: Duration = Duration::from_secs(1);

/// The time of a command, where it is to be over soon.
const SHORT: Duration = Duration::from_millis(25);

/// What comes after the cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Then {
    /// The next connection.
    Another,
    /// None that lasts, until all that was sent is settled.
    Nothing,
}

/// What came of many sessions.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By cut, in the order of [`Cut`].
    pub(crate) cuts: [usize; 3],
    pub(crate) confirmed: usize,
    pub(crate) unsent: usize,
    pub(crate) unknown: usize,
    /// Of the unknown ones.
    pub(crate) ran: usize,
    /// Confirmed, not sent, unknown.
    pub(crate) acks: [usize; 3],
    /// The longest until all worked again.
    pub(crate) again: Duration,
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
        self.again = self.again.max(other.again);
    }
}

pub(crate) struct Session<'a> {
    pub(crate) admin: &'a Client,
    pub(crate) proxy: &'a Proxy,
    pub(crate) ids: AddId,
    pub(crate) key: String,
}

type Acked = (Vec<EntryId>, Result<u64, Error>);

/// What a session was told, and what is there.
pub(crate) struct Told {
    added: Vec<(usize, Result<EntryId, Error>)>,
    read: BTreeSet<EntryId>,
    acked: Vec<Acked>,
    /// Read when all was settled.
    late: BTreeSet<EntryId>,
    again: Duration,
    /// By their numbers.
    stored: BTreeMap<usize, EntryId>,
    pending: BTreeSet<EntryId>,
}

impl Session<'_> {
    /// Runs it; `settled` is called when all is told what became of it.
    pub(crate) async fn run(&self, then: Then, settled: &impl Fn()) -> Told {
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
            assert!(start.elapsed() < AGAIN, "it still does not work: {error:?}");
        }
        // Whatever is read now was added late.
        let late = self.read(&mut reader).await;
        let again = start.elapsed();
        assert!(again < AGAIN, "it works again after {again:?}");

        drop((client, reader));
        // The server has done what it will do.
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
        Told { added, read, acked, late, again, stored, pending }
    }

    /// Adds all entries, five tasks at once, each with its ten under way together; or five and then five.
    async fn add(&self, client: &Client, then: Then) -> Vec<(usize, Result<EntryId, Error>)> {
        let wave = if then == Then::Another { EACH } else { EACH / 2 };
        let tasks = (0..TASKS).map(|task| {
            let (client, key, ids) = (client.clone(), self.key.clone(), self.ids);
            tokio::spawn(async move {
                let mut told = Vec::new();
                for first in (task * EACH..(task + 1) * EACH).step_by(wave) {
                    let names: Vec<_> = (first..first + wave).map(|n| format!("{n:02}")).collect();
                    let adds = names.iter().map(|n| XAdd::new(&key).id(ids).field("n", n));
                    let results = join_all(adds.map(|add| client.send(add))).await;
                    told.extend((first..).zip(results));
                }
                told
            })
        });
        let all = join_all(tasks).await.into_iter();
        all.flat_map(|task| task.expect("it does not panic")).collect()
    }

    /// Reads what there is: what was handed out in a read that was lost is read again.
    async fn read(&self, reader: &mut Reader) -> BTreeSet<EntryId> {
        let from = |from: GroupFrom| XReadGroup::new("g", "c").stream(&self.key, from);
        let mut read = BTreeSet::new();
        for _ in 0..2 {
            // It does not wait, but has a reader's time.
            let new = from(GroupFrom::New).block(Duration::from_millis(1));
            match reader.read(new).await {
                Ok(streams) => {
                    read.extend(streams.iter().map(|entry| entry.id()));
                    return read;
                }
                Err(error) if error.outcome() == Outcome::Unknown => {
                    // Once the server is done with the connection that was cut.
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

    /// Acknowledges what was read, in five commands at once.
    async fn acknowledge(&self, client: &Client, read: &BTreeSet<EntryId>) -> Vec<Acked> {
        let read: Vec<_> = read.iter().copied().collect();
        let acks = read.chunks(ENTRIES / 5).map(|ids| async move {
            (ids.to_vec(), client.send(XAck::new(&self.key, "g", ids)).await)
        });
        join_all(acks).await
    }
}

impl Told {
    /// Checks that all of it is true, and counts it.
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
        assert!(self.stored.is_empty(), "nobody added {:?}", self.stored);

        // What was read, and may be pending.
        let mut open: BTreeSet<_> = self.late.difference(&self.read).copied().collect();
        for (ids, result) in &self.acked {
            let left = ids.iter().filter(|id| self.pending.contains(id)).count();
            // It is one command: all of them or none.
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
        assert_eq!(self.pending, open, "what was read and not acknowledged is pending");
        tally.again = tally.again.max(self.again);
    }
}

/// The outcome of what failed.
fn outcome<T: Copy>(result: &Result<T, Error>) -> Result<T, Outcome> {
    result.as_ref().copied().map_err(|error| {
        let outcome = error.outcome();
        assert_ne!(outcome, Outcome::NotApplied, "the server refuses nothing: {error:?}");
        outcome
    })
}

/// A session is cut once: the second attempt works.
async fn twice<T>(mut attempt: impl AsyncFnMut() -> Result<T, Error>) -> T {
    match attempt().await {
        Ok(value) => value,
        Err(_) => attempt().await.unwrap_or_else(|error| panic!("again: {error:?}")),
    }
}
