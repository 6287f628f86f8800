//! A worker: a process of its own, which runs this program with only the test below.

use crate::attempt::{AttemptEnd, Setup};
use crate::defects::{self, Defect};
use crate::job::Fields;
use crate::log::{self, Log};
use bourn::queue::{Fail, Flat, Job, Queue, QueueError, RetryPolicy};
use bourn::{Client, Config};
use std::future::Future;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{env, io, process, thread};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// The test that is a worker.
pub(crate) const TEST: &str = "worker::soak_worker_process";

/// Environment variables: name and slot, log folder, server port, seed.
pub(crate) const NAME: &str = "BOURN_SOAK_WORKER";
pub(crate) const SLOT: &str = "BOURN_SOAK_SLOT";
pub(crate) const FOLDER: &str = "BOURN_SOAK_FOLDER";
pub(crate) const PORT: &str = "BOURN_SOAK_PORT";
pub(crate) const SEED: &str = "BOURN_SOAK_SEED";

/// The key of the stream.
pub(crate) const STREAM: &str = "soak";

/// The key of its dead letters.
pub(crate) const DEAD: &str = "{soak}:dlq";

/// The group.
pub(crate) const GROUP: &str = "workers";

/// Concurrent jobs.
const CONCURRENCY: usize = 8;

/// The grace period for running jobs at shutdown.
const GRACE: Duration = Duration::from_millis(100);

/// Threads of a worker process.
pub(crate) const THREADS: usize = 2;

#[test]
fn soak_worker_process() {
    // Without these variables it is an ordinary test run, with nothing to do.
    let Ok(name) = env::var(NAME) else { return };
    let (folder, slot) = (PathBuf::from(env_var(FOLDER)), env_var(SLOT).parse().expect("a number"));
    let seed = env_var(SEED).parse().expect("a number");
    let port = env_var(PORT).parse().expect("a port");
    thread::spawn(|| {
        // The parent holds the other end for as long as it lives.
        let _ = io::stdin().read(&mut [0]);
        process::exit(3);
    });
    let log = Arc::new(Log::open(&folder, &name));
    let runtime = runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let mut leave = signal(SignalKind::terminate()).expect("signals can be listened to");
        let defect = Defect::from_env();
        let queue = tokio::select! {
            queue = reach(port, defect, slot) => queue,
            _ = leave.recv() => return log.write("left before it started"),
        };
        let mut events = queue.events();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                println!("{} {event:?}", log::print(log::now()));
            }
        });
        let setup = Setup { queue, seed, log, defect };
        let leave = async move { _ = leave.recv().await };
        // Some use a consumer, some prefetch more than they can run.
        if name.ends_with(['2', '5', '8']) {
            let how = setup.pull(CONCURRENCY, GRACE, leave).await;
            setup.log.write(format_args!("left {how}"));
        } else {
            setup
                .push(if name.ends_with(['1', '4', '7']) { CONCURRENCY / 2 } else { 0 }, leave)
                .await;
        }
    });
}

/// Opens the queue, as soon as the server can be reached.
pub(crate) async fn reach(port: u16, defect: Option<Defect>, slot: u32) -> Queue<Fields> {
    loop {
        match open(port, defect, slot).await {
            Ok(queue) => return queue,
            Err(error) => println!("{} {error:?}", log::print(log::now())),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn open(port: u16, defect: Option<Defect>, slot: u32) -> Result<Queue<Fields>, QueueError> {
    let config = Config::tcp("127.0.0.1", port);
    let config = config.reconnect(Duration::from_millis(10), Duration::from_millis(200));
    let client = Client::connect(config.command_timeout(Duration::from_secs(1))).await?;
    let retry = RetryPolicy::exponential(Duration::from_millis(50), Duration::from_millis(500));
    Queue::builder(&client, STREAM)
        .group(GROUP)
        .lease(defects::lease(defect, slot))
        .retry(retry.max_attempts(defects::max_attempts(defect, slot)))
        .open::<Fields, _>(Flat)
        .await
}

impl Setup {
    /// Works with a [`Worker`](bourn::queue::Worker) until it is stopped.
    async fn push(&self, prefetch: usize, leave: impl Future<Output = ()>) {
        let setup = self.clone();
        let handler = move |job: Job<Fields>| {
            let setup = setup.clone();
            async move {
                match setup.attempt(job.original_id(), job.attempt(), &job, job.lease()).await {
                    AttemptEnd::Done => Ok(()),
                    AttemptEnd::Later(time) => Err(Fail::retry_after(time, "not yet")),
                    AttemptEnd::Failed => Err(Fail::retry("never")),
                }
            }
        };
        let worker = self.queue.worker().concurrency(CONCURRENCY).prefetch(prefetch).grace(GRACE);
        match worker.run(leave, handler).await {
            Ok(report) => self.log.write(format_args!("left {report}")),
            Err(error) => self.log.write(format_args!("wrong stopped working: {error:?}")),
        }
    }
}

fn env_var(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set for this worker"))
}
