//! One history, from its seed: what went wrong in it.

use super::consumer::Common;
use super::fate::Fate;
use super::ledger::Ledger;
use super::mutant::Mutant;
use super::scene::{Kind, Scene, VERSIONS};
use super::server::Server;
use super::tasks::Sim;
use super::world::World;
use fastrand::Rng;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// No history takes so many steps.
const MOST: u64 = 400_000;

/// What came of a history.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Report {
    pub(super) wrong: Vec<String>,
    pub(super) tale: Vec<String>,
    pub(super) steps: u64,
    pub(super) jobs: usize,
    /// How often a process or the server ended without a word, and connections were cut.
    pub(super) crashes: usize,
    pub(super) cuts: usize,
    /// Jobs that were done more than once, and those that ended among the dead letters.
    pub(super) twice: usize,
    pub(super) dead: usize,
}

impl Report {
    pub(super) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.jobs += other.jobs;
        self.crashes += other.crashes;
        self.cuts += other.cuts;
        self.twice += other.twice;
        self.dead += other.dead;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, jobs, crashes, cuts, twice, dead, .. } = self;
        write!(f, "{steps} steps, {crashes} crashes, {cuts} cuts, {jobs} jobs, ")?;
        write!(f, "{twice} done twice, {dead} dead")
    }
}

/// Which history.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Which {
    pub(super) seed: u64,
    /// How many misfortunes at most, if not all.
    pub(super) steps: Option<usize>,
    /// What its consumers do wrong.
    pub(super) mutant: Option<Mutant>,
    /// What it is about, if that is not left to the seed.
    pub(super) kind: Option<Kind>,
    /// Whether to tell what happens.
    pub(super) tells: bool,
}

/// Lives through a history.
pub(super) fn run(which: Which) -> Report {
    let mut rng = Rng::with_seed(which.seed);
    let mut scene = Scene::new(which.kind, &mut rng);
    let settings = scene.settings.clone();
    let (lease, attempts) = (settings.lease, settings.retry.attempts());
    let ledger = Ledger::new(std::mem::take(&mut scene.jobs), attempts);
    let server = Server::new(scene.levels, Scene::capabilities(scene.version));
    // The server may come to know IDMP later.
    let exact = server.capabilities.idmp;
    let mut world = World::new(rng.fork(), server, lease, ledger, which.tells);
    world.weather = scene.weather;
    world.tell(|| format!("{scene:?}, {}", VERSIONS[scene.version]));
    let actor = world.actor(0);
    let sim = Sim::new(world);
    let grace = lease * rng.u32(1..4);
    let fate = Rc::new(Fate {
        actor,
        sim: sim.clone(),
        common: Rc::new(Common::new(settings, scene.levels, scene.ageing, grace, which.mutant)),
        rng: RefCell::new(rng),
        version: Cell::new(scene.version),
        scene,
        producers: Cell::new(0),
        over: Cell::new(false),
    });
    sim.spawn(actor, Rc::clone(&fate).run(which.steps.unwrap_or(usize::MAX)));
    sim.run(|| fate.over.get() || sim.world().steps > MOST);
    let mut world = sim.world();
    if !fate.over.get() {
        world.ledger.wrong("it does not end".to_owned());
    }
    audit(&mut world, exact)
}

/// What must hold at the end.
fn audit(world: &mut World, exact: bool) -> Report {
    let letters = &world.server.letters;
    let buried = |job: usize| letters.iter().filter(|letter| letter.job == job).count();
    let mut wrong = std::mem::take(&mut world.ledger.wrong);
    let jobs = &world.ledger.jobs;
    if wrong.is_empty() {
        for (number, job) in jobs.iter().enumerate() {
            if job.confirmed && !job.taken && !job.is_done() && buried(number) == 0 {
                wrong.push(format!("job {number} is lost: {job:?}"));
            }
            let copies = buried(number);
            if copies > 1 && exact && !world.ledger.has_forgotten {
                wrong.push(format!("job {number} has {copies} dead letters: {job:?}"));
            }
        }
    }
    Report {
        wrong,
        steps: world.steps,
        jobs: jobs.len(),
        crashes: world.crashes,
        cuts: world.cuts,
        twice: jobs.iter().filter(|job| job.succeeded > 1).count(),
        dead: (0..jobs.len()).filter(|job| buried(*job) > 0).count(),
        tale: world.tale.take().unwrap_or_default(),
    }
}
