//! Names and policies of a queue, and their validation against the server. An operation.

use crate::client::Client;
use crate::queue::codec::Codec;
use crate::queue::error::{QueueError, SettingsError};
use crate::queue::policy::retry_policy::RetryPolicy;
use crate::queue::policy::window::Window;
use crate::queue::settings::{Retention, Settings, Undecodable};
use crate::queue::shared::{Queue, Shared};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// Configures and opens a [`Queue`]. Created by [`Queue::builder`].
///
/// All processes that use the same stream and group should use the same settings. The lease matters
/// most: it decides when a worker counts as dead.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::{Queue, RawBytes, RetryPolicy};
/// use std::time::Duration;
///
/// let retry = RetryPolicy::exponential(Duration::from_secs(1), Duration::from_secs(20));
/// let queue: Queue<Vec<u8>> = Queue::builder(client, "thumbnails")
///     .group("resizers")
///     .lease(Duration::from_secs(60))
///     .retry(retry.max_attempts(3))
///     .dead_letter("thumbnails:dead")
///     .open(RawBytes)
///     .await?;
/// # let _ = queue;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a `QueueBuilder` does nothing until `open` is called"]
pub struct QueueBuilder {
    client: Client,
    settings: Settings,
}

impl QueueBuilder {
    pub(crate) fn new(client: &Client, stream: &[u8]) -> Self {
        Self { client: client.clone(), settings: Settings::new(stream) }
    }

    /// Sets the consumer group. Default `workers`.
    pub fn group(mut self, name: impl AsRef<[u8]>) -> Self {
        self.settings.set_group(name.as_ref());
        self
    }

    /// Sets the lease duration: how long a job stays with its worker without a heartbeat. Default
    /// 30 s, minimum 100 ms.
    ///
    /// The jobs of a dead worker are delivered again after this time. Heartbeats renew the lease of
    /// a live worker, however long its jobs take.
    pub fn lease(mut self, time: Duration) -> Self {
        self.settings.lease = time;
        self
    }

    /// Sets the number of attempts and the delays between them. Default: 25 attempts, 1 s to 24 h.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.settings.retry = policy;
        self
    }

    /// Sets the dead-letter stream. Default `{stream}:dlq` for the default group, and
    /// `{stream}:dlq:group` for another one; `stream:dlq` if the name already has a `{tag}`. In a
    /// cluster it must be in the same slot as the stream.
    pub fn dead_letter(mut self, key: impl AsRef<[u8]>) -> Self {
        self.settings.set_dead_letter(Some(key.as_ref()));
        self
    }

    /// Acknowledges and counts jobs without attempts left, instead of keeping them: **this group
    /// loses them**. Other groups of the stream still receive them.
    pub fn no_dead_letter(mut self) -> Self {
        self.settings.set_dead_letter(None);
        self
    }

    /// Sets how many dead letters of this queue are kept. Default: all. Beyond that **the oldest ones
    /// are deleted**, about every ten seconds, while a worker or consumer runs:
    /// [`QueueEvent::DeadLettersDropped`](crate::queue::QueueEvent::DeadLettersDropped).
    ///
    /// In a dead-letter stream that several queues share, each counts and deletes only its own
    /// letters. Entries of other producers stay.
    pub fn dead_letter_limit(mut self, letters: u64) -> Self {
        self.settings.letters.most = Some(letters);
        self
    }

    /// Sets how long dead letters of this queue are kept, by the server's clock. Default: indefinitely.
    /// Older ones are deleted as with [`dead_letter_limit`](Self::dead_letter_limit).
    pub fn dead_letter_age(mut self, age: Duration) -> Self {
        self.settings.letters.age = Some(age);
        self
    }

    /// Sets when completed entries are deleted. Default [`Retention::DeleteOnAck`]. The queues of all
    /// groups of a stream must have the same.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.settings.retention = retention;
        self
    }

    /// Sets what happens to a job whose payload cannot be decoded. Default [`Undecodable::Retry`].
    pub fn undecodable(mut self, undecodable: Undecodable) -> Self {
        self.settings.undecodable = undecodable;
        self
    }

    /// Delivers each job at most once: it is removed as it is delivered.
    ///
    /// There are no leases, no retries and no dead letters. A job whose worker dies or fails is
    /// lost.
    pub fn at_most_once(mut self) -> Self {
        self.settings.at_most_once = true;
        self
    }

    /// Sets how many idle workers wait on the stream at a time. Default 8.
    ///
    /// From Redis 7.2 on, each XADD costs the server some 0.9 µs for every reader that is blocked on
    /// the stream. So with more workers than this, the others wait on the stream `{stream}:aside`
    /// for the place of one that is busy. A worker with several queues always waits on their
    /// streams. With `u32::MAX`, all workers do.
    pub fn blocked_readers(mut self, workers: u32) -> Self {
        self.settings.blocked_readers = workers.max(1);
        self
    }

    /// Sets how long, and how many, keys of [`Enqueue::unique`](crate::queue::Enqueue::unique) are
    /// remembered (`XCFGSET`, Redis 8.6). Default and minimum 100 s and 100 keys, or the client's
    /// [`Config::idmp_window`](crate::Config::idmp_window) if that is more; maximum a day and 10,000
    /// keys. Also set for a stream that is created again by a worker.
    ///
    /// The window is the stream's, for all its producers, who also recognise by it a job that they
    /// send again. A change forgets all keys: a job whose outcome is unknown at that moment may be
    /// added twice.
    pub fn dedupe_window(mut self, time: Duration, keys: u64) -> Self {
        self.settings.dedupe = Some(Window { time, ids: keys });
        self
    }

    /// Propagates the trace context from the code that enqueues a job to the job's span (feature
    /// `tracing`).
    #[cfg(feature = "tracing")]
    pub fn propagate(mut self, propagate: impl crate::queue::codec::propagate::Propagate) -> Self {
        self.settings.propagator =
            Some(crate::queue::codec::propagate::Propagator(Arc::new(propagate)));
        self
    }

    /// Opens the queue: creates the stream and group if missing, and validates the settings against
    /// the server.
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
    /// The group may have been created when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`QueueError::Settings`] if the settings are invalid, or do not fit the server.
    /// [`QueueError::Redis`] if a command fails.
    pub async fn open<T: 'static, C: Codec<T>>(self, codec: C) -> Result<Queue<T>, QueueError> {
        let queue = self.open_lazy(codec)?;
        queue.shared().opened().await?;
        Ok(queue)
    }

    /// Opens the queue without a server. The first use of a producer, a consumer or a worker
    /// creates the stream and the group, and validates the settings against the server.
    ///
    /// Combine it with [`Client::lazy`] to start a service while its server is down. A producer
    /// then fails with [`QueueError::Redis`] until there is a connection. A consumer and a worker
    /// wait for one.
    ///
    /// ```no_run
    /// # use bourn::{Client, queue::{Flat, Queue}};
    /// # fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::lazy("redis://127.0.0.1")?;
    /// type Email = Vec<(String, String)>;
    /// let queue: Queue<Email> = Queue::builder(&client, "email:tasks").open_lazy(Flat)?;
    /// # let _ = queue; Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`QueueError::Settings`] if a setting is invalid in itself. A setting that does not fit the
    /// server fails at the first use.
    pub fn open_lazy<T: 'static, C: Codec<T>>(self, codec: C) -> Result<Queue<T>, QueueError> {
        self.open_with(Arc::new(codec))
    }

    /// Does the same, with a codec that others use, too.
    pub(crate) fn open_with<T: 'static>(
        self,
        codec: Arc<dyn Codec<T>>,
    ) -> Result<Queue<T>, QueueError> {
        let Self { client, settings } = self;
        let (time, ids) = client.idmp_window();
        if let Some(wrong) = settings.wrong(Window::needed(Window { time, ids })) {
            return Err(SettingsError::Value(wrong).into());
        }
        let shared = Shared::new(client, settings);
        Ok(Queue::new(Arc::new(shared), codec))
    }
}

impl Queue<Bytes> {
    /// Creates a builder for a queue on this stream. [`QueueBuilder::open`] sets the type of its
    /// jobs.
    pub fn builder(client: &Client, stream: impl AsRef<[u8]>) -> QueueBuilder {
        QueueBuilder::new(client, stream.as_ref())
    }
}
