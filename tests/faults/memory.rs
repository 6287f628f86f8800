//! Measures the peak memory of a test: every requested byte counts, touched or not.

use super::peer::in_paused_time;
use allocation_counter::measure;

/// Runs a test that may hold at most this many MiB at once: client, scripted server and callers
/// together. All of them run on this thread; only its allocations are counted.
pub(crate) fn takes_at_most(mib: u64, test: impl AsyncFnOnce()) {
    let taken = measure(|| in_paused_time(test()));
    assert!(taken.bytes_max < mib << 20, "took {} MiB, not {mib}", taken.bytes_max >> 20);
    println!("{} KiB at peak", taken.bytes_max >> 10);
    assert!(taken.bytes_current < 64 << 10, "{} bytes are not freed", taken.bytes_current);
}
