//! Faults, one by one. After each, every job is done or dead-lettered.
//!
//! | module | fault |
//! |---|---|
//! | `failing_handlers` | handlers that panic, fail or take too long, in a fixed mix |
//! | `crashes` | workers that crash with jobs in flight; jobs that crash their workers |
//! | `suspended` | workers that are suspended, or lose their network, for longer than a lease |
//! | `cuts` | connections that are cut at any byte |
//! | `restart` | servers that are killed, lose acknowledged writes, or fail over to a replica |
//! | `deleted_streams` | streams and groups that vanish under load |
//! | `out_of_memory` | no memory; dead letters that cannot be added |
//! | `deleted_entries` | entries that are deleted or taken away while they are pending |
//! | `shutdown` | shutdown at any point |
//! | `consumer_names` | the names of consumers that are gone |

mod consumer_names;
mod crashes;
mod cuts;
mod deleted_entries;
mod deleted_streams;
mod failing_handlers;
mod lazy;
mod out_of_memory;
mod restart;
mod shutdown;
mod suspended;

use crate::test_queue::{GROUP, Job, LEASE, Run, STREAM, TestQueue, config, number, quick};
use bourn::queue::{Fail, Flat, Queue, QueueBuilder, QueueEvent, QueueEvents, WorkerBuilder};
use bourn::{Client, Config};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

/// The allowance for detection: about a second between two checks, and a busy machine.
const SLACK: Duration = Duration::from_secs(4);

/// A job as a handler receives it.
type HandlerJob = bourn::queue::Job<Job>;

/// A stand-in for a process: a client and a queue on their own thread, which can crash or freeze.
struct Process {
    queue: Queue<Job>,
    runtime: Handle,
    end: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Process {
    /// A process that works on this queue.
    async fn of(test: &TestQueue) -> Self {
        Self::new(config(&test.server), |queue| queue).await
    }

    /// A process that tolerates leaps in time, for [`Process::until_tidy`].
    async fn patient(test: &TestQueue, build: impl FnOnce(QueueBuilder) -> QueueBuilder) -> Self {
        let long = Duration::from_secs(60);
        let config = config(&test.server).connect_timeout(long).command_timeout(long);
        let config = config.block_grace(long).probe(None);
        Self::new(config, build).await
    }

    async fn new(config: Config, build: impl FnOnce(QueueBuilder) -> QueueBuilder) -> Self {
        let (end, ended) = oneshot::channel::<()>();
        let (handle, handed) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be made");
            handle.send(runtime.handle().clone()).expect("the receiver is alive");
            let _ = runtime.block_on(ended);
            // This drops all its tasks and connections.
            runtime.shutdown_background();
        });
        let runtime = handed.await.expect("the thread starts");
        let client = runtime.spawn(Client::connect(config)).await.expect("no panic");
        let queue = Queue::builder(&client.expect("a connection"), STREAM);
        let queue = build(queue.group(GROUP).lease(LEASE).retry(quick(3)));
        let queue = runtime.spawn(queue.open(Flat)).await.expect("no panic").expect("a queue");
        Self { queue, runtime, end, thread }
    }

    /// Starts a worker in this process.
    fn work<H, R>(&self, worker: WorkerBuilder<Job>, handler: H) -> Run
    where
        H: Fn(HandlerJob) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Fail>> + Send + 'static,
    {
        let _there = self.runtime.enter();
        Run::new(worker, handler)
    }

    /// Runs a future in this process.
    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.runtime.spawn(work).await.expect("no panic")
    }

    /// Blocks the process until the returned sender is dropped.
    async fn freeze(&self) -> mpsc::Sender<()> {
        let ((thaw, thawed), (still, stands)) = (mpsc::channel::<()>(), oneshot::channel());
        self.runtime.spawn(async move {
            let _ = still.send(());
            // Blocks the process's only thread.
            let _ = thawed.recv();
        });
        stands.await.expect("the task runs");
        thaw
    }

    /// Waits for a result of the maintenance task, which runs about every ten seconds, and not
    /// each time. Time therefore advances faster in this process, in leaps.
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

    /// Ends the process as a crash does: jobs in flight are not released.
    fn die(self) {
        let _ = self.end.send(());
        self.thread.join().expect("no panic");
    }
}

/// The attempts of all handlers, in any process.
#[derive(Debug, Clone, Default)]
struct RunLog(Arc<Mutex<BTreeMap<u64, JobLog>>>);

/// The attempts of one job.
#[derive(Debug, Clone, Default)]
struct JobLog {
    /// The attempts, in the order in which they started.
    attempts: Vec<u32>,
    /// The number of attempts that finished.
    done: usize,
}

impl RunLog {
    fn begin(&self, job: &HandlerJob) {
        self.job(number(job), |log| log.attempts.push(job.attempt()));
    }

    fn done(&self, job: &HandlerJob) {
        self.job(number(job), |log| log.done += 1);
    }

    fn job<T>(&self, n: u64, change: impl FnOnce(&mut JobLog) -> T) -> T {
        change(self.0.lock().expect("the lock is not poisoned").entry(n).or_default())
    }

    fn jobs(&self) -> BTreeMap<u64, JobLog> {
        self.0.lock().expect("the lock is not poisoned").clone()
    }

    fn attempts(&self, n: u64) -> Vec<u32> {
        self.job(n, |log| log.attempts.clone())
    }

    /// Returns how many jobs were done at least once.
    fn all_done(&self) -> usize {
        self.jobs().values().filter(|log| log.done > 0).count()
    }
}

/// Returns the numbers of the dead letters, sorted. Panics if one is there twice.
async fn dead(queue: &Queue<Job>) -> Vec<u64> {
    let dead = queue.dead_letters().list(None, 10_000).await.expect("they can be listed");
    let mut ids: Vec<_> = dead.iter().map(|dead| dead.original).collect();
    ids.sort_unstable();
    assert!(ids.windows(2).all(|two| two[0] != two[1]), "twice among {ids:?}");
    let number = |payload: &Job| number(payload);
    let mut numbers: Vec<u64> =
        dead.iter().map(|dead| number(dead.payload.as_ref().expect("it is a job"))).collect();
    numbers.sort_unstable();
    numbers
}

/// Waits up to 20 s for an event, and skips others.
async fn wait_for(events: &mut QueueEvents, what: &str, is_it: impl Fn(&QueueEvent) -> bool) {
    let seen = async { while !events.next().await.is_some_and(|event| is_it(&event)) {} };
    let seen = tokio::time::timeout(Duration::from_secs(20), seen).await;
    seen.unwrap_or_else(|_| panic!("no event within 20 s: {what}"));
}
