//! One XADD after the other: each round trip is timed.

use super::Bench;
use super::xadd::SMALL;
use crate::clients::raw::{AsyncSocket, Minimal, command};
use crate::clients::{KEY, Peer};
use crate::measure::{Meter, Runtime, Used, latencies, ns};
use crate::record::Values;
use crate::server::Address;
use crate::with_peer;
use std::time::{Duration, Instant};

pub fn run(bench: &mut Bench) {
    for runtime in [Runtime::Ct, Runtime::Mt] {
        for at in [bench.server.tcp(), bench.server.unix()] {
            if bench.quick && runtime == Runtime::Mt && at.kind() == "unix" {
                continue;
            }
            let case = format!("{} {}", runtime.label(), at.kind());
            bench.say(&format!("one in flight, {case}"));
            for round in 0..bench.rounds {
                let period = bench.period;
                for (name, timer) in [("minimal tokio", false), ("minimal tokio, timer", true)] {
                    let limit = minimal(at.clone(), period, timer);
                    let values = finish(bench, |bench| runtime.run(&bench.server, limit));
                    bench.note("one", &case, name, round, values);
                }
                for name in bench.turn(round) {
                    let values = with_peer!(name, P => finish(bench, |bench| {
                        runtime.run(&bench.server, client::<P>(&at, period))
                    }));
                    bench.note("one", &case, name.label(), round, values);
                }
            }
        }
    }
}

fn finish(bench: &mut Bench, run: impl FnOnce(&Bench) -> (Used, Vec<u32>)) -> Values {
    let before = bench.server.cpu();
    let (used, samples) = run(bench);
    let server = bench.server.cpu() - before;
    bench.server.ask(&["DEL", KEY]);
    let mut values = super::xadd::rate(&used, samples.len() as u64);
    values.insert("server_us".into(), server.as_secs_f64() * 1e6 / samples.len() as f64);
    latencies(samples, &mut values);
    values
}

/// Runs in its own task, as in a program.
async fn client<P: Peer>(at: &Address, period: Duration) -> (Used, Vec<u32>) {
    let mut peer = P::connect(at).await;
    let task = tokio::spawn(async move {
        for _ in 0..100 {
            peer.xadd(SMALL).await;
        }
        let (meter, begin) = (Meter::start(), Instant::now());
        let (mut samples, mut last) = (Vec::with_capacity(1 << 20), Duration::ZERO);
        while last < period {
            peer.xadd(SMALL).await;
            let now = begin.elapsed();
            samples.push(ns(now - last));
            last = now;
        }
        (meter.stop(), samples)
    });
    task.await.expect("the task does not panic")
}

/// The limit: one task that only writes and reads. With a timer set somewhere in the runtime, as
/// any client with deadlines has, the runtime does not wait for the socket alone.
async fn minimal(at: Address, period: Duration, timer: bool) -> (Used, Vec<u32>) {
    if timer {
        tokio::spawn(tokio::time::sleep(Duration::from_secs(5)));
    }
    let task = match at {
        Address::Tcp(port) => {
            tokio::spawn(async move { bare(Minimal::tcp(port).await, period).await })
        }
        Address::Unix(path) => {
            tokio::spawn(async move { bare(Minimal::unix(&path).await, period).await })
        }
    };
    task.await.expect("the task does not panic")
}

async fn bare<S: AsyncSocket>(mut socket: Minimal<S>, period: Duration) -> (Used, Vec<u32>) {
    let (name, value) = SMALL[0];
    let add = command(&["XADD", KEY, "*", name, value]);
    for _ in 0..100 {
        socket.one(&add).await;
    }
    let (meter, begin) = (Meter::start(), Instant::now());
    let (mut samples, mut last) = (Vec::with_capacity(1 << 20), Duration::ZERO);
    while last < period {
        socket.one(&add).await;
        let now = begin.elapsed();
        samples.push(ns(now - last));
        last = now;
    }
    (meter.stop(), samples)
}
