//! A consumer that empties a stream: XREADGROUP, every field read, XACK of the whole batch or of
//! each entry.

use super::Bench;
use super::replies::{id, small};
use crate::clients::raw::{Control, command};
use crate::clients::{CONSUMER, GROUP, KEY, Name, Peer};
use crate::measure::{Meter, Runtime, alloc, blocking, latencies, ns};
use crate::record::Values;
use crate::server::{Address, Server};
use crate::with_peer;
use std::time::Instant;

/// The number of entries of a batch, and whether each is acknowledged separately.
#[derive(Debug, Clone, Copy)]
struct Case {
    count: usize,
    each: bool,
    entries: usize,
}

impl Case {
    fn label(&self) -> String {
        let ack = if self.each { "XACK each" } else { "one XACK" };
        format!("COUNT {}, {ack}", self.count)
    }
}

pub fn run(bench: &mut Bench) {
    let scale = if bench.quick { 1 } else { 4 };
    let cases =
        [(10, false, 10_000), (100, false, 40_000), (1000, false, 60_000), (100, true, 30_000)];
    let cases = cases.map(|(count, each, n)| Case { count, each, entries: scale * n });
    bench.server.clear();
    bench.server.ask_all(small(60_000 * scale).commands(KEY));
    for case in cases {
        bench.say(&format!("drain {}", case.label()));
        for round in 0..bench.rounds {
            let values = limit(&mut bench.server, &case);
            bench.note("drain", &case.label(), "raw", round, values);
            for name in bench.turn(round) {
                let values = with_peer!(name, P => client::<P>(&mut bench.server, &case));
                bench.note("drain", &case.label(), name.label(), round, values);
            }
        }
        for name in bench.clients.clone() {
            let values = allocations(&mut bench.server, &case, name);
            bench.note("drain", &case.label(), name.label(), 0, values);
        }
    }
    bench.server.clear();
}

/// Creates a group that has read nothing yet.
pub fn group(server: &mut Server) {
    server.ask(&["XGROUP", "DESTROY", KEY, GROUP]);
    server.ask(&["XGROUP", "CREATE", KEY, GROUP, "0"]);
}

fn client<P: Peer>(server: &mut Server, case: &Case) -> Values {
    group(server);
    let at = server.tcp();
    let before = server.cpu();
    let (used, samples) = Runtime::Ct.run(server, async {
        let mut peer = P::connect(&at).await;
        let meter = Meter::start();
        let samples = drain(&mut peer, case.count, case.each, case.entries).await;
        (meter.stop(), samples)
    });
    let server_cpu = server.cpu() - before;
    let mut values = super::xadd::rate(&used, case.entries as u64);
    values.insert("server_us".into(), server_cpu.as_secs_f64() * 1e6 / case.entries as f64);
    latencies(samples, &mut values);
    values
}

/// Reads and acknowledges `entries` entries. Returns the time of each batch in ns.
async fn drain<P: Peer>(peer: &mut P, count: usize, each: bool, entries: usize) -> Vec<u32> {
    let mut samples = Vec::with_capacity(entries / count);
    for _ in 0..entries / count {
        let begin = Instant::now();
        let read = peer.xreadgroup(count).await;
        std::hint::black_box(P::touch_read(&read));
        let ids = P::ids(&read);
        assert_eq!(ids.len(), count);
        match each {
            false => peer.xack(&ids).await,
            true => peer.xack_each(&ids).await,
        }
        samples.push(ns(begin.elapsed()));
    }
    samples
}

fn allocations(server: &mut Server, case: &Case, name: Name) -> Values {
    group(server);
    let at = server.tcp();
    let entries = 20 * case.count;
    let counted = with_peer!(name, P => Runtime::Ct.run(server, async {
        let mut peer = P::connect(&at).await;
        drain(&mut peer, case.count, case.each, 5 * case.count).await;
        alloc::start();
        drain(&mut peer, case.count, case.each, entries).await;
        alloc::stop()
    }));
    Values::from([("allocations".into(), counted.count as f64 / entries as f64)])
}

/// The limit: a blocking socket with precomputed commands, which only finds the end of replies.
fn limit(server: &mut Server, case: &Case) -> Values {
    group(server);
    let count = case.count.to_string();
    let read = ["XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", &count, "STREAMS", KEY, ">"];
    let read = command(&read);
    let acks: Vec<Vec<u8>> = (0..case.entries / case.count)
        .map(|batch| {
            let ids: Vec<_> = (0..case.count).map(|n| id(batch * case.count + n)).collect();
            if case.each {
                ids.iter().flat_map(|id| command(&["XACK", KEY, GROUP, id])).collect()
            } else {
                let mut words = vec!["XACK", KEY, GROUP];
                words.extend(ids.iter().map(String::as_str));
                command(&words)
            }
        })
        .collect();
    let at = server.tcp();
    let before = server.cpu();
    let used = blocking(server, || {
        let mut socket = Control::connect(&at).expect("a server");
        let meter = Meter::start();
        for ack in &acks {
            socket.write(&read);
            socket.replies(1, |_| ());
            socket.write(ack);
            socket.replies(if case.each { case.count } else { 1 }, |_| ());
        }
        meter.stop()
    });
    let mut values = super::xadd::rate(&used, case.entries as u64);
    let server_cpu = server.cpu() - before;
    values.insert("server_us".into(), server_cpu.as_secs_f64() * 1e6 / case.entries as f64);
    values
}

/// The fixed number of operations for `count`, which runs under callgrind.
pub async fn fixed<P: Peer>(at: &Address, count: usize, batches: usize) {
    let mut peer = P::connect(at).await;
    drain(&mut peer, count, false, count * batches).await;
}
