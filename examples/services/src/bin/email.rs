//! The e-mail queue of the source documents: producers, workers and operators as one program.
//!
//! ```text
//! email enqueue [--urgent] [--key KEY] USER TEMPLATE   adds an e-mail, once per key (Redis 8.6)
//! email work                                           sends e-mails until SIGTERM; run any number
//! email status                                         statistics and health of the queues
//! email dead                                           lists dead letters with the reasons
//! email redrive [REASON]                               redrives dead letters, all or by reason
//! ```
//!
//! `REDIS_URL` is the server. `MAIL_COMMAND` is the program that sends one e-mail: its arguments
//! are the user, the template and an idempotency key, its exit codes those of sendmail. 0 is sent,
//! 65 (EX_DATAERR) can never be sent, and everything else is retried. A job can run twice, so the
//! program must send one e-mail per key.
//!
//! The queues are `email:tasks` and `email:urgent`. Each has its own dead letters, so a redrive
//! puts a job back into its queue.

use anyhow::{Context, bail};
use bourn::Client;
use bourn::queue::{
    Enqueue, Fail, Health, Job, Priority, Queue, QueueError, Record, Redrive, RetryPolicy, Worker,
};
use bourn_services::{log, redis_url, stop_signal};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;

const GROUP: &str = "email-workers";

/// E-mails that one worker sends at a time.
const CONCURRENCY: usize = 10;

/// The time limit of one e-mail.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The exit code of an e-mail that cannot be sent as it is.
const EX_DATAERR: i32 = 65;

/// `user_id 123 template welcome`: the fields of the entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Email {
    user_id: u64,
    template: String,
}

struct Queues {
    urgent: Queue<Email>,
    normal: Queue<Email>,
}

impl Queues {
    async fn open(client: &Client) -> anyhow::Result<Self> {
        let seconds = std::env::var("LEASE_SECONDS").map_or(Ok(30), |text| text.parse());
        let lease = Duration::from_secs(seconds.context("LEASE_SECONDS")?);
        let open = async |stream, dead_letters| {
            let retry = RetryPolicy::exponential(Duration::from_millis(200), lease / 2);
            Queue::builder(client, stream)
                .group(GROUP)
                .dead_letter(dead_letters)
                .lease(lease)
                .retry(retry.max_attempts(4))
                .open(Record)
                .await
        };
        let urgent = open("email:urgent", "email:urgent:dead-letter").await?;
        let normal = open("email:tasks", "email:dead-letter").await?;
        Ok(Self { urgent, normal })
    }

    /// The most urgent one first.
    fn all(&self) -> [&Queue<Email>; 2] {
        [&self.urgent, &self.normal]
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    log();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let client = Client::connect(redis_url()).await?;
    let queues = Queues::open(&client).await?;
    match *args {
        ["enqueue", ref options @ .., user, template] => {
            let email =
                Email { user_id: user.parse().context("USER")?, template: template.to_owned() };
            enqueue(&queues, email, options).await?;
        }
        ["work"] => work(&queues).await?,
        ["status"] => status(&queues).await?,
        ["dead"] => dead(&queues).await?,
        ["redrive"] => redrive(&queues, Redrive::all()).await?,
        ["redrive", reason] => redrive(&queues, Redrive::reason(reason)).await?,
        _ => bail!(
            "usage: email enqueue [--urgent] [--key KEY] USER TEMPLATE | work | status | dead | redrive [REASON]"
        ),
    }
    client.close().await;
    Ok(())
}

async fn enqueue(queues: &Queues, email: Email, mut options: &[&str]) -> anyhow::Result<()> {
    let (mut queue, mut more) = (&queues.normal, Enqueue::new());
    while let [option, rest @ ..] = options {
        options = match (*option, rest) {
            ("--urgent", rest) => {
                queue = &queues.urgent;
                rest
            }
            ("--key", [key, rest @ ..]) => {
                more = more.unique(key);
                rest
            }
            _ => bail!("unknown option {option}"),
        };
    }
    println!("{}", queue.producer().enqueue_with(&email, more).await?);
    Ok(())
}

async fn work(queues: &Queues) -> anyhow::Result<()> {
    let command: Arc<str> = std::env::var("MAIL_COMMAND").context("MAIL_COMMAND")?.into();
    // Urgent e-mails first; one read in 20 serves the others first, so they do not starve.
    let worker = Worker::merged(queues.all(), Priority::StrictWithAging(20));
    let worker = worker.concurrency(CONCURRENCY).job_timeout(TIMEOUT);
    println!("ready");
    let report = worker.run_with(command, stop_signal(), send).await?;
    println!("{report}");
    Ok(())
}

/// Sends one e-mail.
async fn send(command: Arc<str>, job: Job<Email>) -> Result<(), Fail> {
    let (user, key) = (job.user_id.to_string(), job.idempotency_key());
    let mut program = Command::new(&*command);
    // A cancelled job must not keep sending.
    program.args([&user, &job.template, &key]).kill_on_drop(true);
    let output = program.output().await?;
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match output.status.code() {
        Some(0) => Ok(()),
        Some(EX_DATAERR) => Err(Fail::dead(reason)),
        _ => Err(Fail::retry(format!("{}: {reason}", output.status))),
    }
}

async fn status(queues: &Queues) -> Result<(), QueueError> {
    for queue in queues.all() {
        let stats = queue.stats().await?;
        println!(
            "{}: {} ready, {} in flight, {} to retry, {} dead",
            queue.stream().escape_ascii(),
            stats.ready.unwrap_or_default(),
            stats.in_flight,
            stats.waiting_retry,
            stats.dead,
        );
        if let Health::Degraded(reasons) = queue.health().await? {
            println!("  {}", reasons.join("\n  "));
        }
    }
    Ok(())
}

async fn dead(queues: &Queues) -> anyhow::Result<()> {
    for queue in queues.all() {
        for dead in queue.dead_letters().list(None, 100).await? {
            let Email { user_id, template } = dead.payload?;
            let (id, attempts, reason) = (dead.id, dead.attempts, dead.reason);
            println!("{id}: user {user_id}, {template}: attempt {attempts}: {reason}");
        }
    }
    Ok(())
}

async fn redrive(queues: &Queues, which: Redrive) -> anyhow::Result<()> {
    for queue in queues.all() {
        let count = queue.dead_letters().redrive(which.clone()).await?;
        println!("{}: {count} redriven", queue.stream().escape_ascii());
    }
    Ok(())
}
