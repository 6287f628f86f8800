//! Three queues and one worker: urgent jobs first; with ageing no queue starves.
//!
//! `cargo run --release --example priorities -- [URL]`

use bourn::queue::{BoxError, Fail, Job, Priority, Queue, RawBytes, Worker};
use bourn::{Client, Exists, Unlink};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

// In a cluster, the part in braces puts them in one slot.
const STREAMS: [&str; 3] = ["{tasks}:high", "{tasks}:normal", "{tasks}:low"];
const GROUP: &str = "task-processors";
const EACH: usize = 12;

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1".into());
    let client = Client::connect(url).await?;
    let [high, normal, low] = STREAMS;
    if client.send(Exists::new(high).and(normal).and(low)).await? > 0 {
        return Err("one of the streams is on this server already: left alone".into());
    }
    let result = both(&client).await;
    client.send(Unlink::new(high).and(normal).and(low)).await?;
    client.close().await;
    Ok(if result? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn both(client: &Client) -> Result<bool, BoxError> {
    let strict = order(client, Priority::Strict).await?;
    println!("strict       {strict}");
    let ageing = order(client, Priority::StrictWithAging(5)).await?;
    println!("with ageing  {ageing}");

    // Strict: sorted. With ageing: a less urgent job runs before the last urgent one.
    let sorted = ["h", "n", "l"].map(|letter| letter.repeat(EACH)).concat();
    let last_urgent = ageing.rfind('h');
    let is_fair = ageing.find('l') < last_urgent && ageing.find('n') < last_urgent;
    println!("as it should be: {}", if strict == sorted && is_fair { "yes" } else { "NO" });
    Ok(strict == sorted && is_fair)
}

/// Runs all jobs, one at a time. Returns the first letters of their priorities, in order of
/// completion.
async fn order(client: &Client, priority: Priority) -> Result<String, BoxError> {
    let mut queues: Vec<Queue<String>> = Vec::new();
    for stream in STREAMS {
        queues.push(Queue::builder(client, stream).group(GROUP).open(RawBytes).await?);
    }
    // The least urgent jobs are added first.
    for (queue, stream) in queues.iter().zip(STREAMS).rev() {
        let (_, name) = stream.split_at("{tasks}:".len());
        let jobs: Vec<String> = (0..EACH).map(|_| name.to_owned()).collect();
        for added in queue.producer().enqueue_all(&jobs).await {
            added?;
        }
    }

    let (order, all) = (Arc::new(Mutex::new(String::new())), Arc::new(Notify::new()));
    let (done, is_all) = (Arc::clone(&order), Arc::clone(&all));
    let handler = move |job: Job<String>| {
        let (done, is_all) = (Arc::clone(&done), Arc::clone(&is_all));
        async move {
            let mut done = done.lock().expect("no panic under the lock");
            done.extend(job.chars().next());
            if done.len() == EACH * STREAMS.len() {
                is_all.notify_one();
            }
            Ok::<(), Fail>(())
        }
    };
    Worker::merged(&queues, priority).concurrency(1).run(all.notified(), handler).await?;
    Ok(std::mem::take(&mut *order.lock().expect("no panic under the lock")))
}
