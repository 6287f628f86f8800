//! The lease of a job in flight: whether the job still belongs to this consumer. Part of the tasks.

#[cfg(any(feature = "testing", test))]
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
    /// The time until which it is valid without a heartbeat.
    first: Instant,
    token: CancellationToken,
}

impl Lease {
    pub(crate) fn new(
        state: Weak<State>,
        (key, ticket): (Key, u64),
        first: Instant,
        token: CancellationToken,
    ) -> Self {
        Self { state, key, ticket, first, token }
    }

    /// Returns a lease that is never lost, for a job of a unit test.
    #[cfg(feature = "testing")]
    pub(crate) fn without_end(id: EntryId) -> Self {
        Self::new(Weak::new(), ((0, id), 0), clock::now(), CancellationToken::new())
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

    /// Waits until a task of the consumer finds the lease lost. Does not look at the clock.
    pub(crate) fn cancelled(&self) -> impl Future<Output = ()> + '_ {
        self.token.cancelled()
    }

    /// Whether the lease is lost: a heartbeat found the entry with another consumer or no longer
    /// pending, or none was confirmed for three quarters of a lease.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        if self.token.is_cancelled() {
            return true;
        }
        let now = clock::now();
        // Heartbeats only make it longer, so the leases of all jobs need not be locked.
        if now < self.first {
            return false;
        }
        match self.deadline() {
            Some(until) => until <= now,
            // Settled, or lost since the first look: it was cancelled before it was removed.
            None => self.token.is_cancelled(),
        }
    }

    /// Returns when the lease expires if no further heartbeat is confirmed. `None` if the lease is
    /// lost, if the job is settled, and in an at-most-once queue, which has no leases.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.state.upgrade()?.leases().expiry(self.key, self.ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::codec::tests::entry;
    use crate::queue::consumer::in_flight::tests::{claim, state};
    use crate::queue::consumer::in_flight::{InFlight, Settler};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Wake, Waker};
    use std::thread;

    /// A waker that looks at another lease when it is woken, as a job on another thread may.
    struct Looks {
        at: Lease,
        saw: Mutex<Option<bool>>,
    }

    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            *self.saw.lock().expect("no panic") = Some(self.at.is_lost());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn expired_lease_is_lost_also_while_others_are_cancelled() {
        let state = state(false);
        let (settler, _jobs) = Settler::channel(9);
        let (first, second) = (claim(&state, &settler, 1), claim(&state, &settler, 2));
        let looks = Arc::new(Looks { at: second.lease.clone(), saw: Mutex::new(None) });
        let mut lost = pin!(first.lease.lost());
        let waker = Waker::from(Arc::clone(&looks));
        assert!(lost.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(!second.lease.is_lost());
        tokio::time::advance(state.lease()).await;
        assert!(second.lease.is_lost(), "by the clock");
        state.expire(clock::now());
        assert_eq!(*looks.saw.lock().expect("no panic"), Some(true));
        assert_eq!(state.outcomes.report().lease_lost, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn renewed_lease_is_valid_after_its_first_end_and_lost_after_the_next() {
        let state = state(false);
        let (settler, _jobs) = Settler::channel(9);
        let job = claim(&state, &settler, 1);
        let first = job.lease.deadline().expect("it is held");
        tokio::time::advance(state.lease() / 2).await;
        state.leases().renewed(clock::now(), clock::now(), &[job.key]);
        tokio::time::advance(state.lease() / 2).await;
        assert!(clock::now() > first && !job.lease.is_lost());
        tokio::time::advance(state.lease() / 2).await;
        assert!(job.lease.is_lost());
        job.abandon();
    }

    #[tokio::test]
    async fn expired_lease_never_looks_valid_to_another_thread() {
        let state = state(false);
        let (settler, _jobs) = Settler::channel(99);
        let since = clock::now().checked_sub(state.lease()).expect("the machine runs for longer");
        for _ in 0..50 {
            let claim = |ms| {
                let (key, entry) = ((0, EntryId::new(ms, 0)), (entry([("a", "1")]), state.hold(2)));
                InFlight::claim(&state, &settler, key, (since, since), 1, entry)
            };
            let jobs: Vec<_> = (0..64).map_while(claim).collect();
            assert_eq!(jobs.len(), 64);
            let is_over = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    state.expire(clock::now());
                    is_over.store(true, Ordering::Release);
                });
                while !is_over.load(Ordering::Acquire) {
                    assert!(jobs.iter().all(|job| job.lease.is_lost()));
                }
            });
            jobs.into_iter().for_each(InFlight::abandon);
        }
    }
}
