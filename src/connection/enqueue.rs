//! Queues a request, and holds its place until the replies have come.

use super::health::Due;
use super::outbox::{Conditions, Queued, Shared, Size};
use super::pipeline::{Failed, Replies, SlotId};
use super::request::Request;
use super::route::ASKING;
use super::scratch::{keep, scratch};
use crate::error::Unsent;
use std::num::NonZeroU64;
use std::ops::Deref;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// The timeout of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    /// After the connection's command timeout.
    Usual,
    /// After this long.
    For(Duration),
    /// No timeout.
    Endless,
    /// At this deadline, with this whole timeout: a request that was polled before or is retried.
    Until(Option<Instant>, Duration),
}

/// A place in the pipeline, which receives replies. If it is dropped, they are discarded.
#[derive(Debug)]
pub(crate) struct Ticket<S: Deref<Target = Shared>> {
    shared: S,
    slot: SlotId,
    done: bool,
}

impl<S: Deref<Target = Shared>> Ticket<S> {
    /// Polls for the result: all replies, or the failure. Every command pays for what is not inlined
    /// here and in `Enqueue::poll`, which the compiler does not always find by itself.
    #[inline(always)]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Replies, Failed)> {
        match self.shared.take(self.slot, cx) {
            Some(came) => {
                self.done = true;
                Poll::Ready(came)
            }
            None => Poll::Pending,
        }
    }
}

impl<S: Deref<Target = Shared>> Ticket<S> {
    /// Whether the result is final.
    pub(crate) fn is_settled(&self) -> bool {
        self.shared.is_settled(self.slot)
    }
}

impl<S: Deref<Target = Shared>> Drop for Ticket<S> {
    fn drop(&mut self) {
        if !self.done {
            self.shared.abandon(self.slot);
        }
    }
}

/// Queues a request: immediately, or when there is capacity.
#[derive(Debug)]
pub(crate) struct Enqueue<S: Deref<Target = Shared> + Clone> {
    shared: S,
    patience: Patience,
    /// It may be queued while no more replies than this have been asked for.
    pub(super) latest: u64,
    /// The place in the line for room; tickets begin with 1.
    line: Option<NonZeroU64>,
    waited: Duration,
    sort: Sort,
}

/// The kind of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Plain,
    /// ASKING is sent before the request, and has a reply of its own.
    Asking,
    /// It was rejected: the connection is not the right one any more.
    Evicted,
}

impl<S: Deref<Target = Shared> + Clone> Enqueue<S> {
    pub(crate) fn new(shared: S, patience: Patience) -> Self {
        let waited = match patience {
            Patience::Usual => shared.timeout(),
            Patience::For(time) | Patience::Until(_, time) => time,
            Patience::Endless => Duration::MAX,
        };
        Self { shared, patience, latest: u64::MAX, line: None, waited, sort: Sort::Plain }
    }

    /// Sends ASKING before the request. Its reply comes before those of the request.
    pub(crate) fn asking(mut self, asking: bool) -> Self {
        self.sort = if asking { Sort::Asking } else { Sort::Plain };
        self
    }

    /// Uses another connection. Call it before polling.
    pub(super) fn move_to(&mut self, shared: S) {
        self.shared = shared;
    }

    /// Uses another connection for half of the time. Call it before polling.
    pub(super) fn move_for_half(&mut self, shared: S) {
        self.shared = shared;
        self.waited /= 2;
        self.patience = Patience::For(self.waited);
    }

    /// Whether the request was rejected because another connection is the right one now.
    pub(crate) fn is_evicted(&self) -> bool {
        self.sort == Sort::Evicted
    }

    /// Whether it was not polled yet.
    pub(crate) fn is_new(&self) -> bool {
        !matches!(self.patience, Patience::Until(..))
    }

    /// Returns the request's whole timeout.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// Returns the deadline, once it was polled.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if let Patience::Until(deadline, _) = self.patience { deadline } else { None }
    }

    #[inline(always)]
    pub(crate) fn poll<R: Request>(
        &mut self,
        request: &R,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Ticket<S>, Unsent>> {
        // The driver or the guard wakes a caller that waits in line for too long. A request that
        // gets capacity at its deadline has no time left for a reply.
        if self.deadline().is_some_and(|at| Instant::now() >= at) {
            self.leave_line();
            let source = self.shared.connect_error();
            return Poll::Ready(Err(Unsent::TimedOut { waited: self.waited, source }));
        }
        let (mut size, measure) = match request.measure() {
            Ok(measured) => measured,
            Err(unsent) => return Poll::Ready(Err(unsent)),
        };
        let deadline = match self.patience {
            Patience::Endless => None,
            Patience::Until(deadline, _) => deadline,
            _ => Instant::now().checked_add(self.waited),
        };
        if matches!(self.patience, Patience::For(Duration::ZERO)) {
            return Poll::Ready(Err(Unsent::TimedOut { waited: self.waited, source: None }));
        }
        self.patience = Patience::Until(deadline, self.waited);
        let due = deadline.map(|at| Due { at: at.into_std(), time: self.waited });
        // A command's code, which may be the user's, runs before the shared lock is taken.
        let mut encoded = scratch(size.bytes);
        if self.sort == Sort::Asking {
            size = with_asking(size, &mut encoded);
        }
        if !request.write(&measure, &mut encoded) {
            return Poll::Ready(Err(Unsent::Inconsistent));
        }
        let only = Conditions { latest: self.latest, on: request.connection() };
        let queued =
            self.shared.queue(size, only, due, self.line.map(NonZeroU64::get), cx, &mut encoded);
        keep(encoded);
        match queued {
            Queued::In(slot) => {
                self.line = None;
                Poll::Ready(Ok(Ticket { shared: self.shared.clone(), slot, done: false }))
            }
            Queued::Not(unsent) => Poll::Ready(Err(unsent)),
            Queued::Wait(ticket) => {
                self.line = NonZeroU64::new(ticket);
                Poll::Pending
            }
            Queued::Elsewhere => {
                (self.line, self.sort) = (None, Sort::Evicted);
                Poll::Ready(Err(Unsent::Closed))
            }
        }
    }

    /// Leaves the line immediately: a future that timed out may be kept for long, and others wait
    /// behind it.
    fn leave_line(&mut self) {
        if let Some(ticket) = self.line.take() {
            self.shared.leave_line(ticket.get());
        }
    }
}

/// Writes ASKING, and returns the size of the request with it.
#[cold]
fn with_asking(size: Size, out: &mut Vec<u8>) -> Size {
    out.extend_from_slice(ASKING);
    Size { replies: size.replies + 1, bytes: size.bytes + ASKING.len() }
}

impl<S: Deref<Target = Shared> + Clone> Drop for Enqueue<S> {
    fn drop(&mut self) {
        self.leave_line();
    }
}
