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
//! A job is a stream entry. The group's pending entries list (PEL) is the lease table: it records
//! each job's owner, idle time and delivery count. Jobs that wait for a delay of 2 s or longer are
//! in other streams, the *wheel*; the dead letters are in another one. There is no other state: no
//! key of another type, no script. So the state on the server is always enough to continue after a
//! crash.
//!
//! | event | commands |
//! |---|---|
//! | a job is enqueued | XADD, with IDMP where the server has it |
//! | a worker fetches jobs | XREADGROUP, at most as many as it has free worker slots |
//! | a job takes long | a heartbeat, XCLAIM JUSTID, every third of a lease |
//! | a job is done | XACKDEL, or XDEL and XACK: many jobs at once |
//! | a job fails, and is retried in less than 2 s | its worker keeps it, and delivers it again: XCLAIM |
//! | it is retried later | XADD to the wheel; MULTI: XADD of a timer, XCLAIM; then MULTI: XACK, XDEL |
//! | a delayed job is due | one of the workers: XADD to the stream, then XDEL from the wheel |
//! | the last attempt fails | MULTI: XADD to the dead-letter stream, XCLAIM; then MULTI: XACK, XDEL |
//! | a worker dies | its jobs are claimed when they have been idle for a whole lease |
//!
//! # Promises
//!
//! * **At least once.** Every job for which `enqueue` returned `Ok` is completed, moved to the
//!   dead-letter stream, or discarded. This holds as long as the server keeps what it acknowledged,
//!   and some worker lives for longer than a lease.
//! * **No job is acknowledged before it is done.**
//! * **A job has one `original_id`** for all its attempts. Handlers can use it to be idempotent.
//! * **No more attempts than the policy allows**, and one more for a job that crashes its workers:
//!   it runs alone then, so that only the job that crashes them is dead-lettered. The server counts
//!   the attempts. If a failover resets the count, attempts are counted again. A released delivery
//!   does not count.
//! * **A job can run twice only if** its lease expired (the process or connection stalled for three
//!   quarters of it), the server lost an acknowledgement in a failover or a restart, or the job was
//!   enqueued again after an unknown outcome. A delayed job also if the worker that moves it back
//!   dies or loses its connection at that moment (before Redis 8.6).
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
//! The values of `outcome` are the fields of [`Report`]. The `consumer` is `bourn` for all consumers
//! of this crate together, whose names change with each start, and the name of any other. Gauges are
//! read from the server about every ten seconds.

mod admin;
mod builder;
mod cause;
mod codec;
mod consumer;
mod error;
mod event;
mod first;
mod first_use;
mod lanes;
mod maintenance;
mod operation;
mod other_groups;
mod partitioned;
mod policy;
mod producer;
mod settings;
mod shared;
mod worker;

pub use admin::dead_letters::DeadLetters;
pub use admin::health::Health;
pub use admin::letter::DeadLetter;
pub use admin::recurring::{Recurring, RecurringJob};
pub use admin::redrive::Redrive;
pub use admin::stats::{ConsumerStats, QueueStats};
pub use builder::QueueBuilder;
pub use cause::DeadLetterCause;
pub use codec::headers::Headers;
#[cfg(feature = "tracing")]
pub use codec::propagate::Propagate;
pub use codec::{Codec, CodecError, FieldList, Flat, Payload, RawBytes};
#[cfg(feature = "serde")]
pub use codec::{Json, Record};
pub use consumer::delivery::{Acker, Delivery, Nack};
pub use consumer::lease::Lease;
pub use consumer::report::Report;
pub use consumer::{Consumer, ConsumerBuilder};
pub use error::{QueueError, SettingsError};
pub use event::{QueueEvent, QueueEvents};
pub use operation::ack::Acked;
pub use partitioned::{
    Partitioned, PartitionedBuilder, PartitionedProducer, PartitionedStats, PartitionedWorker,
};
pub use policy::recurrence::{Missed, Recurrence};
pub use policy::retry_policy::{BoxError, Jitter, RetryPolicy, Verdict};
pub use producer::{Enqueue, Producer};
pub use settings::{Retention, Undecodable};
pub use shared::Queue;
#[cfg(feature = "testing")]
pub use worker::TestJob;
pub use worker::{
    Fail, Handler, IntoFail, Job, JobInfo, Middleware, Priority, RateLimit, Worker, WorkerBuilder,
};
