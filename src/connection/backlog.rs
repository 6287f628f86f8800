//! Requests that no writer has taken yet, as bytes, in order. No I/O.
//!
//! The bytes are kept in pieces. A growing buffer is copied, and during the copy takes more than
//! twice its size; pieces grow little. The writer takes one piece at a time, so that all pieces
//! after it can still be withdrawn.

use std::collections::VecDeque;

/// A piece accepts no further request that makes it larger than this.
const PIECE_BYTES: usize = 256 << 10;

/// A request of this size is a piece of its own.
const LARGE_BYTES: usize = 32 << 10;

#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Pieces that accept no more requests.
    full: VecDeque<Piece>,
    last: Piece,
}

#[derive(Debug, Default)]
struct Piece {
    bytes: Vec<u8>,
    requests: usize,
}

impl Backlog {
    /// Adds an encoded request. The bytes of a large one are taken, those of others copied.
    #[inline]
    pub(super) fn add(&mut self, encoded: &mut Vec<u8>) {
        if encoded.len() < LARGE_BYTES {
            self.end(encoded.len()).extend_from_slice(encoded);
            self.wrote();
        } else {
            // A large one is a piece of its own: it is not copied.
            if !self.last.bytes.is_empty() {
                self.full.push_back(std::mem::take(&mut self.last));
            }
            self.last = Piece { bytes: std::mem::take(encoded), requests: 1 };
        }
    }

    /// Returns the buffer to append a request of this many bytes to. Then call [`Backlog::wrote`].
    #[inline]
    fn end(&mut self, bytes: usize) -> &mut Vec<u8> {
        if bytes > self.last.bytes.capacity() - self.last.bytes.len() {
            self.make_room(bytes);
        }
        &mut self.last.bytes
    }

    #[cold]
    fn make_room(&mut self, bytes: usize) {
        let len = self.last.bytes.len();
        let wanted = len.saturating_add(bytes);
        if len > 0 && wanted > PIECE_BYTES {
            self.full.push_back(std::mem::take(&mut self.last));
            self.last.bytes.reserve_exact(bytes);
        } else {
            // Doubles the capacity like any vector, but at most to the size of a piece.
            let capacity = (2 * self.last.bytes.capacity()).min(PIECE_BYTES).max(wanted);
            self.last.bytes.reserve_exact(capacity - len);
        }
    }

    /// Counts a request that was written.
    #[inline]
    fn wrote(&mut self) {
        self.last.requests += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.full.is_empty() && self.last.bytes.is_empty()
    }

    /// Returns all bytes, if they are in one piece.
    #[inline]
    pub(super) fn only(&mut self) -> Option<&mut Vec<u8>> {
        if self.full.is_empty() { Some(&mut self.last.bytes) } else { None }
    }

    /// Moves the first piece into an empty buffer, and returns its number of requests.
    #[inline]
    pub(super) fn take(&mut self, buffer: &mut Vec<u8>) -> usize {
        if let Some(piece) = self.full.pop_front() {
            *buffer = piece.bytes;
            return piece.requests;
        }
        std::mem::swap(buffer, &mut self.last.bytes);
        std::mem::take(&mut self.last.requests)
    }

    /// Clears the only piece after it was written, and returns its number of requests.
    #[inline]
    pub(super) fn written(&mut self) -> usize {
        self.last.bytes.clear();
        std::mem::take(&mut self.last.requests)
    }

    /// Puts requests that were taken back in front of all others. Then call [`Backlog::recount`].
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.full.push_front(Piece { bytes: bytes.to_vec(), requests: 0 });
        }
    }

    /// Removes requests: each pair is a number of bytes to keep and a number to drop. All bytes
    /// after the last pair are kept. Then call [`Backlog::recount`].
    pub(super) fn cut(&mut self, cuts: &[(usize, usize)]) {
        let mut cuts = cuts.iter().copied();
        let (mut keep, mut drop) = (0, 0);
        for piece in self.full.iter_mut().chain([&mut self.last]) {
            let bytes = &mut piece.bytes;
            let (mut read, mut kept) = (0, 0);
            while read < bytes.len() {
                if keep == 0 && drop == 0 {
                    (keep, drop) = cuts.next().unwrap_or((usize::MAX, 0));
                }
                let now = keep.min(bytes.len() - read);
                bytes.copy_within(read..read + now, kept);
                (keep, kept, read) = (keep - now, kept + now, read + now);
                let now = drop.min(bytes.len() - read);
                (drop, read) = (drop - now, read + now);
            }
            bytes.truncate(kept);
        }
    }

    /// Counts the requests of each piece, from the bytes that each request has.
    pub(super) fn recount(&mut self, requests: impl IntoIterator<Item = usize>) {
        let mut requests = requests.into_iter();
        self.full.retain(|piece| !piece.bytes.is_empty());
        for piece in self.full.iter_mut().chain([&mut self.last]) {
            piece.requests = 0;
            let mut left = piece.bytes.len();
            while left > 0 {
                left = left.saturating_sub(requests.next().unwrap_or(left));
                piece.requests += 1;
            }
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn add(backlog: &mut Backlog, n: usize, len: usize) {
        backlog.add(&mut vec![u8::try_from(n).unwrap(); len]);
    }

    /// Returns all bytes, and the number of requests reported for them.
    fn drain(backlog: &mut Backlog) -> (Vec<u8>, usize) {
        let (mut all, mut requests) = (Vec::new(), 0);
        while !backlog.is_empty() {
            let mut buffer = Vec::new();
            requests += backlog.take(&mut buffer);
            all.extend(buffer);
        }
        (all, requests)
    }

    #[test]
    fn pieces_allocate_at_most_a_fifth_more_than_their_bytes() {
        for len in [100, 1_000, 30_000, 100_000, 200_000, 1 << 20] {
            let mut backlog = Backlog::default();
            let count = (20 << 20) / len;
            (0..count).for_each(|n| add(&mut backlog, n % 256, len));
            let held: usize = backlog.full.iter().map(|piece| piece.bytes.capacity()).sum();
            assert!(held <= count * len * 6 / 5, "{len}: {held}");
            assert_eq!(drain(&mut backlog).1, count);
        }
    }

    #[test]
    fn requests_put_back_come_first() {
        let mut backlog = Backlog::default();
        add(&mut backlog, 2, 10);
        backlog.put_back(&[1; 20]);
        backlog.recount([5, 15, 10]);
        assert!(backlog.only().is_none());
        let mut buffer = Vec::new();
        assert_eq!((backlog.take(&mut buffer), buffer.len()), (2, 20));
        assert_eq!(backlog.only().map(|all| all.len()), Some(10));
    }

    proptest! {
        #[test]
        fn cut_removes_the_dropped_ranges_and_keeps_the_order(
            requests in prop::collection::vec((1..200_000usize, any::<bool>()), 0..40),
        ) {
            let mut backlog = Backlog::default();
            let (mut cuts, mut kept, mut expected): (Vec<(usize, usize)>, _, _) = (Vec::new(), Vec::new(), Vec::new());
            for (n, &(len, keep)) in requests.iter().enumerate() {
                add(&mut backlog, n, len);
                cuts.push(if keep { (len, 0) } else { (0, len) });
                if keep {
                    kept.push(len);
                    expected.resize(expected.len() + len, u8::try_from(n).unwrap());
                }
            }
            // Trailing pairs without a dropped part are not needed.
            while cuts.last().is_some_and(|(_, cut)| *cut == 0) {
                cuts.pop();
            }
            backlog.cut(&cuts);
            backlog.recount(kept.iter().copied());
            let (all, count) = drain(&mut backlog);
            prop_assert!(all == expected);
            prop_assert_eq!(count, kept.len());
        }
    }
}
