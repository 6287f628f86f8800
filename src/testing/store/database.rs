//! The keys of a database, their values, and when they expire. No I/O.

use super::stream::Stream;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// The value of a key.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Stream(Box<Stream>),
    Text(Bytes),
}

/// A database.
#[derive(Debug, Clone, Default)]
pub(super) struct Database {
    keys: BTreeMap<Bytes, Entry>,
    expiring: BTreeSet<(u64, Bytes)>,
}

#[derive(Debug, Clone)]
struct Entry {
    value: Value,
    expires: Option<u64>,
}

impl Database {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Value> {
        self.keys.get(key).map(|entry| &entry.value)
    }

    pub(super) fn get_mut(&mut self, key: &[u8]) -> Option<&mut Value> {
        self.keys.get_mut(key).map(|entry| &mut entry.value)
    }

    /// Returns when a key expires: `None` if there is no such key, `Some(None)` if never.
    pub(super) fn expiry(&self, key: &[u8]) -> Option<Option<u64>> {
        self.keys.get(key).map(|entry| entry.expires)
    }

    /// Sets a key that does not expire. Whether it existed.
    pub(super) fn set(&mut self, key: Bytes, value: Value) -> bool {
        let existed = self.remove(&key);
        self.keys.insert(key, Entry { value, expires: None });
        existed
    }

    /// Removes a key. Whether it existed.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        self.set_expiry(key, None);
        self.keys.remove(key).is_some()
    }

    /// Sets or removes the time at which a key expires.
    pub(super) fn set_expiry(&mut self, key: &[u8], expires: Option<u64>) {
        let Some(entry) = self.keys.get_mut(key) else { return };
        let key = Bytes::copy_from_slice(key);
        if let Some(before) = entry.expires.take() {
            self.expiring.remove(&(before, key.clone()));
        }
        entry.expires = expires;
        if let Some(expires) = expires {
            self.expiring.insert((expires, key));
        }
    }

    /// Removes all keys, and returns them.
    pub(super) fn clear(&mut self) -> Vec<Bytes> {
        self.expiring.clear();
        std::mem::take(&mut self.keys).into_keys().collect()
    }

    pub(super) fn next_expiry(&self) -> Option<u64> {
        self.expiring.first().map(|(time, _)| *time)
    }

    /// Removes the keys that have expired, and returns them.
    pub(super) fn expire(&mut self, now: u64) -> Vec<Bytes> {
        let mut expired = Vec::new();
        while let Some((time, key)) = self.expiring.first().cloned() {
            if time > now {
                break;
            }
            self.remove(&key);
            expired.push(key);
        }
        expired
    }
}
