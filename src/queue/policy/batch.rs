//! Batch: how many entries to request at once, from the sizes of earlier ones. No I/O.
//!
//! A server older than Redis 8.10 does not limit the bytes of a reply, and a reply above the
//! client's limit ends its connection: its entries are then pending and not received. So the first
//! reply has few entries, later ones up to twice as many, and no more than fit if each is as large as
//! the largest of the recent ones.

/// The most entries of one reply.
const MOST: usize = 1_000;

/// The most entries of the first reply, whose sizes are not known.
const MOST_AT_FIRST: usize = 16;

/// The first reply has one entry for this much of the limit, in bytes.
const TYPICAL: usize = 4 << 20;

/// The most that a field adds to the size of a reply: the limit counts 32 bytes for each
/// element, and there are lengths and line ends.
const FIELD: usize = 2 * 48;

/// The most that an entry adds.
const ENTRY: usize = 256;

/// The number of entries to request at once.
#[derive(Debug)]
pub(crate) struct Batch {
    most: usize,
    /// The size of the largest recent entry; 0 if there was none.
    largest: usize,
    /// The most bytes of one reply.
    reply_bytes: usize,
}

impl Batch {
    /// Creates the state for replies of at most this many bytes. `server_limits` is whether the
    /// server itself limits the bytes of a reply.
    pub(crate) fn new(reply_bytes: usize, server_limits: bool) -> Self {
        let first = (reply_bytes / TYPICAL).clamp(1, MOST_AT_FIRST);
        let most = if server_limits { MOST } else { first };
        Self { most, largest: 0, reply_bytes: reply_bytes - reply_bytes / 8 }
    }

    /// Returns how many entries to request, with capacity for `room` entries of `bytes` together. A
    /// single entry may be larger.
    pub(crate) fn count(&self, room: usize, bytes: usize) -> usize {
        if bytes == 0 {
            return 0;
        }
        let fit = bytes.min(self.reply_bytes).checked_div(self.largest).unwrap_or(usize::MAX);
        room.min(self.most).min(fit.max(1))
    }

    /// Returns the limit to request of a server that limits the bytes of a reply.
    pub(crate) fn max_size(&self, bytes: usize) -> usize {
        bytes.min(self.reply_bytes)
    }

    /// Records a reply: the number of its entries, and the size of the largest.
    pub(crate) fn received(&mut self, entries: usize, largest: usize) {
        if entries == 0 {
            return;
        }
        self.largest = largest.max(self.largest / 2);
        if entries >= self.most {
            self.most = (self.most * 2).min(MOST);
        }
    }

    /// Records a reply that was larger than the limit.
    pub(crate) fn exceeded(&mut self) {
        self.most = 1;
    }
}

/// Returns the size of an entry in a reply, at most, from the bytes of its payload.
pub(crate) fn size(payload: usize, fields: usize) -> usize {
    ENTRY + payload + fields * FIELD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_reply_has_few_entries_and_later_ones_twice_as_many() {
        let mut batch = Batch::new(1 << 20, false);
        let mut counts = Vec::new();
        for _ in 0..12 {
            let count = batch.count(5_000, 1 << 20);
            counts.push(count);
            batch.received(count, 100);
        }
        assert_eq!(counts, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_000, 1_000]);
        batch.exceeded();
        assert_eq!(batch.count(5_000, 1 << 20), 1);
        assert_eq!(Batch::new(68 << 20, false).count(5_000, 1 << 20), 16);
        assert_eq!(Batch::new(1 << 20, true).count(5_000, 1 << 20), 1_000);
    }

    #[test]
    fn reply_has_as_many_entries_as_fit_and_one_at_least() {
        let mut batch = Batch::new(8_000, true);
        batch.received(1, 1_000);
        for (room, bytes, expected) in
            [(9, 5_000, 5), (3, 5_000, 3), (9, 99_000, 7), (9, 10, 1), (0, 5_000, 0), (9, 0, 0)]
        {
            assert_eq!(batch.count(room, bytes), expected, "{room}, {bytes}");
        }
        batch.received(1, 10);
        assert_eq!(batch.count(9, 5_000), 9, "a large entry is forgotten");
    }
}
