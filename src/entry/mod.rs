//! Stream entries, read in place: the reply's bytes and a flat index over them. No I/O.
//!
//! A batch of entries is one buffer, the reply as received, and one table with the position of
//! every id, field and value. Nothing is copied, and there is no allocation per entry. [`EntryRef`]
//! borrows from the batch. [`Entry`] is an owned entry: it shares the buffer until
//! [`Entry::detach`] copies its own bytes out.

mod fields;
mod head;
mod index;
mod one;
mod streams;

pub use fields::{Fields, Values};
pub use one::{DeliveryInfo, Entry, EntryRef};
pub use streams::{StreamEntries, Streams};

use crate::EntryId;
use bytes::Bytes;
use head::Head;
use std::fmt;

/// The entries of one stream, in the order of the reply.
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
    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the entries, oldest first unless the command says otherwise.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter { entries: self, next: 0, end: self.len }
    }

    /// Returns the entry at this index, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<EntryRef<'_>> {
        if index >= self.len {
            return None;
        }
        let head = Head::read(self.table.get(index * Head::WORDS..)?)?;
        let spans = self.table.get(self.heads * Head::WORDS + head.start..)?;
        Some(EntryRef::new(&self.bytes, head, spans))
    }

    /// Returns the first entry.
    #[must_use]
    pub fn first(&self) -> Option<EntryRef<'_>> {
        self.get(0)
    }

    /// Returns the last entry. Its id is where the next read continues.
    #[must_use]
    pub fn last(&self) -> Option<EntryRef<'_>> {
        self.get(self.len.checked_sub(1)?)
    }

    /// Returns the ids of all entries, in order.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = EntryId> + '_ {
        self.iter().map(|entry| entry.id())
    }

    /// Returns the number of nulls in place of an entry.
    ///
    /// Redis 6.2 returns null from XCLAIM and XAUTOCLAIM for a pending entry that was deleted from
    /// the stream, without its id. Later servers leave it out or name it. Other
    /// replies have no nulls.
    #[must_use]
    pub fn nulls(&self) -> usize {
        self.nulls
    }

    /// Returns the size of the reply on the wire in bytes, all of its streams together.
    #[cfg(feature = "tokio")]
    pub(crate) fn reply_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Copies the entries out of the reply, so that they hold no more memory than they need.
    ///
    /// A small reply keeps a read buffer of at least 64 KiB alive, and one stream of a reply keeps
    /// all others alive. Use it for entries that are kept for long. Ids, fields and deliveries are
    /// unchanged.
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

    /// Returns the memory that the batch uses, in bytes: the reply and the index.
    ///
    /// A small reply is part of the buffer that it was read into (at least 64 KiB) and keeps all of
    /// it alive.
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

/// Compares entry by entry: ids, fields and deliveries.
impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        self.nulls == other.nulls && self.iter().eq(other.iter())
    }
}

/// An iterator over the entries of a batch.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XRange;
///
/// let entries = client.send(XRange::new("orders", ..).count(100)).await?;
/// let last = entries.iter().last().map(|entry| entry.id());
/// println!("{} entries up to {last:?}", entries.iter().len());
/// # Ok(()) }
/// ```
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
