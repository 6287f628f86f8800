//! Crowd: what a consumer knows about the others of its group. No I/O.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The consumers of a group, as one of them knows them.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    /// Their number, which all consumers of the process share; 0 if it is not known.
    consumers: Arc<AtomicU32>,
    /// Whether another consumer does the maintenance of the group.
    maintained: AtomicBool,
}

impl Crowd {
    /// Returns what another consumer of the process knows at its start.
    pub(crate) fn for_another(&self) -> Self {
        Self { consumers: Arc::clone(&self.consumers), maintained: AtomicBool::new(false) }
    }

    /// Returns the number of consumers of the group, as last seen; 0 if it is not known.
    pub(crate) fn consumers(&self) -> u32 {
        self.consumers.load(Ordering::Relaxed)
    }

    /// Records the number of consumers of the group, unless it is not known.
    pub(crate) fn set_consumers(&self, consumers: u32) {
        if consumers > 0 {
            self.consumers.store(consumers, Ordering::Relaxed);
        }
    }

    /// Whether another consumer does the maintenance of the group.
    pub(crate) fn is_maintained(&self) -> bool {
        self.maintained.load(Ordering::Relaxed)
    }

    /// Records whether another consumer does the maintenance of the group.
    pub(crate) fn set_maintained(&self, maintained: bool) {
        self.maintained.store(maintained, Ordering::Relaxed);
    }
}
