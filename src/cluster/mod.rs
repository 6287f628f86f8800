//! Several servers with one keyspace: Redis Cluster and Valkey Cluster.
//!
//! | module | purpose |
//! |---|---|
//! | `topology` | the nodes and slots of a reply to CLUSTER SLOTS |
//! | `table` | the node of each slot |
//! | `redirect` | the meaning of a refusal: MOVED, ASK and others |
//! | `refresh` | when the map is read |
//! | `replicas` | the replica that a read is sent to |
//! | `ask`, `task` | who is asked for the map; the task that reads it |
//! | `node` | one server: its address and its connection |
//! | `map` | all nodes, the table, and the way of requests |
//! | `handle` | the cluster, as long as it is used |
//! | `link` | one server or a cluster, as clients and readers use it |
//! | `info` | a node, as users see it |
//!
//! A command goes to one node and has one outcome. Its slot is looked up when it is sent: a hash
//! and a load. A node that refuses it names another one, and it is sent there; the table changes
//! with it. No request waits for a new map. A request that waits for a node without a connection looks
//! for another node when the map says that its slot has moved.

mod ask;
mod handle;
mod info;
mod link;
mod map;
mod node;
mod redirect;
mod refresh;
mod replicas;
mod table;
mod task;
mod topology;

pub(crate) use handle::Cluster;
pub use info::Node;
pub(crate) use link::{Kind, Link, Opener};
pub(crate) use map::Way;
