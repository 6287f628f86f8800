//! The producer of the jobs: four tasks in the conductor's process, one job at a time or a batch.
//!
//! An unsent job is sent until it is in the stream. A job of unknown outcome is sent again or not,
//! at random.

use crate::both::Random;
use crate::defects::Defect;
use crate::job::{self, Fields, Kind};
use crate::log::Log;
use bourn::queue::Queue;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

const TASKS: u64 = 4;

/// The largest batch.
const TOGETHER: u64 = 40;

/// The producer.
#[derive(Clone)]
pub(crate) struct Producer {
    pub(crate) queue: Queue<Fields>,
    pub(crate) log: Arc<Log>,
    pub(crate) seed: u64,
    /// The intended defect.
    pub(crate) defect: Option<Defect>,
}

/// Selects the kind of a job by its number.
pub(crate) type KindOf = Arc<dyn Fn(u64) -> Kind + Send + Sync>;

impl Producer {
    /// Enqueues the jobs with these numbers and kinds, spread over this time.
    pub(crate) async fn produce(&self, numbers: Range<u64>, kind: &KindOf, over: Duration) {
        let next = Arc::new(AtomicU64::new(numbers.start));
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let (producer, kind) = (self.clone(), Arc::clone(kind));
            let (next, numbers) = (Arc::clone(&next), numbers.clone());
            let mut random = Random::new(self.seed ^ (task << 48) ^ numbers.start);
            tasks.spawn(async move {
                loop {
                    let together =
                        if random.below(2) == 0 { 1 } else { 1 + random.below(TOGETHER) };
                    let first = next.fetch_add(together, Ordering::Relaxed);
                    let part = first..numbers.end.min(first + together);
                    if part.is_empty() {
                        break;
                    }
                    let before =
                        (first - numbers.start) as f64 / (numbers.end - numbers.start) as f64;
                    sleep_until(start + over.mul_f64(before)).await;
                    producer.send(part.collect(), &kind, &mut random).await;
                }
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.expect("it does not panic");
        }
    }

    async fn send(&self, mut numbers: Vec<u64>, kind: &KindOf, random: &mut Random) {
        let producer = self.queue.producer();
        loop {
            let mut jobs = Vec::new();
            for n in &numbers {
                let kind = kind(*n);
                self.log.write(format_args!("sent {n} {kind}"));
                jobs.push(job::fields(self.seed, *n, kind));
            }
            let sent = match &jobs[..] {
                [job] => vec![producer.enqueue(job).await],
                jobs => producer.enqueue_all(jobs).await,
            };
            let mut again = Vec::new();
            for (n, sent) in numbers.into_iter().zip(sent) {
                match sent {
                    Ok(id) => self.log.write(format_args!("enqueued {n} {id}")),
                    Err(error) if error.may_have_run() => {
                        if self.defect == Some(Defect::ResendsUnknown) {
                            let job = job::fields(self.seed, n, kind(n));
                            let _ = producer.enqueue(&job).await;
                        }
                        self.log.write(format_args!("unknown {n}"));
                        again.extend((random.below(2) == 0).then_some(n));
                    }
                    Err(_) => {
                        self.log.write(format_args!("unsent {n}"));
                        again.push(n);
                    }
                }
            }
            if again.is_empty() {
                return;
            }
            numbers = again;
            sleep(Duration::from_millis(10)).await;
        }
    }
}
