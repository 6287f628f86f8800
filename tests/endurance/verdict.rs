//! The rules at the end.
//!
//! | rule | broken if |
//! |---|---|
//! | account | a confirmed job was not done, or one that was never added was; the stream, the group or the dead letters are not empty |
//! | twice | jobs ended again more often than leases were lost, decisions failed, or jobs were added with an unknown outcome |
//! | log | a confirmed number was not received, or one came twice or out of order |
//! | flat | the largest value of the last minutes exceeds that of the first minutes, and what is allowed beside it |
//! | bounded | more commands a second than the load explains, in any five seconds |
//! | errors | an error that no lost connection explains |

use crate::Run;
use crate::load::{DEAD, GROUP, Load, STREAM};
use crate::measure::{Sample, commands_a_second};
use crate::support::Server;
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The limit for the queue to be empty after the faults.
const DRAINED: Duration = Duration::from_secs(90);

/// Commands a second that the load explains: up to twelve for each of 200 jobs, 20 rounds of the
/// other commands with five each, the writer's 200, and those of a reconnect.
const COMMANDS: u64 = 6_000;

/// The entries and keys that are left at the end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Remains {
    pub(crate) entries: u64,
    pub(crate) pending: u64,
    pub(crate) letters: u64,
}

/// Waits until the queue is empty, or its time is over.
pub(crate) async fn drained(server: &Server, load: &Load) -> Remains {
    let start = Instant::now();
    loop {
        let number = |words: &[&str]| {
            let reply = server.command(words);
            reply.lines().next().and_then(|line| line.parse().ok()).expect("a number")
        };
        let remains = Remains {
            entries: number(&["XLEN", STREAM]),
            pending: number(&["XPENDING", STREAM, GROUP]),
            letters: number(&["XLEN", DEAD]),
        };
        let is_empty = remains == Remains { entries: 0, pending: 0, letters: 0 };
        if is_empty || start.elapsed() > DRAINED {
            println!("{remains:?} after {:?}", start.elapsed());
            let (lost, _) = load.account.wrong();
            println!("{} confirmed jobs have not ended", lost.len());
            return remains;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// A value of a sample: its name, and how much it may grow, in hundredths and in its unit.
type Value = (&'static str, fn(&Sample) -> u64, u64, u64);

const VALUES: [Value; 10] = [
    ("memory KiB", |sample| sample.memory, 10, 8_192),
    ("descriptors", |sample| sample.descriptors, 0, 4),
    ("threads", |sample| sample.threads, 0, 4),
    ("tasks", |sample| sample.tasks, 0, 40),
    ("connections", |sample| sample.connections, 0, 4),
    ("consumers", |sample| sample.consumers, 0, 6),
    ("keys", |sample| sample.keys, 0, 0),
    ("series", |sample| sample.series, 0, 6),
    ("server KiB", |sample| sample.server_memory, 10, 4_096),
    ("length", |sample| sample.length, 0, 1_500),
];

/// Returns the rules that are broken.
pub(crate) fn broken(run: &Run) -> Vec<String> {
    let (load, mut broken) = (&run.load, Vec::new());
    let (lost, foreign) = load.account.wrong();
    if !lost.is_empty() || !foreign.is_empty() {
        broken.push(format!("account: lost {lost:?}; never added {foreign:?}"));
    }
    if run.remains != (Remains { entries: 0, pending: 0, letters: 0 }) {
        broken.push(format!("account: left at the end: {:?}", run.remains));
    }
    let again = load.account.again.load(Ordering::Acquire);
    let explained = load.event("lease lost")
        + load.event("settlement failed")
        + load.account.unknown.load(Ordering::Acquire);
    if again > explained {
        broken.push(format!("twice: {again} jobs, of which {explained} are explained"));
    }
    if run.log.missing + run.log.wrong > 0 {
        broken.push(format!("log: {:?}", run.log));
    }
    for (name, value, percent, more) in VALUES {
        // The first minute fills buffers and caches.
        let samples = run.samples.iter().filter(|sample| sample.at > Duration::from_secs(25));
        let values: Vec<u64> = samples.map(value).collect();
        let (first, last) = values.split_at(values.len() / 2);
        let (Some(first), Some(last)) = (first.iter().max(), last.iter().max()) else { continue };
        if *last > first + first * percent / 100 + more {
            broken.push(format!("flat: {name} from {first} to {last}"));
        }
    }
    let rates = run.samples.windows(2).filter_map(|two| commands_a_second(&two[0], &two[1]));
    if let Some(most) = rates.max().filter(|most| *most > COMMANDS) {
        broken.push(format!("bounded: {most} commands a second"));
    }
    for error in load.errors.lock().expect("no panic").iter().take(9) {
        broken.push(format!("errors: {error}"));
    }
    broken
}

/// Returns what has happened, as text.
pub(crate) fn table(run: &Run) -> String {
    let load = &run.load;
    let of = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Acquire);
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{words}").expect("a String");
    let account = &load.account;
    line(format!(
        "jobs: {} confirmed, {} unknown, {} not added, {} ended again, {} redriven",
        of(&account.confirmed),
        of(&account.unknown),
        of(&account.refused),
        of(&account.again),
        of(&load.redriven),
    ));
    let reports = load.reports.lock().expect("no panic");
    let sum = |value: fn(&bourn::queue::Report) -> u64| reports.iter().map(value).sum::<u64>();
    line(format!(
        "{} workers and consumers: {} done, {} already gone, {} retried, {} dead, {} discarded, \
         {} released, {} lease lost, {} panicked, {} timed out, {} lost, {} unacknowledged, {} unsettled",
        reports.len(),
        sum(|report| report.done),
        sum(|report| report.already_gone),
        sum(|report| report.retried),
        sum(|report| report.dead),
        sum(|report| report.discarded),
        sum(|report| report.released),
        sum(|report| report.lease_lost),
        sum(|report| report.panicked),
        sum(|report| report.timed_out),
        sum(|report| report.lost),
        sum(|report| report.unacknowledged),
        sum(|report| report.unsettled),
    ));
    line(format!("events: {:?}", load.events.lock().expect("no panic")));
    line(format!("{:?}", run.log));
    line(format!("{:?}", run.faults));
    let mut head = "minute".to_owned();
    for (name, ..) in VALUES {
        write!(head, " {name:>12}").expect("a String");
    }
    line(format!("{head} {:>12}", "commands/s"));
    let last = run.samples.last().map_or(0, |sample| sample.at.as_secs() / 60);
    for minute in 0..=last {
        let samples = run.samples.iter().filter(|sample| sample.at.as_secs() / 60 == minute);
        let samples: Vec<&Sample> = samples.collect();
        let mut row = format!("{minute:>6}");
        for (_, value, ..) in VALUES {
            let most = samples.iter().map(|sample| value(sample)).max().unwrap_or_default();
            write!(row, " {most:>12}").expect("a String");
        }
        let pairs = run.samples.windows(2).filter(|two| two[1].at.as_secs() / 60 == minute);
        let rates = pairs.filter_map(|two| commands_a_second(&two[0], &two[1]));
        line(format!("{row} {:>12}", rates.max().unwrap_or_default()));
    }
    text
}
