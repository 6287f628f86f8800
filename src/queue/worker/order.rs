//! Order: handlers are called in the order of the deliveries. Part of the tasks.
//!
//! The runtime may run the tasks of several jobs in any order, so each waits for the one before it.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// The order, for the loop that starts the jobs.
#[derive(Debug, Default)]
pub(crate) struct Order {
    last: Option<Arc<Place>>,
}

impl Order {
    /// Returns the turn of the next job.
    pub(crate) fn next(&mut self) -> Turn {
        let own = Arc::new(Place::default());
        Turn { before: self.last.replace(Arc::clone(&own)), own }
    }
}

/// A job's turn. When it is dropped, the next job has its turn.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The place of the job before it, if there is one.
    before: Option<Arc<Place>>,
    own: Arc<Place>,
}

impl Turn {
    /// Waits until the job before it has had its turn.
    pub(crate) async fn wait(&mut self) {
        if let Some(before) = self.before.take() {
            poll_fn(|cx| before.poll_over(cx.waker())).await;
        }
    }

    /// Ends the turn.
    ///
    /// If the next job is waiting, this also moves the caller to the end of its thread's queue. A
    /// task that is woken runs after the current one on the same thread, and no other thread takes
    /// it: the next job would wait for as long as this one's handler blocks the thread.
    pub(crate) async fn end(self) {
        let mut must_yield = self.own.end();
        poll_fn(|cx| {
            if !must_yield {
                return Poll::Ready(());
            }
            must_yield = false;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.own.end();
    }
}

/// A job's place in the order.
#[derive(Debug, Default)]
struct Place(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_over: bool,
    /// The next job's.
    waker: Option<Waker>,
}

impl Place {
    /// Ends the turn of this place. Returns whether the next job was waiting for it.
    fn end(&self) -> bool {
        let waker = {
            let mut state = self.lock();
            state.is_over = true;
            state.waker.take()
        };
        let is_awaited = waker.is_some();
        if let Some(waker) = waker {
            waker.wake();
        }
        is_awaited
    }

    fn poll_over(&self, waker: &Waker) -> Poll<()> {
        let mut state = self.lock();
        if state.is_over {
            return Poll::Ready(());
        }
        state.waker = Some(waker.clone());
        Poll::Pending
    }

    /// Nothing panics while holding the lock, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;
    use tokio::runtime::Builder;

    #[test]
    fn turns_follow_each_other_also_if_they_are_dropped_unused() {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut order = Order::default();
            let (mut one, two, mut three) = (order.next(), order.next(), order.next());
            one.wait().await;
            let waiting = tokio::spawn(async move { three.wait().await });
            tokio::task::yield_now().await;
            drop(two);
            waiting.await.unwrap();
            drop(one);
            order.next().wait().await;
        });
    }

    #[test]
    fn job_that_blocks_its_thread_after_its_turn_does_not_delay_the_next() {
        let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let mut order = Order::default();
        let (mut one, mut two) = (order.next(), order.next());
        let (begun, has_begun) = mpsc::channel();
        let (waits, is_waiting) = mpsc::channel();
        runtime.spawn(async move {
            waits.send(()).unwrap();
            two.wait().await;
            begun.send(()).unwrap();
        });
        is_waiting.recv().unwrap();
        while one.own.lock().waker.is_none() {
            std::thread::yield_now();
        }
        let first = runtime.spawn(async move {
            one.wait().await;
            one.end().await;
            // A handler that blocks its thread until the next job has begun.
            has_begun.recv_timeout(Duration::from_secs(20))
        });
        assert_eq!(runtime.block_on(first).unwrap(), Ok(()));
    }
}
