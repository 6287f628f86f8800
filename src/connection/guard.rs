//! A second task that settles overdue callers if the driver cannot run.
//!
//! The driver may be delayed in the queue of a worker thread that a user's task blocks. So
//! deadlines do not depend on it alone: this task has its own timer. It is woken only when the next
//! deadline moves closer. That is rare: a deadline stays set until it has passed, even if its
//! request is answered before.

use super::outbox::Shared;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// The driver's head start: usually it has settled all overdue callers before this task checks.
const HEAD_START: Duration = Duration::from_millis(20);

/// Settles overdue callers until the connection has ended.
#[derive(Debug)]
pub(super) struct Guard {
    shared: Arc<Shared>,
    set: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl Guard {
    /// Creates the guard; its timer needs a runtime.
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

#[cfg(all(test, not(bourn_loom)))]
mod tests {
    use super::*;
    use crate::command::XLen;
    use crate::config::Config;
    use crate::connection::call::Call;
    use crate::connection::single::Single;

    #[tokio::test(start_paused = true)]
    async fn overdue_callers_are_settled_without_a_driver() {
        let time = Duration::from_secs(1);
        let shared = Arc::new(Shared::new(&Config::tcp("nowhere", 1).command_timeout(time)));
        let guard = tokio::spawn(Guard::new(Arc::clone(&shared)));
        for _ in 0..2 {
            let start = tokio::time::Instant::now();
            let call = Call::new(&shared, None, Single(XLen::new("s")));
            let result = tokio::time::timeout(2 * time, call).await;
            assert!(result.expect("the guard settles it").is_err());
            assert_eq!(start.elapsed(), time + HEAD_START);
        }
        shared.end();
        guard.await.unwrap();
    }
}
