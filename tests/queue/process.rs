//! Processes that crash or freeze, a log of what their handlers ran, and what is left.

use crate::test_queue::{GROUP, Job, LEASE, Run, STREAM, TestQueue, config, number, quick};
use bourn::Client;
use bourn::queue::{Fail, Flat, Queue, QueueEvent, QueueEvents, WorkerBuilder};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

/// A job as a handler receives it.
pub(crate) type HandlerJob = bourn::queue::Job<Job>;

/// A stand-in for a process: a client and a queue on their own thread, which can crash or freeze.
pub(crate) struct Process {
    pub(crate) queue: Queue<Job>,
    runtime: Handle,
    end: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Process {
    /// A process that works on this queue.
    pub(crate) async fn of(test: &TestQueue) -> Self {
        let config = config(&test.server);
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
        // The tasks of consumers, too, stand still and end with this process.
        let config = config.runtime(runtime.clone());
        let client = runtime.spawn(Client::connect(config)).await.expect("no panic");
        let queue = Queue::builder(&client.expect("a connection"), STREAM);
        let queue = queue.group(GROUP).lease(LEASE).retry(quick(3));
        let queue = runtime.spawn(queue.open(Flat)).await.expect("no panic").expect("a queue");
        Self { queue, runtime, end, thread }
    }

    /// Starts a worker in this process.
    pub(crate) fn work<H, R>(&self, worker: WorkerBuilder<Job>, handler: H) -> Run
    where
        H: Fn(HandlerJob) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Fail>> + Send + 'static,
    {
        let _there = self.runtime.enter();
        Run::new(worker, handler)
    }

    /// Runs a future in this process.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.runtime.spawn(work).await.expect("no panic")
    }

    /// Blocks the process until the returned sender is dropped.
    pub(crate) async fn freeze(&self) -> mpsc::Sender<()> {
        let ((thaw, thawed), (still, stands)) = (mpsc::channel::<()>(), oneshot::channel());
        self.runtime.spawn(async move {
            let _ = still.send(());
            // Blocks the process's only thread.
            let _ = thawed.recv();
        });
        stands.await.expect("the task runs");
        thaw
    }

    /// Ends the process as a crash does: jobs in flight are not released.
    pub(crate) fn die(self) {
        let _ = self.end.send(());
        self.thread.join().expect("no panic");
    }
}

/// The attempts of all handlers, in any process.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunLog(Arc<Mutex<BTreeMap<u64, JobLog>>>);

/// The attempts of one job.
#[derive(Debug, Clone, Default)]
pub(crate) struct JobLog {
    /// The attempts, in the order in which they started.
    pub(crate) attempts: Vec<u32>,
    /// The number of attempts that finished.
    pub(crate) done: usize,
}

impl RunLog {
    pub(crate) fn begin(&self, job: &HandlerJob) {
        self.job(number(job), |log| log.attempts.push(job.attempt()));
    }

    pub(crate) fn done(&self, job: &HandlerJob) {
        self.job(number(job), |log| log.done += 1);
    }

    pub(crate) fn job<T>(&self, n: u64, change: impl FnOnce(&mut JobLog) -> T) -> T {
        change(self.0.lock().expect("the lock is not poisoned").entry(n).or_default())
    }

    pub(crate) fn jobs(&self) -> BTreeMap<u64, JobLog> {
        self.0.lock().expect("the lock is not poisoned").clone()
    }

    /// Returns how many jobs were done at least once.
    pub(crate) fn all_done(&self) -> usize {
        self.jobs().values().filter(|log| log.done > 0).count()
    }
}

/// Returns the numbers of the dead letters, sorted. Panics if one is there twice.
pub(crate) async fn dead(queue: &Queue<Job>) -> Vec<u64> {
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

/// Waits up to a minute for an event, and skips others.
pub(crate) async fn wait_for(
    events: &mut QueueEvents,
    what: &str,
    is_it: impl Fn(&QueueEvent) -> bool,
) {
    let seen = async { while !events.next().await.is_some_and(|event| is_it(&event)) {} };
    let seen = tokio::time::timeout(Duration::from_secs(60), seen).await;
    seen.unwrap_or_else(|_| panic!("no event within a minute: {what}"));
}
