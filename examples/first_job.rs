//! The second program of the guide: enqueues one job, and works until Ctrl-C.

use bourn::Client;
use bourn::queue::{Fail, Flat, Job, Queue};

type Email = Vec<(String, String)>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1".into());
    let client = Client::connect(url).await?;
    let queue: Queue<Email> =
        Queue::builder(&client, "email:tasks").group("email-workers").open(Flat).await?;

    let email = vec![("user_id".to_owned(), "123".to_owned())];
    queue.producer().enqueue(&email).await?;

    // Runs until Ctrl-C, then lets running jobs finish.
    let report = queue.worker().concurrency(10).run(tokio::signal::ctrl_c(), send).await?;
    println!("{report}");
    Ok(())
}

async fn send(job: Job<Email>) -> Result<(), Fail> {
    println!("attempt {} of {}: {:?}", job.attempt(), job.id(), *job);
    Ok(())
}
