//! bourn: `bourn enqueue`, `bourn work`.
//!
//! With the defaults: delete on ack, heartbeats, retries and dead letters.

use bourn::Client;
use bourn::queue::{Fail, Job, Queue, RawBytes};
use queues::Asked;
use std::sync::Arc;

fn main() {
    let asked = Asked::read();
    queues::runtime(&asked).block_on(run(asked));
}

async fn run(asked: Asked) {
    let client = Client::connect(&asked.url).await.expect("a server");
    let queue: Queue<String> = Queue::builder(&client, "noop").open(RawBytes).await.expect("a queue");
    match asked.enqueue {
        true => enqueue(&queue, asked.jobs).await,
        false => work(&queue, asked).await,
    }
}

async fn enqueue(queue: &Queue<String>, jobs: u64) {
    let numbers: Vec<String> = (0..jobs).map(|number| number.to_string()).collect();
    for part in numbers.chunks(1_000) {
        for job in queue.producer().enqueue_all(part).await {
            job.expect("added");
        }
    }
}

async fn work(queue: &Queue<String>, asked: Asked) {
    let worker = match asked.setting.as_str() {
        "defaults" => queue.worker(),
        "tuned" => queue.worker().concurrency(64),
        _ => queue.worker().concurrency(64).prefetch(192),
    };
    let jobs = asked.jobs;
    let asked = Arc::new(asked);
    let noop = move |_: Job<String>| {
        let asked = Arc::clone(&asked);
        async move {
            asked.job();
            Ok::<(), Fail>(())
        }
    };
    let report = worker.run(queues::stop_requested(), noop).await.expect("a worker");
    assert_eq!(report.done, jobs, "{report}");
}
