//! What is to be done to a connection; drawn by lot, too: the same for the same seed.

use crate::both::Random;
use std::time::Duration;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// How the client's side is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The end of the stream; what the client still sends is taken and thrown away.
    Fin,
    /// A reset.
    Rst,
    /// The end of the stream, behind all that the server says to what came through.
    Answered,
}

/// What is done to one direction of a connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flow {
    /// Cut when so many bytes have passed.
    pub(crate) cut: Option<(u64, Cut)>,
    /// Stall when so many bytes have passed, for so long.
    pub(crate) stall: Option<(u64, Duration)>,
    /// Never write more than so many bytes at once.
    pub(crate) split: Option<usize>,
    /// Wait so long before each write.
    pub(crate) delay: Option<Duration>,
}

/// What is done to a connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Plan {
    pub(crate) up: Flow,
    pub(crate) down: Flow,
}

impl Plan {
    /// Cuts when so many bytes have passed in this direction.
    pub(crate) fn cut(way: Way, after: u64, cut: Cut) -> Self {
        let flow = Flow { cut: Some((after, cut)), ..Flow::default() };
        match way {
            Way::Up => Self { up: flow, ..Self::default() },
            Way::Down => Self { down: flow, ..Self::default() },
        }
    }
}

/// The plan of the `nth` connection. A plan in three leaves the connection alone.
pub(crate) fn plan(seed: u64, nth: u64) -> Plan {
    let mut random = Random::new(seed ^ nth.wrapping_mul(0xD129_42E5_59F1_A5B7));
    if random.below(3) == 0 {
        return Plan::default();
    }
    Plan { up: flow(&mut random), down: flow(&mut random) }
}

fn flow(random: &mut Random) -> Flow {
    let cut = [Cut::Fin, Cut::Rst, Cut::Answered];
    // Some are cut in the handshake, most a good deal later.
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
