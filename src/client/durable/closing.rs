//! The durable handles of a client, which are closed with it.

use super::waiting::Waiting;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The handles of a client and its clones, which end with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Durables(Arc<Mutex<Vec<Weak<Waiting>>>>);

impl Durables {
    pub(super) fn add(&self, waiting: &Arc<Waiting>, is_closed: bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|waiting| waiting.strong_count() > 0);
        all.push(Arc::downgrade(waiting));
        drop(all);
        if is_closed {
            waiting.begin_close();
        }
    }

    /// Rejects new entries.
    pub(crate) fn begin_close(&self) -> Closing {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
        all.iter().for_each(|waiting| waiting.begin_close());
        Closing(all)
    }
}

/// The handles that are closed.
pub(crate) struct Closing(Vec<Arc<Waiting>>);

impl Closing {
    /// Returns when their connections are closed.
    pub(crate) async fn ended(self) {
        for waiting in self.0 {
            waiting.closed().await;
        }
    }
}
