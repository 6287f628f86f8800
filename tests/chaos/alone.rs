//! Runs tests one at a time, and measures what they take.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};
use tokio::runtime;

/// A test that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a test on two threads while no other one runs, and says how long it took.
pub(crate) fn alone(test: impl Future<Output = ()>) {
    static ALONE: Mutex<()> = Mutex::new(());
    // One that failed is no reason for others to fail.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let start = Instant::now();
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        tokio::time::timeout(LIMIT, test).await.expect("the test comes to an end");
    });
    println!("{:.1} s", start.elapsed().as_secs_f64());
}

/// How many bytes of this process are in memory now.
pub(crate) fn resident() -> io::Result<u64> {
    status("VmRSS:")
}

/// How many bytes of this process were in memory at most since [`forget_peak`].
pub(crate) fn peak() -> io::Result<u64> {
    status("VmHWM:")
}

/// Begins anew to note the peak.
pub(crate) fn forget_peak() -> io::Result<()> {
    fs::write("/proc/self/clear_refs", "5")
}

fn status(name: &str) -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
