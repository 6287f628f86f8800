//! Decides on a failed attempt, and runs code of the caller that may panic. Part of the tasks.

use crate::queue::cause::{DeadLetterCause, Reason};
use crate::queue::consumer::in_flight::InFlight;
use crate::queue::consumer::report::JobOutcome;
use crate::queue::policy::decision::Decision;
use crate::queue::policy::retry_policy::{RetryPolicy, Verdict};
use crate::queue::settings::{Settings, Undecodable};
use crate::queue::shared::Queue;
use crate::random;
use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// The value of a panic.
pub(crate) type Panic = Box<dyn Any + Send>;

/// Settles a job whose attempt failed: retries, dead-letters or discards it.
pub(crate) fn failed(
    job: InFlight,
    retry: &RetryPolicy,
    verdict: Verdict,
    (cause, reason): (DeadLetterCause, &str),
) {
    let attempt = job.attempt;
    let decision = Decision::on_failure(retry, verdict, attempt, random::fraction(), || {
        Reason::new(cause, reason)
    });
    #[cfg(feature = "tracing")]
    if decision != Decision::Discard {
        tracing::warn!(target: "bourn", attempt, of = retry.attempts(), reason, "attempt failed");
    }
    job.settle(decision);
}

/// Counts a panic.
pub(crate) fn panicked(job: &InFlight) {
    job.state.outcomes.add(job.key.0, JobOutcome::Panicked, 1);
}

/// Runs code of the caller. A panic is the error.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(run))
}

/// Runs a future of the caller. A panic is the error.
pub(crate) async fn caught_while<T>(
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Panic> {
    poll_fn(|cx| match caught(|| work.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Returns the message of a panic.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Decodes the payload of a job.
pub(crate) fn decoded<T: 'static>(queue: &Queue<T>, job: &InFlight) -> Result<T, Undecoded> {
    match caught(|| queue.decoded(&job.entry)) {
        Ok(Ok(payload)) => Ok(payload),
        Ok(Err(error)) => Err(Undecoded::Refused(error.to_string())),
        Err(panic) => Err(Undecoded::Panicked(message(&*panic).to_owned())),
    }
}

/// The reason why a payload cannot be decoded.
pub(crate) enum Undecoded {
    Refused(String),
    Panicked(String),
}

impl Undecoded {
    /// Settles the job.
    pub(crate) fn settle(self, job: InFlight, settings: &Settings) {
        let verdict = match (&self, settings.undecodable) {
            (Self::Refused(_), Undecodable::DeadLetter) => Verdict::Dead,
            _ => Verdict::Retry,
        };
        let (cause, text) = match self {
            Self::Refused(text) => (DeadLetterCause::Undecodable, text),
            Self::Panicked(text) => {
                panicked(&job);
                (DeadLetterCause::Panicked, format!("the codec panicked: {text}"))
            }
        };
        let reason = format!("the payload cannot be read: {text}");
        failed(job, &settings.retry, verdict, (cause, &reason));
    }
}
