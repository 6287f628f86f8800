//! The number of nodes in the tree of XINFO's `radix-tree-nodes`. No I/O.
//!
//! The tree finds nodes by the 16 bytes of their ids. A node is a place where ids part, a run of
//! bytes that some ids have in common, or the end of an id. Redis 8.10 has no nodes for ends.

use crate::id::EntryId;

/// Counts the nodes of the tree for these ids, which are in order.
pub(super) fn nodes(ids: impl Iterator<Item = EntryId>, has_leaves: bool) -> usize {
    let keys: Vec<_> =
        ids.map(|id| (u128::from(id.ms()) << 64 | u128::from(id.seq())).to_be_bytes()).collect();
    if keys.is_empty() {
        return 1;
    }
    below(&keys, 0, usize::from(has_leaves))
}

/// Counts the nodes below a place that all these keys share the first `depth` bytes of.
fn below(keys: &[[u8; 16]], depth: usize, leaf: usize) -> usize {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return 0 };
    let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    let run = usize::from(common > depth);
    if common == first.len() {
        return run + leaf;
    }
    let groups = keys.chunk_by(|a, b| a.get(common) == b.get(common));
    run + 1 + groups.map(|group| below(group, common + 1, leaf)).sum::<usize>()
}
