//! A worker: a process of its own, which is this program again, run as the one test below.

use crate::attempt::{Came, Workplace};
use crate::bad::{self, Bad};
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
pub(crate) const TEST: &str = "worker::a_worker_of_the_soak";

/// What it is told, by the environment: its name and slot, where to write, whom to reach.
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

/// Jobs at a time.
const CONCURRENCY: usize = 8;

/// What still runs has so long when the worker is told to leave.
const GRACE: Duration = Duration::from_millis(100);

/// Threads of a worker process.
pub(crate) const THREADS: usize = 2;

#[test]
fn a_worker_of_the_soak() {
    // As a test it has nothing to do.
    let Ok(name) = env::var(NAME) else { return };
    let (folder, slot) = (PathBuf::from(told(FOLDER)), told(SLOT).parse().expect("a number"));
    let seed = told(SEED).parse().expect("a number");
    let port = told(PORT).parse().expect("a port");
    thread::spawn(|| {
        // Who started us holds the other end for as long as it lives.
        let _ = io::stdin().read(&mut [0]);
        process::exit(3);
    });
    let log = Arc::new(Log::open(&folder, &name));
    let runtime = runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let mut leave = signal(SignalKind::terminate()).expect("signals can be listened to");
        let bad = Bad::told();
        let queue = tokio::select! {
            queue = reach(port, bad, slot) => queue,
            _ = leave.recv() => return log.write("left before it began"),
        };
        let mut events = queue.events();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                println!("{} {event:?}", log::print(log::now()));
            }
        });
        let workplace = Workplace { queue, seed, log, bad };
        let leave = async move { _ = leave.recv().await };
        // Some ask for their jobs themselves, some have more in store than they can do.
        if name.ends_with(['2', '5', '8']) {
            let how = workplace.pull(CONCURRENCY, GRACE, leave).await;
            workplace.log.write(format_args!("left {how}"));
        } else {
            workplace
                .push(if name.ends_with(['1', '4', '7']) { CONCURRENCY / 2 } else { 0 }, leave)
                .await;
        }
    });
}

/// The queue, as soon as the server can be reached.
pub(crate) async fn reach(port: u16, bad: Option<Bad>, slot: u32) -> Queue<Fields> {
    loop {
        match open(port, bad, slot).await {
            Ok(queue) => return queue,
            Err(error) => println!("{} {error:?}", log::print(log::now())),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn open(port: u16, bad: Option<Bad>, slot: u32) -> Result<Queue<Fields>, QueueError> {
    let config = Config::tcp("127.0.0.1", port);
    let config = config.reconnect(Duration::from_millis(10), Duration::from_millis(200));
    let client = Client::connect(config.command_timeout(Duration::from_secs(1))).await?;
    let retry = RetryPolicy::exponential(Duration::from_millis(50), Duration::from_millis(500));
    Queue::builder(&client, STREAM)
        .group(GROUP)
        .lease(bad::lease(bad, slot))
        .retry(retry.max_attempts(bad::max_attempts(bad, slot)))
        .open::<Fields, _>(Flat)
        .await
}

impl Workplace {
    /// Works with a [`Worker`](bourn::queue::Worker) until it is told to leave.
    async fn push(&self, prefetch: usize, leave: impl Future<Output = ()>) {
        let workplace = self.clone();
        let handler = move |job: Job<Fields>| {
            let workplace = workplace.clone();
            async move {
                match workplace.attempt(job.id(), job.attempt(), &job, job.lease()).await {
                    Came::Done => Ok(()),
                    Came::Later(time) => Err(Fail::retry_after(time, "not yet")),
                    Came::Failed => Err(Fail::retry("never")),
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

fn told(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is told to a worker"))
}
