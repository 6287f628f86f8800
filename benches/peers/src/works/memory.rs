//! The memory that a large reply holds: XRANGE of a whole stream, received through the client's own
//! connection.

use super::replies::five;
use super::{Bench, parse};
use crate::clients::{KEY, Peer};
use crate::measure::{Runtime, alloc};
use crate::record::Values;
use crate::with_peer;
use std::time::Instant;

pub fn run(bench: &mut Bench) {
    // The second is 100 MB on the wire.
    for (label, entries) in [("100,000 × 5 × 32 B", 100_000), ("350,000 × 5 × 32 B", 350_000)] {
        if bench.quick && entries == 100_000 {
            continue;
        }
        bench.say(&format!("memory, {label}"));
        bench.server.clear();
        bench.server.ask_all(five(entries).commands(KEY));
        let reply = bench.server.ask(&["XRANGE", KEY, "-", "+"]);
        for name in bench.clients.clone() {
            let at = bench.server.tcp();
            let (held, seconds) = with_peer!(name, P => Runtime::Ct.run(&bench.server, async {
                let mut peer = P::connect(&at).await;
                alloc::start();
                let begin = Instant::now();
                let range = peer.xrange().await;
                let seconds = begin.elapsed().as_secs_f64();
                let held = alloc::stop();
                drop(range);
                (held, seconds)
            }));
            let own = with_peer!(name, P => parse::held::<P>(&reply)) as f64;
            let (n, wire) = (entries as f64, reply.len() as f64);
            let values = Values::from([
                ("held_bytes".into(), held.held_bytes as f64 / n),
                ("held_ratio".into(), held.held_bytes as f64 / wire),
                ("peak_ratio".into(), held.peak_bytes as f64 / own),
                ("allocations".into(), held.count as f64 / n),
                ("ns".into(), seconds * 1e9 / n),
            ]);
            bench.note("memory", label, name.label(), 0, values);
        }
    }
    bench.server.clear();
}
