//! The no-op job of the Rust peers, and who counts them.
//!
//! `bench first` and `bench last` go to standard output with the time of the monotonic clock, the one that all
//! processes share: the driver (run.py) reads them.

use nix::time::{ClockId, clock_gettime};
use std::env;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

static STARTED: AtomicU64 = AtomicU64::new(0);

/// What the driver asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Jobs are put in the queue; otherwise they are done.
    pub enqueue: bool,
    /// How many.
    pub jobs: u64,
    /// The address of the server.
    pub url: String,
    /// The name of the settings.
    pub setting: String,
}

impl Asked {
    /// From the environment and the first argument.
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

    /// Does a job: counts it.
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

/// The runtime of a setting: with as many threads as cores by default, as `tokio::main` has it; one otherwise, for a
/// job that does nothing is shorter than the way to another thread.
#[must_use]
pub fn runtime(asked: &Asked) -> Runtime {
    let mut builder = match asked.setting.as_str() {
        "defaults" => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    builder.enable_all().build().expect("a runtime")
}

/// Ready when the driver has read what the worker used.
pub async fn told_to_stop() {
    signal(SignalKind::terminate()).expect("a handler").recv().await;
}

fn mark(which: &str) {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    println!("bench {which} {}", now.tv_sec() * 1_000_000_000 + now.tv_nsec());
}
