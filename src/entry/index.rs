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
use crate::resp::{Cursor, DecodeError, Token, short_length};
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
        known: 0,
        templates: [Template::NONE; HEADERS],
        found: [0; HEADERS],
        delivery: false,
        steady: None,
    };
    for left in (1..=declared).rev() {
        index.entry(left)?;
    }
    let Index { pos, table, len, nulls, .. } = index;
    Ok((Entries { bytes: bytes.clone(), table, heads, len, nulls }, pos))
}

/// Headers of an entry that are remembered: its own, its id's, its fields', and the names and values of thirty fields.
const HEADERS: usize = 63;

/// Which of them are not names and values.
const ENTRY: usize = 0;
const ID: usize = 1;
const COUNT: usize = 2;
const FIELDS: usize = 3;

struct Index<'a> {
    bytes: &'a [u8],
    pos: usize,
    table: Vec<u64>,
    heads: usize,
    len: usize,
    nulls: usize,
    /// The headers of the last entry, as many as are known.
    known: usize,
    templates: [Template; HEADERS],
    /// Where the values behind them are in the entry at hand.
    found: [u64; HEADERS],
    /// The known entry has two numbers behind its fields.
    delivery: bool,
    /// The last entry, if the one before it had the same headers: the next one may well have them too.
    steady: Option<Last>,
}

/// Where an entry began, and where its fields ended; and where its spans are in the table.
#[derive(Debug, Clone, Copy)]
struct Last {
    pos: usize,
    end: usize,
    spans: usize,
}

impl Index<'_> {
    /// Reads the entry at `pos`, of which there are `left` more to come with it.
    #[inline]
    fn entry(&mut self, left: usize) -> Result<(), DecodeError> {
        if let Some((last, id)) = self.steady.and_then(|last| Some((last, self.same(last)?))) {
            return self.again(last, id, left);
        }
        self.steady = None;
        let Some((end, steady)) = self.like_the_last() else { return self.other(left) };
        let spans = self.known - FIELDS;
        self.reserve(end, spans, self.delivery, left)?;
        let start = self.table.len() - self.heads * Head::WORDS;
        let (Some(id), Some(found)) = (self.found.get(ID), self.found.get(FIELDS..self.known))
        else {
            return self.other(left);
        };
        let id = parse_id(slice(self.bytes, *id))?;
        self.table.extend_from_slice(found);
        if steady {
            self.places(end);
        }
        self.pos = end;
        let delivery = self.delivery;
        if delivery {
            self.delivery()?;
        }
        self.push(Head { id, start, spans, deleted: false, delivery })
    }

    /// Notes where each header is in the entry at `pos`, whose fields end there.
    fn places(&mut self, end: usize) {
        let mut at = 0;
        for template in self.templates.iter_mut().take(self.known) {
            template.at = u32::try_from(at).unwrap_or(u32::MAX);
            at += template.stride;
        }
        let spans = self.table.len() - (self.known - FIELDS);
        self.steady = Some(Last { pos: self.pos, end, spans });
    }

    /// The id of the entry at `pos`, if all its headers are those of the last entry, each in the same place. So no header
    /// waits for the one before it to be read.
    #[inline]
    fn same(&self, last: Last) -> Option<u64> {
        let entry = self.bytes.get(self.pos..)?;
        let mut unlike = 0;
        for template in self.templates.get(..self.known)? {
            let at = template.at as usize;
            let word = entry.get(at..at + 8)?.first_chunk()?;
            unlike |= (u64::from_le_bytes(*word) ^ template.bytes) & template.mask;
        }
        let id = self.templates.get(ID)?;
        let whole = entry.len() >= last.end - last.pos;
        (unlike == 0 && whole).then_some(id.says + (self.pos + id.at as usize) as u64)
    }

    /// An entry with the headers of the last one: its spans are that one's, as far on as the entry is.
    #[inline]
    fn again(&mut self, last: Last, id: u64, left: usize) -> Result<(), DecodeError> {
        let spans = self.known - FIELDS;
        let end = self.pos + (last.end - last.pos);
        self.reserve(end, spans, self.delivery, left)?;
        let id = parse_id(slice(self.bytes, id))?;
        let place = self.table.len();
        let further = (self.pos - last.pos) as u64;
        self.table.extend_from_within(last.spans..last.spans + spans);
        self.table
            .get_mut(place..)
            .unwrap_or_default()
            .iter_mut()
            .for_each(|span| *span += further);
        self.steady = Some(Last { pos: self.pos, end, spans: place });
        self.pos = end;
        let delivery = self.delivery;
        if delivery {
            self.delivery()?;
        }
        let start = place - self.heads * Head::WORDS;
        self.push(Head { id, start, spans, deleted: false, delivery })
    }

    /// Where the fields end of an entry that has the headers of the last one, but for lengths, and whether the lengths are
    /// the same too; its spans are then found.
    #[inline]
    fn like_the_last(&mut self) -> Option<(usize, bool)> {
        let known = self.known;
        let mut rest = self.bytes.get(self.pos..)?;
        let mut done = 0;
        let mut steady = true;
        while done < known {
            let templates = self.templates.get(done..known)?;
            let found = self.found.get_mut(done..known)?;
            let pos = self.bytes.len() - rest.len();
            let (passed, behind) = pass(templates, rest, pos, found);
            rest = behind;
            done += passed;
            if done < known {
                // A string of another length: the header of an array says what the others are.
                if done == ENTRY || done == COUNT {
                    return None;
                }
                *self.templates.get_mut(done)? = Template::of_string(rest)?;
                steady = false;
            }
        }
        if known == 0 { None } else { Some((self.bytes.len() - rest.len(), steady)) }
    }

    /// Reads any entry there may be, and remembers its headers.
    fn other(&mut self, left: usize) -> Result<(), DecodeError> {
        self.known = 0;
        let entry = self.pos;
        let mut cursor = Cursor::at(self.bytes, entry);
        let parts = match cursor.array_or_null("an entry")? {
            Some(parts @ 2..) => parts,
            Some(_) => return Err(DecodeError::new("an entry", "an array too short")),
            None => {
                self.nulls += 1;
                self.pos = cursor.position();
                return Ok(());
            }
        };
        let id_header = cursor.position();
        let id = parse_id(text(&mut cursor, "an entry's id")?)?;
        let count = cursor.position();
        let fields = field_count(&mut cursor)?;
        let spans = fields.unwrap_or_default();
        let delivery = parts >= 4;
        self.reserve(cursor.position(), spans, delivery, left)?;
        let start = self.table.len() - self.heads * Head::WORDS;
        let first = cursor.position();
        // What the last entry looks like helps nobody.
        let learns = left > 1;
        if learns {
            self.learn(ENTRY, entry, id_header);
            self.learn_string(ID, id_header);
            self.learn(COUNT, count, first);
        }
        for place in (FIELDS..).take(spans) {
            let header = cursor.position();
            let text = text(&mut cursor, "a field")?;
            if learns {
                self.learn_string(place, header);
            }
            self.table.push(span(cursor.position() - 2 - text.len(), text.len()));
        }
        self.pos = cursor.position();
        if delivery {
            self.delivery()?;
        }
        let mut cursor = Cursor::at(self.bytes, self.pos);
        for _ in (if delivery { 4 } else { 2 })..parts {
            cursor.skip();
        }
        self.pos = cursor.position();
        // What has more parts than are known here, or no fields, is read like this each time.
        let whole = self.known == FIELDS + spans && fields.is_some();
        let plain = parts == 2 || parts == 4;
        self.known = if whole && plain { self.known } else { 0 };
        self.delivery = delivery;
        self.push(Head { id, start, spans, deleted: fields.is_none(), delivery })
    }

    /// Remembers the header of an array between two places, if those before it are known.
    fn learn(&mut self, place: usize, start: usize, end: usize) {
        let rest = self.bytes.get(start..).unwrap_or_default();
        self.keep(
            place,
            Template::new(rest, end - start, end - start, 0)
                .filter(|_| rest.first() == Some(&b'*')),
        );
    }

    fn learn_string(&mut self, place: usize, start: usize) {
        let rest = self.bytes.get(start..).unwrap_or_default();
        self.keep(place, Template::of_string(rest));
    }

    fn keep(&mut self, place: usize, template: Option<Template>) {
        if let (Some(slot), Some(template)) = (self.templates.get_mut(place), template) {
            if place == self.known {
                *slot = template;
                self.known += 1;
            }
        }
    }

    /// Writes an entry's head to its place.
    #[inline]
    fn push(&mut self, head: Head) -> Result<(), DecodeError> {
        let place = self.len * Head::WORDS;
        match self.table.get_mut(place..place + Head::WORDS) {
            Some(words) => words.copy_from_slice(&head.words()),
            None => return Err(DecodeError::new("entries", "more than were announced")),
        }
        self.len += 1;
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

    /// Makes room for the words of an entry whose fields begin or end at `pos`; the first entry's for all, and more only if
    /// entries differ in their number of fields.
    #[inline]
    fn reserve(
        &mut self,
        pos: usize,
        spans: usize,
        delivery: bool,
        left: usize,
    ) -> Result<(), DecodeError> {
        let words = spans + if delivery { 2 } else { 0 };
        if self.table.capacity() - self.table.len() < words || self.table.capacity() == 0 {
            return self.grow(pos, words, left);
        }
        Ok(())
    }

    #[cold]
    fn grow(&mut self, pos: usize, words: usize, left: usize) -> Result<(), DecodeError> {
        if self.table.capacity() == 0 {
            let most = (self.bytes.len() - pos) / SPAN_BYTES + 2 * left;
            let wanted = words.saturating_mul(left).min(most).max(words.min(most));
            self.table.reserve_exact(self.heads * Head::WORDS + wanted);
            self.table.resize(self.heads * Head::WORDS, 0);
        }
        if self.table.capacity() - self.table.len() < words {
            let rest = self.count_rest(left)?;
            self.table.reserve_exact(rest);
        }
        Ok(())
    }

    /// Counts the words that the entry at `pos` and those behind it will take.
    fn count_rest(&self, left: usize) -> Result<usize, DecodeError> {
        let mut cursor = Cursor::at(self.bytes, self.pos);
        let mut words = 0;
        for _ in 0..left {
            let Some(parts) = cursor.array_or_null("an entry")? else { continue };
            cursor.skip();
            let spans = match cursor.value("an entry's fields")? {
                Token::Array(n) => n,
                Token::Map(n) => n * 2,
                _ => 0,
            };
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
}

#[inline]
fn parse_id(text: &[u8]) -> Result<EntryId, DecodeError> {
    EntryId::parse(text).map_err(|_| DecodeError::text("an entry's id", text))
}

/// A bulk string or a simple one, which is all that entries are made of.
fn text<'b>(cursor: &mut Cursor<'b>, expected: &'static str) -> Result<&'b [u8], DecodeError> {
    match cursor.value(expected)? {
        Token::Bulk(text) | Token::Simple(text) => Ok(text),
        other => Err(DecodeError::new(expected, other.kind())),
    }
}

/// How many names and values follow; `None` for a body that is gone.
fn field_count(cursor: &mut Cursor<'_>) -> Result<Option<usize>, DecodeError> {
    match cursor.value("an entry's fields")? {
        Token::Array(n) if n % 2 == 0 => Ok(Some(n)),
        Token::Map(n) => Ok(Some(n * 2)),
        Token::Null => Ok(None),
        Token::Array(_) => Err(DecodeError::new("an entry's fields", "an array of odd length")),
        other => Err(DecodeError::new("an entry's fields", other.kind())),
    }
}

/// Goes through values whose headers are these, and says where each is; how many were, and what is behind them.
#[inline]
fn pass<'b>(
    templates: &[Template],
    mut rest: &'b [u8],
    mut pos: usize,
    found: &mut [u64],
) -> (usize, &'b [u8]) {
    let mut passed = 0;
    for (template, place) in templates.iter().zip(found) {
        let Some(word) = rest.first_chunk() else { break };
        if (u64::from_le_bytes(*word) ^ template.bytes) & template.mask != 0 {
            break;
        }
        let Some(behind) = rest.get(template.stride..) else { break };
        *place = pos as u64 + template.says;
        pos += template.stride;
        rest = behind;
        passed += 1;
    }
    (passed, rest)
}

/// A header seen before: if the bytes at some place are alike, so is what they say.
#[derive(Debug, Clone, Copy)]
struct Template {
    bytes: u64,
    mask: u64,
    /// From the header to what follows the value: for a string the header's bytes, the string's and two.
    stride: usize,
    /// The span of a string whose header is at 0.
    says: u64,
    /// Where it was in the last entry.
    at: u32,
}

impl Template {
    const NONE: Self = Self { bytes: 0, mask: 0, stride: 0, says: 0, at: 0 };

    /// The header of so many bytes that `rest` begins with; `None` if it is longer than a word.
    #[inline]
    fn new(rest: &[u8], header: usize, stride: usize, says: u64) -> Option<Self> {
        let word = u64::from_le_bytes(*rest.first_chunk()?);
        let mask = u64::MAX >> (64usize.checked_sub(8 * header).filter(|_| header > 0)?);
        Some(Self { bytes: word & mask, mask, stride, says, at: 0 })
    }

    /// The header of the bulk string that `rest` begins with; `None` for any other value.
    #[inline]
    fn of_string(rest: &[u8]) -> Option<Self> {
        let (len, header) = short_length(rest).filter(|_| rest.first() == Some(&b'$'))?;
        Self::new(rest, header, header + len + 2, span(header, len))
    }
}
