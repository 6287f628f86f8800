//! The cost of producers, of distance, and of many idle workers: `scale URL [ROW...]`.
//!
//! Prints a line for each measurement, its columns separated by tabs. Counts come from the server:
//! `INFO commandstats`, `INFO cpu`, `INFO stats`. `ROW` is `producers`, `far`, or a number of idle
//! workers; by default all of them.

use bourn::queue::{Fail, Job, Nack, Queue, RawBytes, Redrive};
use bourn::{Client, Raw};
use std::collections::BTreeMap;
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep, sleep_until};

/// The numbers of idle workers.
const WORKERS: [usize; 5] = [1, 2, 60, 200, 1_000];

/// The time that passes before idle workers are measured, and for which they are measured.
const SETTLE: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() {
    let mut args = env::args().skip(1);
    let url = args.next().expect("the address of a server");
    let mut rows: Vec<String> = args.collect();
    if rows.is_empty() {
        rows = ["producers", "far"].map(str::to_owned).to_vec();
        rows.extend(WORKERS.iter().map(usize::to_string));
    }
    for row in rows {
        let client = Client::connect(&*url).await.expect("a server");
        client.send(Raw::new("FLUSHALL")).await.expect("an empty server");
        match row.as_str() {
            "producers" => producers(&client).await,
            "far" => far(&url).await,
            workers => idle(&url, &client, workers.parse().expect("a number of workers")).await,
        }
        client.close().await;
    }
}

async fn open(client: &Client, name: &str) -> Queue<String> {
    Queue::builder(client, name).open(RawBytes).await.expect("a queue")
}

/// Returns the numbers of a section of INFO.
async fn info(client: &Client, section: &str) -> BTreeMap<String, f64> {
    let reply = client.send(Raw::new("INFO").arg(section)).await.expect("INFO");
    let text = String::from_utf8_lossy(reply.as_bytes().expect("a text")).into_owned();
    let mut numbers = BTreeMap::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.strip_prefix("calls=").unwrap_or(value);
        let value = value.split(',').next().unwrap_or(value);
        if let Ok(number) = value.trim().parse() {
            numbers.insert(name.to_owned(), number);
        }
    }
    numbers
}

/// The server's counts at one time.
struct Counts {
    calls: BTreeMap<String, f64>,
    cpu: f64,
    bytes: f64,
}

impl Counts {
    async fn now(client: &Client) -> Self {
        let (calls, cpu) = (info(client, "commandstats").await, info(client, "cpu").await);
        let bytes = info(client, "stats").await["total_net_output_bytes"];
        Self { calls, cpu: cpu["used_cpu_user"] + cpu["used_cpu_sys"], bytes }
    }

    /// Returns how often each command was called since, the most frequent one first.
    fn calls_since(&self, before: &Self) -> Vec<(String, f64)> {
        let since = |(name, calls): (&String, &f64)| {
            let name = name.trim_start_matches("cmdstat_").to_owned();
            (name.clone(), calls - before.calls.get(&format!("cmdstat_{name}")).unwrap_or(&0.0))
        };
        let mut calls: Vec<_> = self.calls.iter().map(since).collect();
        calls.retain(|(name, calls)| *calls > 0.0 && name != "info");
        calls.sort_by(|one, other| other.1.total_cmp(&one.1));
        calls
    }
}

/// The memory that the server needs for each job, with a producer for all jobs, or one for each.
async fn producers(client: &Client) {
    const JOBS: u32 = 10_000;
    for each in [false, true] {
        let queue = open(client, if each { "each" } else { "one" }).await;
        let before = info(client, "memory").await["used_memory"];
        let one = queue.producer();
        for number in 0..JOBS {
            let job = number.to_string();
            if each {
                queue.producer().enqueue(&job).await.expect("added");
            } else {
                one.enqueue(&job).await.expect("added");
            }
        }
        let bytes = (info(client, "memory").await["used_memory"] - before) / f64::from(JOBS);
        let name = if each { "a producer for each job" } else { "one producer for all jobs" };
        println!("{name}\t{bytes:.0} bytes a job");
    }
}

/// Times of batches at a round trip of 10 ms.
async fn far(url: &str) {
    let client = Client::connect(&*delayed(url).await).await.expect("a server");
    let queue = open(&client, "far").await;
    let jobs: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    for _ in 0..3 {
        let start = Instant::now();
        let added = queue.producer().enqueue_all(&jobs).await;
        println!("enqueue_all of 10,000 at 10 ms\t{} ms", start.elapsed().as_millis());
        assert!(added.iter().all(Result::is_ok));
    }
    let queue = open(&client, "dead").await;
    for added in queue.producer().enqueue_all(&jobs[..300]).await {
        added.expect("added");
    }
    let mut consumer = queue.consumer().prefetch(300).start().await.expect("a consumer");
    let mut dead = Vec::new();
    for _ in 0..300 {
        let delivery = consumer.next().await.expect("open").expect("a job");
        dead.push(tokio::spawn(async move { delivery.nack(Nack::dead("no")).await }));
    }
    for dead in dead {
        dead.await.expect("no panic").expect("a dead letter");
    }
    let start = Instant::now();
    let redriven = queue.dead_letters().redrive(Redrive::all()).await.expect("redriven");
    let ms = start.elapsed().as_secs_f64() * 1_000.0 / redriven as f64;
    println!("redrive at 10 ms\t{ms:.2} ms a letter ({redriven})");
    consumer.close().await;
}

/// Returns an address of the server with a round trip of 10 ms.
async fn delayed(url: &str) -> String {
    let address = url.trim_start_matches("redis://").split('/').next().unwrap_or_default().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(&*address).await.expect("the server");
            let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
            tokio::spawn(pass(from_near, to_far));
            tokio::spawn(pass(from_far, to_near));
        }
    });
    format!("redis://127.0.0.1:{port}")
}

/// Passes bytes on after 5 ms.
async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
) {
    let (send, mut receive) = mpsc::unbounded_channel::<(tokio::time::Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((at, bytes)) = receive.recv().await {
            sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    });
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let at = tokio::time::Instant::now() + Duration::from_millis(5);
        if send.send((at, buffer[..count].to_vec())).is_err() {
            break;
        }
    }
}

/// Idle workers: what they send, and what they cost producers.
async fn idle(url: &str, client: &Client, workers: usize) {
    let queue = open(client, "idle").await;
    let done = Arc::new(AtomicU64::new(0));
    let added = Arc::new(AtomicU64::new(0));
    let waited = Arc::new(std::sync::Mutex::new(Vec::new()));
    let begin = Instant::now();
    let (mut stops, mut runs) = (Vec::new(), Vec::new());
    let dialling = Arc::new(Semaphore::new(20));
    for _ in 0..workers {
        let (stop, stopped) = oneshot::channel::<()>();
        stops.push(stop);
        let (done, waited) = (Arc::clone(&done), Arc::clone(&waited));
        let handler = move |job: Job<String>| {
            done.fetch_add(1, Ordering::Relaxed);
            if let Ok(sent) = job.payload().parse::<u64>() {
                let time = begin.elapsed().saturating_sub(Duration::from_nanos(sent));
                waited.lock().expect("no panic").push(time);
            }
            async { Ok::<(), Fail>(()) }
        };
        let (url, dialling) = (url.to_owned(), Arc::clone(&dialling));
        runs.push(tokio::spawn(async move {
            let client = {
                let _permit = dialling.acquire().await.expect("open");
                Client::connect(&*url).await.expect("a server")
            };
            let queue = open(&client, "idle").await;
            queue.worker().run(async { drop(stopped.await) }, handler).await.expect("a worker");
        }));
    }
    sleep(SETTLE).await;
    let before = Counts::now(client).await;
    let start = Instant::now();
    sleep(IDLE).await;
    let after = Counts::now(client).await;
    let minutes = start.elapsed().as_secs_f64() / 60.0 * workers as f64;
    let calls = after.calls_since(&before);
    let total: f64 = calls.iter().map(|(_, calls)| calls).sum();
    let part = |(name, calls): &(String, f64)| format!("{name} {:.1}", calls / minutes);
    let parts: Vec<String> = calls.iter().take(6).map(part).collect();
    let cpu = (after.cpu - before.cpu) / start.elapsed().as_secs_f64() * 100.0;
    let bytes = (after.bytes - before.bytes) / minutes / 1_024.0;
    println!("{workers} idle workers\t{:.1} commands a minute each\t{bytes:.1} KiB a minute each\t{cpu:.2} % of a core\t{}",
        total / minutes, parts.join(", "));

    // Single jobs to an idle queue.
    let before = Counts::now(client).await;
    for _ in 0..500 {
        let now = begin.elapsed().as_nanos().to_string();
        queue.producer().enqueue(&now).await.expect("added");
        added.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(10)).await;
    }
    wait_for(&done, 500).await;
    let after = Counts::now(client).await;
    let mut times = std::mem::take(&mut *waited.lock().expect("no panic"));
    times.sort_unstable();
    let ms = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1_000.0;
    let cpu = (after.cpu - before.cpu) * 1_000_000.0 / 500.0;
    println!("{workers} idle workers, single jobs\tbegun after {:.2} ms, p99 {:.2} ms\t{cpu:.0} µs of server CPU a job", ms(50), ms(99));

    let jobs = vec!["x".to_owned(); 20_000];
    let before = Counts::now(client).await;
    let start = Instant::now();
    for added in queue.producer().enqueue_all(&jobs).await {
        added.expect("added");
    }
    let enqueued = start.elapsed();
    wait_for(&done, 20_500).await;
    let all_done = start.elapsed();
    let after = Counts::now(client).await;
    let cpu = (after.cpu - before.cpu) * 1_000_000.0 / 20_000.0;
    println!("{workers} idle workers, enqueue_all of 20,000\tadded in {} ms, done in {} ms\t{cpu:.1} µs of server CPU a job",
        enqueued.as_millis(), all_done.as_millis());
    drop(stops);
    for run in runs {
        run.await.expect("no panic");
    }
}

async fn wait_for(done: &AtomicU64, jobs: u64) {
    let start = Instant::now();
    while done.load(Ordering::Relaxed) < jobs {
        assert!(start.elapsed() < Duration::from_secs(120), "jobs are missing");
        sleep(Duration::from_millis(1)).await;
    }
}
