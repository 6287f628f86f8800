//! Code that runs around each job. Part of the tasks.

use super::fail::Fail;
use super::job::JobInfo;
use crate::config::BoxFuture;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Code that runs around each job of a worker: to delay it, to measure or log it, to change its
/// result.
///
/// ```
/// use bourn::BoxFuture;
/// use bourn::queue::{Fail, JobInfo, Middleware};
///
/// struct LogFailures;
///
/// impl Middleware for LogFailures {
///     fn around<'a>(
///         &'a self,
///         job: &'a JobInfo,
///         run: BoxFuture<'a, Result<(), Fail>>,
///     ) -> BoxFuture<'a, Result<(), Fail>> {
///         Box::pin(async move {
///             let result = run.await;
///             if let Err(fail) = &result {
///                 eprintln!("{}, attempt {}: {fail}", job.id(), job.attempt());
///             }
///             result
///         })
///     }
/// }
/// ```
pub trait Middleware: Send + Sync + 'static {
    /// Waits until the job may start. Default: it starts at once.
    ///
    /// This time does not count towards
    /// [`job_timeout`](crate::queue::WorkerBuilder::job_timeout). The lease is renewed meanwhile.
    /// At shutdown a job that waits here is released, as if it had never been delivered.
    fn before<'a>(&'a self, job: &'a JobInfo) -> BoxFuture<'a, ()> {
        let _ = job;
        Box::pin(std::future::ready(()))
    }

    /// Runs the job, `run`, or skips it. The returned result is the job's result.
    ///
    /// The future is cancelled with the job, and its time counts towards the job's. A panic of the
    /// handler is not visible here. A panic of the middleware counts as one of the handler.
    fn around<'a>(
        &'a self,
        job: &'a JobInfo,
        run: BoxFuture<'a, Result<(), Fail>>,
    ) -> BoxFuture<'a, Result<(), Fail>>;
}

/// Limits how many jobs start per second in this worker. The others wait, and their leases are
/// renewed. The time for which a job waits does not count towards its
/// [`job_timeout`](crate::queue::WorkerBuilder::job_timeout).
///
/// ```no_run
/// # async fn f(
/// #     queue: &bourn::queue::Queue<String>,
/// #     stop: impl Future<Output = ()> + Send,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::{Job, RateLimit};
///
/// // An API that permits 50 calls per second.
/// let worker = queue.worker().concurrency(10).with(RateLimit::per_second(50.0));
/// let handler = |job: Job<String>| async move { std::fs::write("latest", job.payload()) };
/// worker.run(stop, handler).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RateLimit {
    between: Duration,
    next: Mutex<Option<Instant>>,
}

impl RateLimit {
    /// Creates a limit of `jobs` per second, evenly spaced. Values below 1 are possible; 0, a
    /// negative number or NaN counts as 1.
    #[must_use]
    pub fn per_second(jobs: f64) -> Self {
        let between = Duration::try_from_secs_f64(1.0 / jobs).unwrap_or(Duration::from_secs(1));
        Self { between, next: Mutex::new(None) }
    }

    /// Returns when the next job may start.
    fn turn(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.map_or(now, |next| next.max(now));
        *next = Some(turn + self.between);
        turn
    }
}

impl Middleware for RateLimit {
    fn before<'a>(&'a self, _: &'a JobInfo) -> BoxFuture<'a, ()> {
        Box::pin(async move { tokio::time::sleep_until(self.turn(Instant::now())).await })
    }

    fn around<'a>(
        &'a self,
        _: &'a JobInfo,
        run: BoxFuture<'a, Result<(), Fail>>,
    ) -> BoxFuture<'a, Result<(), Fail>> {
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_limit_spaces_starts_evenly_and_saves_none_up() {
        let limit = RateLimit::per_second(10.0);
        let now = Instant::now();
        let ms = |ms| now + Duration::from_millis(ms);
        assert_eq!([now, now, now].map(|at| limit.turn(at)), [ms(0), ms(100), ms(200)]);
        assert_eq!([ms(900), ms(900)].map(|at| limit.turn(at)), [ms(900), ms(1_000)]);
        assert_eq!(RateLimit::per_second(0.5).between, Duration::from_secs(2));
        for odd in [0.0, -1.0, f64::NAN] {
            assert_eq!(RateLimit::per_second(odd).between, Duration::from_secs(1), "{odd}");
        }
    }
}
