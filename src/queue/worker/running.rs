//! Running: runs the handler for each job of the consumer, and decides on its result.

use super::fail::{Fail, chain};
use super::handler::Handler;
use super::job::{Job, JobInfo};
use super::middleware::Middleware;
use crate::config::BoxFuture;
use crate::queue::Queue;
use crate::queue::QueueError;
use crate::queue::consumer::in_flight::Hold;
use crate::queue::consumer::report::{Ending, Report};
use crate::queue::consumer::settle::Decision;
use crate::queue::consumer::{Consumer, open};
use crate::queue::first;
use crate::queue::policy::retry_policy::{BoxError, Next};
use crate::queue::shared::Core;
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
enum Turn {
    Job(Hold),
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
    let result = loop {
        let turn = poll_fn(|cx| {
            if shutdown.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Turn::Over(Ok(())));
            }
            while let Poll::Ready(Some(_)) = tasks.poll_join_next(cx) {}
            if tasks.len() >= concurrency {
                return Poll::Pending;
            }
            consumer.poll_hold(cx).map(|next| match next {
                Some(Ok(hold)) => Turn::Job(hold),
                Some(Err(error)) => Turn::Over(Err(error)),
                None => Turn::Over(Err(QueueError::Stopped)),
            })
        });
        match turn.await {
            Turn::Job(hold) => {
                let (queues, running) = (Arc::clone(&queues), Arc::clone(&running));
                tasks.spawn(async move { running.job(&queues, hold).await });
            }
            Turn::Over(result) => break result,
        }
    };
    consumer.shut();
    let ended = async { while tasks.join_next().await.is_some() {} };
    first(ended, tokio::time::sleep(grace)).await;
    running.cancel.cancel();
    while tasks.join_next().await.is_some() {}
    let report = consumer.close().await;
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
    async fn job<T: 'static>(&self, queues: &[Queue<T>], hold: Hold)
    where
        H: Handler<T>,
    {
        let Some(queue) = queues.get(hold.key.0) else { return };
        let core = Arc::clone(queue.core());
        let Some((payload, acker)) = open(queues, hold).map(|delivery| delivery.split()) else {
            return;
        };
        let info = Arc::new(JobInfo::of(&acker, Arc::clone(&core)));
        #[cfg(feature = "metrics")]
        let timer = crate::queue::admin::metrics::Timer::start(&core);
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
        decide(&core, acker.hold, end);
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

/// Carries out the decision on a job whose handler ended this way.
fn decide(core: &Core, hold: Hold, end: End) {
    let (level, desk) = (hold.key.0, Arc::clone(&hold.desk));
    let retry = &core.settings.retry;
    let failed = |error: BoxError| Fail::Retry(error);
    let fail = match end {
        End::Done(Ok(())) => return hold.ack(Ending::Done, None),
        End::Done(Err(fail)) => fail,
        End::Panicked(panic) => {
            desk.tally.add(level, Ending::Panicked, 1);
            failed(format!("panicked: {}", words(&*panic)).into())
        }
        End::TimedOut(time) => {
            desk.tally.add(level, Ending::TimedOut, 1);
            failed(format!("took longer than {time:?}").into())
        }
        // Another worker has the job, or will get it.
        End::LeaseLost => return drop(hold.decided()),
        End::Cancelled => Fail::Release,
    };
    let Some((verdict, error)) = fail.verdict(|error| retry.verdict(error)) else {
        return drop(hold.decide(Decision::Release));
    };
    let next = retry.after(verdict, hold.attempt, fastrand::f64());
    #[cfg(feature = "tracing")]
    if !matches!(next, Next::Discard) {
        let (attempt, reason) = (hold.attempt, chain(&error));
        tracing::warn!(target: "bourn", attempt, of = retry.attempts(), reason, "attempt failed");
    }
    let decision = match next {
        Next::Discard => return hold.ack(Ending::Discarded, None),
        Next::Retry(wait) => Decision::Retry(wait),
        Next::Dead => Decision::Bury(chain(&error).into()),
    };
    drop(hold.decide(decision));
}

/// Returns the message of a panic.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}
