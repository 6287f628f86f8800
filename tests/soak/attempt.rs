//! An attempt at a job: its log lines and its result.

use crate::defects::Defect;
use crate::job::{self, Fields, Kind, MAX_ATTEMPTS, RETRY_AFTER};
use crate::log::Log;
use crate::worker::{DEAD, GROUP, STREAM};
use bourn::queue::{Lease, Queue};
use bourn::{EntryId, XAck, XAdd, XDel};
use std::process;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// The shared state of a worker process.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) queue: Queue<Fields>,
    pub(crate) seed: u64,
    pub(crate) log: Arc<Log>,
    /// The intended defect.
    pub(crate) defect: Option<Defect>,
}

/// The result of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptEnd {
    Done,
    /// The job asks for a retry after this time.
    Later(Duration),
    /// The job failed, without a retry delay.
    Failed,
}

/// A running attempt. Its drop is logged, too.
struct Begun {
    id: EntryId,
    attempt: u32,
    log: Arc<Log>,
    lease: Lease,
    open: bool,
}

impl Setup {
    /// Runs a job.
    pub(crate) async fn attempt(
        &self,
        id: EntryId,
        attempt: u32,
        job: &Fields,
        lease: &Lease,
    ) -> AttemptEnd {
        let Some((n, kind)) = job::read(self.seed, job) else {
            self.log.write(format_args!("wrong {id} is not a job of this run: {job:?}"));
            return AttemptEnd::Done;
        };
        self.log.write(format_args!("started {id} {n} {attempt}"));
        let (log, lease) = (Arc::clone(&self.log), lease.clone());
        let begun = Begun { id, attempt, log, lease, open: true };
        let takes = kind.takes(self.seed, n, attempt);
        match self.defect {
            Some(Defect::AcksFirst) => {
                let (stream, client) = (STREAM, self.queue.client());
                let _ =
                    client.send_all((XDel::new(stream, id), XAck::new(stream, GROUP, id))).await;
            }
            Some(Defect::IgnoresLostLease) => {
                // A spawned task is not cancelled with its caller.
                let (setup, job) = (self.clone(), job.clone());
                let work = tokio::spawn(async move {
                    // Longer, so that some run when the lease is lost.
                    sleep(takes + Duration::from_millis(200)).await;
                    setup.end(begun, kind, &job).await
                });
                return work.await.expect("it does not panic");
            }
            _ => {}
        }
        sleep(takes).await;
        self.end(begun, kind, job).await
    }

    async fn end(&self, begun: Begun, kind: Kind, job: &Fields) -> AttemptEnd {
        let last = begun.attempt >= MAX_ATTEMPTS;
        match (kind, self.defect) {
            (Kind::Fatal, Some(Defect::AcksPoison)) => {
                begun.end("done");
                AttemptEnd::Done
            }
            (Kind::Fails(_), Some(Defect::AddsCopies)) => {
                let _ = self.queue.producer().enqueue(job).await;
                begun.end("done");
                AttemptEnd::Done
            }
            (Kind::Fails(times), defect) if begun.attempt <= times => {
                begun.end("failed");
                AttemptEnd::Later(if defect == Some(Defect::IgnoresRetryDelay) {
                    Duration::ZERO
                } else {
                    RETRY_AFTER
                })
            }
            (Kind::Fatal, defect) => {
                if defect == Some(Defect::DeadLettersTwice) && last {
                    let (id, attempt) = (begun.id.to_string(), begun.attempt);
                    let letter = XAdd::new(DEAD).field("_id", &id).field("_attempt", attempt);
                    let letter =
                        job.iter().fold(letter, |letter, (name, value)| letter.field(name, value));
                    let _ = self.queue.client().send(letter).await;
                }
                begun.end("failed");
                AttemptEnd::Failed
            }
            (Kind::Aborts, _) => {
                begun.end("aborting");
                process::abort()
            }
            (Kind::Plain | Kind::Steady | Kind::Long | Kind::Fails(_), defect) => {
                let last = defect == Some(Defect::ExitsEarly) && begun.id.seq() == 20;
                begun.end("done");
                if last {
                    process::exit(0);
                }
                AttemptEnd::Done
            }
        }
    }
}

impl Begun {
    fn end(mut self, how: &str) {
        self.open = false;
        self.log.write(format_args!("{how} {} {}", self.id, self.attempt));
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.open {
            let lease = if self.lease.is_lost() { "lost" } else { "kept" };
            self.log.write(format_args!("dropped {} {} {lease}", self.id, self.attempt));
        }
    }
}
