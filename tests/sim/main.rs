//! Simulated histories of a client and a server: thousands, each from a seed, in virtual time.
//! Callers come and go, the server is in any state, connections break anywhere. Invariants:
//!
//! * a reply reaches the caller that asked for it, by its number;
//! * each call ends at most 100 ms after its deadline;
//! * a confirmed entry is stored once; a command reported as not sent or not applied is not stored;
//!   an unknown one is stored at most once;
//! * a command that is not idempotent is sent once;
//! * there is one connection at a time, and no more dials than the backoff allows;
//! * after the faults every call ends, the client works, closes, and leaves nothing behind.
//!
//! | module | contents |
//! |---|---|
//! | `history` | settings, steps and faults of one seed, and the recovery at its end |
//! | `world` | the server's connections, and their faults |
//! | `wire` | one connection |
//! | `server` | the server's state and replies |
//! | `callers` | the commands, and the checks of their replies |
//! | `ledger` | the callers' results compared with the server's commands |
//!
//! `BOURN_HISTORIES=100000` runs more of them; `BOURN_SEED=7` runs one and prints its events.

#[cfg(test)]
mod callers;
#[cfg(test)]
mod history;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod server;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod world;

use history::{Report, STEPS};
use std::collections::BTreeSet;
use std::env;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// The number of histories, unless `BOURN_HISTORIES` is set.
const HISTORIES: u64 = 10_000;

/// The limit, in real time, after which a history counts as hung.
const HANGS: Duration = Duration::from_secs(60);

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: a number")))
}

/// Runs a history; a panic becomes part of the report.
fn run(seed: u64, steps: usize, trace: bool) -> Report {
    catch_unwind(|| history::run(seed, steps, trace))
        .unwrap_or_else(|_| Report { wrong: vec!["it panicked".to_owned()], ..Report::default() })
}

/// Returns the shortest failing form of a history, and the command that reruns it.
fn replay(seed: u64) -> String {
    let steps = (0..STEPS).find(|steps| !run(seed, *steps, false).wrong.is_empty());
    let Report { wrong, trace, .. } = run(seed, steps.unwrap_or(STEPS), true);
    format!(
        "seed {seed}, fails after {steps:?} steps:\n{}\n\n{}\n\nrerun: BOURN_SEED={seed} cargo test --test sim",
        trace.join("\n"),
        wrong.join("\n")
    )
}

#[test]
fn every_call_ends_in_time_with_its_true_outcome() {
    if let Some(seed) = number("BOURN_SEED") {
        let report = run(seed, STEPS, true);
        assert!(report.wrong.is_empty(), "{}", replay(seed));
        println!("{}", report.trace.join("\n"));
        return;
    }
    let histories = number("BOURN_HISTORIES").unwrap_or(HISTORIES);
    let next = Arc::new(AtomicU64::new(0));
    let (done, reports) = mpsc::channel();
    for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
        let (next, done) = (Arc::clone(&next), done.clone());
        thread::spawn(move || {
            while let Some(seed) = Some(next.fetch_add(1, SeqCst)).filter(|seed| *seed < histories)
            {
                let _ = done.send((seed, run(seed, STEPS, false)));
            }
        });
    }
    let (mut sum, mut wrong) = (Report::default(), Vec::new());
    let mut missing: BTreeSet<u64> = (0..histories).collect();
    while let Some(first) = missing.first() {
        // If virtual time stops, no timeout fires.
        let report = reports.recv_timeout(HANGS);
        let (seed, report) = report.unwrap_or_else(|_| panic!("seed {first} hangs"));
        missing.remove(&seed);
        sum.dials += report.dials;
        sum.ends.iter_mut().zip(report.ends).for_each(|(sum, n)| *sum += n);
        wrong.extend(report.wrong.into_iter().next().map(|what| (seed, what)));
    }
    wrong.sort_unstable();
    println!(
        "{histories} histories, {} dials; confirmed, not sent, not applied, unknown, dropped: {:?}",
        sum.dials, sum.ends
    );
    if let Some((seed, _)) = wrong.first() {
        let list: String = wrong.iter().map(|(seed, what)| format!("{seed}: {what}\n")).collect();
        panic!("{} of {histories} histories failed:\n{list}\n{}", wrong.len(), replay(*seed));
    }
    // A simulation without such events would prove nothing.
    assert!(sum.ends.iter().all(|n| *n as u64 >= histories / 2), "{sum:?}");
}

#[test]
fn equal_seeds_give_equal_histories() {
    for seed in 0..40 {
        let (once, again) = (run(seed, STEPS, true), run(seed, STEPS, true));
        assert_eq!(once, again, "seed {seed}");
    }
}
