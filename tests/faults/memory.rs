//! How much memory a test takes: the kernel counts it, for a process that does nothing else.
//!
//! `unsafe` is forbidden in every target of this crate, so there is no counting allocator. Each of these tests starts the
//! test binary again for itself alone and looks at `VmHWM`, the most that was ever resident, and at `VmPeak`, the most that
//! was ever mapped: a vector reserved on the word of a length is not resident, but it is mapped.

use std::env;
use std::fs;
use std::process::Command;
use tokio::runtime::Builder;

const ALONE: &str = "BOURN_FAULTS_ALONE";

/// The peaks of this process: resident and mapped, in KiB. Nothing is known where there is no `/proc`.
fn peaks() -> Option<[u64; 2]> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some([field("VmHWM:")?, field("VmPeak:")?])
}

/// Runs the test of this name in a process of its own; it may take so many MiB more than there were before it.
pub(crate) fn takes_at_most(mib: u64, name: &str, test: impl AsyncFnOnce()) {
    if env::var(ALONE).is_ok_and(|alone| alone == name) {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let before = peaks();
        runtime.block_on(test());
        if let (Some(before), Some(after)) = (before, peaks()) {
            let grown = [(after[0] - before[0]) >> 10, (after[1] - before[1]) >> 10];
            println!("{name}: {} MiB more resident, {} MiB more mapped", grown[0], grown[1]);
            // The allocator maps in steps of 64 MiB at the most, before it needs them.
            assert!(grown[0] < mib && grown[1] < mib + 64, "{name} took {grown:?} MiB");
        }
        return;
    }
    let this = env::current_exe().expect("this test binary");
    let mut alone = Command::new(this);
    alone.args([name, "--exact", "--nocapture"]).env(ALONE, name);
    let output = alone.output().expect("the test binary starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().filter(|line| line.contains("MiB more")).for_each(|line| println!("{line}"));
}
