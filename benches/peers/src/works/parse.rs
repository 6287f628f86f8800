//! Reply bytes to typed entries, with every field read. No network.
//!
//! redis-rs and fred are called through their public parsers, rustis through the entry point that
//! it has for its own benches. rustis, and fred, whose codec takes decoded bytes out of its buffer,
//! copy the bytes once, which costs as much as `memcpy` shows.

use super::Bench;
use super::replies::{Kind, Reply, capture};
use crate::clients::Peer;
use crate::clients::raw::headers;
use crate::measure::{alloc, blocking};
use crate::record::Values;
use crate::with_peer;
use bytes::Bytes;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The limits that are measured too.
pub const LIMITS: [&str; 2] = ["memcpy", "headers"];

pub fn run(bench: &mut Bench) {
    for reply in capture(&mut bench.server, true) {
        bench.say(&format!("parse {}", reply.label));
        let period = bench.period / 4;
        // A pass over the large reply takes half a second with most clients.
        let rounds = if bench.quick && reply.entries > 1000 { 1 } else { bench.rounds };
        for round in 0..rounds {
            for limit in LIMITS {
                let time = blocking(&bench.server, || time(period, &reply, || bare(limit, &reply)));
                bench.note("parse", reply.label, limit, round, time);
            }
            for name in bench.turn(round) {
                let values = with_peer!(name, P => blocking(&bench.server, || {
                    time(period, &reply, || once::<P>(&reply))
                }));
                bench.note("parse", reply.label, name.label(), round, values);
            }
        }
        for name in bench.clients.clone() {
            let values = with_peer!(name, P => counts::<P>(&reply));
            bench.note("parse", reply.label, name.label(), 0, values);
        }
    }
}

/// Parses the reply and reads everything in it.
pub fn once<P: Peer>(reply: &Reply) -> usize {
    let bytes = black_box(&reply.bytes);
    match reply.kind {
        Kind::Range => P::touch_range(&P::parse_range(bytes)),
        Kind::Read(resp) => P::touch_read(&P::parse_read(bytes, resp)),
    }
}

/// Runs one of the limits.
pub fn bare(limit: &str, reply: &Reply) -> usize {
    let bytes = black_box(&reply.bytes);
    if limit == "headers" { headers(bytes) } else { black_box(bytes.to_vec()).len() }
}

fn time(period: Duration, reply: &Reply, mut work: impl FnMut() -> usize) -> Values {
    black_box(work());
    let (begin, mut times) = (Instant::now(), 0);
    while times == 0 || begin.elapsed() < period {
        for _ in 0..1 + 10_000 / reply.entries {
            black_box(work());
        }
        times += 1 + 10_000 / reply.entries;
    }
    let ns = begin.elapsed().as_secs_f64() * 1e9 / (times * reply.entries) as f64;
    Values::from([("ns".into(), ns)])
}

/// Counts allocations per entry, and the memory that the typed reply holds, including the reply's
/// bytes if it keeps them.
fn counts<P: Peer>(reply: &Reply) -> Values {
    once::<P>(reply);
    alloc::start();
    once::<P>(reply);
    let all = alloc::stop();
    alloc::start();
    let bytes = Bytes::copy_from_slice(&reply.bytes);
    let held = match reply.kind {
        Kind::Range => keep(bytes, P::parse_range),
        Kind::Read(resp) => keep(bytes, |bytes| P::parse_read(bytes, resp)),
    };
    let n = reply.entries as f64;
    let wire = reply.bytes.len() as f64;
    Values::from([
        ("allocations".into(), all.count as f64 / n),
        ("held_bytes".into(), held as f64 / n),
        ("held_ratio".into(), held as f64 / wire),
        ("wire_bytes".into(), wire / n),
    ])
}

/// Returns the memory that the typed reply of XRANGE holds, if only its own bytes were received.
pub fn held<P: Peer>(reply: &[u8]) -> i64 {
    alloc::start();
    keep(Bytes::copy_from_slice(reply), P::parse_range)
}

fn keep<T>(bytes: Bytes, parse: impl FnOnce(&Bytes) -> T) -> i64 {
    let parsed = parse(&bytes);
    drop(bytes);
    let held = alloc::stop().held_bytes;
    drop(parsed);
    held
}
