//! Simulated histories of a client and a server, thousands of them, each from a seed: callers that come and go, a server in all
//! its states, connections that break anywhere; in virtual time. What must hold after each of them:
//!
//! * a reply comes to who asked for it, by its number;
//! * each call ends by its deadline, and 100 ms at most after it;
//! * what is confirmed is stored, once; what is said not to be sent or applied is not; what is unknown is stored once at most;
//! * what may not run twice is sent once;
//! * one connection at a time, and no more dials than the backoff has them;
//! * when the faults end, everyone is told, the client works, closes, and leaves nothing behind.
//!
//! | room | what is in it |
//! |---|---|
//! | `history` | settings, steps and misfortunes of one seed, and the end, in which all is well |
//! | `world` | the server's connections, and how they break |
//! | `wire` | one connection |
//! | `server` | what the server knows and says |
//! | `callers` | what is sent, and what is looked at in replies |
//! | `ledger` | what callers were told beside what the server has seen |
//!
//! `BOURN_HISTORIES=100000` lives through more of them, `BOURN_SEED=7` through that one alone, and tells it.

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

/// So many histories, unless BOURN_HISTORIES says otherwise.
const HISTORIES: u64 = 10_000;

/// No history takes as long, by the clock on the wall.
const HANGS: Duration = Duration::from_secs(60);

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: a number")))
}

/// A history, also one that ends in a panic.
fn run(seed: u64, steps: usize, tell: bool) -> Report {
    catch_unwind(|| history::run(seed, steps, tell))
        .unwrap_or_else(|_| Report { wrong: vec!["it panicked".to_owned()], ..Report::default() })
}

/// Tells the shortest form of a history in which something is wrong, and how to see it again.
fn tell(seed: u64) -> String {
    let steps = (0..STEPS).find(|steps| !run(seed, *steps, false).wrong.is_empty());
    let Report { wrong, tale, .. } = run(seed, steps.unwrap_or(STEPS), true);
    format!(
        "seed {seed}, wrong after {steps:?} steps:\n{}\n\n{}\n\nagain: BOURN_SEED={seed} cargo test --test sim",
        tale.join("\n"),
        wrong.join("\n")
    )
}

#[test]
fn whatever_happens_callers_are_told_the_truth_in_time() {
    if let Some(seed) = number("BOURN_SEED") {
        let report = run(seed, STEPS, true);
        assert!(report.wrong.is_empty(), "{}", tell(seed));
        println!("{}", report.tale.join("\n"));
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
        // Time that does not pass does not end either.
        let report = reports.recv_timeout(HANGS);
        let (seed, report) = report.unwrap_or_else(|_| panic!("seed {first} hangs"));
        missing.remove(&seed);
        sum.dials += report.dials;
        sum.ends.iter_mut().zip(report.ends).for_each(|(sum, n)| *sum += n);
        wrong.extend(report.wrong.into_iter().next().map(|what| (seed, what)));
    }
    wrong.sort_unstable();
    println!(
        "{histories} histories, {} dials; confirmed, not sent, not applied, unknown, given up: {:?}",
        sum.dials, sum.ends
    );
    if let Some((seed, _)) = wrong.first() {
        let list: String = wrong.iter().map(|(seed, what)| format!("{seed}: {what}\n")).collect();
        panic!("{} of {histories} histories went wrong:\n{list}\n{}", wrong.len(), tell(*seed));
    }
    // A simulation in which nothing happens shows nothing.
    assert!(sum.ends.iter().all(|n| *n as u64 >= histories / 2), "{sum:?}");
}

#[test]
fn a_seed_has_one_history() {
    for seed in 0..40 {
        let (once, again) = (run(seed, STEPS, true), run(seed, STEPS, true));
        assert_eq!(once, again, "seed {seed}");
    }
}
