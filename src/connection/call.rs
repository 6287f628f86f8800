//! The future of a request.

use super::enqueue::{Enqueue, Patience, Ticket};
use super::outbox::Shared;
use super::pipeline::{Failed, Failure, Replies};
use super::request::Request;
use super::retry::Attempts;
use super::route::{Route, without_asking};
use super::window::Place;
use crate::command::Safety;
use crate::error::{Disconnect, Unsent, Window};
use crate::random;
use crate::resp::Frame;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// A request, from queueing to its last reply.
#[derive(Debug)]
pub(crate) struct Call<'a, R> {
    shared: &'a Shared,
    request: R,
    stage: Stage<'a>,
    attempts: Attempts,
    /// Chooses its connections in a cluster; `None` on a single server.
    route: Option<&'a Arc<dyn Route>>,
    /// The state of a request that was lost or redirected.
    detour: Option<Box<Detour>>,
}

/// The state of a request that was lost or redirected. Kept apart, because few requests have it.
#[derive(Debug, Default)]
struct Detour {
    /// Set once it was lost, and so may have run.
    lost: Option<Lost>,
    /// The slot that a server named.
    slot: Option<u16>,
    hops: u8,
    /// The last attempt began with ASKING, or the next one will.
    asking: bool,
    /// The connection of the next attempt was named by a server.
    named: bool,
    /// The attempt is at a replica, and has half of the time.
    at_replica: bool,
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
    /// Creates the future of a request. With a route its connection is chosen when it is first
    /// polled.
    #[inline(always)]
    pub(crate) fn new(shared: &'a Shared, route: Option<&'a Arc<dyn Route>>, request: R) -> Self {
        let stage = Stage::Queueing(Enqueue::new(shared, Patience::Usual));
        Self { shared, request, stage, attempts: Attempts::default(), route, detour: None }
    }

    /// Sets a deadline, as part of a request with this whole timeout. Call it before polling.
    pub(crate) fn until(mut self, deadline: Option<Instant>, time: Duration) -> Self {
        self.set(Patience::Until(deadline, time));
        self
    }

    /// Sets another timeout than the connection's. Call it before polling.
    pub(crate) fn within(mut self, time: Duration) -> Self {
        self.set(Patience::For(time));
        self
    }

    /// Sets the timeout, unless it was polled already.
    fn set(&mut self, patience: Patience) {
        match &self.stage {
            Stage::Queueing(enqueue) if enqueue.is_new() => {
                self.stage = Stage::Queueing(Enqueue::new(self.shared, patience));
            }
            _ => {}
        }
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
            let lost = self.detour.as_ref().and_then(|detour| detour.lost.as_ref());
            let first = lost.map(|lost| lost.place.clone());
            let begun =
                || time.and_then(|time| Some(time.deadline?.checked_sub(time.waited)?.into_std()));
            *place = first.unwrap_or_else(|| place.clone().begun(begun()));
        }
        let lost = self.detour.as_mut().and_then(|detour| detour.lost.take());
        let Some(lost) = lost else { return (replies, failure) };
        let harmless = self.request.safety() == Safety::ReadOnly && failure.is_none();
        let not_run = match failure.as_deref() {
            None | Some(Failure::Unsent(_) | Failure::Elsewhere) => true,
            // The window was over, not its time.
            Some(Failure::TimedOut { .. }) => lost.deadline.is_none_or(|at| Instant::now() < at),
            Some(Failure::Lost(..)) => false,
        };
        if not_run && !harmless {
            let Lost { reason, place, .. } = lost;
            return (Replies::None, Some(Box::new(Failure::Lost(reason, place))));
        }
        (replies, failure)
    }

    /// Chooses the first connection of a request of a cluster. Returns the failure of one that no
    /// node can serve.
    #[cold]
    #[inline(never)]
    fn begin(&mut self) -> Failed {
        let Stage::Queueing(enqueue) = &mut self.stage else { return None };
        let route = self.route.filter(|_| enqueue.is_new())?;
        match self.request.slot() {
            Ok(slot) => {
                let has_time = R::FROM_REPLICA && enqueue.waited() > Duration::ZERO;
                if let Some(replica) = has_time.then(|| route.replica(slot)).flatten() {
                    self.shared = replica;
                    enqueue.move_for_half(replica);
                    self.detour.get_or_insert_default().at_replica = true;
                    return None;
                }
                self.shared = route.connection(slot);
                enqueue.move_to(self.shared);
                None
            }
            Err(unsent) => Some(Box::new(Failure::Unsent(unsent))),
        }
    }

    /// Whether a request that was not queued looks for another connection, at the next poll.
    #[cold]
    #[inline(never)]
    fn is_elsewhere(&mut self, unsent: &Unsent, cx: &Context<'_>) -> bool {
        let Stage::Queueing(enqueue) = &self.stage else { return false };
        if self.route.is_none() {
            return false;
        }
        let is_evicted = enqueue.is_evicted();
        let mut time = Time { waited: enqueue.waited(), deadline: enqueue.deadline() };
        let is_busy = matches!(unsent, Unsent::TimedOut { .. } | Unsent::Full { .. });
        let was_at_replica = R::FROM_REPLICA && self.leave_replica(&mut time);
        if !(is_evicted || was_at_replica && is_busy) {
            return false;
        }
        self.stage = Stage::Pausing { until: Instant::now(), timer: None, time };
        cx.waker().wake_by_ref();
        true
    }

    /// To the queue, once more. In a cluster the connection may be another one by now.
    #[cold]
    #[inline(never)]
    fn queue(&mut self, time: Time) -> Stage<'a> {
        let asking = self.choose();
        let mut deadline = time.deadline;
        let mut latest = u64::MAX;
        let windowed = self.request.safety() == Safety::Windowed;
        let lost = self.detour.as_ref().and_then(|detour| detour.lost.as_ref());
        if let Some(Lost { place, .. }) = lost.filter(|_| windowed) {
            latest = place.latest();
            let until = place.until().map(Instant::from_std);
            deadline = deadline.into_iter().chain(until).min();
        }
        let mut enqueue = Enqueue::new(self.shared, Patience::Until(deadline, time.waited));
        enqueue.latest = latest;
        Stage::Queueing(enqueue.asking(asking))
    }

    /// Chooses the connection of the next attempt. Returns whether it begins with ASKING.
    fn choose(&mut self) -> bool {
        let Some(route) = self.route else { return false };
        let mut slot = self.request.slot().unwrap_or_default();
        if let Some(detour) = self.detour.as_deref_mut() {
            if std::mem::take(&mut detour.named) {
                return detour.asking;
            }
            detour.asking = false;
            slot = slot.or(detour.slot);
        }
        self.shared = route.connection(slot);
        false
    }

    /// Whether the attempt was at a replica. Gives the next one, at the master, the whole time.
    fn leave_replica(&mut self, time: &mut Time) -> bool {
        let Some(detour) = self.detour.as_deref_mut() else { return false };
        if !std::mem::take(&mut detour.at_replica) {
            return false;
        }
        time.deadline = time.deadline.and_then(|half| half.checked_add(time.waited));
        time.waited = time.waited.saturating_mul(2);
        true
    }

    /// Records the time that a replica took.
    #[cold]
    fn measure_replica(&self, time: Time) {
        let at_replica = self.detour.as_ref().is_some_and(|detour| detour.at_replica);
        let begun = time.deadline.and_then(|deadline| deadline.checked_sub(time.waited));
        if let (true, Some(route), Some(begun)) = (at_replica, self.route, begun) {
            route.read(self.shared, begun.elapsed());
        }
    }

    /// Removes the reply to ASKING, if that was sent.
    #[cold]
    fn own(&self, replies: Replies) -> Replies {
        let asking = self.detour.as_ref().is_some_and(|detour| detour.asking);
        if asking { without_asking(replies) } else { replies }
    }

    /// Returns the next stage of a request that a server of a cluster redirects.
    #[cold]
    fn follow(&mut self, replies: &Replies, time: Time) -> Option<Stage<'a>> {
        let route = self.route?;
        let error = self.request.refused(replies)?;
        let hops = self.detour.as_ref().map_or(0, |detour| detour.hops);
        let hop = route.refused(self.shared, &error, hops)?;
        let at = Instant::now().checked_add(hop.after)?;
        if time.deadline.is_some_and(|deadline| at >= deadline) {
            return None;
        }
        let detour = self.detour.get_or_insert_default();
        detour.hops = hops.saturating_add(1);
        detour.slot = detour.slot.or(hop.slot);
        if let Some(shared) = hop.to {
            self.shared = shared;
            (detour.named, detour.asking) = (true, hop.asking);
        }
        if hop.after.is_zero() {
            return Some(self.queue(time));
        }
        Some(Stage::Pausing { until: at, timer: None, time })
    }

    /// Returns the next stage of a failed request, if it may be retried in its time.
    #[cold]
    fn next_attempt(
        &mut self,
        replies: &Replies,
        failure: Option<&Failure>,
        mut time: Time,
    ) -> Option<Stage<'a>> {
        if R::FROM_REPLICA && self.leave_replica(&mut time) {
            let was_written = matches!(failure, Some(Failure::Lost(..) | Failure::TimedOut { .. }));
            if failure.is_some() && (!was_written || self.shared.repeats()) {
                return Some(self.queue(time));
            }
        }
        if let Some(route) = self.route {
            match failure {
                Some(Failure::Elsewhere) => return Some(self.queue(time)),
                Some(Failure::TimedOut { .. }) => route.failed(),
                Some(_) => {}
                None => {
                    if let Some(stage) = self.follow(replies, time) {
                        return Some(stage);
                    }
                }
            }
        }
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
                let detour = self.detour.get_or_insert_default();
                let lost = detour.lost.take().map_or_else(
                    || {
                        let place = place.clone().begun(begun());
                        Lost { reason: reason.clone(), place, deadline: time.deadline }
                    },
                    |lost| Lost { reason: reason.clone(), ..lost },
                );
                let closed = safety == Safety::Windowed && !lost.place.is_open();
                detour.lost = Some(lost);
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
        // On a single server this is all that a cluster adds.
        let refused = if this.route.is_some() { this.begin() } else { None };
        // A request that is being queued does not loop: otherwise values of the command are moved
        // to registers before the loop, for each poll.
        let (replies, failure, waited) = loop {
            if refused.is_some() {
                break (Replies::None, refused, Duration::ZERO);
            }
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
                        if this.is_elsewhere(&unsent, cx) {
                            return Poll::Pending;
                        }
                        let failure = Some(Box::new(Failure::Unsent(unsent)));
                        let (replies, failure) = this.conclude(Replies::None, failure, None);
                        break (replies, failure, waited);
                    }
                    Poll::Pending => return Poll::Pending,
                },
                Stage::Waiting(ticket, time) => match ticket.poll(cx) {
                    Poll::Ready((mut replies, failure)) => {
                        let time = *time;
                        if this.detour.is_some() {
                            replies = this.own(replies);
                            if R::FROM_REPLICA {
                                this.measure_replica(time);
                            }
                        }
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
