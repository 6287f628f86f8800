//! Processes that crash or lose their network, a log of what their handlers ran, and what is left.

use crate::dial::{config, dialler};
use crate::test_queue::{GROUP, HandlerJob, Job, LEASE, Run, STREAM, TestQueue, number, quick};
use bourn::Client;
use bourn::queue::{DeadLetter, Fail, Flat, Queue, QueueBuilder, QueueEvent, QueueEvents};
use bourn::testing::{Fault, Server};
use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Waits for an event, and skips others; panics after two minutes of paused time.
pub(crate) async fn wait_for(
    events: &mut QueueEvents,
    what: &str,
    is_it: impl Fn(&QueueEvent) -> bool,
) {
    let seen = async { while !events.next().await.is_some_and(|event| is_it(&event)) {} };
    let seen = tokio::time::timeout(Duration::from_secs(120), seen).await;
    seen.unwrap_or_else(|_| panic!("no event: {what}"));
}

/// Returns the numbers of the dead letters, sorted. Panics if one is there twice.
pub(crate) async fn dead(queue: &Queue<Job>) -> Vec<u64> {
    let dead = queue.dead_letters().list(None, 10_000).await.expect("they can be listed");
    let mut ids: Vec<_> = dead.iter().map(|dead| dead.original).collect();
    ids.sort_unstable();
    assert!(ids.windows(2).all(|two| two[0] != two[1]), "twice among {ids:?}");
    let payload = |dead: &DeadLetter<Job>| number(dead.payload.as_ref().expect("it is a job"));
    let mut numbers: Vec<u64> = dead.iter().map(payload).collect();
    numbers.sort_unstable();
    numbers
}

/// A client with a queue of its own, which can crash or lose its network.
pub(crate) struct Process {
    pub(crate) queue: Queue<Job>,
    server: Server,
    name: String,
    alive: Arc<AtomicBool>,
}

impl Process {
    /// A process that works on this queue.
    pub(crate) async fn new(
        test: &TestQueue,
        build: impl FnOnce(QueueBuilder) -> QueueBuilder,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("process-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let alive = Arc::new(AtomicBool::new(true));
        let dial = dialler(&test.server, &alive, &test.errors);
        let client = Client::connect_with(config().client_name(&*name), dial).await;
        let queue = Queue::builder(&client.expect("a connection"), STREAM);
        let queue = build(queue.group(GROUP).lease(LEASE).retry(quick(3)));
        let queue = queue.open(Flat).await.expect("a queue");
        Self { queue, server: test.server.clone(), name, alive }
    }

    /// Ends the process as a crash does: its connections end, and its handlers, and jobs in flight
    /// are not released.
    pub(crate) fn crash(self, runs: impl IntoIterator<Item = Run>) {
        self.alive.store(false, Ordering::Relaxed);
        for run in runs {
            run.worker.abort();
        }
        for id in self.connections() {
            let killed = self.server.command(&format!("CLIENT KILL ID {id}"));
            assert_eq!(killed.as_integer(), Some(1));
        }
    }

    /// Holds back all that its connections carry, until [`Server::clear_faults`].
    pub(crate) fn cut_off(&self) {
        for id in self.connections() {
            self.server.inject(Fault::stall_requests(Duration::MAX).on_connection(id));
            self.server.inject(Fault::stall_replies(Duration::MAX).on_connection(id));
        }
    }

    fn connections(&self) -> Vec<i64> {
        let list = self.server.command("CLIENT LIST");
        let own = format!("name={} ", self.name);
        let lines = list.as_str().expect("a text").lines().filter(|line| line.contains(&own));
        let id = |line: &str| line.strip_prefix("id=")?.split(' ').next()?.parse().ok();
        lines.map(|line| id(line).expect("an id")).collect()
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
    /// The time at which the fifth one started.
    pub(crate) fifth: Option<Instant>,
    /// The number of attempts that finished.
    pub(crate) done: usize,
}

impl RunLog {
    pub(crate) fn begin(&self, job: &HandlerJob) {
        self.job(number(job), |log| {
            log.attempts.push(job.attempt());
            if job.attempt() == 5 {
                log.fifth = Some(Instant::now());
            }
        });
    }

    pub(crate) fn done(&self, job: &HandlerJob) {
        self.job(number(job), |log| log.done += 1);
    }

    /// A handler that succeeds at once and logs each job.
    pub(crate) fn handler(&self) -> impl Fn(HandlerJob) -> Ready<Result<(), Fail>> + use<> {
        let run_log = self.clone();
        move |job| {
            run_log.begin(&job);
            run_log.done(&job);
            ready(Ok(()))
        }
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
