//! A writer and a tail of another stream: each number that was confirmed is received, in order.

use crate::load::Load;
use bourn::{Outcome, ReadFrom, Trim, XAdd};
use futures_util::StreamExt;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};

const KEY: &str = "log";

/// The entries that the writer and the tail have seen.
#[derive(Debug)]
pub(crate) struct LogReport {
    pub(crate) written: u64,
    pub(crate) received: u64,
    /// Numbers that were confirmed and not received.
    pub(crate) missing: u64,
    /// Numbers that were received more often than they can have been written, or out of order.
    pub(crate) wrong: u64,
}

/// Runs both until the end.
pub(crate) async fn run(load: Arc<Load>) -> LogReport {
    let last = Arc::new(AtomicU64::new(0));
    let writer = tokio::spawn(write(Arc::clone(&load), Arc::clone(&last)));
    let mut tail = load.client.tail(KEY, ReadFrom::START);
    let mut report = LogReport { written: 0, received: 0, missing: 0, wrong: 0 };
    // The next number.
    let mut expected = 1;
    let mut again = BTreeSet::new();
    loop {
        let is_over = writer.is_finished() && expected > last.load(Ordering::Acquire);
        if is_over || load.end.is_cancelled() {
            break;
        }
        let Ok(next) = timeout(Duration::from_millis(500), tail.next()).await else { continue };
        let entry = match next {
            Some(Ok(entry)) => entry,
            // The connection was lost: the tail continues.
            Some(Err(_)) => continue,
            None => break,
        };
        let field = |name| entry.get_str(name).ok().flatten().and_then(|text| text.parse().ok());
        let (n, attempt): (u64, u64) =
            (field("n").unwrap_or_default(), field("attempt").unwrap_or_default());
        if n == expected {
            report.received += 1;
            expected += 1;
            again.clear();
        } else if n + 1 == expected && attempt > 1 && again.insert(attempt) {
            // Its outcome was unknown, and it was written again.
        } else if n > expected {
            report.missing += n - expected;
            expected = n + 1;
        } else {
            report.wrong += 1;
        }
    }
    report.written = writer.await.expect("no panic");
    report.missing += report.written.saturating_sub(expected - 1);
    report
}

/// Writes numbers until no more jobs are added. Returns the last one.
async fn write(load: Arc<Load>, last: Arc<AtomicU64>) -> u64 {
    let mut n = 0;
    while !load.calm.is_cancelled() {
        n += 1;
        let mut attempt = 1;
        loop {
            let add = XAdd::new(KEY).field("n", n).field("attempt", attempt);
            let add = add.trim(Trim::max_len(10_000).approximate());
            match load.client.send(add).await {
                Ok(_) => break,
                Err(error) if error.outcome() == Outcome::Unknown => attempt += 1,
                Err(_) => {}
            }
            sleep(Duration::from_millis(10)).await;
        }
        last.store(n, Ordering::Release);
        sleep(Duration::from_millis(5)).await;
    }
    n
}
