//! Runs a handler with bounded concurrency. A task.

mod fail;
mod handler;
mod job;
mod middleware;
mod order;
mod running;
#[cfg(feature = "testing")]
mod test_job;
#[cfg(feature = "tracing")]
mod trace;

pub use fail::{Fail, IntoFail};
pub use handler::Handler;
pub use job::{Job, JobInfo};
pub use middleware::{Middleware, RateLimit};
#[cfg(feature = "testing")]
pub use test_job::TestJob;

use crate::queue::Queue;
use crate::queue::QueueError;
use crate::queue::SettingsError;
use crate::queue::consumer::Consumer;
use crate::queue::consumer::report::Report;
use crate::queue::consumer::state::Limits;
use crate::queue::first::{Either, either};
use handler::{Blocking, WithState};
use running::Running;
use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The order in which several queues share one worker.
///
/// ```no_run
/// # async fn f(
/// #     urgent: &bourn::queue::Queue<String>,
/// #     normal: &bourn::queue::Queue<String>,
/// #     stop: impl Future<Output = ()> + Send,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::{Job, Priority, Worker};
///
/// // Every 20th job comes from the less urgent queue, however many urgent ones there are.
/// let worker = Worker::merged([urgent, normal], Priority::StrictWithAging(20));
/// let handler = |job: Job<String>| async move { std::fs::write("latest", job.payload()) };
/// worker.run(stop, handler).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Priority {
    /// Serves a queue only when all queues before it are empty.
    Strict,
    /// As `Strict`, but one read in this many serves a less urgent queue first, each in turn. No
    /// queue starves.
    StrictWithAging(u32),
}

/// A worker for one queue or several: [`Queue::worker`], [`Worker::merged`].
///
/// ```no_run
/// # async fn f(
/// #     high: &bourn::queue::Queue<String>,
/// #     low: &bourn::queue::Queue<String>,
/// #     stop: impl Future<Output = ()> + Send,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::{Job, Priority, Worker};
///
/// // One queue: `queue.worker()`. Several: the most urgent one first.
/// let worker = Worker::merged([high, low], Priority::Strict).concurrency(10);
/// let handler = |job: Job<String>| async move { std::fs::write("latest", job.payload()) };
/// println!("{}", worker.run(stop, handler).await?);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Worker<T>(PhantomData<T>);

impl<T: Send + 'static> Worker<T> {
    /// Creates a worker for several queues of the same group, the most urgent one first.
    ///
    /// They must have been opened with the same client, and have the same lease. Either all or none
    /// are at-most-once. In a cluster they must be in one slot. Each has its own retry policy and
    /// dead-letter stream.
    ///
    /// From Redis 8.10 on, one command reads all of them in that order. For older servers each is
    /// read in turn, and one read blocks on all of them when they are empty. So an urgent job never
    /// waits for a less urgent queue. Jobs that are already fetched are finished first.
    pub fn merged<'a>(
        queues: impl IntoIterator<Item = &'a Queue<T>>,
        priority: Priority,
    ) -> WorkerBuilder<T> {
        WorkerBuilder::new(queues.into_iter().cloned().collect(), priority)
    }
}

/// Configures and runs a worker. Created by [`Queue::worker`] and [`Worker::merged`].
///
/// ```no_run
/// # async fn f(
/// #     queue: &bourn::queue::Queue<String>,
/// #     stop: impl Future<Output = ()> + Send,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::Job;
/// use std::time::Duration;
///
/// let worker = queue.worker().concurrency(10).job_timeout(Duration::from_secs(120));
/// let handler = |job: Job<String>| async move { std::fs::write("latest", job.payload()) };
/// println!("{}", worker.run(stop, handler).await?);
/// # Ok(()) }
/// ```
#[must_use = "a `WorkerBuilder` does nothing until `run` is called"]
pub struct WorkerBuilder<T> {
    queues: Vec<Queue<T>>,
    priority: Priority,
    concurrency: usize,
    prefetch: usize,
    bytes: usize,
    job_timeout: Option<Duration>,
    grace: Duration,
    middleware: Vec<Arc<dyn Middleware>>,
    /// The places that it shares with other workers.
    slots: Option<Arc<Semaphore>>,
}

impl<T: 'static> Queue<T> {
    /// Configures a worker, which runs a handler for each job.
    pub fn worker(&self) -> WorkerBuilder<T>
    where
        T: Send,
    {
        WorkerBuilder::new(vec![self.clone()], Priority::Strict)
    }
}

impl<T: Send + 'static> WorkerBuilder<T> {
    pub(crate) fn new(queues: Vec<Queue<T>>, priority: Priority) -> Self {
        Self {
            queues,
            priority,
            concurrency: 16,
            prefetch: 0,
            bytes: 64 << 20,
            job_timeout: None,
            grace: Duration::from_secs(25),
            middleware: Vec::new(),
            slots: None,
        }
    }

    /// Runs a job only in one of these places, which other workers use as well.
    pub(crate) fn sharing(self, slots: Arc<Semaphore>) -> Self {
        Self { slots: Some(slots), ..self }
    }

    /// Adds a middleware that other workers use as well.
    pub(crate) fn with_shared(mut self, middleware: Arc<dyn Middleware>) -> Self {
        self.middleware.push(middleware);
        self
    }

    /// Sets the maximum number of jobs that run at the same time. Default 16.
    pub fn concurrency(self, jobs: usize) -> Self {
        Self { concurrency: jobs.max(1), ..self }
    }

    /// Sets how many more jobs are fetched while all worker slots are busy. Default 0. Prefetching
    /// saves short jobs a round trip, but keeps long ones from idle workers.
    pub fn prefetch(self, jobs: usize) -> Self {
        Self { prefetch: jobs, ..self }
    }

    /// Sets the limit on the payload bytes of all jobs in flight, fetched or running. Default
    /// 64 MiB. A single job may be larger; then no other is fetched while it runs.
    pub fn max_bytes(self, bytes: usize) -> Self {
        Self { bytes: bytes.max(1), ..self }
    }

    /// Sets the maximum run time of a job. Default: no limit. A job that exceeds it is cancelled
    /// and counts as failed.
    ///
    /// A job is cancelled by dropping its future, at an `.await`. Code that blocks the thread is
    /// not interrupted: with [`WorkerBuilder::run_blocking`] the job may then run twice at the same
    /// time.
    pub fn job_timeout(self, time: Duration) -> Self {
        Self { job_timeout: Some(time), ..self }
    }

    /// Sets how long [`WorkerBuilder::run`] may take after shutdown. Default 25 s, which is less
    /// than the 30 s after which Kubernetes kills a process.
    ///
    /// Running jobs may use all of it but the last fifth, at most 3 s. Jobs that are not done by
    /// then are cancelled and released, as if they had never been delivered. The rest of the time,
    /// and at least a second, is for sending that to a server that is slow.
    ///
    /// A handler that blocks its thread is not cancelled, and `run` does not wait for it any
    /// longer. As long as the process lives, its job keeps its lease, and is settled when the
    /// handler returns.
    pub fn grace(self, time: Duration) -> Self {
        Self { grace: time, ..self }
    }

    /// Runs a middleware around each job. The one added first is outermost.
    pub fn with(self, middleware: impl Middleware) -> Self {
        self.with_shared(Arc::new(middleware))
    }

    /// Runs jobs until `shutdown` completes, and then stops gracefully. It fetches no more jobs,
    /// releases those that have not started, and waits for running ones, at most for the time of
    /// [`WorkerBuilder::grace`].
    ///
    /// | result of the handler | the job is |
    /// |---|---|
    /// | `Ok` | acknowledged |
    /// | an error | tried again as the queue's [`RetryPolicy`](crate::queue::RetryPolicy) says |
    /// | a [`Fail`] with a verdict | tried again, dead-lettered, discarded or released, as it says |
    /// | a panic, or no end within [`job_timeout`](WorkerBuilder::job_timeout) | tried again as for an error |
    /// | no call: the payload cannot be decoded | tried again as for an error; see [`Undecodable`](crate::queue::Undecodable) |
    /// | an error of the last attempt | dead-lettered |
    /// | the lease is lost | cancelled; another worker may have it |
    ///
    /// An attempt that ended with its worker's death counts. If that was the last one, the job is run
    /// once more, alone: the worker waits until all jobs that it has are settled, and has no other
    /// until this one ends. If the worker dies again, the job is dead-lettered, and jobs that only
    /// ran beside it are not. A policy with one attempt has no such further one.
    ///
    /// A panic in a middleware, the codec or the classifier counts as a panic
    /// of the handler.
    ///
    /// Reads, heartbeats and acknowledgements have connections of their own. They run on a thread
    /// of their own as well: a handler that blocks its thread does not lose its lease. If the client
    /// has a [`Config::runtime`](crate::Config::runtime), they run on that runtime. If it was
    /// created by `connect_with` or `lazy_with` without one, they run on the current runtime, and
    /// handlers must not block its threads.
    ///
    /// The error may be of any type that converts into [`Fail`]: one that implements
    /// `std::error::Error`, `anyhow::Error`, `Box<dyn Error + Send + Sync>`, a string.
    ///
    /// ```no_run
    /// # use bourn::queue::{Fail, Job, Queue, QueueError};
    /// # async fn f(queue: Queue<Vec<(String, String)>>) -> Result<(), QueueError> {
    /// let report = queue
    ///     .worker()
    ///     .concurrency(8)
    ///     .run(tokio::signal::ctrl_c(), |job| async move {
    ///         println!("{}: {:?}", job.id(), job.payload());
    ///         Ok::<(), Fail>(())
    ///     })
    ///     .await?;
    /// println!("{report}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels running jobs. They are given back, and the attempt counts.
    ///
    /// # Errors
    ///
    /// Permanent ones: the key is not a stream, the user lacks permission, the client is closed, the
    /// settings of the queues do not fit each other. A lost connection is not an error; the worker
    /// reconnects.
    ///
    /// A job whose result cannot be recorded for such a reason ends the worker too: a
    /// [`QueueEvent::SettlementFailed`](crate::queue::QueueEvent::SettlementFailed) names it.
    pub async fn run<S, H, R, E>(self, shutdown: S, handler: H) -> Result<Report, QueueError>
    where
        S: Future,
        H: Fn(Job<T>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: IntoFail + 'static,
    {
        // The bounds of `Handler`, spelled out: the compiler infers a closure's argument from `Fn`
        // bounds only.
        self.run_handler(shutdown, handler).await
    }

    /// Runs jobs as [`WorkerBuilder::run`] does, with a handler that blocks its thread: each call
    /// runs on a thread of tokio's blocking pool
    /// ([`spawn_blocking`](tokio::task::spawn_blocking)).
    ///
    /// A call that has started is not interrupted. When the lease is lost, or the job exceeds
    /// [`job_timeout`](WorkerBuilder::job_timeout), another worker gets the job, and the call
    /// continues: check [`Lease::is_lost`](crate::queue::Lease::is_lost) before an effect that must
    /// not happen twice. At the end of the [grace period](WorkerBuilder::grace) this returns
    /// without waiting for the call. A tokio runtime that is dropped does wait for it;
    /// `Runtime::shutdown_timeout` and `std::process::exit` do not.
    ///
    /// ```no_run
    /// # async fn f(
    /// #     queue: &bourn::queue::Queue<String>,
    /// #     stop: impl Future<Output = ()> + Send,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// use bourn::queue::Job;
    ///
    /// let thumbnail = |job: Job<String>| std::fs::write("thumbnail", job.payload());
    /// println!("{}", queue.worker().concurrency(4).run_blocking(stop, thumbnail).await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives running jobs back, and the attempt counts. Calls that have started
    /// continue.
    ///
    /// # Errors
    ///
    /// As [`WorkerBuilder::run`].
    pub async fn run_blocking<S, H, E>(self, shutdown: S, handler: H) -> Result<Report, QueueError>
    where
        S: Future,
        H: Fn(Job<T>) -> Result<(), E> + Send + Sync + 'static,
        E: IntoFail,
    {
        self.start(shutdown, Blocking(Arc::new(handler)), false).await
    }

    /// Runs jobs as [`WorkerBuilder::run`] does, with shared state: each call of the handler
    /// receives a clone.
    ///
    /// Wrap state that is not cheap to clone in an [`Arc`].
    ///
    /// ```no_run
    /// # use bourn::queue::{Job, Queue};
    /// # use std::sync::Arc;
    /// # type Email = Vec<(String, String)>;
    /// # struct Smtp;
    /// # impl Smtp { async fn send(&self, email: &Email) -> std::io::Result<()> { Ok(()) } }
    /// struct App {
    ///     smtp: Smtp,
    /// }
    ///
    /// async fn send(app: Arc<App>, job: Job<Email>) -> anyhow::Result<()> {
    ///     app.smtp.send(&job).await?;
    ///     Ok(())
    /// }
    ///
    /// # async fn f(queue: Queue<Email>) -> anyhow::Result<()> {
    /// let app = Arc::new(App { smtp: Smtp });
    /// queue.worker().run_with(app, tokio::signal::ctrl_c(), send).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As [`WorkerBuilder::run`].
    ///
    /// # Errors
    ///
    /// As [`WorkerBuilder::run`].
    pub async fn run_with<A, S, H, R, E>(
        self,
        state: A,
        shutdown: S,
        handler: H,
    ) -> Result<Report, QueueError>
    where
        A: Clone + Send + Sync + 'static,
        S: Future,
        H: Fn(A, Job<T>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: IntoFail + 'static,
    {
        self.run_handler(shutdown, WithState { state, handler }).await
    }

    /// Runs jobs as [`WorkerBuilder::run`] does, with a [`Handler`]: a type of your own, a function
    /// or a closure.
    ///
    /// The argument of a closure needs its type here: `|job: Job<Email>| async move { ... }`.
    ///
    /// # Cancel safety
    ///
    /// As [`WorkerBuilder::run`].
    ///
    /// # Errors
    ///
    /// As [`WorkerBuilder::run`].
    pub async fn run_handler<S, H>(self, shutdown: S, handler: H) -> Result<Report, QueueError>
    where
        S: Future,
        H: Handler<T>,
    {
        self.start(shutdown, handler, true).await
    }

    async fn start<S, H>(
        self,
        shutdown: S,
        handler: H,
        is_cancellable: bool,
    ) -> Result<Report, QueueError>
    where
        S: Future,
        H: Handler<T>,
    {
        self.differ()?;
        let ageing = match self.priority {
            Priority::Strict => 0,
            Priority::StrictWithAging(every) => every,
        };
        let most = self.concurrency.saturating_add(self.prefetch);
        let limits = Limits {
            buffered: most,
            bytes: self.bytes,
            until_settled: true,
            undecided: most,
            alone_within: None,
        };
        let shutdown = pin!(shutdown);
        let start = Consumer::start(self.queues, ageing, limits);
        // Without a server this takes until there is one.
        let (consumer, shutdown) = match either(shutdown, start).await {
            Either::Left(_) => return Ok(Report::default()),
            Either::Right((consumer, shutdown)) => (consumer?, shutdown),
        };
        let running = Running::new(handler, self.middleware, self.job_timeout, is_cancellable);
        let running = running.sharing(self.slots);
        running::run(consumer, Arc::new(running), self.concurrency, self.grace, shutdown).await
    }

    /// Returns an error if the queues differ in a setting that the queues of one worker must share.
    fn differ(&self) -> Result<(), SettingsError> {
        let mut all = self.queues.iter().map(Queue::shared);
        let Some(first) = all.next() else {
            return Err(SettingsError::Value("a merged worker needs at least one queue"));
        };
        let mut streams = BTreeSet::from([&first.settings.stream]);
        for shared in all {
            let settings = &shared.settings;
            if shared.origin != first.origin {
                return Err(SettingsError::OtherClient("a merged worker"));
            }
            if let Some(what) = first.settings.differs(settings) {
                return Err(SettingsError::Differ(what));
            }
            if !streams.insert(&settings.stream) {
                let stream = settings.stream.escape_ascii().to_string();
                return Err(SettingsError::SameStream(stream.into()));
            }
        }
        Ok(())
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
