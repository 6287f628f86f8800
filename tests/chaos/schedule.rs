//! Plans for the faults of a connection. A random plan depends only on its seed.

use crate::both::Random;
use std::time::Duration;

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// A way to cut the client's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// FIN; bytes that the client still sends are discarded.
    Fin,
    /// RST.
    Rst,
    /// FIN after all replies to the forwarded bytes.
    Answered,
}

/// The faults of one direction of a connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flow {
    /// Cut after this many bytes.
    pub(crate) cut: Option<(u64, Cut)>,
    /// Stall after this many bytes, for this time.
    pub(crate) stall: Option<(u64, Duration)>,
    /// The most bytes per write.
    pub(crate) split: Option<usize>,
    /// The delay before each write.
    pub(crate) delay: Option<Duration>,
}

/// The faults of a connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Plan {
    pub(crate) up: Flow,
    pub(crate) down: Flow,
}

impl Plan {
    /// Cuts after this many bytes in this direction.
    pub(crate) fn cut(way: Way, after: u64, cut: Cut) -> Self {
        let flow = Flow { cut: Some((after, cut)), ..Flow::default() };
        match way {
            Way::Up => Self { up: flow, ..Self::default() },
            Way::Down => Self { down: flow, ..Self::default() },
        }
    }
}

/// Returns the plan of the `nth` connection. One in three has no faults.
pub(crate) fn plan(seed: u64, nth: u64) -> Plan {
    let mut random = Random::new(seed ^ nth.wrapping_mul(0xD129_42E5_59F1_A5B7));
    if random.below(3) == 0 {
        return Plan::default();
    }
    Plan { up: flow(&mut random), down: flow(&mut random) }
}

fn flow(random: &mut Random) -> Flow {
    let cut = [Cut::Fin, Cut::Rst, Cut::Answered];
    // Some are cut in the handshake, most much later.
    let after = match random.below(4) {
        0 => random.below(400),
        1 => random.below(20_000),
        _ => random.below(500_000),
    };
    let cut = random.pick(&cut).filter(|_| random.below(2) == 0).map(|cut| (after, *cut));
    let stall = (random.below(8) == 0)
        .then(|| (random.below(100_000), Duration::from_millis(random.below(300))));
    let split =
        (random.below(4) == 0).then(|| random.bytes(1)[0].into()).map(|most: usize| most + 1);
    let delay =
        (random.below(6) == 0 && split.is_none()).then(|| Duration::from_millis(random.below(4)));
    Flow { cut, stall, split, delay }
}
