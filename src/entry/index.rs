//! The flat index of a batch: one pass over the reply, one table. Pure.
//!
//! The table begins with a head for each entry (its two id halves, and where its spans are) and goes on with the spans of
//! all fields and values, each an offset and a length. Its size is reserved from the first entry's field count; should
//! later entries have more, the rest is counted and the table grows once. So a batch costs at most two allocations.
//!
//! Walking RESP is one chain of dependencies: a length must be read before the next header's place is known. Entries of
//! one stream mostly have the headers of the entry before, so for each field position the last header is kept as a
//! [`Template`]: eight bytes are compared at once, and when they are alike nothing is decoded and the processor can run
//! ahead. Where they differ the header is read as any other; the result is the same.

use super::Entries;
use crate::EntryId;
use crate::resp::{Cursor, DecodeError, Token};
use bytes::Bytes;

/// What the table has about each entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) id: EntryId,
    /// Where its spans begin, counted from the first span of the batch.
    pub(super) start: usize,
    /// How many spans it has: two for each field.
    pub(super) spans: usize,
    /// Its body is gone; there are no fields.
    pub(super) deleted: bool,
    /// Two words stand behind the spans: idle milliseconds and the number of deliveries.
    pub(super) delivery: bool,
}

const DELETED: u64 = 1 << 63;
const DELIVERY: u64 = 1 << 62;
const SPANS: u64 = DELIVERY - 1;

impl Head {
    /// Words that a head takes in the table.
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

    fn words(&self) -> [u64; Self::WORDS] {
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

/// The low half of a word.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "half a word: offsets are below 4 GiB")]
fn low(word: u64) -> usize {
    word as u32 as usize
}

/// Where bytes are in the reply, as one word: the offset in the low half, the length in the high one.
#[inline]
pub(super) fn span(start: usize, len: usize) -> u64 {
    start as u64 | ((len as u64) << 32)
}

/// The bytes that a span points at.
#[inline]
pub(super) fn slice(bytes: &[u8], span: u64) -> &[u8] {
    let start = low(span);
    bytes.get(start..start + low(span >> 32)).unwrap_or_default()
}

/// A reply beyond this cannot be indexed; [`Limits`](crate::resp::Limits) allow no more.
const MOST_BYTES: usize = u32::MAX as usize;

/// The least that a field name or value takes on the wire: `$0`, CRLF, CRLF.
const SPAN_BYTES: usize = 6;

/// The least that an entry takes: `*2`, an id of three characters as a simple string, a null body.
const ENTRY_BYTES: usize = 13;

/// Indexes the array of entries at `pos`; also says where it ends. Null counts as an array of none.
pub(super) fn read(bytes: &Bytes, pos: usize) -> Result<(Entries, usize), DecodeError> {
    if bytes.len() > MOST_BYTES {
        return Err(DecodeError::new("entries", "a reply beyond 4 GiB"));
    }
    let mut cursor = Cursor::at(bytes, pos);
    let declared = cursor.array_or_null("entries")?.unwrap_or_default();
    let heads = declared.min(bytes.len() / ENTRY_BYTES + 1);
    let mut index = Index {
        bytes,
        pos: cursor.position(),
        table: Vec::new(),
        heads,
        len: 0,
        nulls: 0,
        id: Template::NONE,
        count: Template::NONE,
        fields: [Template::NONE; POSITIONS],
    };
    for left in (1..=declared).rev() {
        index.entry(left)?;
    }
    let Index { pos, table, len, nulls, .. } = index;
    Ok((Entries { bytes: bytes.clone(), table, heads, len, nulls }, pos))
}

/// Field positions whose headers are remembered: names and values of eight fields.
const POSITIONS: usize = 16;

struct Index<'a> {
    bytes: &'a Bytes,
    pos: usize,
    table: Vec<u64>,
    heads: usize,
    len: usize,
    nulls: usize,
    id: Template,
    count: Template,
    fields: [Template; POSITIONS],
}

impl Index<'_> {
    /// Reads the entry at `pos`, of which there are `left` more to come with it.
    fn entry(&mut self, left: usize) -> Result<(), DecodeError> {
        let parts = match self.bytes.get(self.pos..) {
            Some([b'*', b'2', b'\r', b'\n', ..]) => {
                self.pos += 4;
                2
            }
            _ => {
                let mut cursor = Cursor::at(self.bytes, self.pos);
                let parts = cursor.array_or_null("an entry")?;
                self.pos = cursor.position();
                match parts {
                    Some(parts @ 2..) => parts,
                    Some(_) => return Err(DecodeError::new("an entry", "an array too short")),
                    None => {
                        self.nulls += 1;
                        return Ok(());
                    }
                }
            }
        };
        let id = match self.id.string(self.bytes, &mut self.pos) {
            Some(span) => slice(self.bytes, span),
            None => return Err(self.unlike("an entry's id")),
        };
        let id = EntryId::parse(id).map_err(|_| DecodeError::text("an entry's id", id))?;
        let fields = self.field_count()?;
        let spans = fields.unwrap_or_default();
        self.reserve(spans, parts, left)?;
        let start = self.table.len() - self.heads * Head::WORDS;
        self.spans(spans)?;
        let delivery = parts >= 4;
        if delivery {
            self.delivery()?;
        }
        let mut cursor = Cursor::at(self.bytes, self.pos);
        for _ in (if delivery { 4 } else { 2 })..parts {
            cursor.skip();
        }
        self.pos = cursor.position();
        let head = Head { id, start, spans, deleted: fields.is_none(), delivery };
        let place = self.len * Head::WORDS;
        match self.table.get_mut(place..place + Head::WORDS) {
            Some(words) => words.copy_from_slice(&head.words()),
            None => return Err(DecodeError::new("entries", "more than were announced")),
        }
        self.len += 1;
        Ok(())
    }

    /// How many names and values follow; `None` for a body that is gone.
    #[inline]
    fn field_count(&mut self) -> Result<Option<usize>, DecodeError> {
        if let Some(count) = self.count.hit(self.bytes, &mut self.pos) {
            return Ok(Some(count));
        }
        let start = self.pos;
        let mut cursor = Cursor::at(self.bytes, start);
        let count = match cursor.value("an entry's fields")? {
            Token::Array(n) if n % 2 == 0 => n,
            Token::Map(n) => n * 2,
            Token::Null => {
                self.pos = cursor.position();
                return Ok(None);
            }
            Token::Array(_) => {
                return Err(DecodeError::new("an entry's fields", "an array of odd length"));
            }
            other => return Err(DecodeError::new("an entry's fields", other.kind())),
        };
        self.pos = cursor.position();
        self.count = Template::of(self.bytes, start, self.pos, count);
        Ok(Some(count))
    }

    #[inline]
    fn spans(&mut self, spans: usize) -> Result<(), DecodeError> {
        let known = spans.min(POSITIONS);
        for template in self.fields.iter_mut().take(known) {
            match template.string(self.bytes, &mut self.pos) {
                Some(span) => self.table.push(span),
                None => return Err(self.unlike("a field")),
            }
        }
        let mut template = Template::NONE;
        for _ in known..spans {
            match template.string(self.bytes, &mut self.pos) {
                Some(span) => self.table.push(span),
                None => return Err(self.unlike("a field")),
            }
        }
        Ok(())
    }

    /// Idle milliseconds and the number of deliveries, as `XREADGROUP ... CLAIM` has them behind the fields.
    fn delivery(&mut self) -> Result<(), DecodeError> {
        let mut cursor = Cursor::at(self.bytes, self.pos);
        let idle = cursor.integer("an entry's idle time")?;
        let count = cursor.integer("an entry's number of deliveries")?;
        self.table.push(idle as u64);
        self.table.push(count as u64);
        self.pos = cursor.position();
        Ok(())
    }

    /// Makes room for this entry's spans; the first entry's for all, and more only if entries differ in length.
    fn reserve(&mut self, spans: usize, parts: usize, left: usize) -> Result<(), DecodeError> {
        let words = spans + if parts >= 4 { 2 } else { 0 };
        if self.table.capacity() == 0 {
            let most = (self.bytes.len() - self.pos) / SPAN_BYTES + 2 * left;
            let wanted = words.saturating_mul(left).min(most).max(words.min(most));
            self.table.reserve_exact(self.heads * Head::WORDS + wanted);
            self.table.resize(self.heads * Head::WORDS, 0);
        }
        if self.table.capacity() - self.table.len() < words {
            let rest = self.count_rest(spans, parts, left)?;
            self.table.reserve_exact(rest);
        }
        Ok(())
    }

    /// Counts the words that this entry, whose fields begin at `pos`, and those behind it will take.
    fn count_rest(&self, spans: usize, parts: usize, left: usize) -> Result<usize, DecodeError> {
        let mut cursor = Cursor::at(self.bytes, self.pos);
        let mut words = 0;
        let (mut spans, mut parts) = (spans, parts);
        for entry in 0..left {
            if entry > 0 {
                let Some(n) = cursor.array_or_null("an entry")? else { continue };
                parts = n;
                cursor.skip();
                spans = match cursor.value("an entry's fields")? {
                    Token::Array(n) => n,
                    Token::Map(n) => n * 2,
                    _ => 0,
                };
            }
            for _ in 0..spans {
                cursor.skip();
            }
            for _ in 2..parts {
                cursor.skip();
            }
            words += spans + if parts >= 4 { 2 } else { 0 };
        }
        Ok(words)
    }

    /// The error for a value that is no string.
    fn unlike(&self, expected: &'static str) -> DecodeError {
        match Cursor::at(self.bytes, self.pos).string(expected) {
            Err(error) => error,
            Ok(text) => DecodeError::text(expected, text),
        }
    }
}

/// A header seen before: if the bytes at some place are alike, so is what they say.
#[derive(Debug, Clone, Copy)]
struct Template {
    bytes: u64,
    mask: u64,
    /// The header's length in bytes.
    header: usize,
    /// What it says: a length, or a count.
    says: usize,
}

impl Template {
    /// Unlike any bytes of a reply: they are never all zero.
    const NONE: Self = Self { bytes: 0, mask: u64::MAX, header: 0, says: 0 };

    /// The header between `start` and `end`; [`Template::NONE`] if it is longer than a word.
    fn of(bytes: &[u8], start: usize, end: usize, says: usize) -> Self {
        let header = end - start;
        match load(bytes, start) {
            Some(word) if (1..=8).contains(&header) => {
                let mask = u64::MAX >> (64 - 8 * header);
                Self { bytes: word & mask, mask, header, says }
            }
            _ => Self::NONE,
        }
    }

    /// What the header at `pos` says if it is this one; `pos` is then behind it.
    #[inline]
    fn hit(&self, bytes: &[u8], pos: &mut usize) -> Option<usize> {
        let word = load(bytes, *pos)?;
        if (word ^ self.bytes) & self.mask != 0 {
            return None;
        }
        *pos += self.header;
        Some(self.says)
    }

    /// The span of the string at `pos`, which is then behind it; `None` if it is no string.
    #[inline]
    fn string(&mut self, bytes: &[u8], pos: &mut usize) -> Option<u64> {
        let len = match self.hit(bytes, pos) {
            Some(len) => len,
            None => self.miss(bytes, pos)?,
        };
        let start = *pos;
        *pos += len + 2;
        Some(span(start, len))
    }

    #[cold]
    fn miss(&mut self, bytes: &[u8], pos: &mut usize) -> Option<usize> {
        let start = *pos;
        let mut cursor = Cursor::at(bytes, start);
        let (Token::Bulk(text) | Token::Simple(text)) = cursor.value("a string").ok()? else {
            return None;
        };
        *pos = cursor.position() - 2 - text.len();
        // What stands before a simple string does not tell its length.
        *self = match bytes.get(start) {
            Some(b'$') => Self::of(bytes, start, *pos, text.len()),
            _ => Self::NONE,
        };
        Some(text.len())
    }
}

#[inline]
fn load(bytes: &[u8], pos: usize) -> Option<u64> {
    bytes.get(pos..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}
