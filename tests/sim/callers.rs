//! The callers: the commands that they send, their patience, and their checks of the replies.

use super::ledger::{Kind, Ledger};
use super::world::Shared;
use bourn::{Client, Error, Raw, XAdd, XLen, XRange};
use fastrand::Rng;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::future::{Future, ready};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// The tolerance of a call's deadline.
const LATE: Duration = Duration::from_millis(100);

/// The state that all callers of a history share.
#[derive(Clone)]
pub(crate) struct Callers {
    pub(crate) client: Client,
    pub(crate) shared: Shared,
    pub(crate) ledger: Ledger,
    /// The command timeout.
    pub(crate) limit: Duration,
    /// Whether commands are retried.
    pub(crate) repeats: bool,
    /// Whether callers wait for capacity.
    pub(crate) waits: bool,
}

/// The parts of an XADD.
struct Entry {
    n: u64,
    number: String,
    iid: Option<String>,
    pad: String,
}

impl Entry {
    fn command(&self) -> XAdd<'_> {
        let add = XAdd::new("s").field("n", &self.number).field("b", &self.pad);
        match &self.iid {
            Some(iid) => add.idmp("p", iid),
            None => add,
        }
    }
}

impl Callers {
    /// Starts a caller of a random kind, as a task.
    pub(crate) fn call(&self, rng: &mut Rng) -> JoinHandle<()> {
        let callers = self.clone();
        let patience = match rng.u8(0..8) {
            0 => Some(Duration::ZERO),
            1 => Some(Duration::from_millis(rng.u64(0..3000))),
            _ => None,
        };
        match rng.u8(0..12) {
            0..2 => tokio::spawn(callers.add(self.entry(rng, false), patience)),
            2..4 => tokio::spawn(callers.add(self.entry(rng, true), patience)),
            4 => tokio::spawn(callers.echo(self.number(Kind::Echo, false), patience)),
            5..7 => tokio::spawn(callers.len(self.number(Kind::Read, true), patience)),
            7 => tokio::spawn(callers.count(patience)),
            8 => {
                let known = rng.choice(self.ledger.confirmed());
                tokio::spawn(callers.range(known, patience))
            }
            9 => {
                let all = rng.bool();
                let once: Vec<bool> = (0..rng.usize(1..4)).map(|_| all || rng.bool()).collect();
                // All parts of a batch are retryable, or none.
                let repeats = self.repeats && once.iter().all(|once| *once);
                let entries = once.into_iter();
                let entries = entries.map(|once| self.entry_of(rng, once, None, repeats)).collect();
                tokio::spawn(callers.batch(entries, patience))
            }
            10 => {
                let read = self.number(Kind::Read, false);
                let once = rng.bool();
                let add = self.entry_of(rng, once, None, false);
                tokio::spawn(callers.mixed(add, read, self.number(Kind::Echo, false), patience))
            }
            _ => {
                let first = self.ledger.next();
                let once = rng.bool();
                let a = self.entry_of(rng, once, Some(first), false);
                let b = self.entry_of(rng, !once, Some(first), false);
                tokio::spawn(callers.transaction(a, b, patience))
            }
        }
    }

    /// Adds one entry, which must succeed.
    pub(crate) async fn works(&self, rng: &mut Rng) -> Result<(), Error> {
        self.submit(self.entry(rng, false)).await
    }

    /// Adds many entries at once, together more than a small budget: each gets its capacity.
    pub(crate) async fn add_many(&self, rng: &mut Rng) -> Vec<Error> {
        let entries: Vec<Entry> = (0..8).map(|_| self.entry(rng, false)).collect();
        let pad = "x".repeat(1000);
        let entries = entries.into_iter().map(|entry| Entry { pad: pad.clone(), ..entry });
        // Each is polled only when it is woken.
        let all: FuturesUnordered<_> = entries.map(|entry| self.submit(entry)).collect();
        all.filter_map(|result| ready(result.err())).collect().await
    }

    async fn submit(&self, entry: Entry) -> Result<(), Error> {
        self.ledger.begin(&[entry.n]);
        let result = self.client.send(entry.command()).await;
        self.note(entry.n, result.as_ref().map(|id| Some(id.ms())));
        result.map(|_| ())
    }

    fn number(&self, kind: Kind, repeats: bool) -> u64 {
        self.ledger.open(kind, None, repeats && self.repeats)
    }

    fn entry(&self, rng: &mut Rng, once: bool) -> Entry {
        self.entry_of(rng, once, None, once && self.repeats)
    }

    fn entry_of(
        &self,
        rng: &mut Rng,
        once: bool,
        transaction: Option<u64>,
        repeats: bool,
    ) -> Entry {
        let kind = if once { Kind::AddOnce } else { Kind::Add };
        let n = self.ledger.open(kind, transaction, repeats);
        let pad = "x".repeat(if rng.u8(0..6) == 0 { rng.usize(0..2000) } else { 1 });
        Entry { n, number: name(n), iid: once.then(|| format!("i{n}")), pad }
    }

    fn note(&self, n: u64, result: Result<Option<u64>, &Error>) {
        let mut world = self.shared.lock();
        world.trace(|| format!("{}: {result:?}", name(n)));
        world.wrong.extend(self.ledger.note(n, result));
    }

    fn expect<T: PartialEq + std::fmt::Debug>(&self, what: &str, came: T, expected: T) {
        if came != expected {
            self.shared.lock().wrong.push(format!("{what}: {came:?} for {expected:?}"));
        }
    }

    /// Waits for a call until the caller's patience ends.
    async fn wait<T>(
        &self,
        numbers: &[u64],
        patience: Option<Duration>,
        call: impl Future<Output = T>,
    ) -> Option<T> {
        self.shared.lock().trace(|| format!("{numbers:?} sent, patience {patience:?}"));
        self.ledger.begin(numbers);
        let start = Instant::now();
        let result = match patience {
            Some(patience) => timeout(patience, call).await.ok(),
            None => Some(call.await),
        };
        let took = start.elapsed();
        if took > self.limit + LATE {
            let late = format!("{numbers:?}: ended after {took:?} of {:?}", self.limit);
            self.shared.lock().wrong.push(late);
        }
        result
    }

    async fn add(self, entry: Entry, patience: Option<Duration>) {
        let call = self.client.send(entry.command());
        let Some(result) = self.wait(&[entry.n], patience, call).await else { return };
        self.note(entry.n, result.as_ref().map(|id| Some(id.ms())));
    }

    async fn echo(self, n: u64, patience: Option<Duration>) {
        let word = name(n);
        let call = self.client.send(Raw::new("ECHO").arg(&*word));
        let Some(result) = self.wait(&[n], patience, call).await else { return };
        if let Ok(value) = &result {
            self.expect("ECHO", value.as_bytes(), Some(word.as_bytes()));
        }
        self.note(n, result.as_ref().map(|_| None));
    }

    async fn len(self, n: u64, patience: Option<Duration>) {
        let key = name(n);
        let Some(result) = self.wait(&[n], patience, self.client.send(XLen::new(&key))).await
        else {
            return;
        };
        if let Ok(len) = result {
            self.expect("XLEN", len, n);
        }
        self.note(n, result.as_ref().map(|_| None));
    }

    /// Counts entries: at least the known ones, at most those that are there now.
    async fn count(self, patience: Option<Duration>) {
        let least = self.ledger.confirmed().len() as u64;
        let result = self.wait(&[], patience, self.client.send(XLen::new("s"))).await;
        if let Some(Ok(len)) = result {
            let most = self.shared.lock().server.len() as u64;
            self.expect("how many", (least..=most).contains(&len), true);
        }
    }

    /// Reads an entry that some caller knows of: it must be there.
    async fn range(self, known: Option<(u64, u64)>, patience: Option<Duration>) {
        let Some((id, n)) = known else { return };
        let id = bourn::EntryId::new(id, 0);
        let result = self.wait(&[], patience, self.client.send(XRange::new("s", id..=id))).await;
        if let Some(Ok(entries)) = result {
            let number = entries.first().and_then(|entry| entry.get("n").map(<[u8]>::to_vec));
            self.expect("XRANGE", number, Some(name(n).into_bytes()));
        }
    }

    async fn batch(self, entries: Vec<Entry>, patience: Option<Duration>) {
        let numbers: Vec<u64> = entries.iter().map(|entry| entry.n).collect();
        let call = self.client.send_all(entries.iter().map(Entry::command));
        let Some(results) = self.wait(&numbers, patience, call).await else { return };
        for (n, result) in numbers.into_iter().zip(&results) {
            self.note(n, result.as_ref().map(|id| Some(id.ms())));
        }
    }

    async fn mixed(self, add: Entry, read: u64, echo: u64, patience: Option<Duration>) {
        let (key, word) = (name(read), name(echo));
        let commands = (add.command(), XLen::new(&key), Raw::new("ECHO").arg(&*word));
        let call = self.client.send_all(commands);
        let Some((a, b, c)) = self.wait(&[add.n, read, echo], patience, call).await else {
            return;
        };
        if let Ok(len) = b {
            self.expect("XLEN", len, read);
        }
        if let Ok(value) = &c {
            self.expect("ECHO", value.as_bytes(), Some(word.as_bytes()));
        }
        self.note(add.n, a.as_ref().map(|id| Some(id.ms())));
        self.note(read, b.as_ref().map(|_| None));
        self.note(echo, c.as_ref().map(|_| None));
    }

    async fn transaction(self, a: Entry, b: Entry, patience: Option<Duration>) {
        let call = self.client.transact((a.command(), b.command()));
        let Some(result) = self.wait(&[a.n, b.n], patience, call).await else { return };
        match &result {
            Ok((first, second)) => {
                self.note(a.n, first.as_ref().map(|id| Some(id.ms())));
                self.note(b.n, second.as_ref().map(|id| Some(id.ms())));
            }
            Err(error) => [a.n, b.n].into_iter().for_each(|n| self.note(n, Err(error))),
        }
    }
}

/// Returns the tag in a command's arguments.
fn name(n: u64) -> String {
    format!("#{n:06}")
}
