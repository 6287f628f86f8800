//! Relays entries from one stream to another, exactly once. Each change of an order becomes an
//! invoice, although one relay stalls, loses its job to another one, and then continues.
//!
//! `cargo run --release --example relay -- [URL]`

use bourn::queue::{Acked, BoxError, Queue, RawBytes};
use bourn::{Client, Config, EntryId, Exists, Unlink, XRange};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

// In a cluster, the part in braces puts them in one slot, as a transaction requires.
const ORDERS: &str = "{orders}:changes";
const INVOICES: &str = "{orders}:invoices";
const COUNT: usize = 200;

/// A relay without a heartbeat for this long counts as dead.
const LEASE: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1".into());
    let client = Client::connect(&*url).await?;
    if client.send(Exists::new(ORDERS).and(INVOICES)).await? > 0 {
        return Err(format!("{ORDERS} or {INVOICES} is on this server: left alone").into());
    }
    let result = relay(&client, &url).await;
    client.send(Unlink::new(ORDERS).and(INVOICES)).await?;
    client.close().await;
    Ok(if result? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn open(client: &Client, stream: &str) -> Result<Queue<String>, BoxError> {
    Ok(Queue::builder(client, stream).group("relays").lease(LEASE).open(RawBytes).await?)
}

async fn relay(client: &Client, url: &str) -> Result<bool, BoxError> {
    let (orders, invoices) = (open(client, ORDERS).await?, open(client, INVOICES).await?);
    let changes: Vec<String> = (0..COUNT).map(|n| format!("order {n}")).collect();
    for added in orders.producer().enqueue_all(&changes).await {
        added?;
    }

    let (url, (took, taken), (go, gone)) = (url.to_owned(), oneshot::channel(), mpsc::channel());
    let stalled = std::thread::spawn(move || stall(&url, took, &gone));
    println!("a relay has taken {} and stalls", taken.await?);

    let mut consumer = orders.consumer().prefetch(16).start().await?;
    let mut done = 0;
    while done < COUNT {
        let Some(order) = consumer.next().await else { break };
        let order = order?;
        let invoice = format!("invoice of {}", order.payload());
        if order.attempt() > 1 {
            println!("another relay receives {} after the lease", order.payload());
        }
        // Adds the invoice and acknowledges the order atomically.
        let (acked, _) = order.ack_then(&invoices, &invoice).await?;
        done += usize::from(acked == Acked::Done);
    }
    println!("relayed: {}", consumer.close().await);

    go.send(())?;
    let (acked, id) = stalled.join().map_err(|_| "the relay panicked")??;
    // It asks first whether the order is still its own, and adds nothing.
    println!("the first relay continues, and relays it again: {acked:?}, {id:?}");

    let entries = client.send(XRange::new(INVOICES, ..)).await?;
    let each: BTreeSet<_> = entries.iter().filter_map(|entry| entry.get("payload")).collect();
    let left = orders.stats().await?.length;
    println!("{} invoices of {} orders, {left} orders left", entries.len(), each.len());
    Ok(acked == Acked::AlreadyGone && entries.len() == COUNT && each.len() == COUNT && left == 0)
}

/// Takes an order and blocks the thread of all its tasks, so that no heartbeats are sent. Then it
/// completes the order.
fn stall(
    url: &str,
    took: oneshot::Sender<String>,
    go_on: &mpsc::Receiver<()>,
) -> Result<(Acked, Option<EntryId>), BoxError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Otherwise the queue's own threads send heartbeats.
        let config = url.parse::<Config>()?.runtime(Handle::current());
        let client = Client::connect(config).await?;
        let (orders, invoices) = (open(&client, ORDERS).await?, open(&client, INVOICES).await?);
        let mut consumer = orders.consumer().start().await?;
        let order = consumer.next().await.ok_or("no order")??;
        let invoice = format!("invoice of {}", order.payload());
        let _ = took.send(order.payload().clone());
        go_on.recv()?;
        Ok(order.ack_then(&invoices, &invoice).await?)
    })
}
