//! XADD from many tasks on one connection, or on four.

use super::Bench;
use crate::clients::raw::{Control, command};
use crate::clients::{Fields, KEY, Name, Peer};
use crate::measure::{Meter, Runtime, Used, alloc, blocking, latencies, ns};
use crate::record::Values;
use crate::server::{Address, Server, benchmark};
use crate::with_peer;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// 16 bytes in one field.
pub const SMALL: Fields = &[("field", "0123456789abcdef")];

const BYTES: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// 64 bytes in each of five fields.
const LARGE: Fields =
    &[("one", BYTES), ("two", BYTES), ("three", BYTES), ("four", BYTES), ("five", BYTES)];

/// The latency of one in this many operations of a task is measured, because reading the clock
/// costs time.
const SAMPLED: usize = 8;

/// A measured case.
#[derive(Debug, Clone, Copy)]
struct Case {
    runtime: Runtime,
    unix: bool,
    fields: Fields,
    tasks: usize,
    connections: usize,
}

impl Case {
    fn label(&self) -> String {
        let socket = if self.unix { "unix" } else { "tcp" };
        let shape = if self.fields.len() == 1 { "1x16" } else { "5x64" };
        let several = if self.connections == 1 { "" } else { " x4" };
        format!("{} {socket} {shape} {}{several}", self.runtime.label(), self.tasks)
    }

    /// Current-thread and TCP: the case in which limits and allocations are measured too.
    fn is_plain(&self) -> bool {
        self.runtime == Runtime::Ct && !self.unix
    }

    fn at(&self, server: &Server) -> Address {
        if self.unix { server.unix() } else { server.tcp() }
    }
}

fn cases(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for runtime in [Runtime::Ct, Runtime::Mt] {
        for unix in [false, true] {
            for fields in [SMALL, LARGE] {
                for tasks in [1, 16, 64, 256, 1024] {
                    let plain = !unix && fields.len() == 1;
                    let shown = plain && (runtime == Runtime::Ct || tasks >= 64) || tasks == 64;
                    let asked = runtime == Runtime::Ct || plain;
                    if !quick || (shown && asked) {
                        cases.push(Case { runtime, unix, fields, tasks, connections: 1 });
                    }
                }
            }
        }
    }
    let four =
        Case { runtime: Runtime::Mt, unix: false, fields: SMALL, tasks: 256, connections: 4 };
    cases.push(four);
    cases
}

pub fn run(bench: &mut Bench) {
    let benchmark = benchmark(&bench.label);
    for case in cases(bench.quick) {
        bench.say(&format!("xadd {}", case.label()));
        for round in 0..bench.rounds {
            if case.runtime == Runtime::Ct {
                for waves in [1, 2] {
                    if waves <= case.tasks {
                        let values = limit(&mut bench.server, &case, waves, bench.period);
                        let name = format!("raw, waves: {waves}");
                        bench.note("xadd", &case.label(), &name, round, values);
                    }
                }
            }
            let program = benchmark.as_deref().filter(|_| case.is_plain());
            if let Some(values) = program.and_then(|program| theirs(bench, &case, program)) {
                bench.note("xadd", &case.label(), "redis-benchmark", round, values);
            }
            for name in bench.turn(round) {
                let values = with_peer!(name, P => client::<P>(bench, &case));
                bench.note("xadd", &case.label(), name.label(), round, values);
            }
        }
        if case.is_plain() {
            for name in bench.clients.clone() {
                let values = allocations(bench, &case, name);
                bench.note("allocations", &case.label(), name.label(), 0, values);
            }
        }
    }
}

fn client<P: Peer>(bench: &mut Bench, case: &Case) -> Values {
    let (at, period, mut values) = (case.at(&bench.server), bench.period, Values::new());
    let before = bench.server.cpu();
    let (used, ops, samples, warm) = case.runtime.run(&bench.server, async {
        let mut peers = Vec::new();
        for _ in 0..case.connections {
            peers.push(P::connect(&at).await);
        }
        let (few, many) = warm(&peers, case, period).await;
        let meter = Meter::start();
        let samples = tasks(&peers, case, many).await;
        (meter.stop(), (many * case.tasks) as u64, samples, few * case.tasks)
    });
    let server = bench.server.cpu() - before;
    used.rates(ops, &mut values);
    latencies(samples, &mut values);
    // The server's CPU time includes the warm-up, whose operations cost the same.
    let whole = (ops + warm as u64) as f64;
    values.insert("server_us".into(), server.as_secs_f64() * 1e6 / whole);
    bench.server.ask(&["DEL", KEY]);
    values
}

/// Returns how many operations each task has done to warm up, and how many take the period.
async fn warm<P: Peer>(peers: &[P], case: &Case, period: Duration) -> (usize, usize) {
    let few = (2000 / case.tasks).max(20);
    let begin = Instant::now();
    tasks(peers, case, few).await;
    let one = begin.elapsed().as_secs_f64() / few as f64;
    (few, ((period.as_secs_f64() / one) as usize).max(20))
}

/// Each of `n` tasks adds `count` entries, one after the other. Returns latencies in ns.
pub async fn each<P: Peer>(peers: &[P], n: usize, fields: Fields, count: usize) -> Vec<u32> {
    let tasks: Vec<_> = (0..n)
        .map(|task| {
            let mut peer = peers[task % peers.len()].clone();
            tokio::spawn(async move {
                let mut samples = Vec::with_capacity(count / SAMPLED + 1);
                for op in 0..count {
                    // Not all tasks at the same time.
                    if (op + task) % SAMPLED == 0 {
                        let begin = Instant::now();
                        peer.xadd(fields).await;
                        samples.push(ns(begin.elapsed()));
                    } else {
                        peer.xadd(fields).await;
                    }
                }
                samples
            })
        })
        .collect();
    let mut samples = Vec::with_capacity(n * (count / SAMPLED + 1));
    for task in tasks {
        samples.extend(task.await.expect("no task panics"));
    }
    samples
}

async fn tasks<P: Peer>(peers: &[P], case: &Case, count: usize) -> Vec<u32> {
    each(peers, case.tasks, case.fields, count).await
}

/// Returns allocations per operation: the difference of two runs of different length, so that those
/// of the tasks do not count.
fn allocations(bench: &mut Bench, case: &Case, name: Name) -> Values {
    let at = case.at(&bench.server);
    let counted = with_peer!(name, P => case.runtime.run(&bench.server, async {
        let peers = [P::connect(&at).await];
        tasks(&peers, case, 40).await;
        let mut counts = [0; 2];
        for (count, ops) in counts.iter_mut().zip([50, 250]) {
            alloc::start();
            tasks(&peers, case, ops).await;
            *count = alloc::stop().count;
        }
        counts
    }));
    bench.server.ask(&["DEL", KEY]);
    let [short, long] = counted.map(|count| count as f64);
    let per_op = (long - short) / (200 * case.tasks) as f64;
    Values::from([("allocations".into(), per_op)])
}

/// The limit: precomputed batches through a blocking socket. With one wave the client waits for all
/// replies before it sends again. With two, one half is at the server while the other is sent.
fn limit(server: &mut Server, case: &Case, waves: usize, period: Duration) -> Values {
    let mut words = vec!["XADD", KEY, "*"];
    words.extend(case.fields.iter().flat_map(|(name, value)| [*name, *value]));
    let (batch, size) = (case.tasks / waves, command(&words));
    let bytes = size.repeat(batch);
    let at = case.at(server);
    let before = server.cpu();
    let (used, ops) = blocking(server, || {
        let mut socket = Control::connect(&at).expect("a server");
        let mut ops = 0;
        let meter = Meter::start();
        let begin = Instant::now();
        for _ in 1..waves {
            socket.write(&bytes);
        }
        // The clock is read once per batch, and for single commands once per 16.
        while ops % (16 * batch) != 0 || begin.elapsed() < period {
            socket.write(&bytes);
            socket.ids(batch);
            ops += batch;
        }
        for _ in 1..waves {
            socket.ids(batch);
            ops += batch;
        }
        (meter.stop(), ops as u64)
    });
    let mut values = Values::new();
    used.rates(ops, &mut values);
    let server_cpu = (server.cpu() - before).as_secs_f64() * 1e6 / ops as f64;
    values.insert("server_us".into(), server_cpu);
    server.ask(&["DEL", KEY]);
    values
}

/// The result of the server's own benchmark with one connection and as many commands in flight, in
/// one wave.
fn theirs(bench: &mut Bench, case: &Case, program: &Path) -> Option<Values> {
    let Address::Tcp(port) = case.at(&bench.server) else { return None };
    let (tasks, port) = (case.tasks.to_string(), port.to_string());
    let requests = if case.tasks < 16 { 20_000 } else { 400_000 } / if bench.quick { 4 } else { 1 };
    let mut words = vec!["XADD", KEY, "*"];
    words.extend(case.fields.iter().flat_map(|(name, value)| [*name, *value]));
    let output = blocking(&bench.server, || {
        let mut command = Command::new(program);
        command.args(["-p", &port, "-c", "1", "-P", &tasks, "--csv"]);
        command.args(["-n", &requests.to_string()]).args(words).output()
    });
    bench.server.ask(&["DEL", KEY]);
    let said = String::from_utf8(output.ok()?.stdout).ok()?;
    let per_s = said.lines().last()?.split("\",\"").nth(1)?.parse().ok()?;
    Some(Values::from([("per_s".into(), per_s)]))
}

/// The fixed number of operations for `count`, which runs under callgrind.
pub async fn fixed<P: Peer>(at: &Address, tasks: usize, times: usize) {
    let peers = [P::connect(at).await];
    each(&peers, tasks, SMALL, times).await;
}

/// Returns the time of an operation as a rate; for other works.
pub fn rate(used: &Used, things: u64) -> Values {
    let mut values = Values::new();
    used.rates(things, &mut values);
    values
}
