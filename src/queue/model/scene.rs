//! What a history begins with, from its seed: settings, jobs, a server, a network.

use super::ledger::{Job, Nature};
use super::net::Weather;
use super::world::{Us, us};
use crate::queue::policy::capabilities::Capabilities;
use crate::queue::policy::retry_policy::{Jitter, RetryPolicy};
use crate::queue::settings::Settings;
use crate::server::Server;
use fastrand::Rng;
use std::time::Duration;

pub(super) const VERSIONS: [&str; 7] =
    ["6.2.5", "7.0.15", "8.2.3", "8.4.0", "8.6.2", "8.8.0", "8.10.2"];

/// The most misfortunes of a history.
pub(super) const STEPS: usize = 30;

/// So many jobs fill the hands of one consumer for a long time, in some histories.
pub(super) const CROWD: usize = 30;

/// What a history is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A little of everything.
    Usual,
    /// The server's clock jumps, it forgets, requests take their time.
    Rough,
    /// Jobs fail, connections break, replies are slow, all the time.
    Tough,
    /// One consumer has its hands full for a long time, others one hand each.
    Crowd,
}

#[derive(Debug)]
pub(super) struct Scene {
    pub(super) kind: Kind,
    pub(super) settings: Settings,
    pub(super) levels: usize,
    pub(super) ageing: u32,
    pub(super) jobs: Vec<Job>,
    pub(super) version: usize,
    pub(super) weather: Weather,
    /// How many consumers there are at least.
    pub(super) wanted: usize,
    /// How many misfortunes, and how long after each other at most.
    pub(super) steps: usize,
    pub(super) pause: Us,
    /// How long after each other jobs are added, at most.
    pub(super) between: Us,
}

impl Scene {
    pub(super) fn new(kind: Option<Kind>, rng: &mut Rng) -> Self {
        let drawn = match rng.u8(0..20) {
            0..7 => Kind::Usual,
            7..14 => Kind::Rough,
            14..19 => Kind::Tough,
            _ => Kind::Crowd,
        };
        let kind = kind.unwrap_or(drawn);
        let settings = settings(kind, rng);
        let lease = us(settings.lease);
        let levels = one(rng, &[1, 1, 1, 1, 2, 3]);
        let levels = if kind == Kind::Crowd { 1 } else { levels };
        Self {
            kind,
            levels,
            ageing: rng.u32(0..5),
            jobs: jobs(kind, levels, settings.lease, rng),
            version: rng.usize(..VERSIONS.len()),
            weather: weather(kind, lease, rng),
            wanted: if kind == Kind::Tough { rng.usize(3..=4) } else { rng.usize(1..=4) },
            steps: rng.usize(5..=STEPS),
            pause: lease / 1_000 * rng.u64(1..800),
            between: if kind == Kind::Crowd { 1_000 } else { lease / 2 },
            settings,
        }
    }

    pub(super) fn capabilities(version: usize) -> Capabilities {
        Capabilities::of(Some(&Server::new("redis", VERSIONS[version])))
    }
}

fn one<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}

fn settings(kind: Kind, rng: &mut Rng) -> Settings {
    let mut settings = Settings::new(b"s");
    let leases = [500, 1_000, 2_000, 4_000, 8_000];
    let leases = if matches!(kind, Kind::Tough | Kind::Crowd) { &leases[2..] } else { &leases };
    settings.lease = Duration::from_millis(one(rng, leases));
    let uses_buckets = kind != Kind::Tough && rng.u8(0..4) == 0;
    let most = if kind == Kind::Tough { 0.1 } else { one(rng, &[0.05, 0.3, 0.95]) };
    let longest = if uses_buckets { 1.0 + rng.f64() * 5.0 } else { rng.f64() * most };
    let longest = settings.lease.mul_f64(longest);
    let jitter = if rng.bool() { Jitter::Full } else { Jitter::None };
    let policy = RetryPolicy::exponential(longest / rng.u32(1..6), longest);
    settings.retry = policy.jitter(jitter).max_attempts(rng.u32(1..=5));
    settings
}

fn weather(kind: Kind, lease: Us, rng: &mut Rng) -> Weather {
    let tough = kind == Kind::Tough;
    Weather {
        latency: (lease / 40).min(one(rng, &[300, 2_000, 20_000])),
        slow: one(rng, if tough { &[0, 200, 400] } else { &[0, 10, 50] }),
        slowness: (lease / 5, lease / one(rng, &[1, 2, 8])),
        breaks: if tough { 100 } else { one(rng, &[0, 10, 50]) },
        refuses: one(rng, &[0, 0, 10, 50]),
    }
}

fn jobs(kind: Kind, levels: usize, lease: Duration, rng: &mut Rng) -> Vec<Job> {
    let count = rng.usize(3..25) + if kind == Kind::Crowd { CROWD } else { 0 };
    let job = |number| {
        if kind == Kind::Crowd && number < CROWD {
            return Job::new(0, Nature::Fine, Duration::from_secs(rng.u64(25..35)));
        }
        let often = one(rng, &[1, 1, 2, u32::MAX]);
        let nature = match rng.u8(0..20) {
            _ if kind == Kind::Tough => Nature::Fails(often),
            0..3 => Nature::Fails(often),
            3 => Nature::Waits(often, lease.mul_f64(rng.f64() * 2.0)),
            4..6 => Nature::Kills(often),
            6 => Nature::Dies,
            7 => Nature::Discards,
            _ => Nature::Fine,
        };
        let longest = if kind == Kind::Tough { 1.0 } else { one(rng, &[0.1, 0.1, 1.0, 3.0]) };
        Job::new(rng.usize(..levels), nature, lease.mul_f64(rng.f64() * longest))
    };
    (0..count).map(job).collect()
}
