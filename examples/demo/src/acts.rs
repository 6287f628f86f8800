//! The five acts and the summary.

use crate::mail::{self, Attempt, CONCURRENCY, Email, LEASE, Ledger, MAX_ATTEMPTS};
use crate::show::{Rate, Show};
use crate::worker;
use bourn::Client;
use bourn::queue::{BoxError, Queue, QueueError, QueueStats, Redrive, Report};
use indicatif::{HumanCount, ProgressBar};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The demo, and everything of it that runs.
pub struct Play {
    queue: Queue<Email>,
    server: String,
    url: String,
    jobs: u64,
    show: Show,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
    workers: Vec<JoinHandle<Result<Report, QueueError>>>,
    process: Option<Child>,
}

impl Play {
    pub async fn new(client: &Client, url: &str, jobs: u64, show: Show) -> Result<Self, BoxError> {
        let queue = mail::open(client).await?;
        let server = client.server().map(|server| server.to_string()).unwrap_or_default();
        let (url, ledger, stop) = (url.to_owned(), Arc::default(), CancellationToken::new());
        Ok(Self {
            queue,
            server,
            url,
            jobs,
            show,
            ledger,
            stop,
            workers: Vec::new(),
            process: None,
        })
    }

    /// Plays all acts. Returns whether every e-mail was sent.
    pub async fn run(&mut self) -> Result<bool, BoxError> {
        let (stream, group, server) = (mail::STREAM, mail::GROUP, &self.server);
        let title = "bourn: an e-mail queue on a Redis stream";
        self.show.say(format_args!("{title} ({stream}, group {group}, {server})"));
        self.enqueue().await?;
        let (rate, crash) = self.share_and_crash().await?;
        self.poison().await?;
        self.redrive().await?;
        self.summary(rate, crash).await
    }

    /// Returns the keys of the queue.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.queue.keys()
    }

    /// Stops what still runs.
    pub async fn stop_workers(&mut self) {
        self.stop.cancel();
        if let Some(mut process) = self.process.take() {
            // Its worker stops gracefully when its standard input ends.
            drop(process.stdin.take());
            let _ = process.wait().await;
        }
        for worker in self.workers.drain(..) {
            let _ = worker.await;
        }
    }

    async fn enqueue(&self) -> Result<(), BoxError> {
        let jobs = HumanCount(self.jobs);
        self.show
            .act(&format!("1. Enqueue {jobs} jobs: one XADD for each, all in one pipeline."))
            .await;
        let emails: Vec<Email> = (0..self.jobs).map(mail::email).collect();
        let (producer, start) = (self.queue.producer(), Instant::now());
        for result in producer.enqueue_all(&emails).await {
            result?;
        }
        let rate = Rate { count: self.jobs, time: start.elapsed() };
        self.show.say(format_args!("   enqueued {rate}"));
        Ok(())
    }

    async fn share_and_crash(&mut self) -> Result<(Rate, Crash), BoxError> {
        let show = self.show.clone();
        show.act("2. Three workers share the jobs. Worker 3 is a process of its own.").await;
        show.say(format_args!("   Each sends {CONCURRENCY} e-mails at a time. The mail server refuses one in 50 at first: it is retried."));
        show.say("   Watch the three bars: each job goes to one worker.");
        let bars = [("worker 1", 2), ("worker 2", 2), ("worker 3", 2), ("total", 1)];
        let [one, two, three, total] = bars.map(|(name, part)| show.bar(name, self.jobs / part));
        let start = Instant::now();
        for bar in [&one, &two] {
            let report = self.reporter(bar, &total);
            self.workers.push(worker::task(&self.queue, &self.stop, false, report));
        }
        let report = self.reporter(&three, &total);
        self.process = Some(worker::process(&self.url, report)?);
        let (ledger, jobs) = (Arc::clone(&self.ledger), self.jobs);
        until(|| ledger.sent() >= jobs / 3 && three.position() > 0).await;

        let mut process = self.process.take().ok_or("there is no worker process")?;
        let pid = process.id().unwrap_or_default();
        show.act(
            "3. Worker 3 is killed (SIGKILL). It can neither finish its jobs nor give them back.",
        )
        .await;
        let killed = Instant::now();
        process.kill().await?;
        three.abandon_with_message("killed");
        let held = pending(&self.queue.stats().await?, pid);
        show.say(format_args!(
            "   {held} of its jobs are in flight. They are not acknowledged, so they stay in the pending entries list."
        ));
        show.say(format_args!(
            "   Watch worker 1 and 2: they go on, and claim these jobs when the lease of {} s has expired.",
            LEASE.as_secs()
        ));
        while pending(&self.queue.stats().await?, pid) > 0 {
            tokio::time::sleep(POLL).await;
        }
        let crash = Crash { held, time: killed.elapsed() };
        show.say(format_args!("   {crash}"));
        until(|| ledger.sent() == jobs).await;
        let rate = Rate { count: jobs, time: start.elapsed() };
        for bar in [one, two, three, total] {
            bar.finish_and_clear();
        }
        show.say(format_args!("   sent {rate}"));
        Ok((rate, crash))
    }

    async fn poison(&self) -> Result<(), BoxError> {
        let show = &self.show;
        show.act("4. Two poison jobs: one asks for a template that does not exist, one makes the handler panic.").await;
        show.say(format_args!(
            "   Watch the panics: they are part of the demo. The worker survives them, and stops after {MAX_ATTEMPTS} attempts."
        ));
        let (first, second) = (self.jobs, self.jobs + 1);
        let emails = [
            mail::custom_email(first, "wellcome", "10"),
            mail::custom_email(second, "invoice", "ten"),
        ];
        for result in self.queue.producer().enqueue_all(&emails).await {
            result?;
        }
        let dead_letters = self.queue.dead_letters();
        while dead_letters.count().await? < 2 {
            tokio::time::sleep(POLL).await;
        }
        show.say(format_args!("   dead-letter stream {}:", mail::DEAD_LETTERS));
        for dead in dead_letters.list(None, 10).await? {
            let attempts = if dead.attempts == 1 { "attempt" } else { "attempts" };
            show.say(format_args!(
                "     {} after {} {attempts}: {}",
                dead.id, dead.attempts, dead.reason
            ));
        }
        Ok(())
    }

    async fn redrive(&mut self) -> Result<(), BoxError> {
        let show = self.show.clone();
        show.act(
            "5. The handler is fixed and deployed. The dead letters are redriven to the queue.",
        )
        .await;
        // The old workers stop first, as in a deployment.
        self.stop_workers().await;
        self.stop = CancellationToken::new();
        let ledger = Arc::clone(&self.ledger);
        let report = move |user, attempt| {
            ledger.record(user, attempt);
        };
        self.workers.push(worker::task(&self.queue, &self.stop, true, report));
        let redriven = self.queue.dead_letters().redrive(Redrive::all()).await?;
        let (ledger, all) = (Arc::clone(&self.ledger), self.jobs + 2);
        until(|| ledger.sent() == all).await;
        show.say(format_args!("   {redriven} jobs redriven, {redriven} e-mails sent"));
        self.stop_workers().await;
        Ok(())
    }

    async fn summary(&self, rate: Rate, crash: Crash) -> Result<bool, BoxError> {
        self.show.act("Summary").await;
        let (stats, ledger, all) = (self.queue.stats().await?, &self.ledger, self.jobs + 2);
        let lost = all - ledger.sent();
        let rows = [
            ("jobs enqueued", all, String::new()),
            (
                "e-mails sent",
                ledger.sent(),
                format!("{}/s with three workers, one of them killed", rate.per_second()),
            ),
            ("lost", lost, format!("the crash: {crash}")),
            (
                "sent twice",
                ledger.sent_again(),
                "by worker 3 before its crash, not yet acknowledged".to_owned(),
            ),
            ("retried", ledger.refused(), "the mail server was busy".to_owned()),
            ("redriven", 2, "dead letters, after the handler was fixed".to_owned()),
            ("left in Redis", stats.length + stats.dead, "jobs and dead letters".to_owned()),
        ];
        for (name, count, remark) in rows {
            let line = format!("   {name:14} {:>8}   {remark}", HumanCount(count).to_string());
            self.show.say(line.trim_end());
        }
        Ok(lost == 0 && stats.length == 0 && stats.dead == 0)
    }

    /// Records results, and moves the bar of a worker and of all.
    fn reporter(
        &self,
        own: &ProgressBar,
        total: &ProgressBar,
    ) -> impl Fn(u64, Attempt) + Send + Sync + 'static {
        let (ledger, own, total) = (Arc::clone(&self.ledger), own.clone(), total.clone());
        move |user, attempt| {
            let is_first = ledger.record(user, attempt);
            if attempt == Attempt::Sent {
                own.inc(1);
            }
            if is_first {
                total.inc(1);
            }
        }
    }
}

/// The jobs that the killed worker held, and the time until others had them.
#[derive(Debug, Clone, Copy)]
struct Crash {
    held: u64,
    time: Duration,
}

impl std::fmt::Display for Crash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { held, time } = self;
        write!(f, "others took over {held} jobs after {:.1} s", time.as_secs_f64())
    }
}

/// The interval between two looks at the state.
const POLL: Duration = Duration::from_millis(20);

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(POLL).await;
    }
}

/// Jobs pending with the consumer of a process. Its name is `bourn-HOST-PID-RANDOM`.
fn pending(stats: &QueueStats, pid: u32) -> u64 {
    let part = format!("-{pid}-");
    let of_process = |name: &[u8]| String::from_utf8_lossy(name).contains(&part);
    stats.consumers.iter().filter(|consumer| of_process(&consumer.name)).map(|c| c.pending).sum()
}
