//! A job queue on a consumer group, with at-least-once delivery.
//!
//! ```no_run
//! use bourn::Client;
//! use bourn::queue::{Fail, Flat, Job, Queue};
//!
//! type Email = Vec<(String, String)>;
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("redis://127.0.0.1").await?;
//! let queue: Queue<Email> =
//!     Queue::builder(&client, "email:tasks").group("email-workers").open(Flat).await?;
//!
//! queue.producer().enqueue(&vec![("user_id".into(), "123".into())]).await?;
//!
//! // Until Ctrl-C; then running jobs finish.
//! let report = queue.worker().concurrency(10).run(tokio::signal::ctrl_c(), send).await?;
//! println!("{report}");
//! # Ok(()) }
//!
//! async fn send(job: Job<Email>) -> Result<(), Fail> {
//!     println!("{}, attempt {}: {:?}", job.id(), job.attempt(), *job);
//!     Ok(())
//! }
//! ```
//!
//! The [guide](crate::guide::queue_guide) explains retries, dead letters, several groups and
//! priorities.
//!
//! # How it works
//!
//! A job is a single stream entry and keeps its id for life: a retry is never a copy. The group's
//! pending entries list (PEL) is the lease table: it records each job's owner, idle time and
//! delivery count. There is no other state: no other key except the dead-letter stream, no script.
//! The only clocks are the server's idle time and the process's own. So the state on the server is
//! always enough to continue after a crash.
//!
//! | event | commands |
//! |---|---|
//! | a job is enqueued | XADD, with IDMP where the server has it |
//! | a worker fetches jobs | XREADGROUP, at most as many as it has free worker slots |
//! | a job takes long | a heartbeat, XCLAIM JUSTID, every third of a lease |
//! | a job is done | XACKDEL, or XDEL and XACK: many jobs at once |
//! | a job fails | it waits as a pending entry of `~retry`, and is claimed when its delay is over |
//! | the last attempt fails | MULTI: XADD to the dead-letter stream, XACK, XDEL |
//! | a worker dies | its jobs are claimed when they have been idle for a whole lease |
//!
//! # Promises
//!
//! * **At least once.** Every job for which `enqueue` returned `Ok` is completed, moved to the
//!   dead-letter stream, or discarded. This holds as long as the server keeps what it acknowledged,
//!   and some worker lives for longer than a lease.
//! * **No job is acknowledged before it is done.**
//! * **A job has one id** for all its attempts. Handlers can use it to be idempotent.
//! * **No more attempts than the policy allows**, also for a job that crashes its worker. The
//!   server counts the attempts. If a failover resets the count, attempts are counted again. A
//!   released delivery does not count.
//! * **A job can run twice only if** its lease expired (the process or connection stalled for three
//!   quarters of it), the server lost an acknowledgement in a failover or a restart, or the job was
//!   enqueued again after an unknown outcome.
//! * Jobs are delivered in the order of their ids. Retries are delivered later. Completion order is
//!   not guaranteed.
//!
//! Jobs can be lost when a failover or a power cut loses what the server had acknowledged (reported
//! as [`QueueEvent::RolledBack`]), or when others trim or delete entries.
//!
//! With [`QueueBuilder::at_most_once`] a job is removed as it is delivered, and none of these
//! guarantees hold.
//!
//! # Metrics
//!
//! The feature `metrics` publishes these through the `metrics` facade:
//!
//! | name | kind | labels |
//! |---|---|---|
//! | `redis_streams_processed` | counter | `stream` |
//! | `redis_streams_duration_seconds` | histogram | `stream` |
//! | `redis_streams_length` | gauge | `stream` |
//! | `redis_streams_pending` | gauge | `stream`, `group`, `consumer` |
//! | `bourn_jobs_total` | counter | `stream`, `group`, `outcome` |
//! | `bourn_dead_letters` | gauge | `stream`, `group` |
//!
//! The values of `outcome` are the fields of [`Report`]. Gauges are read from the server about
//! every ten seconds.

mod admin;
mod builder;
mod codec;
mod consumer;
mod error;
mod event;
mod maintenance;
#[cfg(test)]
mod model;
mod operation;
mod policy;
mod producer;
mod settings;
mod shared;
mod worker;

pub use admin::dead_letters::{DeadLetter, DeadLetters, Redrive};
pub use admin::stats::{ConsumerStats, Health, QueueStats};
pub use builder::QueueBuilder;
pub use codec::headers::Headers;
#[cfg(feature = "tracing")]
pub use codec::propagate::Propagate;
pub use codec::{Codec, CodecError, FieldList, Flat, Payload, RawBytes};
#[cfg(feature = "serde")]
pub use codec::{Json, Record};
pub use consumer::delivery::{Acked, Acker, Delivery, Nack};
pub use consumer::in_flight::Lease;
pub use consumer::report::Report;
pub use consumer::{Consumer, ConsumerBuilder};
pub use error::{QueueError, SettingsError};
pub use event::{QueueEvent, QueueEvents};
pub use policy::retry_policy::{BoxError, Jitter, RetryPolicy, Verdict};
pub use producer::{Enqueue, Producer};
pub use settings::Retention;
pub use worker::{
    Fail, Handler, IntoFail, Job, JobInfo, Middleware, Priority, RateLimit, Worker, WorkerBuilder,
};

use self::shared::Core;
use crate::client::Client;
use crate::entry::Entry;
use bytes::Bytes;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// A queue: a stream, a consumer group, and the policies for its jobs. Clones are cheap.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::{Queue, RawBytes};
///
/// let queue: Queue<Vec<u8>> = Queue::builder(client, "thumbnails").open(RawBytes).await?;
/// queue.producer().enqueue(&b"cat.png".to_vec()).await?;
/// println!("{:?} jobs are ready", queue.stats().await?.ready);
/// # Ok(()) }
/// ```
pub struct Queue<T> {
    core: Arc<Core>,
    codec: Arc<dyn Codec<T>>,
}

impl Queue<Bytes> {
    /// Creates a builder for a queue on this stream. [`QueueBuilder::open`] sets the type of its
    /// jobs.
    pub fn builder(client: &Client, stream: impl AsRef<[u8]>) -> QueueBuilder {
        QueueBuilder::new(client, stream.as_ref())
    }
}

impl<T: 'static> Queue<T> {
    fn new(core: Arc<Core>, codec: Arc<dyn Codec<T>>) -> Self {
        Self { core, codec }
    }

    fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn encoded(&self, payload: &T) -> Result<FieldList, CodecError> {
        self.encoded_with(payload, &[])
    }

    /// Returns the fields of a job: payload, headers, and the trace context.
    fn encoded_with(
        &self,
        payload: &T,
        headers: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<FieldList, CodecError> {
        let mut fields = FieldList::new();
        self.codec.encode(payload, &mut fields)?;
        for (name, value) in headers {
            fields.header(name, value);
        }
        #[cfg(feature = "tracing")]
        if let Some(codec::propagate::Propagator(propagator)) = &self.core.settings.propagator {
            propagator.inject(&mut |name, value| {
                if headers.iter().all(|(header, _)| header != name.as_bytes()) {
                    fields.header(name.as_bytes(), value.as_bytes());
                }
            });
        }
        Ok(fields)
    }

    fn decoded(&self, entry: &Entry) -> Result<T, CodecError> {
        self.codec.decode(Payload::new(entry.by_ref()))
    }

    /// Returns the key of the stream.
    #[must_use]
    pub fn stream(&self) -> &[u8] {
        &self.core.settings.stream
    }

    /// Returns the name of the consumer group.
    #[must_use]
    pub fn group(&self) -> &[u8] {
        &self.core.settings.group
    }

    /// Returns the key of the dead-letter stream; `None` if jobs without attempts left are dropped.
    #[must_use]
    pub fn dead_letter_key(&self) -> Option<&[u8]> {
        self.core.settings.dead_letter.as_deref()
    }

    /// Returns the client that the queue uses.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.core.client
    }

    /// Creates a producer, which adds jobs.
    #[must_use]
    pub fn producer(&self) -> Producer<T> {
        Producer::new(self.clone())
    }

    /// Configures a consumer, which receives jobs that are acknowledged one by one.
    pub fn consumer(&self) -> ConsumerBuilder<T>
    where
        T: Send,
    {
        ConsumerBuilder::new(self.clone())
    }

    /// Configures a worker, which runs a handler for each job.
    pub fn worker(&self) -> WorkerBuilder<T>
    where
        T: Send,
    {
        WorkerBuilder::new(vec![self.clone()], Priority::Strict)
    }

    /// Returns a handle to the dead letters, for inspection and redrive.
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetters<T> {
        DeadLetters::new(self.clone())
    }

    /// Returns the queue's statistics, as the server reports them. Most of its commands run in one
    /// transaction.
    ///
    /// # Cancel safety
    ///
    /// Read-only.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`]; with [`Code::NoGroup`](crate::Code::NoGroup) or
    /// [`Code::Err`](crate::Code::Err) if the stream or the group does not exist.
    pub async fn stats(&self) -> Result<QueueStats, QueueError> {
        admin::stats::stats(&self.core).await
    }

    /// Checks the queue for problems: no consumer, jobs that wait too long or are abandoned, dead
    /// letters, a missing group.
    ///
    /// # Cancel safety
    ///
    /// Read-only.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`] if a command fails. Returns [`Health::Degraded`] at once if there is
    /// no connection.
    pub async fn health(&self) -> Result<Health, QueueError> {
        admin::stats::health(&self.core).await
    }

    /// Returns the queue's events from now on, as seen by this handle, its clones, and the
    /// producers, consumers and workers created from them.
    #[must_use]
    pub fn events(&self) -> QueueEvents {
        QueueEvents(self.core.listen())
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), codec: Arc::clone(&self.codec) }
    }
}

impl<T: 'static> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("stream", &self.stream().escape_ascii().to_string())
            .field("group", &self.group().escape_ascii().to_string())
            .finish_non_exhaustive()
    }
}

/// One of two values.
enum Either<A, B> {
    Left(A),
    Right(B),
}

/// Waits for the first of two futures and drops the other one.
async fn first<A: Future, B: Future>(a: A, b: B) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx| {
        if a.as_mut().poll(cx).is_ready() { Poll::Ready(()) } else { b.as_mut().poll(cx).map(drop) }
    })
    .await;
}
