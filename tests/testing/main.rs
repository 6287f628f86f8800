//! The in-memory server of `bourn::testing`: pipes, commands, waits, faults and time.
//!
//! Time is paused, so that no test waits. Each test has a time limit of some hours, which take no
//! real time.

#[cfg(test)]
mod connections;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod waits;
#[cfg(test)]
mod worker;

#[cfg(test)]
use std::future::Future;
#[cfg(test)]
use std::time::Duration;

/// Runs a test in paused time, and fails it if it does not end.
#[cfg(test)]
fn in_paused_time(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    let hours = Duration::from_secs(100 * 3_600);
    runtime.block_on(async { tokio::time::timeout(hours, test).await }).expect("the test ends");
}

/// Lets every task do what it can without advancing the time.
#[cfg(test)]
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
