//! Runs the handler for each job of the consumer, and decides on its result. A task.

use super::fail::{Fail, chain};
use super::handler::Handler;
use super::job::{Job, JobInfo};
use super::middleware::Middleware;
use super::order::{Order, Turn};
use crate::config::BoxFuture;
use crate::queue::cause::DeadLetterCause;
use crate::queue::consumer::Consumer;
use crate::queue::consumer::failure::{self, Panic, caught, caught_while, decoded, message};
use crate::queue::consumer::in_flight::InFlight;
use crate::queue::consumer::report::{JobOutcome, Report};
use crate::queue::error::QueueError;
use crate::queue::first::first;
use crate::queue::policy::decision::Decision;
use crate::queue::policy::retry_policy::Verdict;
use crate::queue::shared::{Queue, Shared};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The longest part of the grace period that is kept for settling the jobs that are cancelled.
const SETTLING: Duration = Duration::from_secs(3);

/// The time for that after a shorter grace period.
const MIN_SETTLING: Duration = Duration::from_secs(1);

/// A longer grace period has no end that matters.
const MAX_GRACE: Duration = Duration::from_secs(365 * 24 * 3_600);

/// The state shared by the jobs of a worker.
pub(crate) struct Running<H> {
    handler: H,
    middleware: Vec<Arc<dyn Middleware>>,
    job_timeout: Option<Duration>,
    /// Whether running jobs are cancelled when the grace period is over. A thread cannot be.
    is_cancellable: bool,
    /// Cancelled when no more jobs start.
    stopping: CancellationToken,
    /// Cancelled when the grace period is over.
    cancel: CancellationToken,
    /// The places that it shares with other workers.
    slots: Option<Arc<Semaphore>>,
}

impl<H> Running<H> {
    pub(crate) fn new(
        handler: H,
        middleware: Vec<Arc<dyn Middleware>>,
        job_timeout: Option<Duration>,
        is_cancellable: bool,
    ) -> Self {
        let (stopping, cancel) = (CancellationToken::new(), CancellationToken::new());
        Self { handler, middleware, job_timeout, is_cancellable, stopping, cancel, slots: None }
    }

    pub(crate) fn sharing(self, slots: Option<Arc<Semaphore>>) -> Self {
        Self { slots, ..self }
    }
}

/// An event in the worker's loop.
enum Event {
    Job(InFlight),
    Over(Result<(), QueueError>),
}

/// Runs jobs until shutdown, and stops gracefully.
pub(crate) async fn run<T, S, H>(
    mut consumer: Consumer<T>,
    running: Arc<Running<H>>,
    concurrency: usize,
    grace: Duration,
    mut shutdown: Pin<&mut S>,
) -> Result<Report, QueueError>
where
    T: Send + 'static,
    S: Future,
    H: Handler<T>,
{
    let queues: Arc<[Queue<T>]> = consumer.queues().into();
    let mut tasks = JoinSet::new();
    let state = Arc::clone(&consumer.state);
    let mut failed = pin!(state.failed.cancelled());
    let mut order = Order::default();
    let result = loop {
        let turn = poll_fn(|cx| {
            if shutdown.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Over(Ok(())));
            }
            while let Poll::Ready(Some(_)) = tasks.poll_join_next(cx) {}
            // Also while all worker slots are busy.
            let is_failed = failed.as_mut().poll(cx).is_ready();
            if tasks.len() >= concurrency && !is_failed {
                return Poll::Pending;
            }
            consumer.poll_in_flight(cx).map(|next| match next {
                Some(Ok(job)) => Event::Job(job),
                Some(Err(error)) => Event::Over(Err(error)),
                None => Event::Over(Err(QueueError::Stopped)),
            })
        });
        match turn.await {
            Event::Job(job) => {
                let (queues, running) = (Arc::clone(&queues), Arc::clone(&running));
                let turn = order.next();
                // In a box: the runtime moves a task eleven times, with the future of the handler.
                tasks.spawn(Box::pin(running.job(queues, job, turn)));
            }
            Event::Over(result) => break result,
        }
    };
    running.stopping.cancel();
    consumer.stop_fetching();
    let start = Instant::now();
    let grace = grace.min(MAX_GRACE);
    let cancel_at = start + grace - SETTLING.min(grace / 5);
    let ended = async { while tasks.join_next().await.is_some() {} };
    first(ended, consumer.sleep_until(cancel_at)).await;
    running.cancel.cancel();
    let closed = async {
        while tasks.join_next().await.is_some() {}
        consumer.ended().await;
    };
    let give_up_at = (start + grace).max(cancel_at + MIN_SETTLING);
    first(closed, consumer.sleep_until(give_up_at)).await;
    // Handlers that block a thread cannot be cancelled. Their jobs keep their leases, and are
    // settled when they end.
    tasks.detach_all();
    // The error of a decision that was made after the end.
    let result = result.and_then(|()| state.take_failure().map_or(Ok(()), Err));
    result.map(|()| consumer.report())
}

/// The way in which an attempt ended.
enum End {
    Done(Result<(), Fail>),
    Panicked(Panic),
    TimedOut(Duration),
    LeaseLost,
    Cancelled,
}

impl<H> Running<H> {
    /// Runs one job to its end.
    ///
    /// An `async fn` would hold the job twice: as its argument, and as its variable.
    fn job<T: Send + 'static>(
        self: Arc<Self>,
        queues: Arc<[Queue<T>]>,
        job: InFlight,
        turn: Turn,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        H: Handler<T>,
    {
        let level = job.key.0;
        async move {
            let Some(queue) = queues.get(level) else { return };
            let shared = queue.shared();
            let payload = match decoded(queue, &job) {
                Ok(payload) => payload,
                Err(undecoded) => return undecoded.settle(job, &shared.settings),
            };
            let info = Arc::new(JobInfo::of(&job, Arc::clone(shared)));
            #[cfg(feature = "tracing")]
            let span = match caught(|| super::trace::span(&info)) {
                Ok(span) => span,
                Err(panic) => return settle(shared, job, End::Panicked(panic)),
            };
            let handed = Job::new(payload, Arc::clone(&info));
            let work = self.attempt(handed, &info, shared, turn);
            #[cfg(feature = "tracing")]
            let work = tracing::Instrument::instrument(work, span.clone());
            // Handler, middleware, and the destructors of what they own.
            let end = caught_while(pin!(work)).await.unwrap_or_else(End::Panicked);
            #[cfg(feature = "tracing")]
            let _entered = span.enter();
            settle(shared, job, end);
        }
    }

    /// Runs the handler within its middleware, until it completes or must stop.
    async fn attempt<T: 'static>(
        &self,
        job: Job<T>,
        info: &Arc<JobInfo>,
        shared: &Shared,
        mut turn: Turn,
    ) -> End
    where
        H: Handler<T>,
    {
        turn.wait().await;
        if info.lease().is_lost() {
            return End::LeaseLost;
        }
        let _slot = match &self.slots {
            None => None,
            Some(slots) => match self.until(info, Arc::clone(slots).acquire_owned()).await {
                Ok(slot) => Some(slot),
                Err(end) => return end,
            },
        };
        let turn = if self.middleware.is_empty() {
            Some(turn)
        } else {
            // Each job has its own time to wait.
            turn.end().await;
            if let Some(end) = self.wait(info).await {
                return end;
            }
            None
        };
        #[cfg(feature = "metrics")]
        let timer = crate::queue::admin::metrics::Timer::start(shared);
        #[cfg(not(feature = "metrics"))]
        let _ = shared;
        let end = {
            let work = pin!(self.handler.handle(job));
            // The next job does not wait for what this one does.
            if let Some(turn) = turn {
                turn.end().await;
            }
            if self.middleware.is_empty() {
                self.watch(work, info).await
            } else {
                let mut run: BoxFuture<'_, Result<(), Fail>> = Box::pin(work);
                for layer in self.middleware.iter().rev() {
                    run = layer.around(info, run);
                }
                self.watch(run.as_mut(), info).await
            }
        };
        #[cfg(feature = "metrics")]
        timer.stop(matches!(end, End::Done(Ok(()))));
        end
    }

    /// Waits until the middleware lets the job start. Returns its end if it must not start.
    async fn wait(&self, info: &JobInfo) -> Option<End> {
        let may_start = async {
            for layer in &self.middleware {
                layer.before(info).await;
            }
        };
        self.until(info, may_start).await.err()
    }

    /// Waits for what the job needs to start. Returns its end if it must not start.
    async fn until<T>(&self, info: &JobInfo, needed: impl Future<Output = T>) -> Result<T, End> {
        let mut needed = pin!(needed);
        let mut lost = pin!(info.lease().lost());
        let mut stopping = pin!(self.stopping.cancelled());
        poll_fn(|cx| {
            if lost.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(End::LeaseLost));
            }
            if stopping.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(End::Cancelled));
            }
            needed.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    async fn watch(
        &self,
        mut work: Pin<&mut (impl Future<Output = Result<(), Fail>> + ?Sized)>,
        info: &JobInfo,
    ) -> End {
        let mut lost = pin!(info.lease().cancelled());
        let mut cancelled = pin!(async {
            if !self.is_cancellable {
                pending::<()>().await;
            }
            self.cancel.cancelled().await;
        });
        let mut late = pin!(async {
            match self.job_timeout {
                Some(time) => {
                    tokio::time::sleep(time).await;
                    time
                }
                None => pending().await,
            }
        });
        poll_fn(|cx| {
            // Checked first, so that a task that wakes too late does nothing more.
            if info.lease().is_lost() {
                return Poll::Ready(End::LeaseLost);
            }
            if let Poll::Ready(result) = work.as_mut().poll(cx) {
                return Poll::Ready(End::Done(result));
            }
            if lost.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::LeaseLost);
            }
            if cancelled.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Cancelled);
            }
            late.as_mut().poll(cx).map(End::TimedOut)
        })
        .await
    }
}

/// Settles a job whose attempt ended this way.
fn settle(shared: &Shared, job: InFlight, end: End) {
    let retry = &shared.settings.retry;
    let mut cause = DeadLetterCause::Failed;
    let fail = match end {
        End::Done(Ok(())) => return job.settle(Decision::Done),
        // Another worker has the job, or will get it.
        End::LeaseLost => return job.abandon(),
        End::Done(Err(fail)) => fail,
        End::Panicked(panic) => {
            failure::panicked(&job);
            cause = DeadLetterCause::Panicked;
            Fail::Retry(format!("panicked: {}", message(&*panic)).into())
        }
        End::TimedOut(time) => {
            job.state.outcomes.add(job.key.0, JobOutcome::TimedOut, 1);
            cause = DeadLetterCause::TimedOut;
            Fail::Retry(format!("took longer than {time:?}").into())
        }
        End::Cancelled => Fail::Release,
    };
    let mut panic = None;
    let decided = fail.verdict(|error| {
        caught(|| retry.verdict(error)).unwrap_or_else(|caught| {
            panic = Some(caught);
            Verdict::Retry
        })
    });
    let Some((verdict, error)) = decided else { return job.settle(Decision::Release) };
    let mut reason = caught(|| chain(&error)).unwrap_or_else(|panic| {
        format!("the error's text cannot be read: panicked: {}", message(&*panic))
    });
    if let Some(panic) = panic {
        failure::panicked(&job);
        reason = format!("{reason} (the classifier panicked: {})", message(&*panic));
    }
    failure::failed(job, retry, verdict, (cause, &reason));
}
