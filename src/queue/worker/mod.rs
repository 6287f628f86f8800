//! Worker: runs a handler with bounded concurrency.

mod fail;
mod job;
mod middleware;
mod running;

pub use fail::Fail;
pub use job::{Job, JobInfo};
#[cfg(feature = "tracing")]
pub use middleware::Tracing;
pub use middleware::{Middleware, RateLimit};

use super::consumer::Consumer;
use super::desk::Limits;
use super::tally::Report;
use super::{Queue, QueueError, SettingsError};
use running::Running;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// How several queues share one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Priority {
    /// The first queue before all others, as long as there is anything in it.
    Strict,
    /// The same, but one read in so many serves a less urgent queue first, each in turn: none of them waits for ever.
    StrictWithAging(u32),
}

/// A worker for one queue or several: [`Queue::worker`], [`Worker::merged`].
#[derive(Debug)]
pub struct Worker<T>(PhantomData<T>);

impl<T: Send + 'static> Worker<T> {
    /// A worker for several queues of the same group, the most urgent one first. They must have the same lease, the same way
    /// to deliver and to wait for retries, and in a cluster one slot; each has its own retry policy and dead letters.
    ///
    /// From Redis 8.10 on one command reads them all in that order; before, each is asked in turn, and all are waited for when
    /// they are empty. So an urgent job never waits for a less urgent queue; what was taken by then is finished first.
    pub fn merged<'a>(
        queues: impl IntoIterator<Item = &'a Queue<T>>,
        priority: Priority,
    ) -> WorkerBuilder<T> {
        WorkerBuilder::new(queues.into_iter().cloned().collect(), priority)
    }
}

/// How a worker is to be.
#[must_use = "it works when it is run"]
pub struct WorkerBuilder<T> {
    queues: Vec<Queue<T>>,
    priority: Priority,
    concurrency: usize,
    prefetch: usize,
    bytes: usize,
    job_timeout: Option<Duration>,
    grace: Duration,
    middleware: Vec<Arc<dyn Middleware>>,
}

impl<T: Send + 'static> WorkerBuilder<T> {
    pub(super) fn new(queues: Vec<Queue<T>>, priority: Priority) -> Self {
        Self {
            queues,
            priority,
            concurrency: 16,
            prefetch: 0,
            bytes: 64 << 20,
            job_timeout: None,
            grace: Duration::from_secs(25),
            middleware: Vec::new(),
        }
    }

    /// How many jobs run at a time; 16 by default.
    pub fn concurrency(self, jobs: usize) -> Self {
        Self { concurrency: jobs.max(1), ..self }
    }

    /// How many jobs more are fetched while all hands are full; none by default. It saves short jobs a round trip, and keeps long
    /// ones from workers that are free.
    pub fn prefetch(self, jobs: usize) -> Self {
        Self { prefetch: jobs, ..self }
    }

    /// How many bytes of payload jobs may have together that are fetched and not begun; 64 MiB by default.
    pub fn max_bytes(self, bytes: usize) -> Self {
        Self { bytes: bytes.max(1), ..self }
    }

    /// How long a job may run; without it, for ever. It is cancelled then, and has failed.
    ///
    /// A job is cancelled by dropping its future, at a place where it awaits: what blocks the thread is not interrupted.
    pub fn job_timeout(self, time: Duration) -> Self {
        Self { job_timeout: Some(time), ..self }
    }

    /// How long running jobs have when the worker stops; 25 s by default. Those that are not done by then are cancelled and given
    /// back, as if they had never been delivered.
    pub fn grace(self, time: Duration) -> Self {
        Self { grace: time, ..self }
    }

    /// Runs something around each job. What was given first is outermost.
    pub fn with(mut self, middleware: impl Middleware) -> Self {
        self.middleware.push(Arc::new(middleware));
        self
    }

    /// Works until `shutdown` completes, and then stops gracefully: takes nothing more on, gives back what was not begun, and
    /// lets what runs come to its end for the time of [`WorkerBuilder::grace`].
    ///
    /// `Ok` of the handler acknowledges the job. An error is retried by the queue's policy, unless it is a [`Fail`] that
    /// says otherwise; so is a panic, and a job that takes too long. After the last attempt, and for a job that was delivered
    /// once too often without anyone seeing its end, come the dead letters. A job whose lease is lost is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels running jobs; they are given back, and the attempt counts.
    ///
    /// # Errors
    ///
    /// What will not pass: the key is not a stream, the user may not read it, the settings of the queues do not fit each other.
    /// Connections that are lost are none of these.
    pub async fn run<S, H, R, E>(self, shutdown: S, handler: H) -> Result<Report, QueueError>
    where
        S: Future,
        H: Fn(Job<T>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Fail> + 'static,
    {
        self.differ()?;
        let ageing = match self.priority {
            Priority::Strict => 0,
            Priority::StrictWithAging(every) => every,
        };
        let most = self.concurrency.saturating_add(self.prefetch);
        let limits = Limits { buffered: most, bytes: self.bytes, undecided: most };
        let consumer = Consumer::start(self.queues, ageing, limits).await?;
        let running = Running::new(handler, self.middleware, self.job_timeout);
        running::run(consumer, Arc::new(running), self.concurrency, self.grace, shutdown).await
    }

    /// What the queues of one worker have to have in common.
    fn differ(&self) -> Result<(), SettingsError> {
        let mut all = self.queues.iter().map(|queue| &queue.core().settings);
        let Some(first) = all.next() else {
            return Err(SettingsError::Value("a worker needs a queue"));
        };
        match all.find_map(|settings| first.differs(settings)) {
            Some(what) => Err(SettingsError::Differ(what)),
            None => Ok(()),
        }
    }
}

impl<T> fmt::Debug for WorkerBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("queues", &self.queues.len())
            .field("priority", &self.priority)
            .field("concurrency", &self.concurrency)
            .field("prefetch", &self.prefetch)
            .field("job_timeout", &self.job_timeout)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
