//! Entries read in place: the reply's own bytes and a flat index over them. Pure.
//!
//! A batch of entries is one buffer, the reply as it came, and one table of numbers that says where each id, field and
//! value is. Nothing is copied and nothing is allocated per entry. [`EntryRef`] looks into the batch; [`Entry`] is one of
//! its entries to keep: it shares the buffer until [`Entry::detach`] copies its own bytes out.

mod fields;
mod index;
mod one;
mod streams;

pub use fields::{Fields, Values};
pub use one::{DeliveryInfo, Entry, EntryRef};
pub use streams::{StreamEntries, Streams};

use crate::EntryId;
use bytes::Bytes;
use index::Head;
use std::fmt;

/// The entries of one stream, in the order that the server gave them.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), bourn::Error> {
/// let entries = client.send(bourn::XRange::new("orders", ..).count(100)).await?;
/// for entry in &entries {
///     for (field, value) in entry.fields() {
///         println!("{} {} {}", entry.id(), field.escape_ascii(), value.escape_ascii());
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Entries {
    bytes: Bytes,
    /// [`Head::WORDS`] words for each of `heads` entries, then the spans of all fields.
    table: Vec<u64>,
    heads: usize,
    len: usize,
    nulls: usize,
}

impl Entries {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entries, oldest first unless the command says otherwise.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter { entries: self, next: 0, end: self.len }
    }

    /// The entry at this place, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<EntryRef<'_>> {
        if index >= self.len {
            return None;
        }
        let head = Head::read(self.table.get(index * Head::WORDS..)?)?;
        let spans = self.table.get(self.heads * Head::WORDS + head.start..)?;
        Some(EntryRef::new(&self.bytes, head, spans))
    }

    /// The first entry.
    #[must_use]
    pub fn first(&self) -> Option<EntryRef<'_>> {
        self.get(0)
    }

    /// The last entry. Its id is where the next read goes on.
    #[must_use]
    pub fn last(&self) -> Option<EntryRef<'_>> {
        self.get(self.len.checked_sub(1)?)
    }

    /// The ids of all entries, in order.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = EntryId> + '_ {
        self.iter().map(|entry| entry.id())
    }

    /// How many elements came as null in place of an entry.
    ///
    /// Redis 6.2 answers so in XCLAIM and XAUTOCLAIM for a pending entry that is no longer in the stream, and does not say
    /// which. Later servers leave it out, or name it. 0 in every other reply.
    #[must_use]
    pub fn nulls(&self) -> usize {
        self.nulls
    }

    /// The bytes of the reply on the wire, all of its streams together.
    #[cfg(feature = "tokio")]
    pub(crate) fn reply_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Copies the entries out of the reply, so that they hold no more memory than they need.
    ///
    /// A small reply keeps a buffer of 64 KiB and more, and one stream of a reply keeps all others. It is worth it for
    /// entries that are kept for long. The ids, fields and deliveries are the same.
    #[must_use]
    pub fn detach(self) -> Self {
        let mut bytes = Vec::with_capacity(self.iter().map(|entry| entry.len_bytes()).sum());
        let mut table = Vec::with_capacity(self.table.len());
        table.resize(self.len * Head::WORDS, 0);
        for (nth, entry) in self.iter().enumerate() {
            let start = table.len() - self.len * Head::WORDS;
            let head = entry.detach_into(start, &mut bytes, &mut table);
            if let Some(place) = table.get_mut(nth * Head::WORDS..(nth + 1) * Head::WORDS) {
                place.copy_from_slice(&head.words());
            }
        }
        let (heads, len, nulls) = (self.len, self.len, self.nulls);
        Self { bytes: bytes.into(), table, heads, len, nulls }
    }

    /// The bytes of memory that the batch uses: the reply it lies in, and the index.
    ///
    /// A small reply is a part of the buffer that it was read into (64 KiB and more) and keeps that whole.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.bytes.len() + self.table.capacity() * size_of::<u64>()
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = EntryRef<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Entry for entry alike: ids, fields, deliveries.
impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        self.nulls == other.nulls && self.iter().eq(other.iter())
    }
}

/// The entries of a batch, one after the other.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    entries: &'a Entries,
    next: usize,
    end: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = EntryRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<EntryRef<'a>> {
        if self.next == self.end {
            return None;
        }
        let entry = self.entries.get(self.next);
        self.next += 1;
        entry
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        self.end -= 1;
        self.entries.get(self.end)
    }
}
