//! Waits for the first of two futures, or for all of several. No I/O.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

/// One of two values.
pub(crate) enum Either<A, B> {
    Left(A),
    Right(B),
}

/// Waits for the first of two futures and drops the other one.
pub(crate) async fn first<A: Future, B: Future>(a: A, b: B) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx| {
        if a.as_mut().poll(cx).is_ready() { Poll::Ready(()) } else { b.as_mut().poll(cx).map(drop) }
    })
    .await;
}

/// Waits for the first of two futures. If that is the second one, the first is returned with its
/// output.
pub(crate) async fn either<A: Future + Unpin, B: Future>(
    mut a: A,
    b: B,
) -> Either<A::Output, (B::Output, A)> {
    let mut b = pin!(b);
    let which = poll_fn(|cx| {
        if let Poll::Ready(a) = Pin::new(&mut a).poll(cx) {
            return Poll::Ready(Either::Left(a));
        }
        b.as_mut().poll(cx).map(Either::Right)
    })
    .await;
    match which {
        Either::Left(left) => Either::Left(left),
        Either::Right(right) => Either::Right((right, a)),
    }
}

/// Waits for both futures, which run at the same time, and returns the output of the second one. The
/// first is polled first: a command that it sends first is sent before one of the second.
pub(crate) async fn both<A: Future, B: Future>(a: A, b: B) -> B::Output {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut is_over, mut output) = (false, None);
    poll_fn(|cx| {
        is_over = is_over || a.as_mut().poll(cx).is_ready();
        if output.is_none() {
            if let Poll::Ready(value) = b.as_mut().poll(cx) {
                output = Some(value);
            }
        }
        if is_over { output.take().map_or(Poll::Pending, Poll::Ready) } else { Poll::Pending }
    })
    .await
}

/// Waits for all of these futures, which run at the same time, and returns their outputs in order.
/// Each is polled first in its turn, so commands that they send first are sent in this order.
pub(crate) async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(|future| Some(Box::pin(future))).collect();
    let mut outputs: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut is_ready = true;
        for (slot, output) in running.iter_mut().zip(&mut outputs) {
            match slot.as_mut().map(|future| future.as_mut().poll(cx)) {
                Some(Poll::Ready(value)) => (*slot, *output) = (None, Some(value)),
                Some(Poll::Pending) => is_ready = false,
                None => {}
            }
        }
        if is_ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
