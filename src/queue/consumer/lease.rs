//! The lease of a job in flight: whether the job still belongs to this consumer. Part of the tasks.

#[cfg(feature = "testing")]
use crate::id::EntryId;
use crate::queue::consumer::state::State;
use crate::queue::operation::clock;
use crate::queue::policy::leases::Key;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Weak;
use std::task::Poll;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// The lease of a job: whether the job still belongs to this consumer.
///
/// It is valid as long as heartbeats reach the server in time. When they do not, another worker
/// gets the job, and the work should stop. It also ends when another client acknowledges or deletes
/// the entry. A [`Worker`](crate::queue::Worker) cancels its handler
/// then. When using a [`Consumer`](crate::queue::Consumer) directly, `select!` on [`Lease::lost`]
/// alongside your work.
///
/// ```no_run
/// # async fn f(
/// #     delivery: bourn::queue::Delivery<String>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let lease = delivery.lease().clone();
/// tokio::select! {
///     () = tokio::time::sleep(std::time::Duration::from_secs(60)) => {
///         delivery.ack().await?;
///     }
///     // The job runs elsewhere: stop at once.
///     () = lease.lost() => println!("lost"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Lease {
    state: Weak<State>,
    key: Key,
    ticket: u64,
    token: CancellationToken,
}

impl Lease {
    pub(crate) fn new(state: Weak<State>, key: Key, ticket: u64, token: CancellationToken) -> Self {
        Self { state, key, ticket, token }
    }

    /// Returns a lease that is never lost, for a job of a unit test.
    #[cfg(feature = "testing")]
    pub(crate) fn without_end(id: EntryId) -> Self {
        Self::new(Weak::new(), (0, id), 0, CancellationToken::new())
    }

    /// Waits until the lease is lost; indefinitely, if it never is.
    ///
    /// # Cancel safety
    ///
    /// Can be dropped and called again at any time.
    pub async fn lost(&self) {
        let mut cancelled = pin!(self.token.cancelled());
        // After a stall, everything becomes ready at once: the process's own clock detects the loss
        // first.
        poll_fn(|cx| if self.is_lost() { Poll::Ready(()) } else { cancelled.as_mut().poll(cx) })
            .await;
    }

    /// Whether the lease is lost: a heartbeat found the entry with another consumer or no longer
    /// pending, or none was confirmed for three quarters of a lease.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.token.is_cancelled() || self.deadline().is_some_and(|until| until <= clock::now())
    }

    /// Returns when the lease expires if no further heartbeat is confirmed. `None` if the lease is
    /// lost, if the job is settled, and in an at-most-once queue, which has no leases.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.state.upgrade()?.leases().expiry(self.key, self.ticket)
    }
}
