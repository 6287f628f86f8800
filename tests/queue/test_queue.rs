//! Shared support: a server, a client, a queue with short leases.

use crate::support::Server;
use bourn::queue::{Fail, Flat, Jitter, Queue, QueueBuilder, Report, RetryPolicy, WorkerBuilder};
use bourn::{Client, Config};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A job: a number in one field.
pub(crate) type Job = Vec<(String, String)>;

pub(crate) const STREAM: &str = "jobs";
pub(crate) const GROUP: &str = "workers";
/// A busy machine renews it in time.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// The time limit of a test.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a test in a runtime of two threads; fails if it takes longer than two minutes, also if it
/// blocks its thread.
pub(crate) fn limited(test: impl AsyncFnOnce() + Send + 'static) {
    let (end, ended) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        let mut runtime = runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(test());
        drop(end);
    });
    // Nothing is sent: the test's end, or its panic, drops the sender.
    let over = ended.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Disconnected);
    assert!(over, "the test took longer than {LIMIT:?}");
    if let Err(panic) = thread.join() {
        resume_unwind(panic);
    }
}

/// A server and a client connected to it.
pub(crate) struct TestQueue {
    pub(crate) server: Server,
    pub(crate) client: Client,
}

impl TestQueue {
    pub(crate) async fn new() -> Self {
        Self::on(Server::start()).await
    }

    pub(crate) async fn on(server: Server) -> Self {
        let client = Client::connect(config(&server)).await.expect("a connection");
        Self { server, client }
    }

    /// A queue with a short lease and three attempts, 10 ms apart.
    pub(crate) fn builder(&self) -> QueueBuilder {
        Queue::builder(&self.client, STREAM).group(GROUP).lease(LEASE).retry(quick(3))
    }

    pub(crate) async fn queue(&self) -> Queue<Job> {
        self.builder().open(Flat).await.expect("a queue")
    }

    /// Adds the jobs `0..jobs`.
    pub(crate) async fn enqueue(&self, queue: &Queue<Job>, jobs: u64) {
        let jobs: Vec<_> = (0..jobs).map(job).collect();
        for result in queue.producer().enqueue_all(&jobs).await {
            result.expect("an id");
        }
    }

    /// Returns `(length, pending)`, as XLEN and XPENDING report them.
    pub(crate) fn left(&self) -> (u64, u64) {
        let number = |text: String| text.lines().next().unwrap_or("0").parse().expect("a number");
        let length = number(self.server.command(&["XLEN", STREAM]));
        (length, number(self.server.command(&["XPENDING", STREAM, GROUP])))
    }
}

pub(crate) fn config(server: &Server) -> Config {
    server.url().parse().expect("a URL")
}

/// A policy with this many attempts, 10 ms apart.
pub(crate) fn quick(attempts: u32) -> RetryPolicy {
    let wait = Duration::from_millis(10);
    RetryPolicy::exponential(wait, wait).jitter(Jitter::None).max_attempts(attempts)
}

pub(crate) fn job(n: u64) -> Job {
    vec![("n".to_owned(), n.to_string())]
}

pub(crate) fn number(job: &Job) -> u64 {
    job.first().and_then(|(_, n)| n.parse().ok()).expect("a number")
}

/// Polls until the condition holds; panics after a minute.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Each job's attempts, in the order in which they started.
pub(crate) type Seen = BTreeMap<u64, Vec<u32>>;

/// A running worker.
pub(crate) struct Run {
    worker: JoinHandle<Result<Report, bourn::queue::QueueError>>,
    stop: oneshot::Sender<()>,
    seen: Arc<Mutex<Seen>>,
}

impl Run {
    pub(crate) fn new<H, R>(worker: WorkerBuilder<Job>, handler: H) -> Self
    where
        H: Fn(bourn::queue::Job<Job>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Fail>> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let seen = Arc::new(Mutex::new(Seen::new()));
        let see = Arc::clone(&seen);
        let worker = worker.run(stopped, move |job: bourn::queue::Job<Job>| {
            let n = number(&job);
            see.lock().expect("the lock is not poisoned").entry(n).or_default().push(job.attempt());
            handler(job)
        });
        Self { worker: tokio::spawn(worker), stop, seen }
    }

    /// Stops the worker gracefully; returns its report and the attempts that it started.
    pub(crate) async fn stop(self) -> (Report, Seen) {
        // The worker may have ended by itself.
        let _ = self.stop.send(());
        let report = self.worker.await.expect("no panic").expect("no permanent error");
        let seen = std::mem::take(&mut *self.seen.lock().expect("the lock is not poisoned"));
        (report, seen)
    }
}
