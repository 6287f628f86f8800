//! Producers, workers, the consumer, the operator, and other commands, on one shared client.

use crate::jobs::{ATTEMPTS, Account, Fields, JOB_TIMEOUT, LEASE, handle, is_done};
use crate::support::Server;
use bourn::queue::{Flat, Job, Nack, Queue, QueueError, QueueEvent, Redrive, Report, RetryPolicy};
use bourn::{Client, Config, Outcome, XInfoGroups, XLen, XRange};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) const STREAM: &str = "everything";
pub(crate) const GROUP: &str = "workers";
pub(crate) const DEAD: &str = "{everything}:dlq";

/// Jobs a second.
const RATE: u32 = 200;

/// The producers' tasks. Each waits for the reply to its job.
const PRODUCERS: u32 = 8;

/// The concurrency of each of the two workers.
const CONCURRENCY: usize = 24;

/// A worker or consumer is replaced after this time.
const SERVICE: Duration = Duration::from_secs(20);

/// All that the tasks share.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) client: Client,
    pub(crate) queue: Queue<Fields>,
    pub(crate) account: Account,
    /// The number of the next job.
    next: AtomicU64,
    /// The number of each event, by its name.
    pub(crate) events: Mutex<BTreeMap<&'static str, u64>>,
    pub(crate) reports: Mutex<Vec<Report>>,
    pub(crate) redriven: AtomicU64,
    /// Errors that must not happen.
    pub(crate) errors: Mutex<Vec<String>>,
    /// Cancelled when no more jobs are added.
    pub(crate) calm: CancellationToken,
    /// Cancelled when everything ends.
    pub(crate) end: CancellationToken,
}

impl Load {
    pub(crate) async fn new(server: &Server, time: Duration) -> Self {
        let config: Config = server.url().parse().expect("a URL");
        let config = config.reconnect(Duration::from_millis(10), Duration::from_millis(300));
        let client = Client::connect(config).await.expect("a connection");
        let retry = RetryPolicy::exponential(Duration::from_millis(50), Duration::from_millis(500));
        let queue = Queue::builder(&client, STREAM)
            .group(GROUP)
            .lease(LEASE)
            .retry(retry.max_attempts(ATTEMPTS))
            .open(Flat)
            .await
            .expect("the queue opens");
        let jobs = usize::try_from(u64::from(RATE) * (time.as_secs() + 60)).expect("it fits");
        Self {
            client,
            queue,
            account: Account::new(jobs),
            next: AtomicU64::new(0),
            events: Mutex::default(),
            reports: Mutex::default(),
            redriven: AtomicU64::new(0),
            errors: Mutex::default(),
            calm: CancellationToken::new(),
            end: CancellationToken::new(),
        }
    }

    /// Returns how often an event was received.
    pub(crate) fn event(&self, name: &str) -> u64 {
        self.events.lock().expect("no panic").get(name).copied().unwrap_or_default()
    }

    /// Records an error. Those of a lost connection are expected.
    fn failed(&self, what: &str, error: &QueueError) {
        let is_expected = match error {
            QueueError::Redis(error) => error.code().is_none_or(bourn::Code::is_retryable),
            QueueError::LeaseLost => true,
            _ => false,
        };
        if !is_expected {
            self.errors.lock().expect("no panic").push(format!("{what}: {error:?}"));
        }
    }
}

/// Runs everything until the end.
pub(crate) async fn run(load: Arc<Load>) {
    let mut tasks = JoinSet::new();
    tasks.spawn(count_events(Arc::clone(&load)));
    for _ in 0..PRODUCERS {
        tasks.spawn(produce(Arc::clone(&load)));
    }
    for first in [SERVICE, SERVICE / 2] {
        tasks.spawn(work(Arc::clone(&load), first));
    }
    tasks.spawn(pull(Arc::clone(&load)));
    tasks.spawn(operate(Arc::clone(&load)));
    tasks.spawn(ask(Arc::clone(&load)));
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no panic");
    }
}

async fn count_events(load: Arc<Load>) {
    let mut events = load.queue.events();
    while let Some(Some(event)) = load.end.run_until_cancelled(events.next()).await {
        let name = match event {
            QueueEvent::Interrupted { .. } => "interrupted",
            QueueEvent::Created { .. } => "created",
            QueueEvent::RolledBack { .. } => "rolled back",
            QueueEvent::LeaseLost { .. } => "lease lost",
            QueueEvent::NoLongerPending { .. } => "no longer pending",
            QueueEvent::DeadLettered { .. } => "dead-lettered",
            QueueEvent::DeadLetterBlocked { .. } => "dead letter blocked",
            QueueEvent::SettlementFailed { .. } => "settlement failed",
            QueueEvent::Lost { .. } => "lost",
            QueueEvent::ConsumerRemoved { .. } => "consumer removed",
            QueueEvent::Missed { .. } => "missed",
            _ => "another",
        };
        *load.events.lock().expect("no panic").entry(name).or_default() += 1;
    }
}

async fn produce(load: Arc<Load>) {
    let producer = load.queue.producer();
    let mut ticks = interval(Duration::from_secs(1) * PRODUCERS / RATE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while load.calm.run_until_cancelled(ticks.tick()).await.is_some() {
        let n = load.next.fetch_add(1, Ordering::AcqRel);
        match producer.enqueue(&vec![("n".to_owned(), n.to_string())]).await {
            Ok(_) => load.account.added(n),
            Err(error) => {
                load.failed("enqueue", &error);
                if error.outcome() == Outcome::Unknown {
                    load.account.maybe_added(n);
                } else {
                    load.account.not_added();
                }
            }
        }
    }
}

/// Runs one worker after the other.
async fn work(load: Arc<Load>, first: Duration) {
    let mut service = first;
    while !load.end.is_cancelled() {
        let shared = Arc::clone(&load);
        let handler = move |job: Job<Fields>| {
            let load = Arc::clone(&shared);
            async move { handle(&load.account, &job).await }
        };
        let worker = load.queue.worker().concurrency(CONCURRENCY).job_timeout(JOB_TIMEOUT);
        let end = load.end.clone();
        let stop = async move { _ = timeout(service, end.cancelled()).await };
        match worker.grace(2 * LEASE).run(stop, handler).await {
            Ok(report) => load.reports.lock().expect("no panic").push(report),
            Err(error) => load.failed("a worker", &error),
        }
        service = SERVICE;
    }
}

/// Runs one consumer after the other.
async fn pull(load: Arc<Load>) {
    while !load.end.is_cancelled() {
        let mut jobs = match load.queue.consumer().prefetch(4).start().await {
            Ok(jobs) => jobs,
            Err(error) => {
                load.failed("a consumer", &error);
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let until = Instant::now() + SERVICE * 3 / 4;
        while !load.end.is_cancelled() && Instant::now() < until {
            let next = timeout(Duration::from_millis(500), jobs.next()).await;
            let delivery = match next {
                Ok(Some(Ok(delivery))) => delivery,
                Ok(Some(Err(error))) => {
                    load.failed("a consumer", &error);
                    break;
                }
                Ok(None) => break,
                Err(_) => continue,
            };
            let is_redriven = delivery.id() != delivery.original_id();
            let (payload, acker) = delivery.split();
            let is_done = is_done(&load.account, &payload, acker.attempt(), is_redriven);
            let settled =
                if is_done { acker.ack().await.map(drop) } else { acker.nack(Nack::now()).await };
            if let Err(error) = settled {
                load.failed("a decision", &error);
            }
        }
        let report = jobs.close().await;
        load.reports.lock().expect("no panic").push(report);
    }
}

/// Redrives dead letters, and looks at the queue.
async fn operate(load: Arc<Load>) {
    let mut ticks = interval(Duration::from_secs(2));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while load.end.run_until_cancelled(ticks.tick()).await.is_some() {
        match load.queue.dead_letters().redrive(Redrive::all()).await {
            Ok(jobs) => _ = load.redriven.fetch_add(jobs, Ordering::AcqRel),
            Err(error) => load.failed("redrive", &error),
        }
        if let Err(error) = load.queue.stats().await {
            load.failed("stats", &error);
        }
        if let Err(error) = load.queue.health().await {
            load.failed("health", &error);
        }
    }
}

/// Sends other commands, alone, together and in transactions.
async fn ask(load: Arc<Load>) {
    let client = &load.client;
    while !load.end.is_cancelled() {
        sleep(Duration::from_millis(50)).await;
        let page = XRange::new(STREAM, ..).count(10);
        let both = (XLen::new(STREAM), XInfoGroups::new(STREAM));
        let (page, length) = tokio::join!(client.send(page), client.transact(both));
        for error in [page.err(), length.err()].into_iter().flatten() {
            load.failed("a command", &error.into());
        }
    }
}
