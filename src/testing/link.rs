//! One connection's bytes on their way, in both directions. No I/O.

use super::fault::End;
use bytes::Bytes;
use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

/// The bytes on their way to the server above which a write waits.
const CAPACITY: usize = 256 << 10;

/// The connection between a client and the server.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) requests: Lane,
    pub(super) replies: Lane,
    /// The reply bytes that have arrived and were not read.
    received: VecDeque<Bytes>,
    /// The end that the client sees after what it has received.
    ended: Option<End>,
    /// The client has dropped its side.
    pub(super) abandoned: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Lane {
    parcels: VecDeque<(Instant, Parcel)>,
    bytes: usize,
    stalled_until: Option<Instant>,
}

/// A piece of the byte stream.
#[derive(Debug, Clone)]
pub(super) enum Parcel {
    Bytes(Bytes),
    /// Nothing follows.
    End(End),
}

impl Lane {
    /// Sends a parcel that arrives at this moment, unless the lane is stalled.
    pub(super) fn send(&mut self, parcel: Parcel, at: Instant) {
        if let Parcel::Bytes(bytes) = &parcel {
            self.bytes += bytes.len();
        }
        self.parcels.push_back((at, parcel));
    }

    /// Holds everything back until this moment.
    pub(super) fn stall(&mut self, until: Instant) {
        self.stalled_until = self.stalled_until.max(Some(until));
    }

    /// Ends a stall.
    pub(super) fn flow(&mut self) {
        self.stalled_until = None;
    }

    /// Loses everything that is on its way.
    pub(super) fn lose(&mut self) {
        self.parcels.clear();
        self.bytes = 0;
    }

    /// Returns when the next parcel arrives.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        let (at, _) = self.parcels.front()?;
        Some(self.stalled_until.map_or(*at, |until| until.max(*at)))
    }

    /// Returns the next parcel that has arrived.
    pub(super) fn arrived(&mut self, now: Instant) -> Option<Parcel> {
        if self.next_arrival()? > now {
            return None;
        }
        let (_, parcel) = self.parcels.pop_front()?;
        if let Parcel::Bytes(bytes) = &parcel {
            self.bytes -= bytes.len();
        }
        Some(parcel)
    }

    /// Returns the number of bytes that a write may add.
    pub(super) fn room(&self) -> usize {
        CAPACITY.saturating_sub(self.bytes)
    }
}

impl Link {
    /// Receives the replies that have arrived. Returns whether there were any.
    pub(super) fn receive(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(parcel) = self.replies.arrived(now) {
            any = true;
            match parcel {
                Parcel::Bytes(bytes) => self.received.push_back(bytes),
                Parcel::End(end) => {
                    if end == End::Reset {
                        self.received.clear();
                    }
                    self.ended = self.ended.or(Some(end));
                }
            }
        }
        any
    }

    /// Returns at most `most` of the received bytes.
    pub(super) fn read(&mut self, most: usize) -> Option<Bytes> {
        let front = self.received.front_mut()?;
        if front.len() > most {
            return Some(front.split_to(most));
        }
        self.received.pop_front()
    }

    /// Returns the end of the connection, if it has arrived.
    pub(super) fn ended(&self) -> Option<End> {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn stalled_lane_delivers_in_order_after_the_stall() {
        let now = Instant::now();
        let (mut link, later) = (Link::default(), now + Duration::from_secs(1));
        link.replies.stall(later);
        link.replies.send(Parcel::Bytes(Bytes::from_static(b"abc")), now);
        link.replies.send(Parcel::End(End::Eof), now);
        assert!(!link.receive(now));
        assert_eq!(link.replies.next_arrival(), Some(later));
        assert!(link.receive(later));
        assert_eq!(link.read(2).as_deref(), Some(&b"ab"[..]));
        assert_eq!(link.read(2).as_deref(), Some(&b"c"[..]));
        assert_eq!((link.read(2), link.ended()), (None, Some(End::Eof)));
    }

    #[test]
    fn reset_loses_what_was_not_read() {
        let (mut link, now) = (Link::default(), Instant::now());
        link.replies.send(Parcel::Bytes(Bytes::from_static(b"abc")), now);
        link.replies.send(Parcel::End(End::Reset), now);
        link.receive(now);
        assert_eq!((link.read(9), link.ended()), (None, Some(End::Reset)));
    }
}
