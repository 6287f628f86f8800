//! Who waits for which reply, in order; and until when. Pure.
//!
//! Redis answers in the order it was asked, so a queue of waiters is all the bookkeeping there is. A waiter may wait for
//! several replies: a pipeline or a transaction is one waiter. Push frames are out-of-band and never take a waiter: they do
//! not come here.
//!
//! A waiter's replies are collected in a slot, which the caller's future looks into. The queue and the future let go of the
//! slot independently: a caller that has given up leaves its waiter in the queue, so that its reply is thrown away when it
//! comes and nobody else gets it.

use super::health::{Due, Owed};
use super::window::{Place, Sends};
use crate::error::{Disconnect, Unsent};
use crate::resp::{Frame, ProtocolError};
use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

/// The place where a caller's replies are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotId(usize);

/// The slot of a PING of the connection's own. It is none, so nothing is kept of its reply.
const PROBE: SlotId = SlotId(usize::MAX);

/// The replies that came for a waiter.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Replies {
    #[default]
    None,
    One(Frame),
    Many(Vec<Frame>),
}

impl Replies {
    /// Whether the only reply, the first or the last is an error: the request as a whole may have been refused.
    #[inline]
    pub(crate) fn is_refusal(&self) -> bool {
        let is_error = |frame: &Frame| frame.error().is_some();
        match self {
            Self::None => false,
            Self::One(frame) => is_error(frame),
            Self::Many(frames) => {
                frames.last().is_some_and(is_error) || frames.first().is_some_and(is_error)
            }
        }
    }
}

/// Why there are fewer replies than were asked for.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    Unsent(Unsent),
    Lost(Disconnect, Place),
    /// `owed`: the connection that owes the reply is the one there is.
    TimedOut {
        owed: bool,
        place: Place,
    },
}

/// The failure, if there was one. Few have one, and all are moved about.
pub(crate) type Failed = Option<Box<Failure>>;

/// A request that has been queued and not answered in full.
#[derive(Debug)]
struct Waiter {
    slot: SlotId,
    /// Replies still to come.
    left: usize,
    /// Bytes of the request on the wire.
    bytes: usize,
    /// What it takes of the budget.
    cost: usize,
}

#[derive(Debug, Default)]
struct Slot {
    replies: Replies,
    failure: Failed,
    done: bool,
    /// The caller's future still wants it.
    held: bool,
    /// The queue still owes it a reply.
    owed: bool,
    waker: Option<Waker>,
    due: Option<Due>,
}

impl Slot {
    fn is_overdue(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due.at <= now)
    }
}

/// What there is for a caller in its slot.
#[derive(Debug)]
pub(super) enum Taken {
    /// All that will come.
    Came(Replies, Failed),
    /// Nothing yet; the caller will be woken.
    Wait,
    /// Nothing yet, and it is another waker that would be woken.
    Moved,
}

/// What came of going through overdue waiters.
#[derive(Debug, Default)]
pub(super) struct Expired {
    /// Byte ranges of requests taken out of the unsent ones, as lengths: (keep, drop) by turns.
    pub(super) cuts: Vec<(usize, usize)>,
    pub(super) wakers: Vec<Waker>,
}

#[derive(Debug, Default)]
pub(super) struct Pipeline {
    queue: VecDeque<Waiter>,
    /// How many at the front of the queue have been handed to the socket's writer.
    sent: usize,
    slots: Vec<Slot>,
    free: Vec<SlotId>,
    /// The cost of all in the queue.
    cost: usize,
    /// When the reply to the last PING of the connection's own is due.
    probe: Option<Due>,
    /// A reply came in time since this was asked last.
    alive: bool,
    /// Counts what is queued.
    sends: Sends,
}

impl Pipeline {
    /// A pipeline that counts what is queued here.
    pub(super) fn counting(sends: Sends) -> Self {
        Self { sends, ..Self::default() }
    }

    /// How many replies were asked for, ever.
    #[inline]
    pub(super) fn sends(&self) -> u64 {
        self.sends.get()
    }

    /// The replies that all in the queue still wait for.
    fn replies_left(&self) -> u64 {
        self.queue.iter().map(|waiter| waiter.left as u64).sum()
    }

    /// Queues a waiter for `replies` replies to a request of `bytes`.
    #[inline]
    pub(super) fn push(
        &mut self,
        replies: usize,
        bytes: usize,
        cost: usize,
        due: Option<Due>,
        waker: Option<Waker>,
    ) -> SlotId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            SlotId(self.slots.len() - 1)
        });
        if let Some(slot) = self.slots.get_mut(id.0) {
            // The rest is as in a new one: so it was left when it was released.
            slot.held = true;
            slot.owed = true;
            slot.waker = waker;
            slot.due = due;
        }
        self.queue.push_back(Waiter { slot: id, left: replies, bytes, cost });
        self.cost += cost;
        self.sends.add(replies);
        id
    }

    /// Puts a PING of the connection's own before all requests that no writer has: the writer has it.
    pub(super) fn push_probe(&mut self, bytes: usize, cost: usize, due: Option<Due>) {
        self.queue.insert(self.sent, Waiter { slot: PROBE, left: 1, bytes, cost });
        self.sent += 1;
        self.cost += cost;
        self.probe = due;
    }

    /// Whether a reply came in time since the last call: to a caller that still waited, or to a PING.
    #[inline]
    pub(super) fn take_alive(&mut self) -> bool {
        std::mem::take(&mut self.alive)
    }

    /// So many more requests have been handed to the writer.
    #[inline]
    pub(super) fn sent_more(&mut self, requests: usize) {
        self.sent = (self.sent + requests).min(self.queue.len());
    }

    /// The bytes of each request that no writer has yet.
    pub(super) fn unsent_sizes(&self) -> impl Iterator<Item = usize> {
        self.queue.iter().skip(self.sent).map(|waiter| waiter.bytes)
    }

    /// Requests that the writer has and the server has not answered.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// What the server owes: the oldest reply, for nothing behind it can come before.
    pub(super) fn owed(&self) -> Owed {
        let Some(oldest) = self.queue.front().filter(|_| self.sent > 0) else {
            return Owed::Nothing;
        };
        let due = match self.slots.get(oldest.slot.0) {
            Some(slot) => slot.due,
            None => self.probe,
        };
        due.map_or(Owed::Whenever, Owed::By)
    }

    /// Requests that no writer has yet.
    pub(super) fn unsent(&self) -> usize {
        self.queue.len() - self.sent
    }

    /// All requests that are not answered.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether every caller has been told how its request ended. Replies may still be owed for some that were late.
    pub(super) fn all_told(&self) -> bool {
        let done = |waiter: &Waiter| self.slots.get(waiter.slot.0).is_none_or(|slot| slot.done);
        self.queue.iter().all(done)
    }

    /// What all requests that are not answered take of the budget.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// A reply came: it belongs to the oldest waiter. The waker of a caller that has all its replies goes to `wakers`.
    ///
    /// # Errors
    ///
    /// Nobody waits for a reply; the connection's place in the stream is lost.
    #[inline]
    pub(super) fn reply(
        &mut self,
        frame: Frame,
        wakers: &mut Vec<Waker>,
    ) -> Result<(), ProtocolError> {
        let Some(waiter) = self.queue.front_mut().filter(|_| self.sent > 0) else {
            return Err(ProtocolError::Unasked);
        };
        if waiter.slot == PROBE {
            return self.probed(&frame);
        }
        waiter.left -= 1;
        let left = waiter.left;
        if let Some(slot) = self.slots.get_mut(waiter.slot.0).filter(|slot| slot.held && !slot.done)
        {
            match &mut slot.replies {
                Replies::Many(frames) => frames.push(frame),
                replies if left == 0 => *replies = Replies::One(frame),
                replies => {
                    // All that are still to come fit: a pipeline costs one allocation.
                    let mut frames = Vec::with_capacity(left + 1);
                    frames.push(frame);
                    *replies = Replies::Many(frames);
                }
            }
        }
        if left == 0 {
            self.sent -= 1;
            self.pop_front(None, wakers);
        }
        Ok(())
    }

    /// The reply to a PING came. An error is one, too: the server is busy, or its user may not say PING.
    #[cold]
    fn probed(&mut self, frame: &Frame) -> Result<(), ProtocolError> {
        let pong = frame.cursor().string("PONG").is_ok_and(|text| text == b"PONG");
        if !pong && frame.error().is_none() {
            return Err(ProtocolError::Shifted);
        }
        self.sent -= 1;
        self.alive = true;
        if let Some(waiter) = self.queue.pop_front() {
            self.cost -= waiter.cost;
        }
        Ok(())
    }

    /// Takes the oldest waiter out of the queue; with a failure if it has not got all its replies.
    #[inline]
    fn pop_front(&mut self, failure: Option<Failure>, wakers: &mut Vec<Waker>) {
        if let Some(waiter) = self.queue.pop_front() {
            self.settle(&waiter, failure, wakers);
        }
    }

    #[inline]
    fn settle(&mut self, waiter: &Waiter, failure: Option<Failure>, wakers: &mut Vec<Waker>) {
        self.cost -= waiter.cost;
        let Some(slot) = self.slots.get_mut(waiter.slot.0) else { return };
        slot.owed = false;
        if !slot.held {
            return self.release(waiter.slot);
        }
        if !slot.done {
            slot.done = true;
            self.alive |= failure.is_none();
            if failure.is_some() {
                slot.failure = failure.map(Box::new);
            }
            if let Some(waker) = slot.waker.take() {
                wakers.push(waker);
            }
        }
    }

    fn release(&mut self, id: SlotId) {
        if let Some(slot) = self.slots.get_mut(id.0) {
            slot.replies = Replies::None;
            slot.failure = None;
            slot.done = false;
            self.free.push(id);
        }
    }

    /// What came for this slot, if all did; the caller then has nothing to do with it any more.
    #[inline]
    pub(super) fn take(&mut self, id: SlotId, waker: &Waker) -> Taken {
        let Some(slot) = self.slots.get_mut(id.0) else { return Taken::Wait };
        if !slot.done {
            let known = slot.waker.as_ref().is_some_and(|known| known.will_wake(waker));
            return if known { Taken::Wait } else { Taken::Moved };
        }
        let replies = std::mem::take(&mut slot.replies);
        let mut failure = slot.failure.take();
        if let Some(Failure::TimedOut { owed, .. }) = failure.as_deref_mut() {
            *owed = slot.owed;
        }
        // Nothing is left in it: its waker went when it was done.
        slot.held = false;
        if !slot.owed {
            slot.done = false;
            self.free.push(id);
        }
        Taken::Came(replies, failure)
    }

    /// From now on this waker is woken when all has come for a slot; false if it has come already. The waker before it comes
    /// back, to be dropped where nothing is locked.
    pub(super) fn moved(&mut self, id: SlotId, waker: &mut Option<Waker>) -> bool {
        let slot = self.slots.get_mut(id.0).filter(|slot| !slot.done);
        slot.map(|slot| std::mem::swap(&mut slot.waker, waker)).is_some()
    }

    /// The caller gives up its slot. A reply that is still owed is thrown away when it comes. The caller's waker comes back,
    /// to be dropped where nothing is locked.
    pub(super) fn abandon(&mut self, id: SlotId) -> Option<Waker> {
        let slot = self.slots.get_mut(id.0)?;
        let waker = slot.waker.take();
        slot.held = false;
        slot.replies = Replies::None;
        if !slot.owed {
            self.release(id);
        }
        waker
    }

    /// Whether all that will come for a slot has come.
    pub(super) fn is_settled(&self, id: SlotId) -> bool {
        self.slots.get(id.0).is_none_or(|slot| slot.done)
    }

    /// The earliest time at which a waiter will be overdue.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let open = |waiter: &Waiter| self.slots.get(waiter.slot.0).filter(|slot| !slot.done);
        self.queue.iter().filter_map(|waiter| Some(open(waiter)?.due?.at)).min()
    }

    /// Settles the waiters that are overdue.
    ///
    /// Those that no writer has yet leave the queue, for they shall not be sent any more; `unsent` makes their failure. The
    /// others keep their place, for their replies will come.
    pub(super) fn expire(&mut self, now: Instant, unsent: impl Fn() -> Unsent) -> Expired {
        let mut expired = Expired::default();
        let mut behind = self.replies_left();
        for waiter in self.queue.iter().take(self.sent) {
            behind -= waiter.left as u64;
            if let Some(slot) = self.slots.get_mut(waiter.slot.0) {
                if !slot.done && slot.is_overdue(now) {
                    slot.done = true;
                    slot.failure = Some(Box::new(Failure::TimedOut {
                        owed: true,
                        place: self.sends.place(behind),
                    }));
                    expired.wakers.extend(slot.waker.take());
                }
            }
        }
        self.cut(&mut expired, unsent, |slot| slot.is_overdue(now));
        expired
    }

    /// Takes out the unsent requests whose callers have given up or been told that their time is over.
    pub(super) fn drop_abandoned(&mut self) -> Expired {
        let mut expired = Expired::default();
        self.cut(&mut expired, || Unsent::Closed, |slot| !slot.held || slot.done);
        expired
    }

    /// Takes the unsent requests that `which` picks out of the queue.
    fn cut(
        &mut self,
        expired: &mut Expired,
        unsent: impl Fn() -> Unsent,
        which: impl Fn(&Slot) -> bool,
    ) {
        let picked =
            |slots: &Vec<Slot>, waiter: &Waiter| slots.get(waiter.slot.0).is_some_and(&which);
        if !self.queue.iter().skip(self.sent).any(|waiter| picked(&self.slots, waiter)) {
            return;
        }
        for waiter in self.queue.split_off(self.sent) {
            let out = picked(&self.slots, &waiter);
            match expired.cuts.last_mut() {
                Some((keep, 0)) if !out => *keep += waiter.bytes,
                Some((_, cut)) if out => *cut += waiter.bytes,
                _ if out => expired.cuts.push((0, waiter.bytes)),
                _ => expired.cuts.push((waiter.bytes, 0)),
            }
            if out {
                self.settle(&waiter, Some(Failure::Unsent(unsent())), &mut expired.wakers);
            } else {
                self.queue.push_back(waiter);
            }
        }
    }

    /// The connection is gone. Of the requests that the writer had, the last `unwritten` bytes never left: those that lie
    /// wholly in there stay in the queue as unsent, all before them are lost. Returns how many of the bytes are kept.
    pub(super) fn disconnected(
        &mut self,
        unwritten: usize,
        reason: &Disconnect,
        wakers: &mut Vec<Waker>,
    ) -> usize {
        let mut kept = 0;
        let mut lost = self.sent;
        for waiter in self.queue.iter().take(self.sent).rev() {
            if kept + waiter.bytes > unwritten {
                break;
            }
            kept += waiter.bytes;
            lost -= 1;
        }
        let mut behind = self.replies_left();
        for _ in 0..lost {
            behind -= self.queue.front().map_or(0, |waiter| waiter.left as u64);
            let place = self.sends.place(behind);
            self.pop_front(Some(Failure::Lost(reason.clone(), place)), wakers);
        }
        self.sent = 0;
        kept
    }

    /// Settles all that is left; nothing will be sent any more.
    pub(super) fn close(&mut self, wakers: &mut Vec<Waker>) {
        self.sent = 0;
        while !self.queue.is_empty() {
            self.pop_front(Some(Failure::Unsent(Unsent::Closed)), wakers);
        }
    }
}

#[cfg(test)]
mod tests;
