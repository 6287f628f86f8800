//! The in-memory server of `bourn::testing`: pipes, commands, waits, faults and time.
//!
//! Time is paused, so that no test waits. Each test has a time limit of an hour, which takes no real
//! time.

#[cfg(test)]
mod basics;

#[cfg(test)]
use std::future::Future;
#[cfg(test)]
use std::time::Duration;

/// Runs a test in paused time, and fails it if it does not end.
#[cfg(test)]
fn in_paused_time(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    let hour = Duration::from_secs(3_600);
    runtime.block_on(async { tokio::time::timeout(hour, test).await }).expect("the test ends");
}
