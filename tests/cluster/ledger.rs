//! Writers, and the record of the results that they received.

use crate::three::Three;
use bourn::{Client, Durability, DurableError, EntryId, Error, Kept, Outcome, XAdd};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// A writer of one stream: it adds numbers, each when the one before was answered.
pub(crate) struct Writer {
    pub(crate) key: String,
    stop: Arc<AtomicBool>,
    task: JoinHandle<Written>,
}

/// The results that a writer received.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The number of acknowledged entries.
    pub(crate) acknowledged: Vec<u64>,
    pub(crate) unknown: Vec<(u64, String)>,
    /// The number of acknowledged entries that the replica may not have.
    pub(crate) not_kept: usize,
    /// The texts of errors after which the entry was not added.
    pub(crate) refused: Vec<String>,
    pub(crate) longest: Duration,
    /// The times of the acknowledgements.
    pub(crate) times: Vec<Instant>,
}

/// The way in which a writer sends its entries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    Single,
    Batch,
    Transaction,
    /// With a wait for the replica behind each group.
    Durable,
}

impl Writer {
    pub(crate) fn begin(client: &Client, key: &str, how: How) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writing = write(client.clone(), key.to_owned(), how, Arc::clone(&stop));
        Self { key: key.to_owned(), stop, task: tokio::spawn(writing) }
    }

    pub(crate) async fn end(self) -> (String, Written) {
        self.stop.store(true, Relaxed);
        (self.key, self.task.await.expect("no panic"))
    }
}

async fn write(client: Client, key: String, how: How, stop: Arc<AtomicBool>) -> Written {
    let mut written = Written::default();
    let mut next = 0;
    let durable = client.durable(Durability::replicas(1, Duration::from_secs(2)));
    let add = |n: u64| XAdd::new(&key).field("n", n);
    while !stop.load(Relaxed) {
        let begin = Instant::now();
        let results: Vec<Result<_, Error>> = match how {
            How::Single => vec![client.send(add(next)).await],
            How::Batch => client.send_all((next..next + 20).map(add)).await,
            How::Durable => {
                let added = durable.add_all((next..next + 20).map(add)).await;
                written.not_kept += added.iter().filter(|added| is_not_kept(added)).count();
                added.into_iter().map(id).collect()
            }
            How::Transaction => match client.transact([add(next), add(next + 1)]).await {
                Ok(results) => results,
                Err(error) => vec![Err(error.clone()), Err(error)],
            },
        };
        written.longest = written.longest.max(begin.elapsed());
        for result in results {
            match result {
                Ok(_) => {
                    written.acknowledged.push(next);
                    written.times.push(Instant::now());
                }
                Err(error) if error.outcome() == Outcome::Unknown => {
                    written.unknown.push((next, error.to_string()));
                }
                Err(error) => written.refused.push(error.to_string()),
            }
            next += 1;
        }
    }
    written
}

fn is_not_kept(added: &Result<Kept, DurableError>) -> bool {
    matches!(added, Err(DurableError::NotKept { .. }))
}

/// Returns the id of an entry that was added, kept or not.
fn id(added: Result<Kept, DurableError>) -> Result<EntryId, Error> {
    match added {
        Ok(Kept { id, .. }) | Err(DurableError::NotKept { id, .. }) => Ok(id),
        Err(DurableError::Redis(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

/// Checks a stream against its writer's results: acknowledged entries are there once and in
/// order, and nothing else is but some of unknown outcome. Returns the number of acknowledged
/// entries that are missing.
pub(crate) fn check(three: &Three, key: &str, written: &Written) -> usize {
    let entries = three.entries(key);
    let lines: Vec<_> = entries.lines().collect();
    let stored: Vec<u64> = lines
        .chunks(3)
        .map(|entry| entry[2].parse().unwrap_or_else(|_| panic!("{key}: {entry:?}")))
        .collect();
    assert!(stored.is_sorted(), "{key}: out of order");
    let mut counts = BTreeMap::new();
    for n in &stored {
        *counts.entry(*n).or_insert(0) += 1;
    }
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{key}: stored more than once: {twice:?}");
    let known = |n: &u64| {
        written.acknowledged.binary_search(n).is_ok()
            || written.unknown.iter().any(|(unknown, _)| unknown == n)
    };
    let strange: Vec<_> = counts.keys().filter(|n| !known(n)).collect();
    assert!(strange.is_empty(), "{key}: stored, but refused: {strange:?}");
    written.acknowledged.iter().filter(|n| !counts.contains_key(n)).count()
}
