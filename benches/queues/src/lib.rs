//! The no-op job of the Rust peers, and its counter.
//!
//! `bench first` and `bench last` are printed to standard output with the time of the monotonic
//! clock, which all processes share. The driver (run.py) reads them.

use nix::time::{ClockId, clock_gettime};
use std::env;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

static STARTED: AtomicU64 = AtomicU64::new(0);

/// The parameters set by the driver.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Whether jobs are enqueued; otherwise they are run.
    pub enqueue: bool,
    /// The number of jobs.
    pub jobs: u64,
    /// The address of the server.
    pub url: String,
    /// The name of the settings.
    pub setting: String,
}

impl Asked {
    /// Reads the parameters from the environment and the first argument.
    #[must_use]
    pub fn read() -> Self {
        let get = |name| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        Self {
            enqueue: env::args().nth(1).is_some_and(|what| what == "enqueue"),
            jobs: get("QUEUES_JOBS").parse().expect("QUEUES_JOBS is a number"),
            url: get("QUEUES_URL"),
            setting: get("QUEUES_SETTING"),
        }
    }

    /// Runs a job: counts it.
    pub fn job(&self) {
        let count = STARTED.fetch_add(1, Relaxed) + 1;
        if count == 1 {
            mark("first");
        }
        if count == self.jobs {
            mark("last");
        }
    }
}

/// Returns the runtime of a setting. By default it has as many threads as cores, like
/// `tokio::main`. Otherwise it has one, because a no-op job is shorter than the switch to another
/// thread.
#[must_use]
pub fn runtime(asked: &Asked) -> Runtime {
    let mut builder = match asked.setting.as_str() {
        "defaults" => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    builder.enable_all().build().expect("a runtime")
}

/// Completes when the driver has read the resource usage of the worker.
pub async fn stop_requested() {
    signal(SignalKind::terminate()).expect("a handler").recv().await;
}

fn mark(which: &str) {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    println!("bench {which} {}", now.tv_sec() * 1_000_000_000 + now.tv_nsec());
}
