//! A job can run twice, but its effect happens once. Customers are charged once, although the
//! payment provider's reply is sometimes lost after the charge, and the job is retried.
//!
//! `cargo run --release --example idempotent -- [URL]`
//!
//! The job's idempotency key is the same for every attempt. The system that has the effect stores
//! it: a payment provider that accepts such keys, or a table with a unique column. Here it is a
//! map. Redis alone cannot ensure this for an effect in another system.

use bourn::queue::{BoxError, Enqueue, Fail, Job, Queue, QueueError, RawBytes, RetryPolicy};
use bourn::{Client, Exists, Unlink};
use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

const STREAM: &str = "payments";
const CUSTOMERS: usize = 100;

/// A simulated payment provider.
#[derive(Default)]
struct Provider {
    /// The receipt of each key.
    receipts: HashMap<String, usize>,
    /// The amount that each customer has paid.
    paid: HashMap<String, u32>,
    calls: usize,
}

impl Provider {
    /// Charges the customer. A repeated key returns the first receipt and charges nothing.
    fn charge(&mut self, key: String, customer: &str) -> usize {
        self.calls += 1;
        let next = self.receipts.len() + 1;
        *self.receipts.entry(key).or_insert_with(|| {
            *self.paid.entry(customer.to_owned()).or_default() += 10;
            next
        })
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1".into());
    let client = Client::connect(url).await?;
    if client.send(Exists::new(STREAM)).await? > 0 {
        return Err(format!("there is a stream {STREAM} on this server: left alone").into());
    }
    let result = payments(&client).await;
    client.send(Unlink::new(STREAM)).await?;
    client.close().await;
    Ok(if result? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn payments(client: &Client) -> Result<bool, BoxError> {
    let soon = RetryPolicy::exponential(Duration::from_millis(10), Duration::from_millis(50));
    let queue: Queue<String> = Queue::builder(client, STREAM).retry(soon).open(RawBytes).await?;
    let producer = queue.producer();
    for n in 1..CUSTOMERS {
        producer.enqueue(&format!("customer {n}")).await?;
    }
    // A user clicks twice: with IDMP (Redis 8.6) a unique key makes both clicks one job.
    let mut ids = Vec::new();
    for _click in 0..2 {
        let click = Enqueue::new().unique("order 7");
        match producer.enqueue_with(&"customer 0".to_owned(), click).await {
            Ok(id) => ids.push(id),
            Err(error @ QueueError::Settings(_)) => println!("clicked: {error}"),
            Err(error) => return Err(error.into()),
        }
    }
    match &*ids {
        [first, second] => println!("clicked twice: {first} and {second}"),
        _ => drop(producer.enqueue(&"customer 0".to_owned()).await?),
    }

    let (provider, over) = (Arc::new(Mutex::new(Provider::default())), Arc::new(Notify::new()));
    let (used, is_over) = (Arc::clone(&provider), Arc::clone(&over));
    let charge = move |job: Job<String>| {
        let (used, is_over) = (Arc::clone(&used), Arc::clone(&is_over));
        async move {
            let mut provider = used.lock().expect("no panic under the lock");
            let receipt = provider.charge(job.idempotency_key(), &job);
            if receipt % 5 == 0 && job.attempt() == 1 {
                return Err(Fail::retry("the provider's reply was lost"));
            }
            // For every fifth customer the reply is lost once.
            if provider.calls == CUSTOMERS + CUSTOMERS / 5 {
                is_over.notify_one();
            }
            Ok(())
        }
    };
    let report = queue.worker().run(over.notified(), charge).await?;

    let provider = provider.lock().expect("no panic under the lock");
    let once = provider.paid.values().filter(|paid| **paid == 10).count();
    println!("{report}");
    println!("the provider was called {} times", provider.calls);
    println!("{once} of {CUSTOMERS} customers have paid once");
    Ok(once == CUSTOMERS && provider.paid.len() == CUSTOMERS && provider.calls > CUSTOMERS)
}
