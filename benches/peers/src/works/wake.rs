//! The time that a blocked reader takes to wake: from the XADD of another connection until the
//! reader has the entry.

use super::Bench;
use super::xadd::SMALL;
use crate::clients::raw::{Control, command};
use crate::clients::{GROUP, KEY, Peer};
use crate::measure::{Runtime, latencies, ns};
use crate::record::Values;
use crate::with_peer;
use std::time::{Duration, Instant};

/// After this time the reader is blocked at the server.
const ASLEEP: Duration = Duration::from_millis(1);

pub fn run(bench: &mut Bench) {
    let samples = if bench.quick { 300 } else { 2000 };
    bench.say("wake-up of a blocked reader");
    for round in 0..bench.rounds {
        for name in bench.turn(round) {
            bench.server.clear();
            bench.server.ask(&["XGROUP", "CREATE", KEY, GROUP, "$", "MKSTREAM"]);
            let at = bench.server.tcp();
            let times = with_peer!(name, P => Runtime::Ct.run(&bench.server, async {
                let adder = Control::connect(&at).expect("a server");
                client::<P>(P::reader(&at).await, adder, samples).await
            }));
            let mut values = Values::new();
            latencies(times, &mut values);
            bench.note("wake", "ct tcp", name.label(), round, values);
        }
    }
    bench.server.clear();
}

/// The entry is added by a blocking socket of the same thread, so that the time includes no other
/// client.
async fn client<P: Peer>(mut reader: P::Reader, mut adder: Control, samples: usize) -> Vec<u32> {
    let (name, value) = SMALL[0];
    let add = command(&["XADD", KEY, "*", name, value]);
    let mut times = Vec::with_capacity(samples);
    for _ in 0..samples + 20 {
        let (read, begin) = tokio::join!(P::wait(&mut reader), async {
            tokio::time::sleep(ASLEEP).await;
            let begin = Instant::now();
            adder.write(&add);
            begin
        });
        times.push(ns(begin.elapsed()));
        assert_eq!(P::ids(&read).len(), 1);
        adder.replies(1, |_| ());
    }
    // The first ones are warm-up.
    times.split_off(20)
}
