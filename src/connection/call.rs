//! The future of a request.

use super::health::Due;
use super::outbox::{Conditions, Queued, Shared, Size};
use super::pipeline::{Failed, Failure, Replies, SlotId};
use super::retry::Attempts;
use super::scratch::{keep, scratch};
use super::window::Place;
use crate::command::Safety;
use crate::error::{Disconnect, ServerError, Unsent, Window};
use crate::random;
use crate::resp::Frame;
use crate::server::Server;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// A unit of sending: a command, a pipeline, a transaction.
pub(crate) trait Request {
    type Output;

    /// The measurement made before the request is written.
    type Measure;

    /// Returns the server's error, if the replies show that none of the request has run.
    fn refused(&self, _: &Replies) -> Option<ServerError> {
        None
    }

    /// Returns whether the request may be sent twice.
    fn safety(&self) -> Safety {
        Safety::Write
    }

    /// Returns the connection on which it must be sent, if that matters: the time at which that was
    /// established.
    fn connection(&self) -> Option<std::time::Instant> {
        None
    }

    /// Whether there is nothing to send and no reply to wait for.
    fn is_empty(&self) -> bool {
        false
    }

    /// Returns the number of replies and bytes, or the reason why the request cannot be sent.
    fn measure(&self) -> Result<(Size, Self::Measure), Unsent>;

    /// Appends the request to the buffer; false if it differs from the measurement.
    fn write(&self, measure: &Self::Measure, out: &mut Vec<u8>) -> bool;

    /// Creates the result from the replies; `server` looks up the server.
    fn finish(
        &self,
        replies: Replies,
        failure: Failed,
        waited: Duration,
        server: ServerLookup<'_>,
    ) -> Self::Output;
}

/// Looks up the server. Called only for a refusal, because it takes the lock.
pub(crate) type ServerLookup<'a> = &'a dyn Fn() -> Option<Arc<Server>>;

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
    /// Polls for the result: all replies, or the failure.
    #[inline]
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
    latest: u64,
    /// The place in the line for room.
    line: Option<u64>,
    waited: Duration,
}

impl<S: Deref<Target = Shared> + Clone> Enqueue<S> {
    pub(crate) fn new(shared: S, patience: Patience) -> Self {
        let waited = match patience {
            Patience::Usual => shared.timeout(),
            Patience::For(time) | Patience::Until(_, time) => time,
            Patience::Endless => Duration::MAX,
        };
        Self { shared, patience, latest: u64::MAX, line: None, waited }
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

    #[inline]
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
        let (size, measure) = match request.measure() {
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
        if !request.write(&measure, &mut encoded) {
            return Poll::Ready(Err(Unsent::Inconsistent));
        }
        let only = Conditions { latest: self.latest, on: request.connection() };
        let queued = self.shared.queue(size, only, due, self.line, cx, &mut encoded);
        keep(encoded);
        match queued {
            Queued::In(slot) => {
                self.line = None;
                Poll::Ready(Ok(Ticket { shared: self.shared.clone(), slot, done: false }))
            }
            Queued::Not(unsent) => Poll::Ready(Err(unsent)),
            Queued::Wait(ticket) => {
                self.line = Some(ticket);
                Poll::Pending
            }
        }
    }

    /// Leaves the line immediately: a future that timed out may be kept for long, and others wait
    /// behind it.
    fn leave_line(&mut self) {
        if let Some(ticket) = self.line.take() {
            self.shared.leave_line(ticket);
        }
    }
}

impl<S: Deref<Target = Shared> + Clone> Drop for Enqueue<S> {
    fn drop(&mut self) {
        self.leave_line();
    }
}

/// A request, from queueing to its last reply.
#[derive(Debug)]
pub(crate) struct Call<'a, R> {
    shared: &'a Shared,
    request: R,
    stage: Stage<'a>,
    attempts: Attempts,
    /// Set once it was lost, and so may have run.
    lost: Option<Box<Lost>>,
}

#[derive(Debug)]
enum Stage<'a> {
    Queueing(Enqueue<&'a Shared>),
    Waiting(Ticket<&'a Shared>, Time),
    /// The request was refused, and is retried at this time.
    Pausing {
        until: Instant,
        timer: Option<u64>,
        time: Time,
    },
    Over,
}

/// The state of a request that was lost.
#[derive(Debug)]
struct Lost {
    /// The reason why its last connection ended.
    reason: Disconnect,
    /// Its place when it was first sent.
    place: Place,
    /// Its deadline.
    deadline: Option<Instant>,
}

impl Window for Place {
    fn is_open(&self) -> bool {
        self.is_open_at(Instant::now().into_std())
    }
}

/// The timeout of a request, and its deadline.
#[derive(Debug, Clone, Copy)]
struct Time {
    waited: Duration,
    deadline: Option<Instant>,
}

impl<'a, R: Request> Call<'a, R> {
    #[inline]
    pub(crate) fn new(shared: &'a Shared, request: R) -> Self {
        let stage = Stage::Queueing(Enqueue::new(shared, Patience::Usual));
        Self { shared, request, stage, attempts: Attempts::default(), lost: None }
    }

    /// Sets a deadline, as part of a request with this whole timeout. Call it before polling.
    pub(crate) fn until(mut self, deadline: Option<Instant>, time: Duration) -> Self {
        self.stage = Stage::Queueing(Enqueue::new(self.shared, Patience::Until(deadline, time)));
        self
    }

    /// Sets another timeout than the connection's. Call it before polling.
    pub(crate) fn within(mut self, time: Duration) -> Self {
        if matches!(&self.stage, Stage::Queueing(enqueue) if enqueue.is_new()) {
            self.stage = Stage::Queueing(Enqueue::new(self.shared, Patience::For(time)));
        }
        self
    }

    pub(crate) fn request_mut(&mut self) -> &mut R {
        &mut self.request
    }

    /// Returns the real result of a request that was not sent or was refused. If an earlier attempt
    /// was lost, the request may have run then.
    #[cold]
    fn conclude(
        &mut self,
        replies: Replies,
        mut failure: Failed,
        time: Option<Time>,
    ) -> (Replies, Failed) {
        if let Some(Failure::Lost(_, place) | Failure::TimedOut { place, .. }) =
            failure.as_deref_mut()
        {
            let first = self.lost.as_ref().map(|lost| lost.place.clone());
            let begun =
                || time.and_then(|time| Some(time.deadline?.checked_sub(time.waited)?.into_std()));
            *place = first.unwrap_or_else(|| place.clone().begun(begun()));
        }
        let Some(lost) = self.lost.take() else { return (replies, failure) };
        let harmless = self.request.safety() == Safety::ReadOnly && failure.is_none();
        let not_run = match failure.as_deref() {
            None | Some(Failure::Unsent(_)) => true,
            // The window was over, not its time.
            Some(Failure::TimedOut { .. }) => lost.deadline.is_none_or(|at| Instant::now() < at),
            Some(Failure::Lost(..)) => false,
        };
        if not_run && !harmless {
            let Lost { reason, place, .. } = *lost;
            return (Replies::None, Some(Box::new(Failure::Lost(reason, place))));
        }
        (replies, failure)
    }

    /// To the queue, once more.
    fn queue(&self, time: Time) -> Stage<'a> {
        let mut deadline = time.deadline;
        let mut latest = u64::MAX;
        let windowed = self.request.safety() == Safety::Windowed;
        if let Some(Lost { place, .. }) = self.lost.as_deref().filter(|_| windowed) {
            latest = place.latest();
            let until = place.until().map(Instant::from_std);
            deadline = deadline.into_iter().chain(until).min();
        }
        let mut enqueue = Enqueue::new(self.shared, Patience::Until(deadline, time.waited));
        enqueue.latest = latest;
        Stage::Queueing(enqueue)
    }

    /// Returns the next stage of a failed request, if it may be retried in its time.
    #[cold]
    fn next_attempt(
        &mut self,
        replies: &Replies,
        failure: Option<&Failure>,
        time: Time,
    ) -> Option<Stage<'a>> {
        if failure.is_none() && is_from_replica(replies) {
            // Also where nothing is sent again: later commands need the master.
            self.shared.retire();
        }
        if !self.shared.repeats() {
            return None;
        }
        let now = Instant::now();
        match (replies, failure) {
            // A request with a partial reply is not retried.
            (Replies::None, Some(Failure::Lost(reason, place))) => {
                let safety = self.request.safety();
                let again = self.attempts.lost(reason, safety, random::fraction())?;
                let at = now.checked_add(again.after)?;
                if time.deadline.is_some_and(|deadline| at >= deadline) {
                    return None;
                }
                let begun = || Some(time.deadline?.checked_sub(time.waited)?.into_std());
                let lost = self.lost.take().map_or_else(
                    || {
                        let place = place.clone().begun(begun());
                        Lost { reason: reason.clone(), place, deadline: time.deadline }
                    },
                    |lost| Lost { reason: reason.clone(), ..*lost },
                );
                let closed = safety == Safety::Windowed && !lost.place.is_open();
                self.lost = Some(Box::new(lost));
                if closed {
                    return None;
                }
                if again.after.is_zero() {
                    return Some(self.queue(time));
                }
                Some(Stage::Pausing { until: at, timer: None, time })
            }
            (replies, None) => {
                let error = self.request.refused(replies)?;
                let again = self.attempts.refused(&error, random::fraction())?;
                if again.elsewhere {
                    self.shared.retire();
                }
                // The server's error is worth more than a timeout.
                let deadline = time.deadline.map(Instant::into_std);
                let at = Instant::from_std(again.at(now.into_std(), deadline)?);
                Some(Stage::Pausing { until: at, timer: None, time })
            }
            _ => None,
        }
    }
}

/// Whether a reply refuses a write because the server is a replica.
fn is_from_replica(replies: &Replies) -> bool {
    let refuses = |frame: &Frame| frame.error().is_some_and(|text| text.starts_with(b"READONLY "));
    match replies {
        Replies::None => false,
        Replies::Single(frame) => refuses(frame),
        Replies::Many(frames) => frames.iter().any(refuses),
    }
}

/// Nothing in it is pinned.
impl<R> Unpin for Call<'_, R> {}

impl<R: Request> Future for Call<'_, R> {
    type Output = R::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R::Output> {
        let this = self.get_mut();
        let (replies, failure, waited) = loop {
            match &mut this.stage {
                Stage::Queueing(_) if this.request.is_empty() => {
                    break (Replies::None, None, Duration::ZERO);
                }
                Stage::Queueing(enqueue) => match enqueue.poll(&this.request, cx) {
                    Poll::Ready(Ok(ticket)) => {
                        let time = Time { waited: enqueue.waited(), deadline: enqueue.deadline() };
                        this.stage = Stage::Waiting(ticket, time);
                        // The waker was registered with the ticket: there is no reply yet.
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(unsent)) => {
                        let waited = enqueue.waited();
                        let failure = Some(Box::new(Failure::Unsent(unsent)));
                        let (replies, failure) = this.conclude(Replies::None, failure, None);
                        break (replies, failure, waited);
                    }
                    Poll::Pending => return Poll::Pending,
                },
                Stage::Waiting(ticket, time) => match ticket.poll(cx) {
                    Poll::Ready((replies, failure)) => {
                        let time = *time;
                        if failure.is_some() || replies.is_refusal() {
                            if let Some(stage) =
                                this.next_attempt(&replies, failure.as_deref(), time)
                            {
                                this.stage = stage;
                                continue;
                            }
                            let (replies, failure) = this.conclude(replies, failure, Some(time));
                            break (replies, failure, time.waited);
                        }
                        break (replies, failure, time.waited);
                    }
                    Poll::Pending => return Poll::Pending,
                },
                Stage::Pausing { until, timer, time } => {
                    match this.shared.pause(timer, until.into_std(), cx) {
                        Poll::Ready(()) => {
                            let time = *time;
                            this.stage = this.queue(time);
                        }
                        Poll::Pending => return Poll::Pending,
                    }
                }
                // A further poll must neither send again nor take the replies of a reused slot.
                Stage::Over => return Poll::Pending,
            }
        };
        this.stage = Stage::Over;
        Poll::Ready(this.request.finish(replies, failure, waited, &|| this.shared.server()))
    }
}
