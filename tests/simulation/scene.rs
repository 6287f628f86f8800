//! The beginning of a history, drawn from its seed: a server, queues, jobs, workers, faults.

use crate::plan::{self, Step};
use bourn::queue::{Jitter, Retention, RetryPolicy};
use bourn::testing::Server;
use fastrand::Rng;
use std::time::Duration;

/// The events that are possible in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Handlers fail and workers stop. Nothing else: each attempt counts exactly.
    Calm,
    /// Connections break, processes crash, commands are refused. Nothing is lost at the server.
    Usual,
    /// As `Usual`, and the server loses data, or its clock jumps.
    Lossy,
    /// As `Usual`, with slow connections and handlers that fail and take long.
    Slow,
}

/// The effect of a job on its handler, in each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    Succeeds,
    /// Fails this many times, then succeeds.
    Fails(u32),
    /// The same, and asks for a delay.
    Waits(u32, Duration),
    /// Panics this many times, then succeeds.
    Panics(u32),
    /// Kills its process this many times, then succeeds.
    Kills(u32),
    /// Fails for good.
    Dies,
    /// Says that it is not needed.
    Discards,
}

/// A job to be enqueued.
#[derive(Debug, Clone)]
pub(crate) struct JobScene {
    pub(crate) queue: usize,
    pub(crate) nature: Nature,
    /// The time that its handler takes.
    pub(crate) time: Duration,
    /// The pause before it is enqueued.
    pub(crate) pause: Duration,
}

/// A queue, which all groups of the history read.
#[derive(Debug, Clone)]
pub(crate) struct QueueScene {
    pub(crate) stream: String,
    pub(crate) dead_letter: Option<String>,
    pub(crate) retention: Retention,
}

/// The rest of what all queues of a history have in common.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) kind: Kind,
    pub(crate) version: &'static str,
    pub(crate) lease: Duration,
    pub(crate) latency: Duration,
    pub(crate) attempts: u32,
    /// The least and the longest delay of a retry.
    pub(crate) delays: (Duration, Duration),
    pub(crate) jitter: bool,
    pub(crate) job_timeout: Option<Duration>,
    pub(crate) at_most_once: bool,
    /// Whether producers use a key for each job, where the server knows it, and repeat what may
    /// have been done.
    pub(crate) unique: bool,
    pub(crate) ageing: u32,
    pub(crate) groups: Vec<String>,
    /// The least number of worker processes of each group.
    pub(crate) workers: usize,
    pub(crate) queues: Vec<QueueScene>,
    pub(crate) jobs: Vec<JobScene>,
    pub(crate) plan: Vec<Step>,
}

/// Returns one of these.
pub(crate) fn one<T: Clone>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())].clone()
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Scene {
    pub(crate) fn new(kind: Option<Kind>, rng: &mut Rng) -> Self {
        let drawn =
            one(rng, &[Kind::Calm, Kind::Usual, Kind::Usual, Kind::Lossy, Kind::Lossy, Kind::Slow]);
        let kind = kind.unwrap_or(drawn);
        let slow = kind == Kind::Slow;
        let leases = [500, 1_000, 2_000, 4_000, 8_000];
        let lease = ms(one(rng, if slow { &leases[2..] } else { &leases }));
        let at_most_once = rng.u8(0..20) == 0;
        let groups = if !at_most_once && rng.u8(0..5) == 0 { 2 } else { 1 };
        // With delays of two seconds or more, jobs wait in the wheel.
        let longest =
            lease.mul_f64(if slow { 0.1 } else { one(rng, &[0.05, 0.3, 0.95, 2.0, 5.0]) });
        let version = one(rng, &Server::VERSIONS);
        let mut scene = Self {
            kind,
            version,
            lease,
            latency: one(rng, &[ms(1), ms(3), lease / 40]),
            attempts: rng.u32(1..=5),
            delays: (longest / rng.u32(1..6), longest),
            jitter: rng.bool(),
            job_timeout: (rng.u8(0..4) == 0).then(|| lease * rng.u32(1..4)),
            at_most_once,
            unique: rng.bool() && matches!(version, "redis-8.6" | "redis-8.10"),
            ageing: rng.u32(0..5),
            groups: (0..groups).map(|group| format!("group{group}")).collect(),
            workers: if slow { rng.usize(3..=4) } else { rng.usize(1..=3) },
            queues: Vec::new(),
            jobs: Vec::new(),
            plan: Vec::new(),
        };
        scene.queues = queues(groups, rng);
        scene.jobs = jobs(&scene, rng);
        scene.plan = plan::steps(&scene, rng);
        scene
    }

    pub(crate) fn policy(&self) -> RetryPolicy {
        let jitter = if self.jitter { Jitter::Full } else { Jitter::None };
        RetryPolicy::exponential(self.delays.0, self.delays.1)
            .jitter(jitter)
            .max_attempts(self.attempts)
    }

    /// Without faults, all jobs are settled after this time.
    pub(crate) fn longest(&self) -> Duration {
        let longest = |job: &JobScene| {
            let wait = match job.nature {
                Nature::Waits(_, wait) => wait.max(self.delays.1),
                _ => self.delays.1,
            };
            // An attempt, a lease that expires after it, and the wait for the next: also for the
            // next mover.
            job.time + self.lease * 2 + wait + Duration::from_secs(20)
        };
        let one: Duration = self.jobs.iter().map(longest).max().unwrap_or_default();
        // One job is run at a time at least.
        let work: Duration = self.jobs.iter().map(|job| job.time * (self.attempts + 1)).sum();
        one * (self.attempts + 2) * 2 + work + Duration::from_secs(120)
    }
}

fn queues(groups: usize, rng: &mut Rng) -> Vec<QueueScene> {
    let count = one(rng, &[1, 1, 1, 2, 3]);
    let shared = rng.u8(0..4) == 0;
    let lossy = rng.u8(0..12) == 0;
    let keep = groups > 1 || rng.u8(0..4) == 0;
    let drop = rng.u8(0..16) == 0;
    let queue = |number| {
        let stream = format!("queue{number}");
        let letters = if shared { "letters".to_owned() } else { format!("letters{number}") };
        let retention = if lossy {
            one(rng, &[Retention::LossyMaxLen(10), Retention::LossyMaxAge(Duration::from_secs(5))])
        } else if keep {
            Retention::KeepUntilAllAcked
        } else {
            Retention::DeleteOnAck
        };
        QueueScene { stream, dead_letter: (!drop).then_some(letters), retention }
    };
    (0..count).map(queue).collect()
}

fn jobs(scene: &Scene, rng: &mut Rng) -> Vec<JobScene> {
    let slow = scene.kind == Kind::Slow;
    let count = rng.usize(3..25);
    let job = |_| {
        let times = one(rng, &[1, 1, 2, u32::MAX]);
        let nature = match rng.u8(0..20) {
            _ if slow && rng.bool() => Nature::Fails(times),
            0..3 => Nature::Fails(times),
            3 => Nature::Waits(times, scene.lease.mul_f64(rng.f64() * 2.0)),
            4 => Nature::Panics(times),
            5..7 if scene.kind != Kind::Calm => Nature::Kills(times),
            7 => Nature::Dies,
            8 => Nature::Discards,
            _ => Nature::Succeeds,
        };
        let longest = if slow { 1.0 } else { one(rng, &[0.1, 0.1, 1.0, 3.0]) };
        JobScene {
            queue: rng.usize(..scene.queues.len()),
            nature,
            time: scene.lease.mul_f64(rng.f64() * longest),
            pause: (scene.lease / 2).mul_f64(rng.f64() * f64::from(rng.u8(0..2))),
        }
    };
    (0..count).map(job).collect()
}
