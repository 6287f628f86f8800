//! Matches replies to waiting callers, in order, and tracks their deadlines. No I/O.
//!
//! Redis answers in the order of the requests, so a queue of waiters is all the bookkeeping there
//! is. A waiter may wait for several replies: a pipeline or a transaction is one waiter. Push
//! frames are out-of-band and never reach this module.
//!
//! A waiter's replies are collected in a slot, which the caller's future reads. The queue and the
//! future release the slot independently. A caller that was dropped leaves its waiter in the queue,
//! so that its reply is discarded and never delivered to another caller.

mod slot;

pub(crate) use slot::{Failed, Failure, Replies, SlotId};

use super::health::{Due, Owed};
use super::window::Sends;
use crate::error::{Disconnect, Unsent};
use crate::resp::{Frame, ProtocolError};
use slot::{PROBE, Slot, Waiter};
use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

/// The content of a caller's slot.
#[derive(Debug)]
pub(super) enum Taken {
    /// All replies, or the failure.
    Done(Replies, Failed),
    /// Nothing yet; the caller will be woken.
    Wait,
    /// Nothing yet, and a different waker is registered.
    OtherWaker,
}

/// The result of removing overdue or abandoned waiters.
#[derive(Debug, Default)]
pub(super) struct Expired {
    /// Byte ranges to remove from the unsent requests, as pairs of lengths: (keep, drop).
    pub(super) cuts: Vec<(usize, usize)>,
    pub(super) wakers: Vec<Waker>,
}

#[derive(Debug, Default)]
pub(super) struct Pipeline {
    queue: VecDeque<Waiter>,
    /// The number of waiters at the front of the queue whose requests the writer has.
    sent: usize,
    slots: Vec<Slot>,
    free: Vec<SlotId>,
    /// The total cost of the queue.
    cost: usize,
    /// The deadline of the last PING of the connection's own.
    probe: Option<Due>,
    /// A reply came in time since the last `take_alive`.
    alive: bool,
    /// Counts what is queued.
    sends: Sends,
}

impl Pipeline {
    /// Creates a pipeline that counts its requests here.
    pub(super) fn counting(sends: Sends) -> Self {
        Self { sends, ..Self::default() }
    }

    /// Returns the number of replies requested so far, on all connections.
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
            // The other fields are as in a new slot: `release` and `take` reset them.
            slot.held = true;
            slot.owed = true;
            slot.waker = waker;
            slot.due = due;
            slot.is_pinned = false;
        }
        self.queue.push_back(Waiter { slot: id, left: replies, bytes, cost });
        self.cost += cost;
        self.sends.add(replies);
        id
    }

    /// Lets a request that is not sent not be kept for the next connection.
    pub(super) fn pin(&mut self, id: SlotId) {
        if let Some(slot) = self.slots.get_mut(id.0) {
            slot.is_pinned = true;
        }
    }

    /// Inserts a PING of the connection's own before all unsent requests, as sent.
    pub(super) fn push_probe(&mut self, bytes: usize, cost: usize, due: Option<Due>) {
        self.queue.insert(self.sent, Waiter { slot: PROBE, left: 1, bytes, cost });
        self.sent += 1;
        self.cost += cost;
        self.probe = due;
    }

    /// Queues a PING of the connection's own behind all other requests.
    pub(super) fn push_check(&mut self, bytes: usize, cost: usize, due: Option<Due>) {
        self.queue.push_back(Waiter { slot: PROBE, left: 1, bytes, cost });
        self.cost += cost;
        self.probe = due;
    }

    /// Whether a PING of the connection's own is not answered.
    pub(super) fn is_probed(&self) -> bool {
        self.queue.iter().any(|waiter| waiter.slot == PROBE)
    }

    /// Returns whether a reply came in time since the last call: to a caller that still waited, or
    /// to a PING.
    #[inline]
    pub(super) fn take_alive(&mut self) -> bool {
        std::mem::take(&mut self.alive)
    }

    /// Records that the writer took this many more requests.
    #[inline]
    pub(super) fn sent_more(&mut self, requests: usize) {
        self.sent = (self.sent + requests).min(self.queue.len());
    }

    /// Returns the size of each unsent request.
    pub(super) fn unsent_sizes(&self) -> impl Iterator<Item = usize> {
        self.queue.iter().skip(self.sent).map(|waiter| waiter.bytes)
    }

    /// Returns the number of requests that the writer has and the server has not answered.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// Returns the deadline of the oldest outstanding reply; no later reply can arrive before it.
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

    /// Returns the number of unsent requests.
    pub(super) fn unsent(&self) -> usize {
        self.queue.len() - self.sent
    }

    /// Returns the number of requests that are not answered.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether every caller has its result. Replies to overdue requests may still be outstanding.
    pub(super) fn all_settled(&self) -> bool {
        let done = |waiter: &Waiter| self.slots.get(waiter.slot.0).is_none_or(|slot| slot.done);
        self.queue.iter().all(done)
    }

    /// Returns the cost of all requests that are not answered.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// Delivers a reply to the oldest waiter. If that caller now has all its replies, its waker is
    /// added to `wakers`.
    ///
    /// # Errors
    ///
    /// No request is outstanding: the position in the stream is lost.
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
                replies if left == 0 => *replies = Replies::Single(frame),
                replies => {
                    // Capacity for all outstanding replies: a pipeline costs one allocation.
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

    /// Processes the reply to a PING. An error counts as a reply: the server is busy, or its user
    /// may not run PING.
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

    /// Removes the oldest waiter; with a failure if it does not have all its replies.
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

    /// Returns the replies of a slot if they are complete, and releases the caller's hold on it.
    #[inline]
    pub(super) fn take(&mut self, id: SlotId, waker: &Waker) -> Taken {
        let Some(slot) = self.slots.get_mut(id.0) else { return Taken::Wait };
        if !slot.done {
            let known = slot.waker.as_ref().is_some_and(|known| known.will_wake(waker));
            return if known { Taken::Wait } else { Taken::OtherWaker };
        }
        let replies = std::mem::take(&mut slot.replies);
        let mut failure = slot.failure.take();
        if let Some(Failure::TimedOut { owed, .. }) = failure.as_deref_mut() {
            *owed = slot.owed;
        }
        // The slot is empty: its waker was taken when it was done.
        slot.held = false;
        if !slot.owed {
            slot.done = false;
            self.free.push(id);
        }
        Taken::Done(replies, failure)
    }

    /// Registers another waker for a slot; false if the slot is done already. The previous waker is
    /// returned in `waker`, to be dropped without the lock.
    pub(super) fn replace_waker(&mut self, id: SlotId, waker: &mut Option<Waker>) -> bool {
        let slot = self.slots.get_mut(id.0).filter(|slot| !slot.done);
        slot.map(|slot| std::mem::swap(&mut slot.waker, waker)).is_some()
    }

    /// Releases the caller's slot. An outstanding reply is discarded when it arrives. The caller's
    /// waker is returned, to be dropped without the lock.
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

    /// Whether a slot has its final result.
    pub(super) fn is_settled(&self, id: SlotId) -> bool {
        self.slots.get(id.0).is_none_or(|slot| slot.done)
    }

    /// Returns the earliest deadline of a waiter.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let open = |waiter: &Waiter| self.slots.get(waiter.slot.0).filter(|slot| !slot.done);
        self.queue.iter().filter_map(|waiter| Some(open(waiter)?.due?.at)).min()
    }

    /// Settles overdue waiters.
    ///
    /// Unsent requests leave the queue and are never sent; `unsent` creates their failure. The
    /// others keep their place, because their replies will come.
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
        let unsent = || Failure::Unsent(unsent());
        self.cut(&mut expired, unsent, |slot| slot.is_some_and(|slot| slot.is_overdue(now)));
        expired
    }

    /// Removes all unsent requests, because another connection is the right one now.
    pub(super) fn evict(&mut self) -> Expired {
        let mut expired = Expired::default();
        self.cut(&mut expired, || Failure::Elsewhere, |slot| slot.is_some());
        expired
    }

    /// Removes the unsent requests that the next connection must not send: those without a caller
    /// that waits, those for the last connection only, and a PING.
    pub(super) fn next_connection(&mut self) -> Expired {
        let mut expired = Expired::default();
        let leaves = |slot: &Slot| !slot.held || slot.done || slot.is_pinned;
        let reconnected = || Failure::Unsent(Unsent::Reconnected);
        self.cut(&mut expired, reconnected, |slot| slot.is_none_or(leaves));
        expired
    }

    /// Removes the unsent requests for which `which` is true.
    fn cut(
        &mut self,
        expired: &mut Expired,
        unsent: impl Fn() -> Failure,
        which: impl Fn(Option<&Slot>) -> bool,
    ) {
        let picked = |slots: &Vec<Slot>, waiter: &Waiter| which(slots.get(waiter.slot.0));
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
                self.settle(&waiter, Some(unsent()), &mut expired.wakers);
            } else {
                self.queue.push_back(waiter);
            }
        }
    }

    /// Handles the loss of the connection. Of the requests that the writer had, the last
    /// `unwritten` bytes never left. Requests entirely within those bytes stay queued as unsent;
    /// all before them are lost. Returns the number of bytes kept.
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

    /// Settles all remaining waiters; nothing more is sent.
    pub(super) fn close(&mut self, wakers: &mut Vec<Waker>) {
        self.sent = 0;
        while !self.queue.is_empty() {
            self.pop_front(Some(Failure::Unsent(Unsent::Closed)), wakers);
        }
    }
}

#[cfg(test)]
mod tests;
