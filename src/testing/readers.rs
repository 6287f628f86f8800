//! The connections that wait for keys, in the order in which they blocked. No I/O.

use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// The connections that wait for keys.
#[derive(Debug, Default)]
pub(super) struct Readers(BTreeMap<(u32, Bytes), VecDeque<u64>>);

impl Readers {
    /// Adds a connection that waits for these keys.
    pub(super) fn add(&mut self, reader: u64, db: u32, keys: &[Bytes]) {
        for key in keys {
            let list = self.0.entry((db, key.clone())).or_default();
            // A key may be named twice.
            if !list.contains(&reader) {
                list.push_back(reader);
            }
        }
    }

    /// Removes a connection.
    pub(super) fn remove(&mut self, reader: u64, db: u32, keys: &[Bytes]) {
        for key in keys {
            let place = (db, key.clone());
            if let Some(list) = self.0.get_mut(&place) {
                list.retain(|other| *other != reader);
                if list.is_empty() {
                    self.0.remove(&place);
                }
            }
        }
    }

    /// Returns the connections that wait for a key.
    pub(super) fn of(&self, db: u32, key: &Bytes) -> Vec<u64> {
        self.0
            .get(&(db, key.clone()))
            .map(|list| list.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Moves a connection to the end of a key's list.
    pub(super) fn requeue(&mut self, reader: u64, db: u32, key: &Bytes) {
        if let Some(list) = self.0.get_mut(&(db, key.clone())) {
            if let Some(place) = list.iter().position(|other| *other == reader) {
                list.remove(place);
                list.push_back(reader);
            }
        }
    }

    /// Whether no connection waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
