//! The faults of a history, and their effect. Each step has its own choices, so that a history can
//! be repeated without some of them.

use crate::scene::{Kind, Scene, one};
use crate::world::World;
use bourn::testing::Fault;
use fastrand::Rng;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The most steps of a history.
pub(crate) const STEPS: usize = 30;

/// A fault, and the pause before it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) pause: Duration,
    pub(crate) event: Event,
    /// Chooses the process that it concerns.
    pub(crate) process: u64,
}

#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A process stops gracefully.
    Stop,
    /// One more process starts.
    Start,
    /// A process is killed: its connections end.
    Kill,
    /// A machine is lost: its connections stay open and carry nothing.
    Lose,
    /// All connections of a process break.
    Cut,
    /// The network of a process carries nothing for a time, and its connections break then.
    Unplug(Duration),
    /// Requests of a process, or the replies to them, arrive late.
    Delay(Duration, bool),
    /// All processes stand still for a time.
    Suspend(Duration),
    /// A connection ends after some more bytes, of requests or of replies.
    CutAt(u64, bool),
    /// A command runs, and its reply is lost with its connection.
    LoseReply(&'static str, u64),
    /// Commands are refused.
    Refuse(&'static str, u64),
    /// Connections are slower from now on.
    Latency(Duration),
    /// The server restarts after a time.
    Restart(Duration),
    /// A dead letter of a queue is redriven, or all are.
    Redrive(usize, bool),
    /// The dead letters of a queue that are older than this are deleted.
    Purge(usize, Duration),
    /// The present data of the server survives a crash.
    Sync,
    /// The server crashes and loses what it has not saved.
    Crash,
    /// The present data of the server is on its replica.
    Replicate,
    /// A replica becomes the master.
    FailOver,
    /// The server's clock jumps, forward or back.
    Jump(Duration, bool),
}

const COMMANDS: [&str; 15] = [
    "XADD",
    "XREAD",
    "XRANGE",
    "XREVRANGE",
    "XREADGROUP",
    "XACK",
    "XACKDEL",
    "XDEL",
    "XCLAIM",
    "XAUTOCLAIM",
    "XPENDING",
    "XNACK",
    "XINFO",
    "EXEC",
    "XGROUP",
];

const REFUSALS: [&str; 4] = [
    "LOADING Redis is loading the dataset in memory",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY You can't write against a read only replica.",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
];

/// Draws the faults of a history.
pub(crate) fn steps(scene: &Scene, rng: &mut Rng) -> Vec<Step> {
    let longest = scene.lease.mul_f64(rng.f64());
    let count = if scene.kind == Kind::Calm { rng.usize(..6) } else { rng.usize(5..=STEPS) };
    let step = |_| Step {
        pause: longest.mul_f64(rng.f64()),
        event: event(scene, rng),
        process: rng.u64(..),
    };
    (0..count).map(step).collect()
}

fn event(scene: &Scene, rng: &mut Rng) -> Event {
    let lease = scene.lease;
    let queue = rng.usize(..scene.queues.len());
    let some = |rng: &mut Rng, leases: f64| lease.mul_f64(rng.f64() * leases);
    if scene.kind == Kind::Calm {
        return match rng.u8(0..4) {
            0 => Event::Start,
            1 => Event::Redrive(queue, rng.bool()),
            _ => Event::Stop,
        };
    }
    if scene.kind == Kind::Lossy && rng.u8(0..4) == 0 {
        return match rng.u8(0..8) {
            0..2 => Event::Sync,
            2 => Event::Crash,
            3..5 => Event::Replicate,
            5 => Event::FailOver,
            _ => Event::Jump(some(rng, 3.0), rng.bool()),
        };
    }
    match rng.u8(0..30) {
        0..3 => Event::Stop,
        3 => Event::Start,
        4..7 => Event::Kill,
        7 => Event::Lose,
        8..11 => Event::Cut,
        11..13 => {
            let leases = one(rng, &[0.5, 2.0, 4.0]);
            Event::Unplug(some(rng, leases))
        }
        13..15 => {
            let leases = if scene.kind == Kind::Slow { 2.0 } else { 0.5 };
            Event::Delay(some(rng, leases), rng.bool())
        }
        15 => Event::Suspend(some(rng, 2.0)),
        16..18 => Event::CutAt(rng.u64(..2_000), rng.bool()),
        18..22 => Event::LoseReply(one(rng, &COMMANDS), rng.u64(1..3)),
        22..24 => Event::Refuse(one(rng, &REFUSALS), rng.u64(1..30)),
        24 => Event::Latency(
            lease.mul_f64(rng.f64() / if scene.kind == Kind::Slow { 8.0 } else { 40.0 }),
        ),
        25..27 => Event::Restart(some(rng, 1.0)),
        27..29 => Event::Redrive(queue, rng.bool()),
        _ => Event::Purge(queue, some(rng, 2.0)),
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Lets a step happen.
pub(crate) async fn happen(world: &Arc<World>, step: &Step) {
    world.log(|| format!("-- {}", step.event));
    let server = &world.server;
    let lease = world.scene.lease;
    match step.event {
        Event::Start => {
            let group = usize::try_from(step.process).unwrap_or(0) % world.scene.groups.len();
            return world.start(group);
        }
        Event::Stop => {
            return world.choose(step.process).into_iter().for_each(|process| process.stop());
        }
        Event::Redrive(queue, all) => return world.redrive(queue, all),
        Event::Purge(queue, older) => return world.purge(queue, older),
        Event::Sync => return server.sync(),
        Event::Replicate => return server.replicate(),
        _ => {}
    }
    // All others may have the effect that a job is run again.
    world.disturb();
    match step.event {
        Event::Kill => {
            world.choose(step.process).into_iter().for_each(|process| process.kill(false))
        }
        Event::Lose => {
            world.choose(step.process).into_iter().for_each(|process| process.kill(true))
        }
        Event::Cut => world.choose_link(step.process).into_iter().for_each(|link| link.cut()),
        Event::Unplug(time) => {
            if let Some(link) = world.choose_link(step.process) {
                link.unplug(time);
            }
        }
        Event::Delay(time, requests) => {
            if let Some(link) = world.choose_link(step.process) {
                link.delay(server, time, requests);
            }
            // A heartbeat that arrives this late takes a lease back, and a retry sets the number of
            // attempts back: no command can depend on the owner.
            if time >= lease / 4 {
                world.excuse(time + lease * 2);
                world.ledger().losses += u32::from(requests);
            }
        }
        Event::Suspend(time) => tokio::time::advance(time).await,
        Event::CutAt(bytes, true) => server.inject(Fault::cut_requests(bytes)),
        Event::CutAt(bytes, false) => server.inject(Fault::cut_replies(bytes).reset()),
        Event::LoseReply(command, times) => {
            server.inject(Fault::lose_reply().on_command(command).times(times));
        }
        Event::Refuse(text, times) => server.inject(Fault::error(text).times(times)),
        Event::Latency(latency) => server.set_latency(latency.max(Duration::from_millis(1))),
        Event::Restart(time) => {
            server.stop();
            let server = server.clone();
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                server.start();
            });
        }
        Event::Crash => {
            server.crash();
            world.lost();
        }
        Event::FailOver => {
            server.fail_over();
            world.lost();
            // The connections to the old master end, as Sentinel ends them.
            let (server, time) = (server.clone(), lease.mul_f64(0.5));
            let time = if step.process % 2 == 0 { time } else { Duration::ZERO };
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                server.disconnect_all();
            });
        }
        Event::Jump(time, forward) => {
            world.excuse(lease * 4);
            world.ledger().losses += 1;
            if forward { server.advance_clock(time) } else { server.rewind_clock(time) }
        }
        _ => {}
    }
}

/// Ends all faults.
pub(crate) fn end(world: &World) {
    world.log(|| "-- no more faults".to_owned());
    world.server.clear_faults();
    world.server.start();
    world.server.set_latency(world.scene.latency);
}
