//! QueueBuilder: names and policies, and whether the server is fit for them.

use super::core::Core;
use super::retry::RetryPolicy;
use super::settings::{Retention, Settings};
use super::{Codec, Queue, QueueError, SettingsError};
use crate::client::Client;
use std::sync::Arc;
use std::time::Duration;

/// How a queue is to be: from [`Queue::builder`].
///
/// Everyone who works on the same stream and group should say the same; the lease above all, for it is what tells a dead
/// worker from a busy one.
#[derive(Debug, Clone)]
#[must_use = "it is opened by open"]
pub struct QueueBuilder {
    client: Client,
    settings: Settings,
}

impl QueueBuilder {
    pub(super) fn new(client: &Client, stream: &[u8]) -> Self {
        Self { client: client.clone(), settings: Settings::new(stream) }
    }

    /// The consumer group; `workers` by default.
    pub fn group(mut self, name: impl AsRef<[u8]>) -> Self {
        self.settings.group = name.as_ref().into();
        self
    }

    /// How long a job stays a worker's without a sign of life; 30 s by default, 100 ms at least.
    ///
    /// A dead worker's jobs come back after this long. Heartbeats keep the lease of a live one, however long its jobs take.
    ///
    /// With a lease of 20 s or less the default retry policy has waits that are longer than it: see
    /// [`QueueBuilder::max_delay`].
    pub fn lease(mut self, time: Duration) -> Self {
        self.settings.lease = time;
        self
    }

    /// How often jobs are tried, and how long they wait in between: 5 attempts, with 1 s to 20 s, by default.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.settings.retry = policy;
        self
    }

    /// The stream for jobs that failed too often; by default `{stream}:dlq`, or `stream:dlq` if the name has a `{tag}` already. In
    /// a cluster it must be in the slot of the stream.
    pub fn dead_letter(mut self, key: impl AsRef<[u8]>) -> Self {
        self.settings.dead_letter = Some(key.as_ref().into());
        self
    }

    /// Jobs that failed too often are given up, and counted: **they are lost**.
    pub fn no_dead_letter(mut self) -> Self {
        self.settings.dead_letter = None;
        self
    }

    /// The longest that a retry is to wait; by default the retry policy's longest wait.
    ///
    /// If it is as long as the lease or longer, jobs that wait are parked, for a day at most, and workers look for them in other
    /// ways, which cost two or three commands a second. Otherwise a wait is cut to the lease. All workers of a group must agree
    /// on that.
    pub fn max_delay(mut self, time: Duration) -> Self {
        self.settings.max_delay = Some(time);
        self
    }

    /// What becomes of entries that are done; [`Retention::DeleteOnAck`] by default.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.settings.retention = retention;
        self
    }

    /// Delivers each job at most once: it is forgotten as it is handed out. No leases, no retries, no dead letters: a job whose
    /// worker dies or fails is lost.
    pub fn at_most_once(mut self) -> Self {
        self.settings.at_most_once = true;
        self
    }

    /// For how long, and how many, keys of [`Enqueue::unique`](super::Enqueue::unique) are remembered (`XCFGSET`, Redis 8.6); 100 s
    /// and 100 by default. Up to a day, and 10,000 keys. To change it forgets all of them.
    pub fn dedupe_window(mut self, time: Duration, keys: u64) -> Self {
        self.settings.dedupe = Some((time, keys));
        self
    }

    /// Carries the trace context from the code that enqueues a job to the span of the job (feature `tracing`).
    #[cfg(feature = "tracing")]
    pub fn propagate(mut self, propagate: impl super::Propagate) -> Self {
        self.settings.propagator = Some(super::propagate::Propagator(Arc::new(propagate)));
        self
    }

    /// Opens the queue: creates the stream and group if missing, and validates the settings against the server.
    ///
    /// ```no_run
    /// # use bourn::{Client, queue::{Flat, Queue}};
    /// # async fn f(client: &Client) -> Result<(), bourn::queue::QueueError> {
    /// let queue: Queue<Vec<(String, String)>> =
    ///     Queue::builder(client, "email:tasks").group("email-workers").open(Flat).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// The group may have been created if the future is dropped.
    ///
    /// # Errors
    ///
    /// [`QueueError::Settings`] if the settings do not fit each other or the server; [`QueueError::Redis`] if a command fails.
    pub async fn open<T: 'static, C: Codec<T>>(self, codec: C) -> Result<Queue<T>, QueueError> {
        let queue = self.open_lazy(codec)?;
        queue.core().opened().await?;
        Ok(queue)
    }

    /// Opens the queue without a server: the stream and the group are created, and the settings validated against the server, by the
    /// first use of a producer, a consumer or a worker.
    ///
    /// Goes with [`Client::lazy`]: a service starts while its server is away. A producer then fails with
    /// [`QueueError::Redis`] until there is a connection; a consumer and a worker wait for one.
    ///
    /// ```no_run
    /// # use bourn::{Client, queue::{Flat, Queue}};
    /// # fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::lazy("redis://127.0.0.1")?;
    /// let queue: Queue<Vec<(String, String)>> = Queue::builder(&client, "email:tasks").open_lazy(Flat)?;
    /// # let _ = queue; Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`QueueError::Settings`] if a setting is wrong in itself. What is wrong with it on the server is the error of the first use.
    pub fn open_lazy<T: 'static, C: Codec<T>>(self, codec: C) -> Result<Queue<T>, QueueError> {
        let Self { client, settings } = self;
        if let Some(wrong) = settings.wrong() {
            return Err(SettingsError::Value(wrong).into());
        }
        let core = Core::new(client, settings);
        Ok(Queue::new(Arc::new(core), Arc::new(codec)))
    }
}
