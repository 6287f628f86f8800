//! One process: a client, its queues and a worker, which can stop, crash, or vanish.

use crate::ledger::End;
use crate::link::Link;
use crate::scene::Nature;
use crate::world::{Payload, World};
use bourn::queue::{Fail, Flat, Job, Priority, Queue, QueueError, Worker};
use bourn::{Client, Config, EntryId};
use std::future::ready;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: usize,
    pub(crate) group: usize,
    pub(crate) link: Arc<Link>,
    world: Arc<World>,
    stop: Notify,
    stopping: AtomicBool,
    ended: AtomicBool,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Process {
    /// Starts a worker of a group.
    pub(crate) fn start(world: &Arc<World>, id: usize, group: usize) -> Arc<Self> {
        let process = Arc::new(Self {
            id,
            group,
            link: Arc::default(),
            world: Arc::clone(world),
            stop: Notify::new(),
            stopping: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            task: Mutex::default(),
        });
        let work = Arc::clone(&process);
        let task = tokio::spawn(async move {
            let result = work.work().await;
            work.world.log(|| format!("process {}: ends with {result:?}", work.id));
            work.ended.store(true, Relaxed);
            work.link.end();
        });
        *process.task.lock().expect("no panic") = Some(task);
        process
    }

    pub(crate) fn is_alive(&self) -> bool {
        !self.ended.load(Relaxed)
    }

    /// Asks it to stop.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Relaxed);
        self.stop.notify_one();
    }

    /// Kills it, or loses its machine.
    pub(crate) fn kill(&self, vanish: bool) {
        self.ended.store(true, Relaxed);
        self.world.ledger().killed += 1;
        if vanish {
            self.link.vanish();
        } else {
            self.link.end();
        }
        if let Some(task) = self.task.lock().expect("no panic").take() {
            task.abort();
        }
    }

    async fn work(self: &Arc<Self>) -> Result<(), QueueError> {
        let (world, rng) = (Arc::clone(&self.world), fastrand::Rng::with_seed(self.id as u64));
        let mut rng = rng;
        let client = world.client(&self.link).await?;
        let group = &world.scene.groups[self.group];
        let mut queues = Vec::new();
        for number in 0..world.scene.queues.len() {
            queues.push(world.open(&client, number, group).await?);
        }
        let priority = match world.scene.ageing {
            0 => Priority::Strict,
            ageing => Priority::StrictWithAging(ageing),
        };
        let mut worker = Worker::merged(&queues, priority)
            .concurrency(rng.usize(1..=6))
            .prefetch(rng.usize(..4))
            .grace(world.scene.lease * rng.u32(1..4));
        if let Some(time) = world.scene.job_timeout {
            worker = worker.job_timeout(time);
        }
        world.log(|| format!("process {} starts: {worker:?}", self.id));
        drop(queues);
        drop(client);
        let process = Arc::clone(self);
        let handler = move |job: Job<Payload>| Arc::clone(&process).handle(job);
        let report = worker.run(self.stop.notified(), handler).await?;
        world.log(|| format!("process {}: {report}", self.id));
        Ok(())
    }

    async fn handle(self: Arc<Self>, job: Job<Payload>) -> Result<(), Fail> {
        let world = &self.world;
        let number: usize = job.payload()[0].1.parse().expect("a number");
        let place = (self.group, number);
        let scene = &world.scene.jobs[number];
        if world.scene.queues[scene.queue].stream.as_bytes() != job.info().stream() {
            let stream = job.info().stream().escape_ascii().to_string();
            world.ledger().wrong(place, &format!("is run from the queue {stream}"));
        }
        let now = world.now();
        world.log(|| {
            format!("process {}: job {number}, attempt {}, {}", self.id, job.attempt(), job.id())
        });
        let attempt = job.attempt();
        let ids = (job.id(), job.original_id());
        let run = world.ledger().begin(now, place, self.id, attempt, ids);
        let mut running = Running { process: &self, place, id: job.id(), since: now, ended: false };
        let kills = matches!(scene.nature, Nature::Kills(times) if run <= times);
        let time = if kills { scene.time.min(world.scene.lease / 2) } else { scene.time };
        tokio::time::sleep(time).await;
        if kills {
            world.log(|| format!("job {number} kills process {}", self.id));
            world.disturb();
            self.kill(false);
            std::future::pending::<()>().await;
        }
        running.ended = true;
        let result = match scene.nature {
            Nature::Fails(times) if run <= times => Err(Fail::retry("it fails")),
            Nature::Waits(times, wait) if run <= times => Err(Fail::retry_after(wait, "it waits")),
            Nature::Panics(times) if run <= times => std::panic::resume_unwind(Box::new("panic")),
            Nature::Dies => {
                world.fate(place, |fate| fate.dies = true);
                Err(Fail::dead("it dies"))
            }
            Nature::Discards => {
                world.fate(place, |fate| fate.discarded = true);
                Err(Fail::discard("it is not needed"))
            }
            _ => {
                let now = world.now();
                world.ledger().succeeded(now, place);
                Ok(())
            }
        };
        world.log(|| format!("process {}: job {number} ends: {result:?}", self.id));
        let exact = (!world.scene.jitter).then(|| world.scene.policy().delay(attempt, 1.0));
        let delay = match &result {
            Err(Fail::Retry(_)) => exact,
            Err(Fail::RetryAfter(wait, _)) => Some(*wait),
            _ => None,
        };
        if let Some(delay) = delay {
            world.ledger().delayed(place, world.now() + delay);
        }
        result
    }
}

/// The precision of the runtime's timers.
const TICK: Duration = Duration::from_millis(1);

/// A handler that runs, until it ends or is dropped.
struct Running<'a> {
    process: &'a Process,
    place: (usize, usize),
    id: EntryId,
    since: Duration,
    ended: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let process = self.process;
        let time = process.world.now() - self.since;
        let most = process.world.scene.job_timeout.unwrap_or(Duration::MAX);
        let stopping = process.stopping.load(Relaxed) && process.is_alive();
        let end = match !self.ended && stopping {
            true if time < most => End::Released,
            true if time - most < TICK => End::MaybeReleased,
            _ => End::Over,
        };
        if !self.ended {
            process
                .world
                .log(|| format!("process {}: job {} is dropped", process.id, self.place.1));
        }
        process.world.ledger().end(self.place, process.id, self.id, end);
    }
}

impl World {
    /// Connects a client over a link, as soon as the server can be reached.
    pub(crate) async fn client(&self, link: &Arc<Link>) -> Result<Client, QueueError> {
        let (link, server) = (Arc::clone(link), self.server.clone());
        let dial = move || ready(link.dial(&server));
        Ok(Client::lazy_with(Config::tcp("in-memory", 6379), dial)?)
    }

    /// Opens a queue for a group, as soon as the server can be reached.
    pub(crate) async fn open(
        &self,
        client: &Client,
        number: usize,
        group: &str,
    ) -> Result<Queue<Payload>, QueueError> {
        let scene = &self.scene.queues[number];
        loop {
            let mut builder = Queue::builder(client, &scene.stream)
                .group(group)
                .lease(self.scene.lease)
                .blocked_readers(1 + self.scene.ageing % 3)
                .retry(self.scene.policy())
                .retention(scene.retention);
            builder = match &scene.dead_letter {
                Some(key) => builder.dead_letter(key),
                None => builder.no_dead_letter(),
            };
            if self.scene.at_most_once {
                builder = builder.at_most_once();
            }
            match builder.open(Flat).await {
                Err(error) if error.is_transient() => {
                    self.log(|| format!("open: {error}"));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                result => return result,
            }
        }
    }
}
