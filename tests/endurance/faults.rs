//! Closed connections, and restarts of the server.

use crate::load::Load;
use crate::measure::{Sample, Series, measure};
use crate::support::Server;
use std::time::Duration;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep_until};

/// The time between two samples.
const SAMPLE: Duration = Duration::from_secs(5);

/// All connections are closed after this time.
const CLOSE: Duration = Duration::from_secs(5);

/// The server is restarted after this time.
const RESTART: Duration = Duration::from_secs(60);

/// The number of each fault.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) closed: u64,
    pub(crate) restarts: u64,
}

/// Causes faults for this time. Measures shortly before each.
pub(crate) async fn run(
    mut server: Server,
    load: &Load,
    series: &Series,
    time: Duration,
) -> ((Faults, Server), Vec<Sample>) {
    let (start, mut faults, mut samples) = (Instant::now(), Faults::default(), Vec::new());
    let mut step = start + SAMPLE;
    let mut restart = start + RESTART / 2;
    while step < start + time {
        sleep_until(step).await;
        samples.push(block_in_place(|| measure(&server, series, start)));
        if Instant::now() >= restart {
            block_in_place(|| server.restart());
            faults.restarts += 1;
            restart += RESTART;
        } else {
            block_in_place(|| server.command(&["CLIENT", "KILL", "TYPE", "normal"]));
            faults.closed += 1;
        }
        step += CLOSE;
    }
    let errors = load.errors.lock().expect("no panic").len();
    println!("the faults are over after {:?}, {errors} errors", start.elapsed());
    ((faults, server), samples)
}
