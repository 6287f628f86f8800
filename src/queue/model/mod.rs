//! A model of the queue: random histories of producers, consumers and a server, thousands of them, each from a seed, in a time
//! of its own. Plan, leases, policy, delays and settings are the real ones; the tasks around them are written after the real
//! ones, command by command. What must hold:
//!
//! * what was added, `Ok`, is done or among the dead letters at the end, unless the server lost it or a job said otherwise;
//! * nothing is acknowledged before it is done;
//! * nothing goes to the dead letters before its attempts are spent, as the server counts them, or it says so itself;
//! * no job is run more often than it may be, nor more often than it was delivered;
//! * two consumers never believe in one entry at the same true time, unless the server's clock jumped, it forgot something, or
//!   a command was on its way for longer than the last quarter of a lease; one consumer never runs a job twice at a time;
//! * who reads on has everything in its hands that was given to it, and does not recover in circles;
//! * nobody with room lets anything lie that is due;
//! * when nothing goes wrong any more all jobs come to their end, and nothing is pending.
//!
//! | room | what is in it |
//! |---|---|
//! | `scene`, `fate`, `history` | what a seed begins with, what goes wrong, what came of it |
//! | `world`, `net`, `tasks` | true time and clocks, connections that break, tasks |
//! | `server`, `pending`, `wire` | a small server, and what it is asked |
//! | `consumer`, `reading`, `keeping`, `deciding`, `working` | a consumer and its tasks |
//! | `ledger`, `laws` | what really happened, and what must not |
//! | `mutant` | consumers that are wrong on purpose: each has to be noticed |
//!
//! `BOURN_HISTORIES=100000` lives through more of them, `BOURN_SEED=7` through that one alone, and tells it.

mod consumer;
mod deciding;
mod fate;
mod history;
mod keeping;
mod laws;
mod ledger;
mod mutant;
mod net;
mod pending;
mod reading;
mod scene;
mod server;
mod tasks;
mod wire;
mod working;
mod world;

use history::{Report, Which};
use std::collections::BTreeSet;
use std::env;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// So many histories, unless BOURN_HISTORIES says otherwise.
const HISTORIES: u64 = 10_000;

/// A consumer that is wrong on purpose is noticed in one of so many.
const NOTICED: u64 = 3_000;

/// No history takes as long, by the clock on the wall.
const HANGS: Duration = Duration::from_secs(60);

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: a number")))
}

/// A history, also one that ends in a panic.
fn run(which: Which) -> Report {
    catch_unwind(|| history::run(which))
        .unwrap_or_else(|_| Report { wrong: vec!["it panicked".to_owned()], ..Report::default() })
}

/// Tells the shortest form of a history in which something is wrong, and how to see it again.
fn tell(seed: u64) -> String {
    let cut = |steps| Which { seed, steps: Some(steps), ..Which::default() };
    let steps = (0..scene::STEPS).find(|steps| !run(cut(*steps)).wrong.is_empty());
    let Report { wrong, tale, .. } = run(Which { seed, steps, tells: true, ..Which::default() });
    format!(
        "seed {seed}, wrong after {steps:?} misfortunes:\n{}\n\n{}\n\nagain: BOURN_SEED={seed} cargo test --lib queue::model",
        tale.join("\n"),
        wrong.join("\n")
    )
}

/// Lives through many, with all hands; what came of each comes with its seed.
fn all(histories: u64) -> mpsc::Receiver<(u64, Report)> {
    let next = Arc::new(AtomicU64::new(0));
    let (done, reports) = mpsc::channel();
    for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
        let (next, done) = (Arc::clone(&next), done.clone());
        thread::spawn(move || {
            while let Some(seed) = Some(next.fetch_add(1, SeqCst)).filter(|seed| *seed < histories)
            {
                let _ = done.send((seed, run(Which { seed, ..Which::default() })));
            }
        });
    }
    reports
}

#[test]
fn whatever_happens_no_job_is_lost_buried_early_or_run_by_two_believers() {
    if let Some(seed) = number("BOURN_SEED") {
        let report = run(Which { seed, tells: true, ..Which::default() });
        assert!(report.wrong.is_empty(), "{}", tell(seed));
        println!("{}", report.tale.join("\n"));
        return;
    }
    let histories = number("BOURN_HISTORIES").unwrap_or(HISTORIES);
    let reports = all(histories);
    let (mut sum, mut wrong) = (Report::default(), Vec::new());
    let mut missing: BTreeSet<u64> = (0..histories).collect();
    while let Some(first) = missing.first() {
        let report = reports.recv_timeout(HANGS);
        let (seed, report) = report.unwrap_or_else(|_| panic!("seed {first} hangs"));
        missing.remove(&seed);
        sum.add(&report);
        wrong.extend(report.wrong.into_iter().next().map(|what| (seed, what)));
    }
    wrong.sort_unstable();
    println!("{histories} histories: {sum}");
    if let Some((seed, _)) = wrong.first() {
        let list: String = wrong.iter().map(|(seed, what)| format!("{seed}: {what}\n")).collect();
        panic!("{} of {histories} histories went wrong:\n{list}\n{}", wrong.len(), tell(*seed));
    }
    // A model in which nothing happens shows nothing.
    let Report { crashes, cuts, twice, dead, .. } = sum;
    assert!([crashes, cuts, dead].iter().all(|n| *n as u64 >= histories), "{sum}");
    assert!(twice as u64 >= histories / 20, "{sum}");
}

#[test]
fn what_is_wrong_on_purpose_is_noticed() {
    let unnoticed = |(mutant, kind): &(mutant::Mutant, scene::Kind)| {
        let which = Which { mutant: Some(*mutant), kind: Some(*kind), ..Which::default() };
        let noticed =
            (0..NOTICED).find(|seed| !run(Which { seed: *seed, ..which }).wrong.is_empty());
        println!("{mutant:?}: {noticed:?}");
        noticed.is_none()
    };
    let unnoticed: Vec<_> = mutant::ALL.iter().filter(|mutant| unnoticed(mutant)).collect();
    assert!(unnoticed.is_empty(), "{unnoticed:?}");
}

#[test]
fn a_seed_has_one_history() {
    for seed in 0..40 {
        let which = Which { seed, tells: true, ..Which::default() };
        let (once, again) = (run(which), run(which));
        assert_eq!(once, again, "seed {seed}");
    }
}
