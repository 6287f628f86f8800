//! An attempt at a job, whoever asks for it: what is written down, and what comes of it.

use crate::bad::Bad;
use crate::job::{self, Fields, Kind, MAX_ATTEMPTS, RETRY_AFTER};
use crate::log::Log;
use crate::worker::{DEAD, GROUP, STREAM};
use bourn::queue::{Lease, Queue};
use bourn::{EntryId, XAck, XAdd, XDel};
use std::process;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// What a worker knows.
#[derive(Clone)]
pub(crate) struct Workplace {
    pub(crate) queue: Queue<Fields>,
    pub(crate) seed: u64,
    pub(crate) log: Arc<Log>,
    /// What it does wrong, on purpose.
    pub(crate) bad: Option<Bad>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    Done,
    /// It wants to be tried again after this long.
    Later(Duration),
    /// It failed, and asks for nothing.
    Failed,
}

/// An attempt that has begun. If it is given up, that is written down.
struct Begun {
    id: EntryId,
    attempt: u32,
    log: Arc<Log>,
    lease: Lease,
    open: bool,
}

impl Workplace {
    /// Tries to do a job.
    pub(crate) async fn attempt(
        &self,
        id: EntryId,
        attempt: u32,
        job: &Fields,
        lease: &Lease,
    ) -> Came {
        let Some((n, kind)) = job::read(self.seed, job) else {
            self.log.write(format_args!("wrong {id} is nobody's job: {job:?}"));
            return Came::Done;
        };
        self.log.write(format_args!("started {id} {n} {attempt}"));
        let (log, lease) = (Arc::clone(&self.log), lease.clone());
        let begun = Begun { id, attempt, log, lease, open: true };
        let takes = kind.takes(self.seed, n, attempt);
        match self.bad {
            Some(Bad::AcksFirst) => {
                let (stream, client) = (STREAM, self.queue.client());
                let _ =
                    client.send_all((XDel::new(stream, id), XAck::new(stream, GROUP, id))).await;
            }
            Some(Bad::WorksOn) => {
                // It is not given up with whoever awaits it.
                let (workplace, job) = (self.clone(), job.clone());
                let work = tokio::spawn(async move {
                    // So that there are some when it matters.
                    sleep(takes + Duration::from_millis(200)).await;
                    workplace.end(begun, kind, &job).await
                });
                return work.await.expect("it does not fail");
            }
            _ => {}
        }
        sleep(takes).await;
        self.end(begun, kind, job).await
    }

    async fn end(&self, begun: Begun, kind: Kind, job: &Fields) -> Came {
        let last = begun.attempt >= MAX_ATTEMPTS;
        match (kind, self.bad) {
            (Kind::Fatal, Some(Bad::Swallows)) => {
                begun.end("done");
                Came::Done
            }
            (Kind::Fails(_), Some(Bad::Copies)) => {
                let _ = self.queue.producer().enqueue(job).await;
                begun.end("done");
                Came::Done
            }
            (Kind::Fails(times), bad) if begun.attempt <= times => {
                begun.end("failed");
                Came::Later(if bad == Some(Bad::Hurries) { Duration::ZERO } else { RETRY_AFTER })
            }
            (Kind::Fatal, bad) => {
                if bad == Some(Bad::BuriesTwice) && last {
                    let (id, attempt) = (begun.id.to_string(), begun.attempt);
                    let letter = XAdd::new(DEAD).field("_id", &id).field("_attempt", attempt);
                    let letter =
                        job.iter().fold(letter, |letter, (name, value)| letter.field(name, value));
                    let _ = self.queue.client().send(letter).await;
                }
                begun.end("failed");
                Came::Failed
            }
            (Kind::Aborts, _) => {
                begun.end("aborting");
                process::abort()
            }
            (Kind::Plain | Kind::Steady | Kind::Long | Kind::Fails(_), bad) => {
                let last = bad == Some(Bad::Leaves) && begun.id.seq() == 20;
                begun.end("done");
                if last {
                    process::exit(0);
                }
                Came::Done
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
