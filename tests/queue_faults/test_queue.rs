//! A queue with short leases on an in-memory server of each version, and its workers.

use crate::dial::{config, dialler};
use crate::support::{VERSIONS, in_paused_time};
use bourn::Client;
use bourn::queue::{
    Fail, Flat, Jitter, Queue, QueueBuilder, QueueError, Report, RetryPolicy, WorkerBuilder,
};
use bourn::resp::Value;
use bourn::testing::Server;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// A job: a number in one field.
pub(crate) type Job = Vec<(String, String)>;

/// A job as a handler receives it.
pub(crate) type HandlerJob = bourn::queue::Job<Job>;

pub(crate) const STREAM: &str = "jobs";
pub(crate) const GROUP: &str = "workers";
pub(crate) const LEASE: Duration = Duration::from_millis(600);

/// A server of one version and a client connected to it.
#[derive(Debug)]
pub(crate) struct TestQueue {
    pub(crate) server: Server,
    pub(crate) client: Client,
    /// The errors in the replies to all clients.
    pub(crate) errors: Arc<AtomicU64>,
    version: &'static str,
}

/// Runs a test on a server of each of [`VERSIONS`].
pub(crate) fn on_each(test: impl AsyncFn(TestQueue)) {
    for version in VERSIONS {
        println!("{version}");
        in_paused_time(async {
            test(TestQueue::new(version).await).await;
        });
    }
}

impl TestQueue {
    pub(crate) async fn new(version: &'static str) -> Self {
        let server = Server::builder().version(version).build();
        let errors = Arc::new(AtomicU64::new(0));
        let dial = dialler(&server, &Arc::new(AtomicBool::new(true)), &errors);
        let client = Client::connect_with(config(), dial).await.expect("a connection");
        Self { server, client, errors, version }
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

    /// Runs a command at the server. Returns one line per element of its reply.
    pub(crate) fn command(&self, words: &str) -> String {
        let reply = self.server.command(words);
        assert!(!matches!(reply, Value::Error(_)), "{words}: {reply:?}");
        let mut lines = Vec::new();
        write_lines(&reply, &mut lines);
        lines.join("\n")
    }

    /// Returns `(length, pending)`, as XLEN and XPENDING report them.
    pub(crate) fn left(&self) -> (u64, u64) {
        let number = |words| {
            let reply = self.server.command(words);
            let pending = || reply.as_list()?.first()?.as_integer();
            let number = reply.as_integer().or_else(pending).unwrap_or_default();
            u64::try_from(number).expect("it is not negative")
        };
        (number("XLEN jobs"), number("XPENDING jobs workers"))
    }

    /// Returns the ids of the entries in the stream.
    pub(crate) fn ids(&self) -> Vec<String> {
        let entries = self.command("XRANGE jobs - +");
        entries.lines().filter(|line| line.contains('-')).map(str::to_owned).collect()
    }

    /// Returns how many errors the clients of the test have received.
    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Whether the version has the features of Redis `major.minor`. Valkey has none after 7.2.
    pub(crate) fn redis_at_least(&self, major: u32, minor: u32) -> bool {
        let Some(version) = self.version.strip_prefix("redis-") else {
            return (major, minor) <= (7, 2);
        };
        let number = |text: &str| text.parse::<u32>().expect("a number");
        let (own_major, own_minor) = version.split_once('.').expect("two numbers");
        (major, minor) <= (number(own_major), number(own_minor))
    }

    pub(crate) fn has_idmp(&self) -> bool {
        self.redis_at_least(8, 6)
    }
}

fn write_lines(value: &Value, lines: &mut Vec<String>) {
    match (value.as_bytes(), value.as_integer(), value.as_list()) {
        (Some(text), ..) => lines.push(String::from_utf8_lossy(text).into_owned()),
        (_, Some(number), _) => lines.push(number.to_string()),
        (.., Some(list)) => list.iter().for_each(|value| write_lines(value, lines)),
        _ => lines.push(String::new()),
    }
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

/// Polls until the condition holds; panics after ten minutes of paused time.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let (start, least) = (Instant::now(), Duration::from_millis(5));
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(600), "never: {what}");
        sleep((start.elapsed() / 100).max(least)).await;
    }
}

/// Each job's attempts, in the order in which they started.
pub(crate) type Seen = BTreeMap<u64, Vec<u32>>;

/// A running worker.
pub(crate) struct Run {
    pub(crate) worker: JoinHandle<Result<Report, QueueError>>,
    stop: oneshot::Sender<()>,
    seen: Arc<Mutex<Seen>>,
}

impl Run {
    pub(crate) fn new<H, R>(worker: WorkerBuilder<Job>, handler: H) -> Self
    where
        H: Fn(HandlerJob) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Fail>> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let seen = Arc::new(Mutex::new(Seen::new()));
        let see = Arc::clone(&seen);
        let worker = worker.run(stopped, move |job: HandlerJob| {
            let n = number(&job);
            see.lock().expect("the lock is not poisoned").entry(n).or_default().push(job.attempt());
            handler(job)
        });
        Self { worker: tokio::spawn(worker), stop, seen }
    }

    /// Returns the number of jobs that were started.
    pub(crate) fn jobs(&self) -> usize {
        self.seen.lock().expect("the lock is not poisoned").len()
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
