//! What goes wrong, fault by fault; and whether every job is done or dead all the same.
//!
//! | room | fault |
//! |---|---|
//! | `failing` | handlers that panic, fail, take too long, each by lot |
//! | `dying` | workers that die with jobs in hand; jobs that kill them |
//! | `frozen` | workers that stand still for longer than a lease, whole or but for their network |
//! | `cuts` | connections that are cut at any byte |
//! | `restart` | servers that are killed, that forget, that hand over to a replica |
//! | `wiped` | streams and groups that vanish under load |
//! | `full` | no memory; dead letters that have no place to go |
//! | `vanish` | entries that are deleted or taken away while they are pending |
//! | `ending` | shutdown at any point |
//! | `names` | consumers that are gone, and their names |

mod cuts;
mod dying;
mod ending;
mod failing;
mod frozen;
mod full;
mod lazy;
mod names;
mod restart;
mod vanish;
mod wiped;

use crate::office::{GROUP, Job, LEASE, Office, Run, STREAM, config, number, quick};
use bourn::queue::{Fail, Flat, Queue, QueueBuilder, QueueEvent, QueueEvents, WorkerBuilder};
use bourn::{Client, Config};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

/// What else may pass until something is noticed: about a second between two looks, and a busy machine.
const SLACK: Duration = Duration::from_secs(4);

/// A job as a handler is given it.
type Given = bourn::queue::Job<Job>;

/// A process, as good as: a client and a queue on a thread of their own, which can die or stand still.
struct Process {
    queue: Queue<Job>,
    runtime: Handle,
    end: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Process {
    /// One that works at the office's queue.
    async fn of(office: &Office) -> Self {
        Self::new(config(&office.server), |queue| queue).await
    }

    /// One that takes no leap in time amiss: for [`Process::until_tidy`].
    async fn patient(office: &Office, build: impl FnOnce(QueueBuilder) -> QueueBuilder) -> Self {
        let long = Duration::from_secs(60);
        let config = config(&office.server).connect_timeout(long).command_timeout(long);
        let config = config.block_grace(long).probe(None);
        Self::new(config, build).await
    }

    async fn new(config: Config, build: impl FnOnce(QueueBuilder) -> QueueBuilder) -> Self {
        let (end, ended) = oneshot::channel::<()>();
        let (handle, handed) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be made");
            handle.send(runtime.handle().clone()).expect("it is waited for");
            let _ = runtime.block_on(ended);
            // With it go all that it was about to do, and its connections.
            runtime.shutdown_background();
        });
        let runtime = handed.await.expect("the thread starts");
        let client = runtime.spawn(Client::connect(config)).await.expect("no panic");
        let queue = Queue::builder(&client.expect("a connection"), STREAM);
        let queue = build(queue.group(GROUP).lease(LEASE).retry(quick(3)));
        let queue = runtime.spawn(queue.open(Flat)).await.expect("no panic").expect("a queue");
        Self { queue, runtime, end, thread }
    }

    /// Works there.
    fn work<H, R>(&self, worker: WorkerBuilder<Job>, handler: H) -> Run
    where
        H: Fn(Given) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Fail>> + Send + 'static,
    {
        let _there = self.runtime.enter();
        Run::new(worker, handler)
    }

    /// Does something there.
    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.runtime.spawn(work).await.expect("no panic")
    }

    /// Everything there stands still until what this returns is dropped.
    async fn freeze(&self) -> mpsc::Sender<()> {
        let ((thaw, thawed), (still, stands)) = (mpsc::channel::<()>(), oneshot::channel());
        self.runtime.spawn(async move {
            let _ = still.send(());
            // Blocks the only thread that there is.
            let _ = thawed.recv();
        });
        stands.await.expect("it is run");
        thaw
    }

    /// Waits until something holds that the janitor does: it comes about every ten seconds, and not each time. So time passes
    /// faster there, in leaps.
    async fn until_tidy<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        for _ in 0..40 {
            let leap = async {
                tokio::time::pause();
                tokio::time::advance(Duration::from_secs(13)).await;
                tokio::time::resume();
            };
            self.run(leap).await;
            let next = Instant::now() + Duration::from_millis(250);
            while Instant::now() < next {
                if holds().await {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        panic!("never: {what}");
    }

    /// Dies with all that it has in hand: nothing is given back.
    fn die(self) {
        let _ = self.end.send(());
        self.thread.join().expect("no panic");
    }
}

/// What handlers have done, wherever they ran.
#[derive(Debug, Clone, Default)]
struct Diary(Arc<Mutex<BTreeMap<u64, Page>>>);

/// About one job.
#[derive(Debug, Clone, Default)]
struct Page {
    /// Its attempts, in the order in which they were begun.
    attempts: Vec<u32>,
    /// How often it was done.
    done: usize,
}

impl Diary {
    fn begin(&self, job: &Given) {
        self.page(number(job), |page| page.attempts.push(job.attempt()));
    }

    fn done(&self, job: &Given) {
        self.page(number(job), |page| page.done += 1);
    }

    fn page<T>(&self, n: u64, change: impl FnOnce(&mut Page) -> T) -> T {
        change(self.0.lock().expect("no panic under the lock").entry(n).or_default())
    }

    fn pages(&self) -> BTreeMap<u64, Page> {
        self.0.lock().expect("no panic under the lock").clone()
    }

    fn attempts(&self, n: u64) -> Vec<u32> {
        self.page(n, |page| page.attempts.clone())
    }

    /// How many jobs were done at least once.
    fn all_done(&self) -> usize {
        self.pages().values().filter(|page| page.done > 0).count()
    }
}

/// The numbers of the dead letters, in order. None is there twice.
async fn dead(queue: &Queue<Job>) -> Vec<u64> {
    let dead = queue.dead_letters().list(None, 10_000).await.expect("they can be listed");
    let mut ids: Vec<_> = dead.iter().map(|dead| dead.original.expect("it has an id")).collect();
    ids.sort_unstable();
    assert!(ids.windows(2).all(|two| two[0] != two[1]), "twice among {ids:?}");
    let number = |payload: &Job| number(payload);
    let mut numbers: Vec<u64> =
        dead.iter().map(|dead| number(dead.payload.as_ref().expect("it is a job"))).collect();
    numbers.sort_unstable();
    numbers
}

/// Waits for an event, and lets others pass.
async fn told(events: &mut QueueEvents, what: &str, is_it: impl Fn(&QueueEvent) -> bool) {
    let told = async { while !events.next().await.is_some_and(|event| is_it(&event)) {} };
    let told = tokio::time::timeout(Duration::from_secs(20), told).await;
    told.unwrap_or_else(|_| panic!("never told: {what}"));
}
