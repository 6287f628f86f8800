//! One task of the chaos test: commands of every kind, each with a number to check its reply by.

use crate::both::{Random, poll_once};
use bourn::{Client, Code, Echo, EntryId, Error, Outcome, Raw, XAdd, XRange};
use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// The limit after which a future counts as hung. All deadlines are far shorter.
const SETTLED: Duration = Duration::from_secs(30);

/// The known state of an entry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fate {
    Confirmed(EntryId),
    /// Not sent, or refused because the server was still loading.
    NotThere,
    Unknown,
    Dropped,
}

pub(crate) struct Worker {
    client: Client,
    random: Random,
    next: u64,
    /// The number of each entry, and its state.
    pub(crate) fates: Vec<(u64, Fate)>,
    /// Entries to read again.
    known: Vec<(u64, EntryId)>,
    /// By end: a reply, an error, dropped.
    pub(crate) ends: [u64; 3],
}

impl Worker {
    /// Creates a worker whose numbers are `task << 32 | n`.
    pub(crate) fn new(client: Client, task: u64, seed: u64) -> Self {
        let random = Random::new(seed ^ (task << 32));
        let (fates, known) = (Vec::new(), Vec::new());
        Self { client, random, next: task << 32, fates, known, ends: [0; 3] }
    }

    /// Sends this many commands, and records each.
    pub(crate) async fn work(mut self, commands: u64, done: watch::Sender<u64>) -> Self {
        let mut left = commands;
        while left > 0 {
            let sent = match self.random.below(100) {
                0..40 => self.add().await,
                40..52 => self.drop_add().await,
                52..70 => self.echo().await,
                70..76 => self.drop_echo().await,
                76..90 => self.read_again().await,
                90..96 if left > 16 => self.batch().await,
                96.. if left > 2 => self.transaction().await,
                _ => self.add().await,
            };
            left -= sent;
            done.send_modify(|done| *done += sent);
        }
        self
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Records the result of an entry.
    fn record(&mut self, number: u64, result: &Result<EntryId, Error>) {
        let fate = match result {
            Ok(id) => {
                self.known.push((number, *id));
                if self.known.len() > 32 {
                    self.known.remove(0);
                }
                Fate::Confirmed(*id)
            }
            Err(error) if !self.may_have_run(error) => Fate::NotThere,
            Err(_) => Fate::Unknown,
        };
        self.ends[usize::from(result.is_err())] += 1;
        self.fates.push((number, fate));
    }

    /// Whether the command may have run; the server refuses commands only just after its start.
    fn may_have_run(&self, error: &Error) -> bool {
        let refused = error.outcome() == Outcome::NotApplied;
        assert!(!refused || error.code() == Some(&Code::Loading), "{error:?}");
        error.may_have_run()
    }

    async fn add(&mut self) -> u64 {
        let number = self.number();
        let result = settled(self.client.send(XAdd::new("s").field("n", number))).await;
        self.record(number, &result);
        1
    }

    /// Drops an entry's future: before it is polled, after a few polls, or after a while.
    async fn drop_add(&mut self) -> u64 {
        let number = self.number();
        let client = self.client.clone();
        let call = client.send(XAdd::new("s").field("n", number));
        let ended = match self.random.below(4) {
            0 => {
                drop(call);
                self.ends[2] += 1;
                self.fates.push((number, Fate::NotThere));
                return 1;
            }
            1 | 2 => polled(call, self.random.below(3) + 1).await,
            _ => {
                let a_while = Duration::from_micros(self.random.below(5000));
                timeout(a_while, call).await.ok()
            }
        };
        if let Some(result) = ended {
            self.record(number, &result);
        } else {
            self.ends[2] += 1;
            self.fates.push((number, Fate::Dropped));
        }
        1
    }

    /// Sends an ECHO with a text that only this task uses.
    async fn echo(&mut self) -> u64 {
        let text = format!("only {}", self.number());
        let said = if self.random.below(2) == 0 {
            settled(self.client.send(Echo::new(&text))).await.map(|said| said.to_vec())
        } else {
            let said = settled(self.client.send(Raw::new("ECHO").arg(&text))).await;
            said.map(|said| said.as_bytes().expect("it is a text").to_vec())
        };
        self.ends[usize::from(said.is_err())] += 1;
        match said {
            Ok(said) => assert_eq!(said.escape_ascii().to_string(), text),
            Err(error) => _ = self.may_have_run(&error),
        }
        1
    }

    async fn drop_echo(&mut self) -> u64 {
        let text = format!("only {}", self.number());
        let polls = self.random.below(3) + 1;
        match polled(self.client.send(Echo::new(&text)), polls).await {
            Some(Ok(said)) => assert_eq!(said, text),
            Some(Err(error)) => _ = self.may_have_run(&error),
            None => {}
        }
        self.ends[2] += 1;
        1
    }

    /// Reads an entry that was confirmed.
    async fn read_again(&mut self) -> u64 {
        let Some((number, id)) = self.random.pick(&self.known).copied() else {
            return self.echo().await;
        };
        let read = settled(self.client.send(XRange::new("s", id..=id))).await;
        self.ends[usize::from(read.is_err())] += 1;
        match read {
            Ok(entries) => {
                let n = entries.first().and_then(|entry| entry.get_str("n").ok()?);
                assert_eq!(n, Some(number.to_string().as_str()), "{id}");
                assert_eq!(entries.len(), 1);
            }
            Err(error) => _ = self.may_have_run(&error),
        }
        1
    }

    /// Sends entries, and after each its number in an ECHO.
    async fn batch(&mut self) -> u64 {
        let numbers: Vec<u64> = (0..1 + self.random.below(8)).map(|_| self.number()).collect();
        let texts: Vec<_> = numbers.iter().map(u64::to_string).collect();
        let adds = numbers.iter().map(|n| XAdd::new("s").field("n", *n));
        let added = settled(self.client.send_all(adds)).await;
        let said = settled(self.client.send_all(texts.iter().map(Echo::new))).await;
        for ((number, added), (text, said)) in numbers.iter().zip(added).zip(texts.iter().zip(said))
        {
            self.record(*number, &added);
            self.ends[usize::from(said.is_err())] += 1;
            match said {
                Ok(said) => assert_eq!(said, text),
                Err(error) => _ = self.may_have_run(&error),
            }
        }
        2 * numbers.len() as u64
    }

    /// Adds two entries in a transaction.
    async fn transaction(&mut self) -> u64 {
        let (first, second) = (self.number(), self.number());
        let adds = [first, second].map(|n| XAdd::new("s").field("n", n));
        match settled(self.client.transact(adds)).await {
            Ok(results) => {
                self.record(first, &results[0]);
                self.record(second, &results[1]);
            }
            Err(error) => {
                self.record(first, &Err(error.clone()));
                self.record(second, &Err(error));
            }
        }
        2
    }
}

/// Polls this many times, and yields to others in between.
async fn polled<F: Future>(call: F, polls: u64) -> Option<F::Output> {
    let mut call = pin!(call);
    for _ in 0..polls {
        if let Poll::Ready(result) = poll_once(call.as_mut()).await {
            return Some(result);
        }
        tokio::task::yield_now().await;
    }
    None
}

async fn settled<F: Future>(call: F) -> F::Output {
    timeout(SETTLED, call).await.expect("every future ends")
}
