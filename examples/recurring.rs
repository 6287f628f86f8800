//! Adds a job each second and each hour, and runs them until Ctrl-C.

use bourn::Client;
use bourn::queue::{Fail, Flat, Job, Missed, Queue, Recurrence};
use std::time::Duration;

type Report = Vec<(String, String)>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1".into());
    let client = Client::connect(url).await?;
    let queue: Queue<Report> = Queue::builder(&client, "reports").open(Flat).await?;
    let all: Report = vec![("customers".into(), "all".into())];

    // At the start of each process. If the same is set already, nothing changes.
    queue.every("refresh", Duration::from_secs(1), &all).await?;
    let hourly = Recurrence::every(Duration::from_secs(3_600)).missed(Missed::Skip);
    queue.recurring().set("hourly", &hourly, &all).await?;
    for job in queue.recurring().list().await? {
        println!("{}: last {:?}, next {:?}", job.name, job.last, job.next);
    }

    // Runs until Ctrl-C.
    queue.worker().run(tokio::signal::ctrl_c(), run).await?;
    queue.recurring().remove("hourly").await?;
    Ok(())
}

async fn run(job: Job<Report>) -> Result<(), Fail> {
    let header = |name| job.headers().get(name).map(|text| text.escape_ascii().to_string());
    println!("{:?}, due at {:?}: {:?}", header("recurring"), header("tick"), *job);
    Ok(())
}
