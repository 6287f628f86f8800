//! Runs every row on every server.

use crate::db::Db;
use crate::host::Host;
use crate::print;
use crate::support::Server;
use crate::table::{Answer, Line, Row, Table};
use crate::want::{LABELS, Label};
use bourn::{Error, Outcome, Protocol};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, mem, thread};

/// The limit after which a row counts as hung.
const LIMIT: Duration = Duration::from_secs(20);

/// The results of some cells.
#[derive(Debug, Default)]
struct Cells {
    answered: usize,
    too_old: usize,
    wrong: Vec<String>,
}

#[test]
fn every_command_answers_as_its_server_version_should() {
    let labels = env::var("BOURN_MATRIX").unwrap_or_else(|_| Server::start().label().to_owned());
    let known = |label| LABELS.into_iter().find(|known| *known == label).expect("a known label");
    let labels: Vec<_> = labels.split_whitespace().map(known).collect();
    let start = Instant::now();
    let table = run(&labels, false).report(labels.len(), "servers", start);
    println!("{}\n{table}", print::markdown(&crate::all(), &labels));
    if env::var_os(print::WRITE).is_some_and(|set| !set.is_empty()) {
        assert_eq!(
            labels,
            LABELS,
            "the table for docs/server-matrix.md is of all servers: {}",
            print::HOW
        );
        print::write(&print::markdown(&crate::all(), &labels));
    }
}

#[test]
fn in_memory_server_answers_as_each_version() {
    let start = Instant::now();
    println!("{}", run(&LABELS, true).report(LABELS.len(), "in-memory servers", start));
}

/// Runs all rows on these servers, in both protocols.
fn run(labels: &[&'static str], memory: bool) -> Cells {
    let protocols = [Protocol::Resp2, Protocol::Auto];
    let jobs = labels.iter().flat_map(|label| protocols.map(|protocol| (*label, protocol)));
    let (jobs, cells) = (Mutex::new(jobs.collect::<Vec<_>>()), Mutex::new(Cells::default()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let job = jobs.lock().expect("the lock is not poisoned").pop();
                    let Some((label, protocol)) = job else { break };
                    let came = try_all(label, memory, protocol);
                    let mut cells = cells.lock().expect("the lock is not poisoned");
                    cells.answered += came.answered;
                    cells.too_old += came.too_old;
                    cells.wrong.extend(came.wrong);
                }
            });
        }
    });
    mem::take(&mut *cells.lock().expect("all are done"))
}

impl Cells {
    /// Returns a line about cells that are all as expected.
    fn report(self, servers: usize, kind: &str, start: Instant) -> String {
        let Self { answered, too_old, wrong } = self;
        let cells = answered + too_old;
        assert!(wrong.is_empty(), "{} of {cells} cells wrong:\n{}", wrong.len(), wrong.join("\n"));
        format!(
            "{cells} cells on {servers} {kind} in RESP2 and RESP3, all passed after {:.1?}: {answered} answered as expected, \
             {too_old} reported that the server is too old",
            start.elapsed()
        )
    }
}

/// Runs all rows on a new server, one after the other. Time is paused for a server in memory.
fn try_all(label: &'static str, memory: bool, protocol: Protocol) -> Cells {
    let host = Host::start(label, memory, &[]);
    let config = host.config().protocol(protocol);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(memory).build();
    runtime.expect("a runtime can be made").block_on(async {
        let client = host.connect(config.clone()).await.expect("the server takes connections");
        let name = match &host {
            Host::Real(server) => {
                let (major, minor, patch) = server.version();
                let name = if server.is_valkey() { "valkey" } else { "redis" };
                format!("{name} {major}.{minor}.{patch}")
            }
            Host::Memory(_) => client.server().expect("it reports its version").to_string(),
        };
        let db = Db { client, config, host, label, protocol };
        try_each(&crate::all(), label, &name, protocol, &db).await
    })
}

async fn try_each(table: &Table, label: &str, server: &str, protocol: Protocol, db: &Db) -> Cells {
    let mut cells = Cells::default();
    for line in &table.lines {
        for row in &line.rows {
            db.empty().await;
            let run = AssertUnwindSafe((row.run)(db.clone())).catch_unwind();
            let answer = match tokio::time::timeout(LIMIT, run).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Ok("a panic".to_owned()),
                Err(_) => Ok(format!("nothing after {LIMIT:?}")),
            };
            let too_old = line.since.as_ref().filter(|since| since.is_after(Label::read(label)));
            let first = row.want.of_old(Label::read(label));
            let wrong = match too_old.filter(|_| first.is_none()) {
                Some(since) => {
                    cells.too_old += 1;
                    let right = |error: &Error| is_too_old(error, since.feature);
                    is_not(&answer, &since.error(server), answer.as_ref().is_err_and(right))
                }
                None => {
                    cells.answered += 1;
                    let want = row.want.of(Label::read(label));
                    is_not(&answer, want, is_wanted(&answer, want))
                }
            };
            let wrong = wrong.map(|wrong| name(line, row, label, protocol) + &wrong);
            cells.wrong.extend(wrong);
        }
    }
    cells
}

fn name(line: &Line, row: &Row, label: &str, protocol: Protocol) -> String {
    let protocol = if protocol == Protocol::Auto { "RESP3" } else { "RESP2" };
    format!("{label} {protocol}, {} {}, {row:?}\n", line.command, line.option)
}

/// Returns the difference from the expected answer, if any.
fn is_not(answer: &Answer, want: &str, right_kind: bool) -> Option<String> {
    let got = text(answer);
    let too_old = matches!(answer, Err(Error::TooOld(_)));
    (!right_kind || too_old && got != want).then(|| format!("     got {got}\n    want {want}"))
}

fn is_too_old(error: &Error, feature: bourn::Feature) -> bool {
    matches!(error, Error::TooOld(too_old) if too_old.feature() == feature)
        && error.outcome() == Outcome::NotApplied
}

/// An expected error may be given by its code alone, or by the beginning of its text.
fn is_wanted(answer: &Answer, want: &str) -> bool {
    let got = text(answer);
    match answer {
        Err(Error::Server(error)) => {
            let begins = want.strip_suffix("...").is_some_and(|want| got.starts_with(want));
            begins || got == want || error.code().as_str() == want
        }
        Err(_) => false,
        Ok(_) => got == want,
    }
}

/// Formats a reply, or an error as redis-cli shows it.
fn text(answer: &Answer) -> String {
    match answer {
        Ok(text) => text.clone(),
        Err(Error::Server(error)) => {
            let message = String::from_utf8_lossy(error.message());
            format!("{} {message}", error.code()).trim_end().to_owned()
        }
        Err(Error::TooOld(too_old)) => too_old.to_string(),
        Err(other) => format!("{other:?}"),
    }
}
