//! CLUSTER: which node of a cluster serves which slots. Pure.
//!
//! | form | type | answers with |
//! |---|---|---|
//! | CLUSTER SLOTS | [`ClusterSlots`] | ranges of slots, each with its nodes |
//! | CLUSTER SHARDS | [`ClusterShards`] | shards, each with its ranges of slots and its nodes |
//!
//! How a node is reached is what the cluster's `cluster-preferred-endpoint-type` says:
//!
//! | on the wire | means | here |
//! |---|---|---|
//! | text | a host's name or address | that |
//! | null or empty | the host that the question went to, which the node does not know the name of | `None` |
//! | `?` | names are wanted, and this node was given none: its address will do | its address |

mod shards;
mod slots;

pub use shards::{ClusterShards, NodeHealth, NodeRole, Shard, ShardNode};
pub use slots::{ClusterNode, ClusterSlots, SlotRange};

use super::reply::{below, port};
use crate::resp::{Cursor, DecodeError};
use bytes::Bytes;
use std::ops::RangeInclusive;

/// How many slots there are: a key's is CRC16 of it modulo this.
const SLOTS: u16 = 16_384;

/// The first and the last slot of a range.
fn slots(cursor: &mut Cursor<'_>) -> Result<RangeInclusive<u16>, DecodeError> {
    let mut slot = || below(SLOTS.into(), cursor, "a slot");
    Ok(slot()?..=slot()?)
}

/// Where to reach a node: what its endpoint says, which is text of `bytes`, and its address.
fn host(bytes: &Bytes, endpoint: Option<&[u8]>, address: Option<&Bytes>) -> Option<Bytes> {
    match endpoint {
        None | Some(b"") => None,
        Some(b"?") => address.filter(|address| !address.is_empty()).cloned(),
        Some(host) => Some(bytes.slice_ref(host)),
    }
}
