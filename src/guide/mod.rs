//! The guide: how to use the client and the queue, page by page.
//!
//! Start with [`getting_started`]. If you have never used Redis Streams, read [`streams`] next. For
//! background jobs, read [`queue_guide`]. The pages are documentation only; the modules have no
//! items.
//!
//! | page | content |
//! |---|---|
//! | [`getting_started`] | install, first entry, first job |
//! | [`streams`] | entries, ids, groups and pending entries in five minutes |
//! | [`queue_guide`] | job lifecycle, retries, several groups, priorities |
//! | [`recurring`] | jobs at an interval or by a cron text |
//! | [`dead_letters`] | jobs that failed for good: list, redrive, purge |
//! | [`reliability`] | outcomes, retries, idempotence, durability |
//! | [`performance`] | how to measure, what to set |
//! | [`operations`] | monitoring, memory, permissions, sizing, Kubernetes |
//! | [`troubleshooting`] | symptoms, their causes, and the command that shows them |
//! | [`testing`] | handlers and workers on an in-memory server, faults, real servers |
//! | [`sharing`] | Python, Node and other clients on the same stream and in the same group |
//! | [`from_other_clients`] | coming from redis-rs, fred, redis-py, ioredis |
//! | [`from_other_queues`] | coming from BullMQ, Sidekiq, Celery, asynq |
//! | [`cluster`] | Redis Cluster and Valkey Cluster |
//! | [`sentinel`] | a master that sentinels watch |
//! | [`servers`] | server versions and hosted services |
//! | [`resp_alone`] | the protocol layer without the client |

#[doc = include_str!("cluster.md")]
pub mod cluster {}
#[doc = include_str!("dead_letters.md")]
pub mod dead_letters {}
#[doc = include_str!("from_other_clients.md")]
pub mod from_other_clients {}
#[doc = include_str!("from_other_queues.md")]
pub mod from_other_queues {}
#[doc = include_str!("getting_started.md")]
pub mod getting_started {}
#[doc = include_str!("operations.md")]
pub mod operations {}
#[doc = include_str!("performance.md")]
pub mod performance {}
#[doc = include_str!("queue_guide.md")]
pub mod queue_guide {}
#[doc = include_str!("recurring.md")]
pub mod recurring {}
#[doc = include_str!("reliability.md")]
pub mod reliability {}
#[doc = include_str!("resp_alone.md")]
pub mod resp_alone {}
#[doc = include_str!("sentinel.md")]
pub mod sentinel {}
#[doc = include_str!("servers.md")]
pub mod servers {}
#[doc = include_str!("sharing.md")]
pub mod sharing {}
#[doc = include_str!("streams.md")]
pub mod streams {}
#[doc = include_str!("testing.md")]
pub mod testing {}
#[doc = include_str!("troubleshooting.md")]
pub mod troubleshooting {}
