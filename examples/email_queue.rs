//! A queue of e-mails: three workers, jobs that fail now and then, two that never do, and a worker that crashes.
//!
//! `cargo run --release --example email_queue -- [--tasks N] [--keep] [URL]`
//!
//! The jobs are entries of `email:tasks`, which the workers of the group `email-workers` share. Worker 2 gets stuck with ten jobs in
//! hand, keeps their leases as long as it lives, and crashes: the others are given them when the lease is over. Two jobs cannot be
//! done by anybody; they end in `email:dead-letter`, each with its reason, and are redriven when the handler is mended. At the end
//! every e-mail was sent at least once: those that worker 2 had sent and not acknowledged, twice.

use bourn::queue::{BoxError, Fail, Flat, Job, Queue, QueueError, QueueStats};
use bourn::queue::{Redrive, Report, RetryPolicy};
use bourn::{Client, Exists, Unlink};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const STREAM: &str = "email:tasks";
const GROUP: &str = "email-workers";
const DEAD: &str = "email:dead-letter";
const TEMPLATES: [&str; 3] = ["welcome", "reset_password", "invoice"];

/// A worker that shows no sign of life for this long is dead.
const LEASE: Duration = Duration::from_secs(1);

/// How many e-mails a worker sends at a time.
const HANDS: usize = 10;

/// `user_id 123 template welcome`: each pair is a field of the entry.
type Email = BTreeMap<String, String>;

/// What the workers have in common.
struct Office {
    /// How often each user's e-mail was sent.
    sent: Mutex<HashMap<u64, u32>>,
    /// How many e-mails worker 2 has sent and does not come to acknowledge.
    stuck: AtomicUsize,
    bar: ProgressBar,
    stop: CancellationToken,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let causes = std::iter::successors(error.source(), |error| error.source());
            let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
            eprintln!("email_queue: {text}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<bool, BoxError> {
    let (mut url, mut tasks, mut keep) = ("redis://127.0.0.1".to_owned(), 10_000, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--keep" => keep = true,
            "--tasks" => match args.next().map(|n| n.parse()) {
                Some(Ok(n)) if n >= 1000 => tasks = n,
                _ => return Err("--tasks takes a number, 1000 at least".into()),
            },
            _ => url = arg,
        }
    }
    let client = Client::connect(&*url).await?;
    if client.send(Exists::new(STREAM).and(DEAD)).await? > 0 {
        return Err(format!("{STREAM} or {DEAD} is on this server already; left alone").into());
    }
    let result = life(&client, &url, tasks).await;
    if !keep {
        client.send(Unlink::new(STREAM).and(DEAD)).await?;
    }
    client.close().await;
    result
}

async fn open(client: &Client) -> Result<Queue<Email>, QueueError> {
    let waits = RetryPolicy::exponential(Duration::from_millis(20), Duration::from_millis(200));
    let queue = Queue::builder(client, STREAM).group(GROUP).dead_letter(DEAD).lease(LEASE);
    queue.retry(waits.max_attempts(3)).open(Flat).await
}

/// The whole life of the queue; whether all went as it should.
async fn life(client: &Client, url: &str, tasks: u64) -> Result<bool, BoxError> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} e-mails sent, {per_sec}")?;
    let bar = ProgressBar::new(tasks).with_style(style);
    let (stop, sent, stuck) = (CancellationToken::new(), Mutex::default(), AtomicUsize::new(0));
    let office = Arc::new(Office { sent, stuck, bar, stop: stop.clone() });
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    // Panics of a handler are caught; what is said of them should not tear the bar apart.
    let bar = office.bar.clone();
    std::panic::set_hook(Box::new(move |panic| bar.suspend(|| eprintln!("{panic}"))));

    let queue = open(client).await?;
    let users = (0..tasks - 2).zip(TEMPLATES.into_iter().cycle());
    let mut emails: Vec<Email> = users.map(|(user, name)| email(user, name, "10")).collect();
    // These two cannot be sent as they are.
    emails.push(email(tasks - 2, "invoice", "ten"));
    emails.push(email(tasks - 1, "wellcome", "10"));
    for result in queue.producer().enqueue_all(&emails).await {
        result?;
    }
    println!("{:<40}{:>8}{:>11}{:>10}{:>6}", "", "ready", "in flight", "to retry", "dead");
    until("enqueued", &queue, &office, |_| true).await?;

    let crash = CancellationToken::new();
    let doomed = doomed(url.to_owned(), tasks, &office, &crash);
    let is_stuck = |_: &QueueStats| office.stuck.load(Ordering::Relaxed) == HANDS;
    until("worker 2 is stuck with ten jobs", &queue, &office, is_stuck).await?;

    let (start, before) = (Instant::now(), office.bar.position());
    let workers = [1, 3].map(|name| (name, worker(&queue, &office, false)));
    let none = |stats: &QueueStats| stats.ready == Some(0);
    until("workers 1 and 3 have come", &queue, &office, none).await?;
    let (time, count) = (start.elapsed().as_secs_f64(), office.bar.position() - before);
    let rest = |stats: &QueueStats| left(stats) == HANDS as u64;
    until("they have done the rest", &queue, &office, rest).await?;

    crash.cancel();
    doomed.join().map_err(|_| "worker 2 panicked")??;
    let over = |stats: &QueueStats| left(stats) == 0;
    until("worker 2 crashed, and its lease is over", &queue, &office, over).await?;
    office.bar.finish_and_clear();
    println!("\n{count} e-mails in {time:.2} s, {:.0} a second", count as f64 / time);
    for (name, worker) in workers {
        worker.stop.cancel();
        println!("worker {name}: {}", worker.task.await??);
    }

    let dead_letters = queue.dead_letters();
    println!("\ndead letters:");
    for dead in dead_letters.list(None, 10).await? {
        println!("  {}, at attempt {}: {}", dead.id, dead.attempts, dead.reason);
        println!("    {:?}", dead.payload?);
    }
    let mended = worker(&queue, &office, true);
    println!("redriven: {}", dead_letters.redrive(Redrive::all()).await?);
    let stats = until("the handler is mended", &queue, &office, over).await?;
    mended.stop.cancel();
    println!("the mended worker: {}", mended.task.await??);
    if office.stop.is_cancelled() {
        println!("interrupted");
        return Ok(true);
    }

    let sent = std::mem::take(&mut *office.sent.lock().expect("no panic under the lock"));
    let twice = sent.values().filter(|times| **times > 1).count();
    println!("\nsent      {:>8}", sent.len());
    println!("twice     {twice:>8}  (by worker 2, and again after it crashed)");
    println!("pending   {:>8}", stats.in_flight + stats.waiting_retry);
    println!("stream    {:>8}", stats.length);
    println!("dead      {:>8}", stats.dead);
    let all = sent.len() as u64 == tasks && stats.length == 0 && stats.dead == 0;
    println!("every e-mail sent {}", if all { "yes" } else { "NO" });
    Ok(all)
}

fn email(user: u64, template: &str, amount: &str) -> Email {
    let user = user.to_string();
    [("user_id", &*user), ("template", template), ("amount", amount)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// Sends one e-mail.
fn send(office: &Office, job: &Job<Email>, is_mended: bool) -> Result<(), Fail> {
    let field = |name: &str| job.get(name).map(String::as_str).unwrap_or_default();
    let user: u64 = field("user_id").parse()?;
    match field("template") {
        "invoice" if !is_mended && field("amount").parse::<u32>().is_err() => {
            panic!("an amount of {:?}", field("amount"))
        }
        template if TEMPLATES.contains(&template) || is_mended => {}
        other => return Err(Fail::dead(format!("invalid template {other}"))),
    }
    if user % 50 == 7 && job.attempt() == 1 {
        return Err(Fail::retry("the mail server is busy"));
    }
    // This is where an e-mail would be sent.
    *office.sent.lock().expect("no panic under the lock").entry(user).or_default() += 1;
    office.bar.inc(1);
    Ok(())
}

/// A worker that runs, and how to stop it.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<Report, QueueError>>,
}

fn worker(queue: &Queue<Email>, office: &Arc<Office>, is_mended: bool) -> Running {
    let (stop, office) = (office.stop.child_token(), Arc::clone(office));
    let work = queue.worker().concurrency(HANDS);
    let work = work.run(stop.clone().cancelled_owned(), move |job| {
        let office = Arc::clone(&office);
        async move { send(&office, &job, is_mended) }
    });
    Running { stop, task: tokio::spawn(work) }
}

/// Worker 2 has a thread, a runtime and a connection of its own, as a process has. After a tenth of the jobs its mail server does
/// not answer any more. When it crashes, the runtime ends with whatever runs on it, and nobody gives anything back.
fn doomed(
    url: String,
    tasks: u64,
    office: &Arc<Office>,
    crash: &CancellationToken,
) -> thread::JoinHandle<Result<(), BoxError>> {
    let (office, crash) = (Arc::clone(office), crash.clone());
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let queue = open(&Client::connect(url).await?).await?;
            let work = queue.worker().concurrency(HANDS);
            let work = work.run(office.stop.clone().cancelled_owned(), move |job| {
                let office = Arc::clone(&office);
                async move {
                    send(&office, &job, false)?;
                    if office.bar.position() > tasks / 10 {
                        office.stuck.fetch_add(1, Ordering::Relaxed);
                        std::future::pending::<()>().await;
                    }
                    Ok::<(), Fail>(())
                }
            });
            tokio::select! {
                result = work => Ok(result.map(drop)?),
                () = crash.cancelled() => Ok(()),
            }
        })
    })
}

/// How many jobs are not at their end.
fn left(stats: &QueueStats) -> u64 {
    stats.ready.unwrap_or(0) + stats.in_flight + stats.waiting_retry
}

/// Waits until something holds, or all is to stop, and prints how the queue stands then.
async fn until(
    what: &str,
    queue: &Queue<Email>,
    office: &Office,
    holds: impl Fn(&QueueStats) -> bool,
) -> Result<QueueStats, QueueError> {
    loop {
        let stats = queue.stats().await?;
        if holds(&stats) || office.stop.is_cancelled() {
            let QueueStats { in_flight, waiting_retry, dead, .. } = stats;
            let ready = stats.ready.unwrap_or(0);
            let line = format!("{what:<40}{ready:>8}{in_flight:>11}{waiting_retry:>10}{dead:>6}");
            office.bar.suspend(|| println!("{line}"));
            return Ok(stats);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
