//! A second task that settles overdue callers when the driver cannot.
//!
//! The driver may be kept from running: it waits in the queue of a worker thread that a user's task blocks. Deadlines do not hang
//! on it alone, for this task has a timer of its own. It is woken only when the next deadline comes nearer, which is rare: a
//! deadline stays set until it has passed, whatever is answered before.

use super::outbox::Shared;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// The driver's head start: usually it has settled everything before this task looks.
const HEAD_START: Duration = Duration::from_millis(20);

/// Settles overdue callers until the connection has ended.
#[derive(Debug)]
pub(super) struct Guard {
    shared: Arc<Shared>,
    set: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl Guard {
    /// Needs a runtime, for its timer.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let sleep = Box::pin(tokio::time::sleep_until(tokio::time::Instant::now()));
        Self { shared, set: None, sleep }
    }
}

impl Future for Guard {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            let Some(alarm) = this.shared.guard(cx) else { return Poll::Ready(()) };
            let Some(at) = alarm.and_then(|at| at.checked_add(HEAD_START)) else {
                return Poll::Pending;
            };
            if this.set != Some(at) {
                this.set = Some(at);
                this.sleep.as_mut().reset(tokio::time::Instant::from_std(at));
            }
            if this.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.set = None;
            this.shared.expire(tokio::time::Instant::now().into_std());
        }
    }
}
