//! Stops a worker in the middle of its work. Running jobs complete; those that take too long are
//! released; jobs that were not started stay in the queue for the next worker.
//!
//! `cargo run --release --example shutdown -- [--wait] [URL]`
//!
//! It stops on Ctrl-C and SIGTERM, and when half of the jobs are done; with `--wait` on a signal
//! only.

use bourn::queue::{BoxError, Fail, Job, Queue, RawBytes};
use bourn::{Client, Exists, Unlink};
use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

const STREAM: &str = "shutdown:jobs";
const JOBS: usize = 40;

/// The time that a job may run after the worker is stopped.
const GRACE: Duration = Duration::from_millis(300);

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let (mut url, mut waits) = ("redis://127.0.0.1".to_owned(), false);
    for arg in std::env::args().skip(1) {
        if arg == "--wait" { waits = true } else { url = arg }
    }
    let client = Client::connect(url).await?;
    if client.send(Exists::new(STREAM)).await? > 0 {
        return Err(format!("there is a stream {STREAM} on this server: left alone").into());
    }
    let result = work(&client, waits).await;
    let queue: Queue<String> = Queue::builder(&client, STREAM).open_lazy(RawBytes)?;
    for key in queue.keys() {
        client.send(Unlink::new(key)).await?;
    }
    client.close().await;
    Ok(if result? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn work(client: &Client, waits: bool) -> Result<bool, BoxError> {
    let queue: Queue<String> = Queue::builder(client, STREAM).open(RawBytes).await?;
    let jobs: Vec<String> = (0..JOBS).map(|n| n.to_string()).collect();
    for added in queue.producer().enqueue_all(&jobs).await {
        added?;
    }

    // The number of times each job was done.
    let done: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let (half, all) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = |endless: &'static str| {
        let (done, half, all) = (Arc::clone(&done), Arc::clone(&half), Arc::clone(&all));
        move |job: Job<String>| {
            let (done, half, all) = (Arc::clone(&done), Arc::clone(&half), Arc::clone(&all));
            async move {
                if *job == endless {
                    println!("  job {endless} takes longer than the grace period");
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
                let mut done = done.lock().expect("no panic under the lock");
                *done.entry(job.payload().clone()).or_default() += 1;
                if done.len() == JOBS / 2 {
                    half.notify_one();
                }
                if done.len() == JOBS {
                    println!("  job {} is the last, attempt {}", *job, job.attempt());
                    all.notify_one();
                }
                Ok::<(), Fail>(())
            }
        }
    };

    println!("the first worker starts");
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => println!("  interrupted"),
            _ = terminate.recv() => println!("  terminated"),
            () = half.notified(), if !waits => println!("  half of the jobs are done: stopping"),
        }
    };
    let first = queue.worker().concurrency(4).grace(GRACE).run(stop, handler("3")).await?;
    println!("the first worker's report: {first}");
    let stats = queue.stats().await?;
    let (in_flight, consumers) = (stats.in_flight, stats.consumers.len());
    let (ready, again) = (stats.ready.unwrap_or(0), stats.waiting_retry);
    println!("{ready} ready, {again} given back, {in_flight} in flight, {consumers} consumers");

    println!("the second worker starts");
    let second = queue.worker().concurrency(4).run(all.notified(), handler("")).await?;
    println!("the second worker's report: {second}");
    let done = done.lock().expect("no panic under the lock");
    let once = done.values().filter(|times| **times == 1).count();
    println!("{once} of {JOBS} jobs were done once");
    Ok(once == JOBS && in_flight == 0 && consumers == 0 && first.released > 0)
}
