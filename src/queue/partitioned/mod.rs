//! One queue over many streams: its lanes. On one server, in a cluster or over several servers.
//! Part of the tasks.
//!
//! Each lane is a queue of its own: a stream, its group, dead letters and delays, all in one slot of a
//! cluster. So what a queue promises, each lane promises. A job with a key has the lane of the key.

mod admin;
mod builder;
mod handle;
mod producer;
mod spread;
mod worker;

pub use admin::PartitionedStats;
pub use builder::PartitionedBuilder;
pub use handle::Partitioned;
pub use producer::PartitionedProducer;
pub use worker::PartitionedWorker;
