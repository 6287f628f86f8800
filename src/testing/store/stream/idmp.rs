//! The pairs of producer and idempotent id that a stream remembers. No I/O.

use crate::id::EntryId;
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::{BTreeMap, VecDeque};

/// The settings, the remembered pairs and the counters.
#[derive(Debug, Clone)]
pub(in super::super) struct Idmp {
    pub(in super::super) duration_s: i64,
    pub(in super::super) max_size: i64,
    producers: BTreeMap<Bytes, Producer>,
    pub(in super::super) added: i64,
    pub(in super::super) duplicates: i64,
}

#[derive(Debug, Clone, Default)]
struct Producer {
    ids: BTreeMap<Bytes, EntryId>,
    order: VecDeque<Bytes>,
}

impl Default for Idmp {
    fn default() -> Self {
        Self { duration_s: 100, max_size: 100, producers: BTreeMap::new(), added: 0, duplicates: 0 }
    }
}

impl Idmp {
    /// Forgets what is older than the duration.
    pub(in super::super) fn expire(&mut self, now: i64) {
        let duration = self.duration_s.saturating_mul(1000);
        let limit = u64::try_from(now.saturating_sub(duration)).unwrap_or_default();
        self.producers.retain(|_, producer| {
            while let Some(iid) = producer.order.front() {
                if producer.ids.get(iid).is_some_and(|id| id.ms() >= limit) {
                    break;
                }
                producer.ids.remove(iid);
                producer.order.pop_front();
            }
            !producer.order.is_empty()
        });
    }

    /// Returns the entry of a pair.
    pub(in super::super) fn find(&self, producer: &[u8], iid: &[u8]) -> Option<EntryId> {
        self.producers.get(producer)?.ids.get(iid).copied()
    }

    /// Remembers a pair. The oldest one of the producer goes if there are too many.
    pub(in super::super) fn record(&mut self, producer: &Bytes, iid: Bytes, id: EntryId) {
        self.added += 1;
        let max = usize::try_from(self.max_size).unwrap_or(usize::MAX);
        let producer = self.producers.entry(producer.clone()).or_default();
        while producer.order.len() >= max {
            if let Some(oldest) = producer.order.pop_front() {
                producer.ids.remove(&oldest);
            }
        }
        producer.order.push_back(iid.clone());
        producer.ids.insert(iid, id);
    }

    /// Forgets all pairs.
    pub(in super::super) fn clear(&mut self) {
        self.producers.clear();
    }

    /// Returns the number of producers.
    pub(in super::super) fn producers(&self) -> usize {
        self.producers.len()
    }

    /// Returns the number of pairs.
    pub(in super::super) fn pairs(&self) -> usize {
        self.producers.values().map(|producer| producer.order.len()).sum()
    }
}

/// Returns the id that IDMPAUTO makes of an entry: the same for the same pairs in any order.
pub(in super::super) fn automatic_iid(fields: &[Bytes]) -> Bytes {
    let mut pairs: Vec<_> = fields.chunks(2).collect();
    pairs.sort_unstable();
    let mut iid = BytesMut::from(&b"\0auto"[..]);
    for text in pairs.into_iter().flatten() {
        iid.put_u64(text.len() as u64);
        iid.put_slice(text);
    }
    iid.freeze()
}
