//! One history, from its seed, and the judgement at its end.

use crate::plan::{self, STEPS};
use crate::scene::{Kind, Nature, Scene};
use crate::world::World;
use bourn::queue::Retention;
use fastrand::Rng;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// A history to be run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Which {
    pub(crate) seed: u64,
    pub(crate) kind: Option<Kind>,
    /// The steps to be done; all if there is no list.
    pub(crate) steps: Option<Vec<usize>>,
    /// Whether to collect its events.
    pub(crate) tells: bool,
}

/// The result of a history.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) wrong: Vec<String>,
    pub(crate) tale: Vec<String>,
    pub(crate) time: Duration,
    pub(crate) jobs: u64,
    pub(crate) runs: u64,
    /// Jobs that were done more than once in one group, and dead letters.
    pub(crate) repeated: u64,
    pub(crate) dead: u64,
    pub(crate) steps: u64,
    pub(crate) requests: u64,
}

impl Report {
    pub(crate) fn add(&mut self, other: &Self) {
        self.time += other.time;
        self.jobs += other.jobs;
        self.runs += other.runs;
        self.repeated += other.repeated;
        self.dead += other.dead;
        self.steps += other.steps;
        self.requests += other.requests;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, jobs, runs, repeated, dead, steps, requests, .. } = self;
        let hours = time.as_secs_f64() / 3_600.0;
        write!(f, "{hours:.1} virtual hours, {steps} faults, {requests} requests, {jobs} jobs, ")?;
        write!(f, "{runs} runs, {repeated} jobs done again, {dead} dead letters")
    }
}

/// Runs a history.
pub(crate) fn run(which: &Which) -> Report {
    bourn::testing::seed(which.seed);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let scene = Scene::new(which.kind, &mut Rng::with_seed(which.seed));
        let world = World::new(scene, which.tells);
        live(&world, which.steps.as_deref()).await;
        let report = judge(&world);
        world.end();
        report
    })
}

async fn live(world: &Arc<World>, steps: Option<&[usize]>) {
    world.log(|| {
        format!("{:?}", Scene { plan: Vec::new(), jobs: Vec::new(), ..world.scene.clone() })
    });
    world.keep();
    world.produce();
    for (number, step) in world.scene.plan.iter().enumerate() {
        sleep(step.pause).await;
        if steps.is_none_or(|steps| steps.contains(&number)) {
            plan::happen(world, step).await;
        }
        world.keep();
        if !world.ledger().wrong.is_empty() {
            return;
        }
    }
    debug_assert!(world.scene.plan.len() <= STEPS);
    plan::end(world);
    let end = world.now() + world.scene.longest();
    loop {
        sleep(Duration::from_millis(200)).await;
        world.keep();
        if (world.is_idle() && !world.is_busy()) || !world.ledger().wrong.is_empty() {
            return;
        }
        if world.now() > end {
            let time = world.scene.longest();
            let state = world.describe();
            let text = format!("jobs wait {time:?} after the last fault\n{state}");
            return world.ledger().wrong.push(text);
        }
    }
}

/// Compares the jobs' fates with what is left on the server.
fn judge(world: &World) -> Report {
    let scene = &world.scene;
    let mut ledger = world.ledger();
    let complete = ledger.wrong.is_empty();
    let mut report =
        Report { time: world.now(), steps: scene.plan.len() as u64, ..Report::default() };
    report.requests = world.server.requests().len() as u64;
    report.jobs = scene.jobs.len() as u64;
    for (place, fate) in world
        .places()
        .into_iter()
        .map(|place| (place, ledger.fates.get(&place).cloned().unwrap_or_default()))
        .collect::<Vec<_>>()
    {
        let (group, job) = place;
        let queue = &scene.queues[scene.jobs[job].queue];
        let sent = ledger.sent[job];
        let letters: Vec<_> = world
            .letters(scene.jobs[job].queue)
            .into_iter()
            .filter(|letter| letter.job == job && letter.group == scene.groups[group])
            .collect();
        report.runs += u64::from(fate.runs);
        report.repeated += u64::from(fate.successes > 1);
        report.dead += letters.len() as u64;
        if !complete {
            continue;
        }
        let lossy = scene.at_most_once
            || matches!(queue.retention, Retention::LossyMaxLen(_) | Retention::LossyMaxAge(_));
        let settled = fate.successes > 0 || fate.discarded || !letters.is_empty() || fate.gone;
        // Attempts may have ended with their worker before the handler began.
        let tried = fate.dies || fate.runs > 0 || scene.kind != Kind::Calm;
        let dropped = queue.dead_letter.is_none() && tried;
        // What one group has done is deleted while another group is missing at the server.
        let missing = ledger.losses > 0 && scene.groups.len() > 1;
        // A server whose clock was set back, and that loses writes then, assigns ids twice: with the
        // other job, this one was acknowledged.
        let same = |other: &usize| scene.jobs[*other].queue == scene.jobs[job].queue;
        let mut others = (0..scene.jobs.len()).filter(|other| *other != job).filter(same);
        let has_one_id = |other| {
            let other = ledger.fates.get(&(group, other));
            let is_ours = |id| fate.entries.contains_key(id) || fate.redriven.contains(id);
            other.is_some_and(|other| other.entries.keys().any(is_ours))
        };
        let replaced = ledger.losses > 0 && others.any(has_one_id);
        if sent.confirmed > 0 && !settled && !dropped && !lossy && !missing && !replaced {
            ledger.wrong(place, "is lost");
        }
        let exact = scene.kind == Kind::Calm && fate.redrives == 0;
        let in_time = scene.job_timeout.is_none_or(|most| scene.jobs[job].time < most);
        let succeeds = matches!(scene.jobs[job].nature, Nature::Succeeds) && in_time;
        for letter in &letters {
            if letter.attempts < ledger.most_attempts() && succeeds {
                ledger.wrong(place, "is a dead letter, and was not run alone");
            }
            if letter.attempts < scene.attempts && !fate.dies {
                ledger
                    .wrong(place, &format!("is a dead letter after {} attempts", letter.attempts));
            }
        }
        if exact && !letters.is_empty() {
            if fate.successes > 0 {
                ledger.wrong(place, "was done and is a dead letter");
            }
            if !fate.dies && fate.runs - fate.released < scene.attempts {
                ledger.wrong(place, "is a dead letter before its attempts were made");
            }
        }
        let ordinary = fate.redrives == 0 && ledger.losses == 0;
        // A copy whose outcome is unknown is looked for later, or deleted, unless the worker dies.
        let one = exact || (scene.unique && ledger.killed == 0);
        if ordinary && letters.len() > 1 && one {
            ledger.wrong(place, &format!("has {} dead letters", letters.len()));
        }
        let most = if scene.unique { 1 } else { (sent.confirmed + sent.unknown).max(1) };
        if ordinary && fate.originals.len() as u64 > u64::from(most) {
            ledger.wrong(place, &format!("was enqueued {} times", fate.originals.len()));
        }
    }
    report.wrong = std::mem::take(&mut ledger.wrong);
    drop(ledger);
    report.tale = world.tale();
    report
}
