//! User instructions per operation, counted by callgrind in separate runs, never together with
//! times.
//!
//! This binary runs itself under valgrind as `count`, twice with different lengths. The difference
//! is the cost of the operations, without startup and connecting.

use super::replies::{capture, small};
use super::{Bench, drain, parse, xadd};
use crate::clients::{KEY, Name};
use crate::record::Values;
use crate::server::Address;
use crate::with_peer;
use clap::ValueEnum;
use std::process::Command;

/// The operation that `count` repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Counted {
    /// Each of N tasks adds an entry.
    Xadd,
    /// A batch of N entries is read and acknowledged.
    Drain,
    /// The Nth captured reply is parsed; it is read from a file.
    Parse,
}

pub fn run(bench: &mut Bench) {
    if Command::new("valgrind").arg("--version").output().is_err() {
        bench.say("instructions: left out, there is no valgrind (apt-get install valgrind)");
        return;
    }
    let port = match bench.server.tcp() {
        Address::Tcp(port) => port.to_string(),
        Address::Unix(path) => path.display().to_string(),
    };
    let clients = bench.clients.clone();
    let labels = clients.iter().map(|name| name.label());
    let tasks: &[usize] = if bench.quick { &[256] } else { &[1, 16, 64, 256, 1024] };
    for n in tasks {
        bench.say(&format!("instructions, xadd {n}"));
        for label in labels.clone() {
            let cost = cost(bench, ["xadd", label, &n.to_string(), &port], 12_800 / n, *n);
            note(bench, &format!("xadd {n}"), label, cost);
        }
        bench.server.clear();
    }
    if !bench.quick {
        bench.say("instructions, drain COUNT 100");
        bench.server.ask_all(small(50_000).commands(KEY));
        for label in labels.clone() {
            let cost = cost(bench, ["drain", label, "100", &port], 100, 100);
            note(bench, "drain COUNT 100", label, cost);
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    for (n, reply) in capture(&mut bench.server, false).iter().enumerate() {
        // Quick: only the two shapes that have targets.
        if bench.quick && !matches!(n, 1 | 2) {
            continue;
        }
        bench.say(&format!("instructions, parse {}", reply.label));
        let file = folder.path().join(n.to_string());
        std::fs::write(&file, &reply.bytes).expect("a file");
        let file = file.display().to_string();
        let limits = parse::LIMITS.into_iter().filter(|limit| !bench.quick || *limit == "headers");
        for label in limits.collect::<Vec<_>>().into_iter().chain(labels.clone()) {
            let cost = cost(bench, ["parse", label, &n.to_string(), &file], 5, reply.entries);
            note(bench, &format!("parse {}", reply.label), label, cost);
        }
    }
}

fn note(bench: &mut Bench, case: &str, label: &str, cost: Option<f64>) {
    if let Some(cost) = cost {
        let values = Values::from([("instructions".into(), cost)]);
        bench.note("instructions", case, label, 0, values);
    }
}

/// Returns the instructions for each of `things` things that are done `times` times.
fn cost(bench: &mut Bench, what: [&str; 4], times: usize, things: usize) -> Option<f64> {
    let mut collected = |times: usize| {
        drain::group(&mut bench.server);
        let [work, client, n, at] = what;
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe().ok()?)
            .args(["count", work, client, n, &times.to_string(), "--at", at])
            .output()
            .ok()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = said.lines().find_map(|line| line.split_once("Collected :"));
        let count = line.and_then(|(_, count)| count.trim().parse::<u64>().ok());
        if count.is_none() || !output.status.success() {
            println!("    failed: {}", said.lines().last().unwrap_or_default());
        }
        count
    };
    let (few, many) = (collected(times / 5 + 1)?, collected(times + times / 5 + 1)?);
    Some((many.saturating_sub(few)) as f64 / (times * things) as f64)
}

/// The code that runs under callgrind. `at` is a port or a socket, and for `parse` the file of the
/// reply.
pub fn count(work: Counted, client: &str, n: usize, times: usize, at: &str) {
    let name = Name::ALL.into_iter().find(|name| name.label() == client);
    if work == Counted::Parse {
        let reply = super::replies::saved(n, std::fs::read(at).expect("a captured reply"));
        for _ in 0..times {
            std::hint::black_box(match name {
                Some(name) => with_peer!(name, P => parse::once::<P>(&reply)),
                None => parse::bare(client, &reply),
            });
        }
        return;
    }
    let at: Address = at.parse().expect("a port, or the path of a Unix socket");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    with_peer!(name.expect("a client by its label"), P => runtime.block_on(async {
        match work {
            Counted::Xadd => xadd::fixed::<P>(&at, n, times).await,
            _ => drain::fixed::<P>(&at, n, times).await,
        }
    }));
}
