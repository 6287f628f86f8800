//! A queue of e-mails on one stream: one producer, three workers of a group, one of which crashes.
//!
//! `cargo run --release --example email_queue -- [--tasks N] [--keep] [URL]`
//!
//! The tasks are added to `email:tasks` by many tasks over one connection. The workers of the group `email-workers` share
//! them and acknowledge what they have sent. In the middle `worker-2` crashes with a batch in hand; its tasks stay pending
//! until `worker-3` claims them. At the end nothing is pending, and every e-mail was sent exactly once.

use bourn::{
    Client, Entries, EntryId, Error, GroupFrom, Raw, StartAt, XAck, XAdd, XAutoClaim, XGroupCreate,
    XPending, XReadGroup,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

const STREAM: &str = "email:tasks";
const GROUP: &str = "email-workers";
const WORKERS: [&str; 3] = ["worker-1", "worker-2", "worker-3"];
const TEMPLATES: [&str; 3] = ["welcome", "reset_password", "invoice"];

/// A task that was not acknowledged for this long is taken from its worker.
const ABANDONED: Duration = Duration::from_millis(200);

/// How many producers share the connection.
const PRODUCERS: usize = 64;

/// What the workers have in common.
struct Office {
    client: Client,
    tasks: u64,
    /// How often each user's e-mail was sent.
    sent: Mutex<HashMap<u64, u32>>,
    crashed: AtomicBool,
    added: AtomicU64,
    done: AtomicU64,
    bar: ProgressBar,
    stop: watch::Receiver<bool>,
}

impl Office {
    fn is_over(&self) -> bool {
        *self.stop.borrow() || self.done.load(Ordering::Relaxed) == self.tasks
    }

    /// Sends the e-mails of a batch and acknowledges them with one command.
    async fn deal_with(&self, entries: &Entries) -> Result<u64, Error> {
        if entries.is_empty() {
            return Ok(0);
        }
        for entry in entries {
            let user = entry.get_str("user_id").ok().flatten().and_then(|id| id.parse().ok());
            let template = entry.get_str("template").ok().flatten();
            if let (Some(user), Some(_template)) = (user, template) {
                // This is where an e-mail would be sent.
                *self.sent.lock().expect("no panic under the lock").entry(user).or_default() += 1;
            }
        }
        let ids: Vec<EntryId> = entries.ids().collect();
        let acked = self.client.send(XAck::new(STREAM, GROUP, &ids)).await?;
        let done = self.done.fetch_add(acked, Ordering::Relaxed) + acked;
        self.bar.set_position(done);
        Ok(acked)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("email_queue: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |e| e.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

async fn run() -> Result<bool, Error> {
    let (mut url, mut tasks, mut keep) = ("redis://127.0.0.1".to_owned(), 10_000, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--keep" => keep = true,
            "--tasks" => match args.next().map(|n| n.parse()) {
                Some(Ok(n)) if n >= 1000 => tasks = n,
                _ => {
                    eprintln!("email_queue: --tasks takes a number, 1000 at least");
                    return Ok(false);
                }
            },
            _ => url = arg,
        }
    }

    let client = Client::connect(url).await?;
    if client.send(Raw::new("EXISTS").arg(STREAM)).await?.as_integer() != Some(0) {
        eprintln!("email_queue: there is a stream {STREAM} on this server; it is left alone");
        return Ok(false);
    }
    let result = queue(&client, tasks).await;
    if !keep {
        client.send(Raw::new("UNLINK").arg(STREAM)).await?;
    }
    client.close().await;
    result
}

/// The whole life of the queue; whether all went as it should.
async fn queue(client: &Client, tasks: u64) -> Result<bool, Error> {
    client.send(XGroupCreate::new(STREAM, GROUP, StartAt::START).mk_stream()).await?;

    let (stopper, stop) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = stopper.send(true);
        }
        // The receivers would take a dropped sender for news.
        std::future::pending::<()>().await;
    });

    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} e-mails sent, {per_sec}");
    let bar = ProgressBar::new(tasks);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let office = Arc::new(Office {
        client: client.clone(),
        tasks,
        sent: Mutex::default(),
        crashed: AtomicBool::new(false),
        added: AtomicU64::new(0),
        done: AtomicU64::new(0),
        bar,
        stop,
    });

    let start = Instant::now();
    let producers: Vec<_> =
        (0..PRODUCERS).map(|n| tokio::spawn(produce(Arc::clone(&office), n as u64))).collect();
    let workers = WORKERS.map(|name| tokio::spawn(work(Arc::clone(&office), name)));
    let mut added = 0;
    for producer in producers {
        added += producer.await.expect("no producer panics")?;
    }
    let mut processed = [0; 3];
    for (worker, processed) in workers.into_iter().zip(&mut processed) {
        *processed = worker.await.expect("no worker panics")?;
    }
    let before = client.send(XPending::new(STREAM, GROUP)).await?;
    let reclaimed = reclaim(&office).await?;
    let time = start.elapsed();
    office.bar.finish_and_clear();
    let after = client.send(XPending::new(STREAM, GROUP)).await?;

    println!("added                  {added:>8}");
    for (name, processed) in WORKERS.iter().zip(processed) {
        let note = if *name == CRASHES { "  (crashed with a batch in hand)" } else { "" };
        println!("processed by {name}  {processed:>8}{note}");
    }
    for (consumer, pending) in &before.consumers {
        println!("pending for {}   {pending:>8}  (XPENDING before)", consumer.escape_ascii());
    }
    println!("reclaimed by worker-3  {reclaimed:>8}");
    println!("pending                {:>8}  (XPENDING after)", after.count);
    println!("time                   {:>7.2}s", time.as_secs_f64());
    println!("tasks/s                {:>8.0}", added as f64 / time.as_secs_f64());

    let sent = std::mem::take(&mut *office.sent.lock().expect("no panic under the lock"));
    let once = sent.len() as u64 == tasks && sent.values().all(|times| *times == 1);
    if *office.stop.borrow() {
        println!("interrupted");
        return Ok(true);
    }
    println!("every e-mail sent once {:>8}", if once { "yes" } else { "NO" });
    Ok(once && after.count == 0)
}

/// Adds every 64th task. All producers use one connection: their commands go out together.
async fn produce(office: Arc<Office>, first: u64) -> Result<u64, Error> {
    let mut added = 0;
    let users = (first..office.tasks).step_by(PRODUCERS);
    for (user, template) in users.zip(TEMPLATES.iter().cycle()) {
        if *office.stop.borrow() {
            break;
        }
        let add = XAdd::new(STREAM).field("user_id", user).field("template", *template);
        office.client.send(add).await?;
        office.added.fetch_add(1, Ordering::Relaxed);
        added += 1;
    }
    Ok(added)
}

/// The worker that crashes.
const CRASHES: &str = "worker-2";

/// Takes tasks until there are none left that are not in somebody's hands.
async fn work(office: Arc<Office>, name: &'static str) -> Result<u64, Error> {
    let mut reader = office.client.reader().await?;
    let mut processed = 0;
    let mut stop = office.stop.clone();
    while !office.is_over() {
        // The others leave half of the tasks until the crash, so that there is one.
        let crashed = office.crashed.load(Ordering::Relaxed);
        if name != CRASHES && !crashed && office.done.load(Ordering::Relaxed) >= office.tasks / 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let read = XReadGroup::new(GROUP, name).stream(STREAM, GroupFrom::New).count(50);
        let streams = tokio::select! {
            streams = reader.read(read.block(Duration::from_millis(100))) => streams?,
            _ = stop.changed() => break,
        };
        let Some(entries) = streams.get(STREAM) else {
            if office.added.load(Ordering::Relaxed) == office.tasks {
                break;
            }
            continue;
        };
        if name == CRASHES && processed >= office.tasks / 10 {
            // It dies with this batch in hand: nothing is acknowledged.
            office.crashed.store(true, Ordering::Relaxed);
            break;
        }
        processed += office.deal_with(entries).await?;
    }
    Ok(processed)
}

/// `worker-3` takes over what has been pending for too long, whoever has it.
async fn reclaim(office: &Office) -> Result<u64, Error> {
    let mut reclaimed = 0;
    let mut start = EntryId::MIN;
    while !office.is_over() {
        let claim = XAutoClaim::new(STREAM, GROUP, "worker-3", ABANDONED, start);
        let claimed = office.client.send(claim).await?;
        if claimed.entries.is_empty() && claimed.cursor.is_none() {
            tokio::time::sleep(ABANDONED / 4).await;
        }
        reclaimed += office.deal_with(&claimed.entries).await?;
        start = claimed.cursor.unwrap_or(EntryId::MIN);
    }
    Ok(reclaimed)
}
