//! The words of the index: the head of an entry, and the spans of its fields. No I/O.

use crate::EntryId;

/// The table's record of one entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) id: EntryId,
    /// Start of its spans, counted from the first span of the batch.
    pub(super) start: usize,
    /// Number of its spans: two for each field.
    pub(super) spans: usize,
    /// The entry was deleted; it has no fields.
    pub(super) deleted: bool,
    /// Two words follow the spans: idle milliseconds and the delivery count.
    pub(super) delivery: bool,
}

const DELETED: u64 = 1 << 63;
const DELIVERY: u64 = 1 << 62;
const SPANS: u64 = DELIVERY - 1;

impl Head {
    /// Size of a head in words.
    pub(super) const WORDS: usize = 3;

    #[inline]
    pub(super) fn read(words: &[u64]) -> Option<Self> {
        let [ms, seq, place, ..] = *words else { return None };
        Some(Self {
            id: EntryId::new(ms, seq),
            start: low(place),
            spans: low((place & SPANS) >> 32),
            deleted: place & DELETED != 0,
            delivery: place & DELIVERY != 0,
        })
    }

    #[inline]
    pub(super) fn words(&self) -> [u64; Self::WORDS] {
        let mut place = self.start as u64 | ((self.spans as u64) << 32);
        if self.deleted {
            place |= DELETED;
        }
        if self.delivery {
            place |= DELIVERY;
        }
        [self.id.ms(), self.id.seq(), place]
    }
}

/// Returns the low half of a word.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "half a word: offsets are below 4 GiB")]
fn low(word: u64) -> usize {
    word as u32 as usize
}

/// Packs a position in the reply into a word: the offset in the low half, the length in the high.
#[inline]
pub(super) fn span(start: usize, len: usize) -> u64 {
    start as u64 | ((len as u64) << 32)
}

/// Returns the bytes of a span.
#[inline]
pub(super) fn slice(bytes: &[u8], span: u64) -> &[u8] {
    let start = low(span);
    bytes.get(start..start + low(span >> 32)).unwrap_or_default()
}
