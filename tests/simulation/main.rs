//! Simulated histories of the queue: thousands, each from a seed, in paused time. Queues, producers,
//! workers and their maintenance are the real code, on the in-memory server. Rules:
//!
//! * a job that was enqueued is done, or a dead letter, at the end, unless the server lost it or an
//!   operator deleted it;
//! * no two workers run a job at once, unless the server's clock jumped, it lost data, or a heartbeat
//!   arrived late;
//! * a job is run no more often than its attempts, and once more if its workers died; each attempt
//!   has a higher number;
//! * that further attempt runs alone in its process, and no job that succeeds is a dead letter
//!   without it;
//! * no retry comes before its delay has ended, unless a fault kept the delay from being written;
//! * a job that was done is run again only after a fault, a loss or a redrive;
//! * no dead letter before all attempts were made, or the handler said so;
//! * an enqueue that was reported as not done adds nothing;
//! * after the last fault, all jobs are settled in time, and nothing is pending.
//!
//! | module | contents |
//! |---|---|
//! | `scene`, `plan` | what is drawn from a seed: server, queues, jobs, workers; faults |
//! | `world`, `link`, `process` | the server and its clients; a network that breaks; a worker that crashes |
//! | `ledger`, `history` | the rules at each moment, and at the end |
//! | `shrink` | the shortest list of faults with which a history fails |
//!
//! `BOURN_HISTORIES=100000` runs more of them, from `BOURN_FROM=7` on; `BOURN_SEED=7` runs one and
//! prints its events, with `BOURN_STEPS=2,5` only these faults, with `BOURN_REQUESTS=1` also the
//! requests that the server took.

#[cfg(test)]
mod history;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod link;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod process;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod shrink;
#[cfg(test)]
mod world;

use history::{Report, Which};
use std::collections::BTreeSet;
use std::env;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// The number of histories, unless `BOURN_HISTORIES` is set.
const HISTORIES: u64 = 10_000;

/// The limit, in real time, after which a history counts as hung.
const HANGS: Duration = Duration::from_secs(60);

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: a number")))
}

/// Runs a history; a panic becomes part of the report.
fn run(which: &Which) -> Report {
    catch_unwind(|| history::run(which))
        .unwrap_or_else(|_| Report { wrong: vec!["it panicked".to_owned()], ..Report::default() })
}

/// Runs histories on all cores. Each report comes with its seed.
fn run_all(seeds: std::ops::Range<u64>) -> mpsc::Receiver<(u64, Report)> {
    let next = Arc::new(AtomicU64::new(seeds.start));
    let (done, reports) = mpsc::channel();
    for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
        let (next, done) = (Arc::clone(&next), done.clone());
        thread::spawn(move || {
            loop {
                let seed = next.fetch_add(1, SeqCst);
                if seed >= seeds.end {
                    return;
                }
                let _ = done.send((seed, run(&Which { seed, ..Which::default() })));
            }
        });
    }
    reports
}

#[test]
fn no_job_is_lost_dead_lettered_early_or_run_by_two_workers() {
    if let Some(seed) = number("BOURN_SEED") {
        let steps = env::var("BOURN_STEPS").ok();
        let steps = steps.map(|steps| steps.split(',').filter_map(|n| n.parse().ok()).collect());
        let report = run(&Which { seed, steps, tells: true, ..Which::default() });
        println!("{}\n{report}", report.tale.join("\n"));
        assert!(report.wrong.is_empty(), "{}", report.wrong.join("\n"));
        return;
    }
    let first = number("BOURN_FROM").unwrap_or(0);
    let seeds = first..first + number("BOURN_HISTORIES").unwrap_or(HISTORIES);
    let begin = Instant::now();
    let reports = run_all(seeds.clone());
    let (mut sum, mut wrong) = (Report::default(), Vec::new());
    let mut missing: BTreeSet<u64> = seeds.clone().collect();
    while let Some(first) = missing.first() {
        let report = reports.recv_timeout(HANGS);
        let (seed, report) = report.unwrap_or_else(|_| panic!("seed {first} hangs"));
        missing.remove(&seed);
        sum.add(&report);
        wrong.extend(report.wrong.into_iter().next().map(|what| (seed, what)));
    }
    let took = begin.elapsed().as_secs_f64();
    let speed = sum.time.as_secs_f64() / 3_600.0 / took;
    println!(
        "{} histories in {took:.1} s, {speed:.1} virtual hours a second: {sum}",
        seeds.end - seeds.start
    );
    wrong.sort_unstable();
    if let Some((seed, _)) = wrong.first() {
        let list: Vec<String> =
            wrong.iter().map(|(seed, what)| format!("{seed}: {what}")).collect();
        panic!(
            "{} histories went wrong:\n{}\n{}",
            wrong.len(),
            list.join("\n"),
            shrink::tell(*seed)
        );
    }
}

#[test]
fn a_seed_has_one_history() {
    for seed in 0..20 {
        let which = Which { seed, tells: true, ..Which::default() };
        let (once, again) = (run(&which), run(&which));
        for (first, second) in once.tale.iter().zip(&again.tale) {
            assert_eq!(first, second, "seed {seed}");
        }
        assert_eq!(once, again, "seed {seed}");
    }
}
