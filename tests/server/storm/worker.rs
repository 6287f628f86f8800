//! One task of the storm: adds entries with every method, and records the outcome of each.

use super::EACH;
use crate::both::{Random, poll_once};
use bourn::{Client, EntryId, Error, Outcome, Raw, XAdd};
use std::pin::pin;
use std::task::Poll;
use tokio::sync::mpsc;

/// The outcome of an entry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    Confirmed(EntryId),
    NotSent,
    Unknown,
    Dropped,
}

impl Fate {
    fn of(result: &Result<EntryId, Error>) -> Self {
        match result {
            Ok(id) => Self::Confirmed(*id),
            Err(error) => match error.outcome() {
                Outcome::NotSent => Self::NotSent,
                Outcome::Unknown => Self::Unknown,
                Outcome::NotApplied => panic!("the server refuses no entry: {error:?}"),
            },
        }
    }
}

/// The work of one task. Its entries have the numbers `task << 32 | n`.
pub(super) struct Worker {
    client: Client,
    random: Random,
    next: u64,
    fates: Vec<(u64, Fate)>,
    confirmed: u64,
}

impl Worker {
    pub(super) fn new(client: Client, task: u64, seed: u64) -> Self {
        let random = Random::new(seed ^ (task << 32));
        Self { client, random, next: task << 32, fates: Vec::new(), confirmed: 0 }
    }

    /// Adds entries until enough are confirmed, and reports the progress.
    pub(super) async fn work(mut self, progress: mpsc::UnboundedSender<u64>) -> Vec<(u64, Fate)> {
        while self.confirmed < EACH {
            let before = self.confirmed;
            match self.random.below(100) {
                0..4 => self.poll_and_drop(1).await,
                4..6 => self.poll_and_drop(2).await,
                6..8 => {
                    let nonce = self.nonce();
                    drop(self.client.send(XAdd::new("s").field("nonce", nonce)));
                    self.fates.push((nonce, Fate::NotSent));
                }
                8..12 => self.echo().await,
                12..13 => self.batch(false).await,
                13..14 => self.batch(true).await,
                _ => {
                    let nonce = self.nonce();
                    let result = self.client.send(XAdd::new("s").field("nonce", nonce)).await;
                    self.record(nonce, Fate::of(&result));
                }
            }
            // The receiver may be gone already.
            let _ = progress.send(self.confirmed - before);
        }
        self.fates
    }

    fn nonce(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn record(&mut self, nonce: u64, fate: Fate) {
        self.confirmed += u64::from(matches!(fate, Fate::Confirmed(_)));
        self.fates.push((nonce, fate));
    }

    /// Polls a future several times, yielding in between, and drops it if it is still pending.
    async fn poll_and_drop(&mut self, polls: usize) {
        let nonce = self.nonce();
        let mut fate = Fate::Dropped;
        {
            let mut call = pin!(self.client.send(XAdd::new("s").field("nonce", nonce)));
            for _ in 0..polls {
                if let Poll::Ready(result) = poll_once(call.as_mut()).await {
                    fate = Fate::of(&result);
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        self.record(nonce, fate);
    }

    /// Sends an ECHO with a text that only this task sends.
    async fn echo(&mut self) {
        let text = format!("only {}", self.nonce());
        if self.random.below(4) == 0 {
            let mut call = pin!(self.client.send(Raw::new("ECHO").arg(&text)));
            let _ = poll_once(call.as_mut()).await;
            return;
        }
        match self.client.send(Raw::new("ECHO").arg(&text)).await {
            Ok(echoed) => assert_eq!(echoed.as_str(), Some(text.as_str())),
            Err(error) => assert_ne!(error.outcome(), Outcome::NotApplied, "{error:?}"),
        }
    }

    /// Adds several entries at once.
    async fn batch(&mut self, transaction: bool) {
        let nonces: Vec<u64> = (0..1 + self.random.below(16)).map(|_| self.nonce()).collect();
        let adds: Vec<_> =
            nonces.iter().map(|nonce| XAdd::new("s").field("nonce", *nonce)).collect();
        let fates: Vec<Fate> = if transaction {
            match self.client.transact(adds).await {
                Ok(results) => results.iter().map(Fate::of).collect(),
                Err(error) => vec![Fate::of(&Err(error)); nonces.len()],
            }
        } else {
            self.client.send_all(adds).await.iter().map(Fate::of).collect()
        };
        assert_eq!(fates.len(), nonces.len());
        for (nonce, fate) in nonces.into_iter().zip(fates) {
            self.record(nonce, fate);
        }
    }
}
