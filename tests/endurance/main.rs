//! Everything at once on one server, for minutes: what it does is accounted for, and what it needs
//! stays the same.
//!
//! In one process, on one shared client: producers, two workers and a consumer of one queue, a tail,
//! other commands, redrives, statistics. Jobs fail, panic, exceed their time, outlast their lease, and
//! are dead-lettered. All connections are closed every five seconds, the server is killed and
//! restarted every minute, and workers are replaced.
//!
//! | file | contents |
//! |---|---|
//! | `jobs` | the kinds of jobs, their handler, and the account of each job |
//! | `load` | producers, workers, the consumer, the operator |
//! | `log` | a writer and a tail of another stream |
//! | `faults` | closed connections and restarts |
//! | `measure` | memory, descriptors, tasks, connections, consumers, keys, series, commands a second |
//! | `verdict` | the rules at the end |
//!
//! `BOURN_SERVER` selects the server; `BOURN_SECONDS` is the duration (default 60). `scripts/soak
//! --everything` sets them.

#[cfg(test)]
#[path = "../server/support.rs"]
mod support;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod load;
#[cfg(test)]
mod log;
#[cfg(test)]
mod measure;
#[cfg(test)]
mod verdict;

#[cfg(test)]
use std::{env, sync::Arc, time::Duration};

/// The limit for everything before and after the time of the load.
#[cfg(test)]
const BESIDE: Duration = Duration::from_secs(180);

#[test]
fn everything_at_once_is_accounted_for_and_needs_no_more_with_time() {
    let seconds = env::var("BOURN_SECONDS").map_or(60, |text| text.parse().expect("a number"));
    let time = Duration::from_secs(seconds);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
    jobs::silence_intended_panics();
    let run = runtime.block_on(async {
        tokio::time::timeout(time + BESIDE, run(time)).await.expect("it comes to an end")
    });
    let broken = verdict::broken(&run);
    print!("{}", verdict::table(&run));
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The events of a run.
#[cfg(test)]
struct Run {
    load: Arc<load::Load>,
    log: log::LogReport,
    samples: Vec<measure::Sample>,
    faults: faults::Faults,
    remains: verdict::Remains,
}

#[cfg(test)]
async fn run(time: Duration) -> Run {
    let series = measure::install_recorder();
    let server = support::Server::builder().args(["--appendonly", "yes"]).start();
    println!("{}, {time:?}", server.label());
    let load = Arc::new(load::Load::new(&server, time).await);
    let log = tokio::spawn(log::run(Arc::clone(&load)));
    let working = tokio::spawn(load::run(Arc::clone(&load)));
    let (faults, samples) = faults::run(server, &load, &series, time).await;
    let server = faults.1;
    // New jobs end, and nothing fails any more: what is left must be done.
    load.calm.cancel();
    let remains = verdict::drained(&server, &load).await;
    load.end.cancel();
    working.await.expect("no panic");
    let log = log.await.expect("no panic");
    Run { load, log, samples, faults: faults.0, remains }
}
