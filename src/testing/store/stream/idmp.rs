//! The pairs of producer and idempotent id that a stream remembers. No I/O.
//!
//! A pair that is too old is still found. It is forgotten by a task of the server that runs once a
//! second, here at full seconds.

use crate::id::EntryId;
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::{BTreeMap, VecDeque};

/// The settings, the remembered pairs and the counters.
#[derive(Debug, Clone)]
pub(crate) struct Idmp {
    pub(crate) duration_s: i64,
    pub(crate) max_size: i64,
    producers: BTreeMap<Bytes, Producer>,
    pub(crate) added: i64,
    pub(crate) duplicates: i64,
    /// The last second at which old pairs were forgotten.
    ticked: i64,
}

#[derive(Debug, Clone, Default)]
struct Producer {
    ids: BTreeMap<Bytes, EntryId>,
    order: VecDeque<Bytes>,
}

impl Default for Idmp {
    fn default() -> Self {
        Self {
            duration_s: 100,
            max_size: 100,
            producers: BTreeMap::new(),
            added: 0,
            duplicates: 0,
            ticked: 0,
        }
    }
}

impl Idmp {
    /// Forgets what is older than the duration, if a second has begun since the last call.
    pub(crate) fn tick(&mut self, now: i64) {
        let second = now / 1000 * 1000;
        if second <= self.ticked {
            return;
        }
        self.ticked = second;
        let oldest = second.saturating_sub(self.duration_s.saturating_mul(1000));
        let oldest = u64::try_from(oldest).unwrap_or_default();
        self.producers.retain(|_, producer| {
            while let Some(iid) = producer.order.front() {
                if producer.ids.get(iid).is_some_and(|id| id.ms() >= oldest) {
                    break;
                }
                producer.ids.remove(iid);
                producer.order.pop_front();
            }
            !producer.order.is_empty()
        });
    }

    /// Adds a producer without pairs: the server does so when it looks for one.
    pub(crate) fn see(&mut self, producer: &Bytes) {
        self.producers.entry(producer.clone()).or_default();
    }

    /// Returns the entry of a pair.
    pub(crate) fn find(&self, producer: &[u8], iid: &[u8]) -> Option<EntryId> {
        self.producers.get(producer)?.ids.get(iid).copied()
    }

    /// Remembers a pair. The oldest one of the producer goes if there are too many.
    pub(crate) fn record(&mut self, producer: &Bytes, iid: Bytes, id: EntryId) {
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
    pub(crate) fn clear(&mut self) {
        self.producers.clear();
    }

    /// Returns the number of producers.
    pub(crate) fn producers(&self) -> usize {
        self.producers.len()
    }

    /// Returns the number of pairs.
    pub(crate) fn pairs(&self) -> usize {
        self.producers.values().map(|producer| producer.order.len()).sum()
    }
}

/// Returns the id that IDMPAUTO makes of an entry: the same for the same pairs in any order.
pub(crate) fn automatic_iid(fields: &[Bytes]) -> Bytes {
    let mut pairs: Vec<_> = fields.chunks(2).collect();
    pairs.sort_unstable();
    let mut iid = BytesMut::from(&b"\0auto"[..]);
    for text in pairs.into_iter().flatten() {
        iid.put_u64(text.len() as u64);
        iid.put_slice(text);
    }
    iid.freeze()
}
