//! The entries of a stream, in nodes: approximate trimming removes whole nodes only. No I/O.

use super::{listpack, radix};
use crate::id::EntryId;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The field names and values of an entry, in turn.
pub(crate) type Fields = Arc<[Bytes]>;

/// The size at which a node is full.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeLimits {
    pub(crate) entries: u64,
    pub(crate) bytes: usize,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self { entries: 100, bytes: 4096 }
    }
}

/// A node. Its key in the tree is the id of the entry that was added to it first.
#[derive(Debug, Clone)]
struct Node {
    entries: Vec<(EntryId, Fields)>,
    /// The number of entries that were added to it.
    added: u64,
    /// The id of the entry that was added to it last.
    last_added: EntryId,
    /// The bytes that the entries take, deleted ones too.
    bytes: usize,
    /// The fields of its first entry. An entry with the same names takes less memory.
    names: Vec<Bytes>,
}

/// All entries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nodes {
    nodes: BTreeMap<EntryId, Node>,
    len: u64,
}

impl Nodes {
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// Returns the number of nodes.
    pub(crate) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the number of nodes of the tree that finds the nodes by their keys.
    pub(crate) fn tree_nodes(&self, has_leaves: bool) -> usize {
        radix::nodes(self.nodes.keys().copied(), has_leaves)
    }

    pub(crate) fn first(&self) -> Option<(EntryId, &Fields)> {
        self.range(EntryId::MIN, EntryId::MAX).next()
    }

    pub(crate) fn last(&self) -> Option<(EntryId, &Fields)> {
        self.range(EntryId::MIN, EntryId::MAX).next_back()
    }

    /// Returns the entries between two ids, both included.
    pub(crate) fn range(
        &self,
        start: EntryId,
        end: EntryId,
    ) -> impl DoubleEndedIterator<Item = (EntryId, &Fields)> {
        let first = self.nodes.range(..=start).next_back().map_or(start, |(key, _)| *key);
        let nodes = (start <= end).then(|| self.nodes.range(first..=end));
        nodes.into_iter().flatten().flat_map(move |(_, node)| {
            let from = node.entries.partition_point(|(id, _)| *id < start);
            let to = node.entries.partition_point(|(id, _)| *id <= end);
            let entries = node.entries.get(from..to).unwrap_or_default();
            entries.iter().map(|(id, fields)| (*id, fields))
        })
    }

    pub(crate) fn get(&self, id: EntryId) -> Option<&Fields> {
        let (_, node) = self.nodes.range(..=id).next_back()?;
        let index = node.index(id)?;
        node.entries.get(index).map(|(_, fields)| fields)
    }

    /// Adds an entry, which must be above all others.
    pub(crate) fn append(&mut self, id: EntryId, fields: Fields, limits: NodeLimits) {
        self.len += 1;
        let new: usize = fields.iter().map(Bytes::len).sum();
        let fits = |node: &Node| {
            let room = limits.bytes == 0 || node.bytes + new < limits.bytes;
            room && (limits.entries == 0 || node.added < limits.entries)
        };
        let mut last = self.nodes.last_entry();
        match last.as_mut() {
            Some(node) if fits(node.get()) => {
                let key = *node.key();
                node.get_mut().append(key, id, fields);
            }
            _ => {
                self.nodes.insert(id, Node::new(id, fields));
            }
        }
    }

    /// Deletes an entry. A node without entries is removed.
    pub(crate) fn remove(&mut self, id: EntryId) -> bool {
        let Some((key, node)) = self.nodes.range_mut(..=id).next_back() else { return false };
        let Some(index) = node.index(id) else { return false };
        node.entries.remove(index);
        self.len -= 1;
        if node.entries.is_empty() {
            let key = *key;
            self.nodes.remove(&key);
        }
        true
    }

    /// Deletes an entry of the node with this key, which stays.
    pub(crate) fn remove_in_node(&mut self, key: EntryId, id: EntryId) {
        let Some(node) = self.nodes.get_mut(&key) else { return };
        if let Some(index) = node.index(id) {
            node.entries.remove(index);
            self.len -= 1;
        }
    }

    /// Returns the key of the first node at or after this key, its number of entries, and the id of
    /// the last entry that was added to it.
    pub(crate) fn node_from(&self, key: EntryId) -> Option<(EntryId, u64, EntryId)> {
        let (key, node) = self.nodes.range(key..).next()?;
        Some((*key, node.entries.len() as u64, node.last_added))
    }

    /// Returns the ids of the entries of the node with this key.
    pub(crate) fn node_ids(&self, key: EntryId) -> Vec<EntryId> {
        let node = self.nodes.get(&key);
        node.into_iter().flat_map(|node| node.entries.iter().map(|(id, _)| *id)).collect()
    }

    /// Removes the node with this key.
    pub(crate) fn remove_node(&mut self, key: EntryId) {
        if let Some(node) = self.nodes.remove(&key) {
            self.len -= node.entries.len() as u64;
        }
    }

    /// Deletes the first `count` entries of the node with this key, which stays.
    pub(crate) fn remove_first_of_node(&mut self, key: EntryId, count: usize) {
        if let Some(node) = self.nodes.get_mut(&key) {
            self.len -= node.entries.drain(..count.min(node.entries.len())).len() as u64;
        }
    }
}

impl Node {
    fn new(id: EntryId, fields: Fields) -> Self {
        let names: Vec<_> = fields.iter().step_by(2).cloned().collect();
        let number = i64::try_from(names.len()).unwrap_or(i64::MAX);
        let head = listpack::EMPTY + 3 * listpack::SMALL + listpack::integer(number);
        let bytes = head + names.iter().map(|name| listpack::text(name)).sum::<usize>();
        let mut node = Self { entries: Vec::new(), added: 0, last_added: id, bytes, names };
        node.append(id, id, fields);
        node
    }

    fn append(&mut self, key: EntryId, id: EntryId, fields: Fields) {
        let as_integer = |number: u64| listpack::integer(i64::from_ne_bytes(number.to_ne_bytes()));
        let same = self.names.iter().eq(fields.iter().step_by(2));
        let written: usize = if same {
            fields.iter().skip(1).step_by(2).map(|value| listpack::text(value)).sum()
        } else {
            fields.iter().map(|text| listpack::text(text)).sum()
        };
        let pairs = fields.len() / 2;
        let elements = if same { pairs + 3 } else { 2 * pairs + 4 };
        let number = if same { 0 } else { as_integer(pairs as u64) };
        self.bytes += listpack::SMALL
            + as_integer(id.ms().wrapping_sub(key.ms()))
            + as_integer(id.seq().wrapping_sub(key.seq()))
            + number
            + written
            + as_integer(elements as u64);
        self.added += 1;
        self.last_added = id;
        self.entries.push((id, fields));
    }

    fn index(&self, id: EntryId) -> Option<usize> {
        self.entries.binary_search_by_key(&id, |(id, _)| *id).ok()
    }
}
