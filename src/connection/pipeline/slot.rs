//! What the pipeline keeps of each request: its place in the queue, and its result. No I/O.

use crate::connection::health::Due;
use crate::connection::window::Place;
use crate::error::{Disconnect, Unsent};
use crate::resp::Frame;
use std::task::Waker;
use std::time::Instant;

/// The slot that collects a caller's replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotId(pub(super) usize);

/// The slot id of the connection's own PING. It has no slot, so its reply is not kept.
pub(super) const PROBE: SlotId = SlotId(usize::MAX);

/// The replies that a waiter received.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Replies {
    #[default]
    None,
    Single(Frame),
    Many(Vec<Frame>),
}

impl Replies {
    /// Whether the only, the first or the last reply is an error: the whole request may have been
    /// rejected.
    #[inline]
    pub(crate) fn is_refusal(&self) -> bool {
        let is_error = |frame: &Frame| frame.error().is_some();
        match self {
            Self::None => false,
            Self::Single(frame) => is_error(frame),
            Self::Many(frames) => {
                frames.last().is_some_and(is_error) || frames.first().is_some_and(is_error)
            }
        }
    }
}

/// The reason why there are fewer replies than requests.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    Unsent(Unsent),
    Lost(Disconnect, Place),
    /// It was not sent, because another connection is the right one now.
    Elsewhere,
    /// `owed`: the connection that owes the reply is the one there is.
    TimedOut {
        owed: bool,
        place: Place,
    },
}

/// The failure, if there was one. Boxed, because failures are rare and the value is moved often.
pub(crate) type Failed = Option<Box<Failure>>;

/// A request that is queued and not fully answered.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) slot: SlotId,
    /// The number of outstanding replies.
    pub(super) left: usize,
    /// The request's bytes on the wire.
    pub(super) bytes: usize,
    /// The request's cost in the budget.
    pub(super) cost: usize,
}

#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) replies: Replies,
    pub(super) failure: Failed,
    pub(super) done: bool,
    /// The caller's future still holds the slot.
    pub(super) held: bool,
    /// The waiter is still in the queue.
    pub(super) owed: bool,
    pub(super) waker: Option<Waker>,
    pub(super) due: Option<Due>,
    /// It is not kept for the next connection.
    pub(super) is_pinned: bool,
}

impl Slot {
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due.at <= now)
    }
}
