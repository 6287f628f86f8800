//! A pause of the fetching: a job is to run alone. Part of the tasks.

use crate::queue::consumer::state::State;
use crate::queue::first::first;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A pause: its consumer fetches nothing until it is lifted.
#[derive(Debug)]
pub(crate) struct Pause {
    state: Arc<State>,
    is_lifted: AtomicBool,
}

impl Pause {
    pub(crate) fn new(state: &Arc<State>) -> Arc<Self> {
        state.pauses.fetch_add(1, Ordering::AcqRel);
        Arc::new(Self { state: Arc::clone(state), is_lifted: AtomicBool::new(false) })
    }

    pub(crate) fn lift(&self) {
        if !self.is_lifted.swap(true, Ordering::AcqRel) {
            self.state.pauses.fetch_sub(1, Ordering::AcqRel);
            self.state.room.notify_waiters();
        }
    }

    /// Waits until it is lifted, or lifts it after this time.
    pub(crate) async fn over(&self, limit: impl Future<Output = ()>) {
        let lifted = async {
            while !self.is_lifted() {
                let changed = self.state.changed();
                if !self.is_lifted() {
                    changed.await;
                }
            }
        };
        first(lifted, limit).await;
        self.lift();
    }

    fn is_lifted(&self) -> bool {
        self.is_lifted.load(Ordering::Acquire)
    }
}
