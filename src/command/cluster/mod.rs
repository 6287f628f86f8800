//! CLUSTER: returns the nodes of a cluster and their slots. No I/O.
//!
//! | form | type | returns |
//! |---|---|---|
//! | CLUSTER SLOTS | [`ClusterSlots`] | ranges of slots, each with its nodes |
//! | CLUSTER SHARDS | [`ClusterShards`] | shards, each with its ranges of slots and its nodes |
//!
//! The cluster's `cluster-preferred-endpoint-type` determines the endpoint of a node:
//!
//! | on the wire | means | here |
//! |---|---|---|
//! | text | the name or address of a host | the same |
//! | null or empty | the host that the command was sent to, whose name the node does not know | `None` |
//! | `?` | names are preferred, but this node has none | its address |

mod shards;
mod slots;

pub use shards::{ClusterShards, NodeHealth, NodeRole, Shard, ShardNode};
pub use slots::{ClusterNode, ClusterSlots, SlotRange};

use super::reply::{below, port};
use super::slot::SLOTS;
use crate::resp::{Cursor, DecodeError};
use bytes::Bytes;
use std::ops::RangeInclusive;

/// Decodes the first and the last slot of a range.
fn slots(cursor: &mut Cursor<'_>) -> Result<RangeInclusive<u16>, DecodeError> {
    let mut slot = || below(SLOTS.into(), cursor, "a slot");
    Ok(slot()?..=slot()?)
}

/// Returns the host of a node, from its endpoint (a part of `bytes`) and its address.
fn host(bytes: &Bytes, endpoint: Option<&[u8]>, address: Option<&Bytes>) -> Option<Bytes> {
    match endpoint {
        None | Some(b"") => None,
        Some(b"?") => address.filter(|address| !address.is_empty()).cloned(),
        Some(host) => Some(bytes.slice_ref(host)),
    }
}
