//! What goes wrong in a history, and when; and then nothing does.

use super::consumer::{Common, Consumer};
use super::net::Weather;
use super::scene::{CROWD, Kind, Scene, VERSIONS};
use super::server::Server;
use super::tasks::Sim;
use super::wire::{Command, Reply};
use super::world::{S, Us, World, us};
use crate::queue::policy::plan::Failure;
use fastrand::Rng;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// When nothing goes wrong any more, all is done after so long.
const END: Us = 1_000 * S;

pub(super) struct Fate {
    pub(super) actor: usize,
    pub(super) sim: Sim,
    pub(super) common: Rc<Common>,
    pub(super) scene: Scene,
    pub(super) rng: RefCell<Rng>,
    pub(super) version: Cell<usize>,
    /// Producers that are at work.
    pub(super) producers: Cell<usize>,
    pub(super) over: Cell<bool>,
}

impl Fate {
    pub(super) async fn run(self: Rc<Self>, most: usize) {
        self.produce();
        let mut saved = self.sim.world().server.clone();
        for _ in 0..self.scene.steps.min(most) {
            self.keep();
            let pause = self.rng.borrow_mut().u64(..=self.scene.pause);
            self.sim.sleep(self.actor, Duration::from_micros(pause)).await;
            self.misfortune(&mut saved);
        }
        let calm = {
            let mut world = self.sim.world();
            world.tell(|| "nothing goes wrong any more".to_owned());
            world.serves = true;
            world.weather = Weather { latency: world.weather.latency, ..Weather::default() };
            world.ledger.calm = Some(world.now + 5 * S);
            world.now
        };
        while !self.over.get() {
            self.keep();
            self.sim.sleep(self.actor, Duration::from_millis(200)).await;
            let mut world = self.sim.world();
            if world.now > calm + END {
                world.ledger.wrong("it does not come to its end".to_owned());
            }
            let done = world.server.is_empty() && self.producers.get() == 0;
            self.over.set(done || !world.ledger.wrong.is_empty());
        }
    }

    fn hands(&self) -> (usize, usize) {
        let mut rng = self.rng.borrow_mut();
        if self.scene.kind == Kind::Crowd { (1, 0) } else { (rng.usize(1..=6), rng.usize(..4)) }
    }

    fn begin(&self, hands: (usize, usize)) {
        let ppm = self.rng.borrow_mut().i64(-10_000..=10_000);
        let consumer = Consumer::new(&self.sim, &self.common, ppm, hands);
        self.common.welcome(&consumer);
        consumer.start();
        consumer.tell(|| format!("begins with {hands:?}"));
    }

    /// So many consumers at least, soon.
    fn keep(&self) {
        let everyone = self.common.everyone();
        if self.scene.kind == Kind::Crowd
            && everyone.iter().all(|consumer| consumer.concurrency < CROWD)
        {
            self.begin((CROWD, 0));
        } else if everyone.len() < self.scene.wanted && self.rng.borrow_mut().bool() {
            self.begin(self.hands());
        }
    }

    fn produce(self: &Rc<Self>) {
        let count = self.sim.world().ledger.jobs.len();
        let producers = self.rng.borrow_mut().usize(1..=2);
        for producer in 0..producers {
            let actor = self.sim.world().actor(0);
            let link = self.sim.world().link(actor, false);
            let jobs: Vec<usize> = (0..count).filter(|job| job % producers == producer).collect();
            self.producers.set(self.producers.get() + 1);
            let fate = Rc::clone(self);
            self.sim.spawn(actor, async move {
                for job in jobs {
                    fate.add(actor, link, job).await;
                }
                fate.producers.set(fate.producers.get() - 1);
            });
        }
    }

    async fn add(&self, actor: usize, link: usize, job: usize) {
        let pause = self.rng.borrow_mut().u64(..self.scene.between);
        self.sim.sleep(actor, Duration::from_micros(pause)).await;
        let (level, once) = {
            let world = self.sim.world();
            (world.ledger.jobs[job].level, world.server.capabilities.idmp)
        };
        loop {
            let command = Command::Add { level, job, once };
            match self.sim.call(link, vec![command]).await {
                Ok(replies) => {
                    let added = matches!(replies.first(), Some(Reply::Added));
                    self.sim.world().ledger.jobs[job].confirmed = added;
                    return;
                }
                // Nobody knows whether it was added.
                Err(Failure::Unknown) if !once => return,
                Err(_) => self.sim.sleep(actor, Duration::from_millis(100)).await,
            }
        }
    }

    /// Something goes wrong.
    fn misfortune(&self, saved: &mut Server) {
        let mut rng = self.rng.borrow_mut();
        let consumers = self.common.everyone();
        let consumer = rng.choice(consumers.iter());
        let lease = us(self.common.settings.lease);
        let mut world = self.sim.world();
        if rng.bool() {
            // What is gone comes back in a moment.
            world.serves = true;
        }
        match (rng.u8(0..24), consumer) {
            (0..7, _) => {
                let links = world.live_links();
                if let Some(link) = rng.choice(links) {
                    world.cut(link);
                }
            }
            (7..10, Some(consumer)) => {
                world.tell(|| format!("  {}: crashes", consumer.actor));
                world.end(consumer.actor);
                world.crashes += 1;
            }
            (10..13, Some(consumer)) => {
                let leases = *rng.choice(&[1, 3, 3, 12]).expect("four");
                let time = rng.u64(..lease * leases);
                world.tell(|| format!("  {}: sleeps for {time} us", consumer.actor));
                world.sleep(consumer.actor, time);
                consumer.free_since.set((world.now + time).max(consumer.free_since.get()));
                if rng.bool() {
                    world.cut(consumer.reads);
                    world.cut(consumer.commands);
                }
            }
            (13, Some(consumer)) => {
                world.tell(|| format!("  {}: stops", consumer.actor));
                consumer.closing.set(true);
                world.unblock(consumer.reads);
                world.stir(consumer.actor);
            }
            (14, _) => {
                drop(world);
                drop(rng);
                self.begin(self.hands());
            }
            (15, _) => {
                world.crashes += 1;
                world.crash();
                if rng.u8(0..4) == 0 {
                    self.version.set(rng.usize(self.version.get()..VERSIONS.len()));
                    world.server.capabilities = Scene::capabilities(self.version.get());
                }
                world.tell(|| format!("the server crashes; then {}", VERSIONS[self.version.get()]));
            }
            (16, _) => world.weather.refuses = rng.u32(..1_000),
            (17, _) => world.weather.refuses = 0,
            (18.., _) if self.scene.kind == Kind::Rough => rough(&mut world, &mut rng, saved),
            _ => {}
        }
    }
}

/// The server's clock jumps, it forgets, or requests take their time.
fn rough(world: &mut World, rng: &mut Rng, saved: &mut Server) {
    let lease = world.lease;
    let kind = rng.u8(0..12);
    world.tell(|| format!("rough {kind}"));
    match kind {
        0..2 => {
            let jump = i64::try_from(lease.as_millis()).unwrap_or_default() * 3;
            world.ahead += rng.i64(-jump..=jump);
            let until = world.excuse();
            world.ledger.excuse_all(until);
            world.serve();
        }
        2..4 => *saved = world.server.clone(),
        4..6 => {
            world.crash();
            let now = world.server.clone();
            world.server = now.rolled_back(saved);
            forgotten(world);
        }
        6..8 => world.weather.slowness.0 = us(lease) / 5 * rng.u64(1..=10),
        8..11 => {
            let level = rng.usize(..world.server.streams.len());
            if let Some(stream) = &mut world.server.streams[level] {
                stream.group = None;
            }
            forgotten(world);
        }
        _ => {
            if rng.bool() {
                world.server.streams.fill(None);
            } else {
                let level = rng.usize(..world.server.streams.len());
                world.server.streams[level] = None;
            }
            forgotten(world);
        }
    }
}

/// The server has forgotten something: whatever is not there any more is its loss.
fn forgotten(world: &mut World) {
    for number in 0..world.ledger.jobs.len() {
        let mut streams = world.server.streams.iter().flatten();
        let there = streams.any(|stream| stream.entries.values().any(|job| *job == number))
            || world.server.letters.iter().any(|letter| letter.job == number);
        world.ledger.jobs[number].taken |= !there;
    }
    let until = world.excuse();
    world.ledger.excuse_all(until);
    world.ledger.forgotten();
    if world.serves {
        world.serve();
    }
}
