//! Runs the handler for each job of the consumer, and decides on its result. A task.

use super::fail::{Fail, chain};
use super::handler::Handler;
use super::job::{Job, JobInfo};
use super::middleware::Middleware;
use crate::config::BoxFuture;
use crate::queue::consumer::in_flight::InFlight;
use crate::queue::consumer::report::{JobOutcome, Report};
use crate::queue::consumer::{Consumer, open};
use crate::queue::error::QueueError;
use crate::queue::first::first;
use crate::queue::policy::decision::Decision;
use crate::queue::policy::retry_policy::BoxError;
use crate::queue::shared::{Queue, Shared};
use crate::random;
use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The state shared by the jobs of a worker.
pub(crate) struct Running<H> {
    handler: H,
    middleware: Vec<Arc<dyn Middleware>>,
    job_timeout: Option<Duration>,
    /// Cancelled when the grace period is over.
    cancel: CancellationToken,
}

impl<H> Running<H> {
    pub(crate) fn new(
        handler: H,
        middleware: Vec<Arc<dyn Middleware>>,
        job_timeout: Option<Duration>,
    ) -> Self {
        Self { handler, middleware, job_timeout, cancel: CancellationToken::new() }
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
    shutdown: S,
) -> Result<Report, QueueError>
where
    T: Send + 'static,
    S: Future,
    H: Handler<T>,
{
    let queues: Arc<[Queue<T>]> = consumer.queues().into();
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let state = Arc::clone(&consumer.state);
    let mut failed = pin!(state.failed.cancelled());
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
                tasks.spawn(async move { running.job(&queues, job).await });
            }
            Event::Over(result) => break result,
        }
    };
    consumer.stop_fetching();
    let ended = async { while tasks.join_next().await.is_some() {} };
    first(ended, tokio::time::sleep(grace)).await;
    running.cancel.cancel();
    while tasks.join_next().await.is_some() {}
    let report = consumer.close().await;
    // The error of a decision that was made after the end.
    let result = result.and_then(|()| state.take_failure().map_or(Ok(()), Err));
    result.map(|()| report)
}

/// The way in which a handler ended.
enum End {
    Done(Result<(), Fail>),
    Panicked(Box<dyn Any + Send>),
    TimedOut(Duration),
    LeaseLost,
    Cancelled,
}

impl<H> Running<H> {
    /// Runs one job to its end.
    async fn job<T: 'static>(&self, queues: &[Queue<T>], job: InFlight)
    where
        H: Handler<T>,
    {
        let Some(queue) = queues.get(job.key.0) else { return };
        let shared = Arc::clone(queue.shared());
        let Some((payload, acker)) = open(queues, job).map(|delivery| delivery.split()) else {
            return;
        };
        let info = Arc::new(JobInfo::of(&acker, Arc::clone(&shared)));
        #[cfg(feature = "metrics")]
        let timer = crate::queue::admin::metrics::Timer::start(&shared);
        let work = self.handle(Job::new(payload, Arc::clone(&info)), &info);
        #[cfg(feature = "tracing")]
        let span = super::trace::span(&info);
        #[cfg(feature = "tracing")]
        let work = tracing::Instrument::instrument(work, span.clone());
        let end = work.await;
        #[cfg(feature = "metrics")]
        timer.stop(matches!(end, End::Done(Ok(()))));
        #[cfg(feature = "tracing")]
        let _entered = span.enter();
        settle(&shared, acker.job, end);
    }

    /// Runs the handler within its middleware, until it completes or must stop.
    async fn handle<T: 'static>(&self, job: Job<T>, info: &Arc<JobInfo>) -> End
    where
        H: Handler<T>,
    {
        if info.lease().is_lost() {
            return End::LeaseLost;
        }
        let made = catch_unwind(AssertUnwindSafe(|| self.handler.handle(job)));
        let work = match made {
            Ok(work) => work,
            Err(panic) => return End::Panicked(panic),
        };
        if self.middleware.is_empty() {
            return self.watch(work, info).await;
        }
        let mut run: BoxFuture<'_, Result<(), Fail>> = Box::pin(work);
        for layer in self.middleware.iter().rev() {
            run = layer.around(info, run);
        }
        self.watch(run, info).await
    }

    async fn watch(&self, work: impl Future<Output = Result<(), Fail>>, info: &JobInfo) -> End {
        let mut work = pin!(work);
        let mut lost = pin!(info.lease().lost());
        let mut cancelled = pin!(self.cancel.cancelled());
        let mut late = pin!(async {
            match self.job_timeout {
                Some(time) => {
                    tokio::time::sleep(time).await;
                    time
                }
                None => std::future::pending().await,
            }
        });
        poll_fn(|cx| {
            // Checked first, so that a task that wakes too late does nothing more.
            if lost.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::LeaseLost);
            }
            match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
                Ok(Poll::Ready(result)) => return Poll::Ready(End::Done(result)),
                Ok(Poll::Pending) => {}
                Err(panic) => return Poll::Ready(End::Panicked(panic)),
            }
            if cancelled.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Cancelled);
            }
            late.as_mut().poll(cx).map(End::TimedOut)
        })
        .await
    }
}

/// Settles a job whose handler ended this way.
fn settle(shared: &Shared, job: InFlight, end: End) {
    let (level, state) = (job.key.0, Arc::clone(&job.state));
    let retry = &shared.settings.retry;
    let failed = |error: BoxError| Fail::Retry(error);
    let fail = match end {
        End::Done(Ok(())) => return job.settle(Decision::Done),
        End::Done(Err(fail)) => fail,
        End::Panicked(panic) => {
            state.outcomes.add(level, JobOutcome::Panicked, 1);
            failed(format!("panicked: {}", message(&*panic)).into())
        }
        End::TimedOut(time) => {
            state.outcomes.add(level, JobOutcome::TimedOut, 1);
            failed(format!("took longer than {time:?}").into())
        }
        // Another worker has the job, or will get it.
        End::LeaseLost => return job.abandon(),
        End::Cancelled => Fail::Release,
    };
    let Some((verdict, error)) = fail.verdict(|error| retry.verdict(error)) else {
        return job.settle(Decision::Release);
    };
    let reason = || chain(&error).into();
    let decision = Decision::on_failure(retry, verdict, job.attempt, random::fraction(), reason);
    #[cfg(feature = "tracing")]
    if decision != Decision::Discard {
        let (attempt, reason) = (job.attempt, chain(&error));
        tracing::warn!(target: "bourn", attempt, of = retry.attempts(), reason, "attempt failed");
    }
    job.settle(decision);
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
