//! The code that runs a job: a closure, a function, or a type that implements [`Handler`].
//! Part of the tasks.

use super::fail::{Fail, IntoFail};
use super::job::Job;
use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Runs the jobs of a worker.
///
/// Implemented by every function and closure that takes a [`Job<T>`] and returns a `Send` future of
/// `Result<(), E>`, where `E` is any error that converts into [`Fail`]. Implement it for a type
/// that holds what its jobs need:
///
/// ```no_run
/// # use bourn::queue::{Fail, Handler, Job, Queue, QueueError};
/// # type Email = Vec<(String, String)>;
/// struct Mailer {
///     from: String,
/// }
///
/// impl Handler<Email> for Mailer {
///     async fn handle(&self, job: Job<Email>) -> Result<(), Fail> {
///         println!("{} sends {:?}", self.from, *job);
///         Ok(())
///     }
/// }
///
/// # async fn f(queue: Queue<Email>, stop: impl Future) -> Result<(), QueueError> {
/// let mailer = Mailer { from: "support@example.com".to_owned() };
/// queue.worker().run_handler(stop, mailer).await?;
/// # Ok(()) }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of `Job<{T}>`",
    label = "not a handler of `Job<{T}>`",
    note = "a handler is a function or closure that takes `Job<{T}>` and returns a future of `Result<(), E>`, or a type \
            that implements `Handler<{T}>`",
    note = "the handler must be `Send + Sync + 'static`, its future `Send`, and `E` must convert into `Fail`"
)]
pub trait Handler<T>: Send + Sync + 'static {
    /// Runs one job.
    ///
    /// `Ok` acknowledges it; [`WorkerBuilder::run`](super::WorkerBuilder::run) describes the other
    /// results.
    ///
    /// # Cancel safety
    ///
    /// The worker drops the future at an `.await` when the lease is lost, the job's time is over,
    /// or the worker stops.
    ///
    /// # Errors
    ///
    /// [`Fail`]: try again, dead-letter, discard or release the job.
    fn handle(&self, job: Job<T>) -> impl Future<Output = Result<(), Fail>> + Send;
}

impl<T, F, R, E> Handler<T> for F
where
    F: Fn(Job<T>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), E>> + Send,
    E: IntoFail,
{
    fn handle(&self, job: Job<T>) -> impl Future<Output = Result<(), Fail>> + Send {
        let work = self(job);
        async move { work.await.map_err(IntoFail::into_fail) }
    }
}

/// A function that blocks its thread.
pub(crate) struct Blocking<F>(pub(crate) Arc<F>);

impl<T, F, E> Handler<T> for Blocking<F>
where
    T: Send + 'static,
    F: Fn(Job<T>) -> Result<(), E> + Send + Sync + 'static,
    E: IntoFail,
{
    async fn handle(&self, job: Job<T>) -> Result<(), Fail> {
        let work = Arc::clone(&self.0);
        let run = move || work(job).map_err(IntoFail::into_fail);
        // A call that has not begun when this is dropped never begins.
        let mut thread = JoinSet::new();
        thread.spawn_blocking(run);
        match thread.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime shuts down.
                Err(_) => Err(Fail::Release),
            },
            None => Err(Fail::Release),
        }
    }
}

/// A function, and the state that is passed to it.
pub(crate) struct WithState<A, F> {
    pub(crate) state: A,
    pub(crate) handler: F,
}

impl<T, A, F, R, E> Handler<T> for WithState<A, F>
where
    A: Clone + Send + Sync + 'static,
    F: Fn(A, Job<T>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), E>> + Send,
    E: IntoFail,
{
    fn handle(&self, job: Job<T>) -> impl Future<Output = Result<(), Fail>> + Send {
        let work = (self.handler)(self.state.clone(), job);
        async move { work.await.map_err(IntoFail::into_fail) }
    }
}
