//! A request on its way: the future that a caller awaits.

use super::outbox::{Queued, Shared, Size};
use super::pipeline::{Failure, Replies, SlotId};
use crate::error::Unsent;
use crate::server::Server;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// What can be sent as one piece: a command, a pipeline, a transaction.
pub(crate) trait Request {
    type Output;

    /// What is found out before it is written.
    type Measure;

    /// Whether there is nothing to send and nothing to wait for.
    fn is_empty(&self) -> bool {
        false
    }

    /// How many replies, how many bytes; or why it cannot be sent.
    fn measure(&self) -> Result<(Size, Self::Measure), Unsent>;

    /// Writes it to the end of the buffer; false if it is not what was measured.
    fn write(&self, measure: &Self::Measure, out: &mut Vec<u8>) -> bool;

    /// Makes the result of what came; `server` says who answered.
    fn finish(
        &self,
        replies: Replies,
        failure: Option<Failure>,
        waited: Duration,
        server: Asked<'_>,
    ) -> Self::Output;
}

/// Who answers, if it is asked: only a refusal is worth the lock.
pub(crate) type Asked<'a> = &'a dyn Fn() -> Option<Arc<Server>>;

/// When a call gives up.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    /// After the connection's command timeout.
    Usual,
    /// After this long.
    For(Duration),
    /// Never.
    Endless,
}

/// A place in the pipeline: replies come to it. When it is dropped, they are thrown away.
#[derive(Debug)]
pub(crate) struct Ticket<S: Deref<Target = Shared>> {
    shared: S,
    slot: SlotId,
    done: bool,
}

impl<S: Deref<Target = Shared>> Ticket<S> {
    /// Whether all replies have come, or none will come any more.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Replies, Option<Failure>)> {
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
    /// Whether there is nothing more to wait for.
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

/// Brings a request into the pipeline: at once, or when there is room.
#[derive(Debug)]
pub(crate) struct Enqueue<S: Deref<Target = Shared> + Clone> {
    shared: S,
    patience: Patience,
    /// The place in the line for room, and until when it is kept.
    line: Option<(u64, Option<Pin<Box<Sleep>>>)>,
    waited: Duration,
}

impl<S: Deref<Target = Shared> + Clone> Enqueue<S> {
    pub(crate) fn new(shared: S, patience: Patience) -> Self {
        let waited = match patience {
            Patience::Usual => shared.timeout(),
            Patience::For(time) => time,
            Patience::Endless => Duration::MAX,
        };
        Self { shared, patience, line: None, waited }
    }

    /// The time that the request has.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    #[inline]
    pub(crate) fn poll<R: Request>(
        &mut self,
        request: &R,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Ticket<S>, Unsent>> {
        if let Some((_, Some(sleep))) = &mut self.line {
            // Who finds room at the last moment has no time left to be answered in.
            if sleep.as_mut().poll(cx).is_ready() {
                self.leave_line();
                let source = self.shared.trouble();
                return Poll::Ready(Err(Unsent::TimedOut { waited: self.waited, source }));
            }
        }
        let (size, measure) = match request.measure() {
            Ok(measured) => measured,
            Err(unsent) => return Poll::Ready(Err(unsent)),
        };
        let deadline = match (&self.line, self.patience) {
            (_, Patience::Endless) => None,
            (Some((_, Some(sleep))), _) => Some(sleep.deadline()),
            _ => Instant::now().checked_add(self.waited),
        };
        let ticket = self.line.as_ref().map(|(ticket, _)| *ticket);
        let write = |out: &mut Vec<u8>| request.write(&measure, out);
        match self.shared.queue(size, deadline.map(Instant::into_std), ticket, cx, write) {
            Queued::In(slot) => {
                self.line = None;
                Poll::Ready(Ok(Ticket { shared: self.shared.clone(), slot, done: false }))
            }
            Queued::Not(unsent) => Poll::Ready(Err(unsent)),
            Queued::Wait(ticket) => {
                if self.line.is_none() {
                    let mut sleep = deadline.map(|at| Box::pin(tokio::time::sleep_until(at)));
                    // The deadline lies ahead: this sets the timer.
                    let _ = sleep.as_mut().map(|sleep| sleep.as_mut().poll(cx));
                    self.line = Some((ticket, sleep));
                }
                Poll::Pending
            }
        }
    }

    /// Gives the place in the line up at once: who has given up may be kept for long, and others wait behind.
    fn leave_line(&mut self) {
        if let Some((ticket, _)) = self.line.take() {
            self.shared.leave_line(ticket);
        }
    }
}

impl<S: Deref<Target = Shared> + Clone> Drop for Enqueue<S> {
    fn drop(&mut self) {
        self.leave_line();
    }
}

/// A request from its queueing to its last reply.
#[derive(Debug)]
pub(crate) struct Call<'a, R> {
    shared: &'a Shared,
    request: R,
    stage: Stage<'a>,
}

#[derive(Debug)]
enum Stage<'a> {
    Queueing(Enqueue<&'a Shared>),
    Waiting(Ticket<&'a Shared>, Duration),
    Over,
}

impl<'a, R: Request> Call<'a, R> {
    #[inline]
    pub(crate) fn new(shared: &'a Shared, request: R) -> Self {
        Self { shared, request, stage: Stage::Queueing(Enqueue::new(shared, Patience::Usual)) }
    }
}

/// Nothing in it is pinned.
impl<R> Unpin for Call<'_, R> {}

impl<R: Request> Future for Call<'_, R> {
    type Output = R::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R::Output> {
        let Self { shared, request, stage } = self.get_mut();
        let (replies, failure, waited) = match stage {
            Stage::Queueing(_) if request.is_empty() => (Replies::None, None, Duration::ZERO),
            Stage::Queueing(enqueue) => match enqueue.poll(request, cx) {
                Poll::Ready(Ok(ticket)) => {
                    let waited = enqueue.waited();
                    *stage = Stage::Waiting(ticket, waited);
                    // The waker is with the ticket: there is nothing to look at yet.
                    return Poll::Pending;
                }
                Poll::Ready(Err(unsent)) => {
                    (Replies::None, Some(Failure::Unsent(unsent)), enqueue.waited())
                }
                Poll::Pending => return Poll::Pending,
            },
            Stage::Waiting(ticket, waited) => match ticket.poll(cx) {
                Poll::Ready((replies, failure)) => (replies, failure, *waited),
                Poll::Pending => return Poll::Pending,
            },
            // Whoever polls on must not send again, nor take what now comes to another's slot.
            Stage::Over => return Poll::Pending,
        };
        *stage = Stage::Over;
        Poll::Ready(request.finish(replies, failure, waited, &|| shared.server()))
    }
}
