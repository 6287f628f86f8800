//! The workers: tasks of this process, and a process of its own that can be killed.

use crate::mail::{self, Attempt, CONCURRENCY, Email};
use bourn::Client;
use bourn::queue::{BoxError, Fail, Queue, QueueError, Report};
use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The argument that makes this program a worker process.
pub const PROCESS: &str = "worker-process";

/// Runs a worker as a task until `stop`.
pub fn task(
    queue: &Queue<Email>,
    stop: &CancellationToken,
    is_fixed: bool,
    report: impl Fn(u64, Attempt) + Send + Sync + 'static,
) -> JoinHandle<Result<Report, QueueError>> {
    let report = Arc::new(report);
    let worker = queue.worker().concurrency(CONCURRENCY);
    tokio::spawn(worker.run(stop.clone().cancelled_owned(), move |job| {
        let report = Arc::clone(&report);
        async move { mail::send(&job, is_fixed, |user, attempt| report(user, attempt)).await }
    }))
}

/// Starts this program again as a worker process. It reports its results on its standard output,
/// which `report` gets.
///
/// The process ends when its standard input does, so it does not outlive this one.
pub fn process(
    url: &str,
    report: impl Fn(u64, Attempt) + Send + 'static,
) -> Result<Child, BoxError> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(PROCESS)
        .env("REDIS_URL", url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().ok_or("the worker process has no standard output")?;
    tokio::spawn(async move {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            match line.split_once(' ').map(|(what, user)| (what, user.parse())) {
                Some(("sent", Ok(user))) => report(user, Attempt::Sent),
                Some(("refused", Ok(user))) => report(user, Attempt::Refused),
                _ => {}
            }
        }
    });
    Ok(child)
}

/// The worker process.
pub async fn run_process(url: &str) -> Result<(), BoxError> {
    // A Ctrl-C at the terminal reaches every process there. The demo decides when this one ends.
    tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
    let stop = CancellationToken::new();
    let end_of_input = stop.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        end_of_input.cancel();
    });
    let client = Client::connect(url).await?;
    let worker = mail::open(&client).await?.worker().concurrency(CONCURRENCY);
    let handler = |job| async move {
        mail::send(&job, false, |user, attempt| match attempt {
            Attempt::Sent => println!("sent {user}"),
            Attempt::Refused => println!("refused {user}"),
        })
        .await?;
        Ok::<(), Fail>(())
    };
    worker.run(stop.cancelled(), handler).await?;
    Ok(())
}
