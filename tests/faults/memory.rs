//! How much memory a test takes at once: every byte asked for is counted, whether it is ever touched or not.

use super::peer::in_paused_time;
use allocation_counter::measure;

/// Runs a test, which may hold so many MiB at once: the client, the scripted server and the callers together. All of them
/// run on this thread, which alone is counted.
pub(crate) fn takes_at_most(mib: u64, test: impl AsyncFnOnce()) {
    let taken = measure(|| in_paused_time(test()));
    assert!(taken.bytes_max < mib << 20, "took {} MiB, not {mib}", taken.bytes_max >> 20);
    println!("{} KiB at once", taken.bytes_max >> 10);
    assert!(taken.bytes_current < 64 << 10, "{} bytes are left behind", taken.bytes_current);
}
