//! Lateness of delayed jobs, and the latency of fresh jobs beside delayed ones: `service URL`.
//!
//! One worker on one server. Prints a line for each measurement: its name, median and 99th
//! percentile in milliseconds, separated by tabs.

use bourn::queue::{Fail, Job, Queue, QueueBuilder, RawBytes};
use bourn::{Client, Raw};
use std::env;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::time::{sleep, sleep_until};

/// The jobs of one measurement of delays.
const JOBS: u64 = 100;

/// The jobs that are pending or delayed beside others.
const MANY: u64 = 100_000;

/// The fresh jobs, one each five milliseconds.
const FRESH: u32 = 2_000;

#[tokio::main]
async fn main() {
    let url = env::args().nth(1).expect("the address of a server");
    let client = Client::connect(&*url).await.expect("a server");
    for delay in [200, 1_000, 10_000] {
        let name = format!("idle{delay}");
        let queue = open(Queue::builder(&client, &name)).await;
        report(&format!("delay of {delay} ms, idle"), delays(&queue, delay).await);
    }
    for delay in [200, 1_000, 10_000] {
        let name = format!("pending{delay}");
        let queue = open(Queue::builder(&client, &name).lease(Duration::from_secs(600))).await;
        add(&queue, MANY).await;
        let read = Raw::new("XREADGROUP").arg("GROUP").arg("workers").arg("busy").arg("COUNT");
        let read = read.arg(MANY.to_string()).arg("STREAMS").arg(&name).arg(">");
        client.send(read).await.expect("pending jobs");
        report(&format!("delay of {delay} ms, 100,000 pending"), delays(&queue, delay).await);
    }
    let queue = open(Queue::builder(&client, "fresh")).await;
    report("fresh jobs, none delayed", fresh(&queue).await);
    delay_many(&queue).await;
    report("fresh jobs, 100,000 delayed", fresh(&queue).await);
}

async fn open(builder: QueueBuilder) -> Queue<String> {
    builder.open(RawBytes).await.expect("a queue")
}

async fn add(queue: &Queue<String>, jobs: u64) {
    let jobs: Vec<String> = (0..jobs).map(|number| number.to_string()).collect();
    for part in jobs.chunks(1_000) {
        for added in queue.producer().enqueue_all(part).await {
            added.expect("added");
        }
    }
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let ms = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1_000.0;
    println!("{name}\t{:.1}\t{:.1}", ms(50), ms(99));
}

/// The lateness of retries after this delay, in milliseconds. The jobs come one after the other.
async fn delays(queue: &Queue<String>, delay: u64) -> Vec<Duration> {
    let delay = Duration::from_millis(delay);
    let failed = Arc::new(Mutex::new(vec![None::<Instant>; JOBS as usize]));
    let late = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let late = Arc::clone(&late);
        move |job: Job<String>| {
            let (now, number) = (Instant::now(), job.payload().parse::<usize>().expect("a number"));
            let slot = &mut failed.lock().expect("no panic")[number];
            let result = match slot {
                Some(failed) => {
                    let due = *failed + delay;
                    assert!(now >= due, "job {number} is early");
                    late.lock().expect("no panic").push(now - due);
                    Ok(())
                }
                None => {
                    *slot = Some(now);
                    Err(Fail::retry_after(delay, "later"))
                }
            };
            async move { result }
        }
    };
    let until = {
        let late = Arc::clone(&late);
        async move {
            while late.lock().expect("no panic").len() < JOBS as usize {
                sleep(Duration::from_millis(10)).await;
            }
        }
    };
    let produce = async {
        // The worker is idle.
        sleep(Duration::from_secs(2)).await;
        for number in 0..JOBS {
            queue.producer().enqueue(&number.to_string()).await.expect("added");
            sleep(Duration::from_millis(47)).await;
        }
    };
    let (report, ()) = tokio::join!(queue.worker().run(until, handler), produce);
    report.expect("a worker");
    let late = late.lock().expect("no panic").clone();
    late
}

/// The times from adding a job until its handler runs.
async fn fresh(queue: &Queue<String>) -> Vec<Duration> {
    let begin = Instant::now();
    let times = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let times = Arc::clone(&times);
        move |job: Job<String>| {
            let added = job.payload().parse::<u64>().expect("a number");
            let time = begin.elapsed().saturating_sub(Duration::from_nanos(added));
            times.lock().expect("no panic").push(time);
            async { Ok::<(), Fail>(()) }
        }
    };
    let until = {
        let times = Arc::clone(&times);
        async move {
            while times.lock().expect("no panic").len() < FRESH as usize {
                sleep(Duration::from_millis(10)).await;
            }
        }
    };
    let produce = async {
        sleep(Duration::from_secs(2)).await;
        let start = tokio::time::Instant::now();
        for number in 0..FRESH {
            sleep_until(start + Duration::from_millis(5) * number).await;
            let now = begin.elapsed().as_nanos().to_string();
            queue.producer().enqueue(&now).await.expect("added");
        }
    };
    let (report, ()) = tokio::join!(queue.worker().run(until, handler), produce);
    report.expect("a worker");
    let times = times.lock().expect("no panic").clone();
    times
}

/// Delays many jobs by an hour.
async fn delay_many(queue: &Queue<String>) {
    add(queue, MANY).await;
    let handler = |_: Job<String>| async {
        Err::<(), _>(Fail::retry_after(Duration::from_secs(3_600), "later"))
    };
    let until = async {
        while queue.stats().await.expect("statistics").waiting_retry < MANY {
            sleep(Duration::from_millis(100)).await;
        }
    };
    queue.worker().concurrency(256).run(until, handler).await.expect("a worker");
}
