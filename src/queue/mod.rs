//! A work queue on a consumer group: at least once, on streams alone.
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
//! let stop = tokio::signal::ctrl_c();
//! let report = queue.worker().concurrency(10).run(stop, |job: Job<Email>| async move {
//!     println!("{}, attempt {}: {:?}", job.id(), job.attempt(), *job);
//!     Ok::<(), Fail>(())
//! });
//! println!("{}", report.await?);
//! # Ok(()) }
//! ```
//!
//! # How it stands on streams
//!
//! A job is an entry. It stays the same entry from XADD to its end: a retry is never a copy. The group's list of pending entries is
//! the table of leases: whose it is, since when, and how often it was delivered. Nothing else is kept: no other key but the
//! dead letters, no script, no clock but the server's idle time and the process's own. So whatever dies, what is on the
//! server is enough to go on.
//!
//! | | |
//! |---|---|
//! | a job is enqueued | XADD, with IDMP where the server has it |
//! | a worker takes it | XREADGROUP, no more than it has hands for |
//! | it takes long | a heartbeat, XCLAIM JUSTID, every third of a lease |
//! | it is done | XACKDEL, or XDEL and XACK: many at once |
//! | it fails | it waits as a pending entry of `~retry`, and is claimed when its time has come |
//! | it failed too often | MULTI: XADD to the dead letters, XACK, XDEL |
//! | its worker dies | it is claimed when it has been idle for as long as a lease |
//!
//! # Promises
//!
//! * **At least once.** What was enqueued, `Ok`, is done by a handler that returned `Ok`, or lies among the dead letters, or was
//!   discarded; as long as the server keeps what it acknowledged, and some worker lives for longer than a lease.
//! * **Nothing is acknowledged before it is done.**
//! * **One job, one id**, over all its attempts: what a handler needs so as not to do it twice.
//! * **No more attempts than the policy says**, also for a job that kills its worker. The server counts: one that is set back
//!   in a failover counts again, and what is released does not count.
//! * **Twice only if** a lease was lost (the process or its connection stood still for three quarters of it), the server
//!   lost an acknowledgement in a failover or a restart, or a job was enqueued again after an unknown outcome.
//! * Jobs are delivered in the order of their ids; retries come later; in which order they end nobody knows.
//!
//! Not promised: that nothing is lost when a failover or a power cut loses what the server had acknowledged
//! ([`QueueEvent::RolledBack`] tells), or when entries are trimmed or deleted by others.
//!
//! With [`QueueBuilder::at_most_once`] a job is forgotten as it is handed out, and none of this holds.
//!
//! # Metrics
//!
//! With the feature `metrics`, through the facade of that name: the counter `redis_streams_processed{stream}`, the histogram
//! `redis_streams_duration_seconds{stream}`, the gauges `redis_streams_length{stream}` and
//! `redis_streams_pending{stream,group,consumer}`; the counter `bourn_jobs_total{stream,group,outcome}`, whose outcomes are the
//! fields of [`Report`], and the gauge `bourn_dead_letters{stream,group}`. Gauges are what the server says about every ten seconds.

mod abilities;
mod acks;
mod builder;
mod claimed;
mod clerk;
mod codec;
mod consumer;
mod core;
mod dead_letter;
mod delivery;
mod desk;
mod error;
mod event;
mod headers;
mod hold;
mod janitor;
mod keeper;
mod lease;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(test)]
mod model;
mod moving;
mod park;
mod plan;
mod producer;
#[cfg(feature = "tracing")]
mod propagate;
mod reading;
mod redrive;
mod retry;
mod settings;
mod stats;
mod tally;
mod worker;

pub use builder::QueueBuilder;
pub use codec::{Codec, CodecError, FieldList, Flat, Payload, RawBytes};
#[cfg(feature = "serde")]
pub use codec::{Json, Record};
pub use consumer::{Consumer, ConsumerBuilder};
pub use delivery::{Acked, Acker, Delivery, Nack};
pub use error::{QueueError, SettingsError};
pub use event::{QueueEvent, QueueEvents};
pub use headers::Headers;
pub use hold::Lease;
pub use producer::{Enqueue, Producer};
#[cfg(feature = "tracing")]
pub use propagate::Propagate;
pub use redrive::{DeadLetter, DeadLetters, Redrive};
pub use retry::{BoxError, Jitter, RetryPolicy, Verdict};
pub use settings::Retention;
pub use stats::{ConsumerStats, Health, QueueStats};
pub use tally::Report;
pub use worker::{
    Fail, Handler, IntoFail, Job, JobInfo, Middleware, Priority, RateLimit, Worker, WorkerBuilder,
};

use self::core::Core;
use crate::client::Client;
use crate::entry::Entry;
use bytes::Bytes;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// A queue: a stream, a group, and how its jobs are dealt with. Clones are cheap.
pub struct Queue<T> {
    core: Arc<Core>,
    codec: Arc<dyn Codec<T>>,
}

impl Queue<Bytes> {
    /// A queue on this stream, opened by [`QueueBuilder::open`], which says what its jobs are.
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

    /// The fields of a job: payload, headers, and the trace context.
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
        if let Some(propagate::Propagator(propagator)) = &self.core.settings.propagator {
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

    /// The key of the stream.
    #[must_use]
    pub fn stream(&self) -> &[u8] {
        &self.core.settings.stream
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> &[u8] {
        &self.core.settings.group
    }

    /// The key of the dead letters; `None` if jobs that failed too often are given up.
    #[must_use]
    pub fn dead_letter_key(&self) -> Option<&[u8]> {
        self.core.settings.dead_letter.as_deref()
    }

    /// The client that it speaks through.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.core.client
    }

    /// Adds jobs.
    #[must_use]
    pub fn producer(&self) -> Producer<T> {
        Producer::new(self.clone())
    }

    /// Takes jobs, to be decided one by one.
    pub fn consumer(&self) -> ConsumerBuilder<T>
    where
        T: Send,
    {
        ConsumerBuilder::new(self.clone())
    }

    /// Runs jobs through a handler.
    pub fn worker(&self) -> WorkerBuilder<T>
    where
        T: Send,
    {
        WorkerBuilder::new(vec![self.clone()], Priority::Strict)
    }

    /// The jobs that failed too often.
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetters<T> {
        DeadLetters::new(self.clone())
    }

    /// How the queue stands, as the server sees it: a few commands, most of them of one moment.
    ///
    /// # Cancel safety
    ///
    /// It reads.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`]; with [`Code::NoGroup`](crate::Code::NoGroup) or [`Code::Err`](crate::Code::Err) if the stream or
    /// the group is not there.
    pub async fn stats(&self) -> Result<QueueStats, QueueError> {
        stats::stats(&self.core).await
    }

    /// Whether anything is amiss: nobody reads, jobs wait for too long or were left alone, there are dead letters, the group is
    /// not there.
    ///
    /// # Cancel safety
    ///
    /// It reads.
    ///
    /// # Errors
    ///
    /// [`QueueError::Redis`] if a command fails. Without a connection it is degraded, at once.
    pub async fn health(&self) -> Result<Health, QueueError> {
        stats::health(&self.core).await
    }

    /// What happens at the queue from now on, as seen by this handle and its clones, and by what was made from them.
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

/// One of two.
enum Either<A, B> {
    Left(A),
    Right(B),
}

/// Waits for either of two; the other one is dropped.
async fn first<A: Future, B: Future>(a: A, b: B) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx| {
        if a.as_mut().poll(cx).is_ready() { Poll::Ready(()) } else { b.as_mut().poll(cx).map(drop) }
    })
    .await;
}
