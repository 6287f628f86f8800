//! Runs tests one at a time, and measures their memory.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};
use tokio::runtime;

/// The limit after which a test counts as hung.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a test on two threads while no other one runs; prints its duration.
pub(crate) fn alone(test: impl Future<Output = ()>) {
    static ALONE: Mutex<()> = Mutex::new(());
    // A failed test does not make the others fail.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let start = Instant::now();
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        tokio::time::timeout(LIMIT, test).await.expect("the test comes to an end");
    });
    println!("{:.1} s", start.elapsed().as_secs_f64());
}

/// Returns the resident memory of this process, in bytes.
pub(crate) fn resident() -> io::Result<u64> {
    status("VmRSS:")
}

/// Returns the peak of resident memory since [`reset_peak`], in bytes.
pub(crate) fn peak() -> io::Result<u64> {
    status("VmHWM:")
}

/// Resets the peak.
pub(crate) fn reset_peak() -> io::Result<()> {
    fs::write("/proc/self/clear_refs", "5")
}

fn status(name: &str) -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
