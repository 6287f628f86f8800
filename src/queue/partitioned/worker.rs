//! Runs a handler for the jobs of all lanes. A task.

use super::handle::Partitioned;
use crate::queue::consumer::report::Report;
use crate::queue::error::QueueError;
use crate::queue::first::{Either, either};
use crate::queue::shared::Queue;
use crate::queue::worker::{Fail, Handler, IntoFail, Job, Middleware, WorkerBuilder};
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The least number of jobs that one lane may have in flight, if the worker may run as many.
const LEAST: usize = 4;

/// Configures and runs a worker for all lanes: [`Partitioned::worker`].
///
/// ```no_run
/// # async fn f(
/// #     orders: bourn::queue::Partitioned<String>,
/// #     stop: impl Future<Output = ()> + Send,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::Job;
///
/// let handler = |job: Job<String>| async move { std::fs::write("latest", job.payload()) };
/// println!("{}", orders.worker().concurrency(64).run(stop, handler).await?);
/// # Ok(()) }
/// ```
#[must_use = "a `PartitionedWorker` does nothing until `run` is called"]
pub struct PartitionedWorker<T> {
    lanes: Vec<Queue<T>>,
    concurrency: usize,
    bytes: usize,
    each: Vec<Box<dyn Fn(WorkerBuilder<T>) -> WorkerBuilder<T> + Send + Sync>>,
}

/// A handler that the lanes share.
struct Shared<H>(Arc<H>);

impl<T: Send + 'static, H: Handler<T>> Handler<T> for Shared<H> {
    async fn handle(&self, job: Job<T>) -> Result<(), Fail> {
        self.0.handle(job).await
    }
}

impl<T: 'static> Partitioned<T> {
    /// Configures a worker, which runs a handler for the jobs of all lanes.
    pub fn worker(&self) -> PartitionedWorker<T>
    where
        T: Send,
    {
        let lanes = self.lanes().to_vec();
        PartitionedWorker { lanes, concurrency: 16, bytes: 64 << 20, each: Vec::new() }
    }
}

impl<T: Send + 'static> PartitionedWorker<T> {
    /// Sets the maximum number of jobs that run at the same time, of all lanes together. Default 16.
    ///
    /// Each lane has at most its part in flight, twice over, so that a few busy lanes can use what the
    /// others leave: with 64 jobs and 16 lanes, 8 of one lane.
    pub fn concurrency(self, jobs: usize) -> Self {
        Self { concurrency: jobs.max(1), ..self }
    }

    /// Sets the limit on the payload bytes of all jobs in flight, of all lanes together. Default
    /// 64 MiB. Each lane has its part.
    pub fn max_bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    /// Sets the maximum run time of a job, as [`WorkerBuilder::job_timeout`] does.
    pub fn job_timeout(self, time: Duration) -> Self {
        self.each(move |worker| worker.job_timeout(time))
    }

    /// Sets how long [`PartitionedWorker::run`] may take after shutdown, as [`WorkerBuilder::grace`]
    /// does.
    pub fn grace(self, time: Duration) -> Self {
        self.each(move |worker| worker.grace(time))
    }

    /// Runs a middleware around each job. The one added first is outermost. All lanes share it.
    pub fn with(self, middleware: impl Middleware) -> Self {
        let middleware: Arc<dyn Middleware> = Arc::new(middleware);
        self.each(move |worker| worker.with_shared(Arc::clone(&middleware)))
    }

    fn each(
        mut self,
        set: impl Fn(WorkerBuilder<T>) -> WorkerBuilder<T> + Send + Sync + 'static,
    ) -> Self {
        self.each.push(Box::new(set));
        self
    }

    /// Runs jobs of all lanes until `shutdown` completes, and then stops gracefully, as
    /// [`WorkerBuilder::run`] does. Returns the sums of all lanes.
    ///
    /// A lane whose server cannot be reached is waited for; the others are not affected.
    ///
    /// # Cancel safety
    ///
    /// As [`WorkerBuilder::run`].
    ///
    /// # Errors
    ///
    /// As [`WorkerBuilder::run`], of any lane: the others are then stopped.
    pub async fn run<S, H, R, E>(self, shutdown: S, handler: H) -> Result<Report, QueueError>
    where
        S: Future,
        H: Fn(Job<T>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: IntoFail + 'static,
    {
        self.run_handler(shutdown, handler).await
    }

    /// Runs jobs as [`PartitionedWorker::run`] does, with a [`Handler`].
    ///
    /// # Cancel safety
    ///
    /// As [`WorkerBuilder::run`].
    ///
    /// # Errors
    ///
    /// As [`PartitionedWorker::run`].
    pub async fn run_handler<S, H>(self, shutdown: S, handler: H) -> Result<Report, QueueError>
    where
        S: Future,
        H: Handler<T>,
    {
        let Self { lanes, concurrency, bytes, each } = self;
        let count = lanes.len().max(1);
        let most = (concurrency * 2).div_ceil(count).max(LEAST).min(concurrency);
        let (handler, slots) = (Arc::new(handler), Arc::new(Semaphore::new(concurrency)));
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        for lane in &lanes {
            let worker = lane.worker().concurrency(most).max_bytes(bytes / count);
            let worker = each.iter().fold(worker, |worker, set| set(worker));
            let worker = worker.sharing(Arc::clone(&slots));
            let (stop, handler) = (stop.clone(), Shared(Arc::clone(&handler)));
            running.spawn(async move { worker.run_handler(stop.cancelled_owned(), handler).await });
        }
        let (mut report, mut failed) = (Report::default(), None);
        let shutdown = pin!(shutdown);
        let mut shutdown = Some(shutdown);
        loop {
            let ended = match shutdown.take() {
                Some(wait) => match either(wait, running.join_next()).await {
                    Either::Left(_) => {
                        stop.cancel();
                        continue;
                    }
                    Either::Right((ended, wait)) => {
                        shutdown = Some(wait);
                        ended
                    }
                },
                None => running.join_next().await,
            };
            match ended {
                None => break,
                Some(Ok(Ok(lane))) => report += lane,
                Some(Ok(Err(error))) => {
                    failed = failed.or(Some(error));
                    stop.cancel();
                }
                Some(Err(_)) => {
                    failed = failed.or(Some(QueueError::Stopped));
                    stop.cancel();
                }
            }
        }
        failed.map_or(Ok(report), Err)
    }
}

impl<T> fmt::Debug for PartitionedWorker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionedWorker")
            .field("lanes", &self.lanes.len())
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
