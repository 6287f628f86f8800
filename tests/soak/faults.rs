//! Random faults. They depend only on the seed, apart from small differences in time.

use crate::both::Random;
use crate::log::Log;
use crate::schedule::Way;
use crate::slot::{Order, Slot};
use crate::support::Server;
use crate::wire::Wire;
use crate::worker::STREAM;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, sleep};

/// The maximum time between two faults. Half of it is usual.
const BETWEEN: u64 = 700;

/// The frequency of each kind, in percent.
const KINDS: [(u64, Kind); 8] = [
    (20, Kind::Kill),
    (12, Kind::Halt),
    (10, Kind::Leave),
    (8, Kind::Server),
    (22, Kind::Reset),
    (12, Kind::Refuse),
    (12, Kind::Stall),
    (4, Kind::LongStall),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A worker is killed.
    Kill,
    /// A worker is halted for two leases.
    Halt,
    /// A worker is stopped, and another replaces it.
    Leave,
    /// The server is killed and restarted.
    Server,
    /// Connections are reset.
    Reset,
    /// Connections are reset, and refused for a time.
    Refuse,
    /// Connections stall in one direction.
    Stall,
    /// Connections stall for longer than a lease.
    LongStall,
}

/// Causes faults until this time; returns their number. The last wire is the producer's.
pub(crate) async fn inject_faults(
    server: &mut Server,
    slots: &[Slot],
    wires: &[Wire],
    log: &Log,
    random: &mut Random,
    until: Instant,
) -> BTreeMap<Kind, u64> {
    let mut faults = BTreeMap::new();
    let mut lasting = JoinSet::new();
    loop {
        sleep(ms(random.below(BETWEEN))).await;
        if Instant::now() >= until {
            break;
        }
        let kind = draw(random);
        *faults.entry(kind).or_default() += 1;
        let slot = random.pick(slots).expect("there are some");
        let wire = random.pick(wires).expect("there are some").clone();
        let way = if random.below(2) == 0 { Way::Up } else { Way::Down };
        match kind {
            Kind::Kill => _ = slot.order(Order::Kill),
            Kind::Halt => _ = slot.order(Order::Halt),
            Kind::Leave => _ = slot.order(Order::Leave),
            Kind::Reset => wire.reset().await,
            Kind::Refuse => {
                let time = ms(random.below(1_000));
                lasting.spawn(async move { wire.refuse(time).await });
            }
            Kind::Stall | Kind::LongStall => {
                let time = ms(if kind == Kind::Stall { random.below(1_000) } else { 3_000 });
                lasting.spawn(async move { wire.stall(way, time).await });
            }
            Kind::Server => {
                let producer = wires.last().expect("there are some");
                restart(server, producer, log, ms(random.below(500))).await;
            }
        }
    }
    while lasting.join_next().await.is_some() {}
    faults
}

/// Kills the server and restarts it after this time. The last id is read before anyone may add
/// again: later ids were lost.
async fn restart(server: &mut Server, producer: &Wire, log: &Log, after: Duration) {
    let killed = async || {
        log.write("server-killed");
        block_in_place(|| server.kill9());
        sleep(after).await;
        block_in_place(|| {
            server.restart();
            last_id(server)
        })
    };
    let last = producer.without(killed).await;
    log.write(format_args!("server-back {last}"));
}

/// Returns the last id of the stream; `0-0` without a stream.
fn last_id(server: &Server) -> String {
    let info = server.try_command(&["XINFO", "STREAM", STREAM]).unwrap_or_default();
    let mut lines = info.lines().skip_while(|line| *line != "last-generated-id");
    lines.nth(1).unwrap_or("0-0").to_owned()
}

fn draw(random: &mut Random) -> Kind {
    let mut lot = random.below(KINDS.iter().map(|(often, _)| often).sum());
    for (often, kind) in KINDS {
        if lot < often {
            return kind;
        }
        lot -= often;
    }
    unreachable!("the lot is below their sum")
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
