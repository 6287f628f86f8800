//! The flat index of a batch, built in one pass over the reply. No I/O.
//!
//! The table begins with a head for each entry: the two halves of its id and the position of its
//! spans. The spans of all fields and values follow, each an offset and a length. The size is
//! reserved from the first entry's field count. If later entries have more, the rest is counted and
//! the table grows once: at most two allocations.
//!
//! Decoding RESP is a chain of dependent loads: each length gives the position of the next header.
//! Entries of one stream mostly have equal headers. So the last header of each position is kept as
//! a [`Template`] and compared as one word of eight bytes. If they match, nothing is decoded and
//! the processor can run ahead. If not, the header is decoded as usual, with the same result.

use super::Entries;
use super::head::{Head, slice, span};
use crate::EntryId;
use crate::resp::{Cursor, DecodeError, Token, short_length};
use bytes::Bytes;

/// Maximum size of a reply that can be indexed; [`Limits`](crate::resp::Limits) allow no more.
const MAX_BYTES: usize = u32::MAX as usize;

/// Minimum size of a field name or value on the wire: `$0`, CRLF, CRLF.
const SPAN_BYTES: usize = 6;

/// Minimum size of an entry: `*2`, an id of three characters as a simple string, a null body.
const ENTRY_BYTES: usize = 13;

/// Indexes the array of entries at `pos` and returns its end. Null counts as an empty array.
pub(super) fn read(bytes: &Bytes, pos: usize) -> Result<(Entries, usize), DecodeError> {
    if bytes.len() > MAX_BYTES {
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

/// Number of templates: entry, id, field count, and names and values of thirty fields.
const HEADERS: usize = 63;

/// The templates that are not names and values.
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
    /// Number of valid templates.
    known: usize,
    templates: [Template; HEADERS],
    /// Spans of the values behind the headers, in the current entry.
    found: [u64; HEADERS],
    /// The last entry has two numbers behind its fields.
    delivery: bool,
    /// The last entry, if its headers match those before it: the next ones probably match too.
    steady: Option<Last>,
}

/// Start of an entry, end of its fields, and position of its spans in the table.
#[derive(Debug, Clone, Copy)]
struct Last {
    pos: usize,
    end: usize,
    spans: usize,
}

impl Index<'_> {
    /// Reads the entry at `pos`; `left` is the number of entries from here on.
    #[inline]
    fn entry(&mut self, left: usize) -> Result<(), DecodeError> {
        if let Some((last, id)) = self.steady.and_then(|last| Some((last, self.match_id(last)?))) {
            return self.add_shifted(last, id, left);
        }
        self.steady = None;
        let Some((end, steady)) = self.match_headers() else { return self.decode_any(left) };
        let spans = self.known - FIELDS;
        self.reserve(end, spans, self.delivery, left)?;
        let start = self.table.len() - self.heads * Head::WORDS;
        let (Some(id), Some(found)) = (self.found.get(ID), self.found.get(FIELDS..self.known))
        else {
            return self.decode_any(left);
        };
        let id = parse_id(slice(self.bytes, *id))?;
        self.table.extend_from_slice(found);
        if steady {
            self.remember_positions(end);
        }
        self.pos = end;
        let delivery = self.delivery;
        if delivery {
            self.delivery()?;
        }
        self.push(Head { id, start, spans, deleted: false, delivery })
    }

    /// Records the position of each header in the entry at `pos`, whose fields end at `end`.
    fn remember_positions(&mut self, end: usize) {
        let mut at = 0;
        for template in self.templates.iter_mut().take(self.known) {
            template.at = u32::try_from(at).unwrap_or(u32::MAX);
            at += template.stride;
        }
        let spans = self.table.len() - (self.known - FIELDS);
        self.steady = Some(Last { pos: self.pos, end, spans });
    }

    /// Returns the id of the entry at `pos` if its headers equal the last entry's, place for place.
    /// No comparison depends on another.
    #[inline]
    fn match_id(&self, last: Last) -> Option<u64> {
        let entry = self.bytes.get(self.pos..)?;
        let mut unlike = 0;
        for template in self.templates.get(..self.known)? {
            let at = template.at as usize;
            let word = entry.get(at..at + 8)?.first_chunk()?;
            unlike |= (u64::from_le_bytes(*word) ^ template.bytes) & template.mask;
        }
        let id = self.templates.get(ID)?;
        let whole = entry.len() >= last.end - last.pos;
        (unlike == 0 && whole).then_some(id.span_at_0 + (self.pos + id.at as usize) as u64)
    }

    /// Adds an entry with the headers of the last one: its spans are shifted by the distance.
    #[inline]
    fn add_shifted(&mut self, last: Last, id: u64, left: usize) -> Result<(), DecodeError> {
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

    /// Compares the entry with the last one; only string lengths may differ. Fills in its spans;
    /// returns the end of its fields, and whether the lengths are equal too.
    #[inline]
    fn match_headers(&mut self) -> Option<(usize, bool)> {
        let known = self.known;
        let mut rest = self.bytes.get(self.pos..)?;
        let mut done = 0;
        let mut steady = true;
        while done < known {
            let templates = self.templates.get(done..known)?;
            let found = self.found.get_mut(done..known)?;
            let pos = self.bytes.len() - rest.len();
            let (passed, behind) = find_values(templates, rest, pos, found);
            rest = behind;
            done += passed;
            if done < known {
                // Only strings may have another length: an array's header determines the rest.
                if done == ENTRY || done == COUNT {
                    return None;
                }
                *self.templates.get_mut(done)? = Template::of_string(rest)?;
                steady = false;
            }
        }
        if known == 0 { None } else { Some((self.bytes.len() - rest.len(), steady)) }
    }

    /// Decodes any entry, and remembers its headers.
    fn decode_any(&mut self, left: usize) -> Result<(), DecodeError> {
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
        // The last entry's headers are not needed by any other.
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
        // An entry with further parts, too many fields or none is decoded like this each time.
        let whole = self.known == FIELDS + spans && fields.is_some();
        let plain = parts == 2 || parts == 4;
        self.known = if whole && plain { self.known } else { 0 };
        self.delivery = delivery;
        self.push(Head { id, start, spans, deleted: fields.is_none(), delivery })
    }

    /// Remembers the header of an array, from `start` to `end`, if those before it are known.
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

    /// Writes an entry's head to its place in the table.
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

    /// Reads idle milliseconds and the delivery count, which follow the fields after CLAIM.
    fn delivery(&mut self) -> Result<(), DecodeError> {
        let mut cursor = Cursor::at(self.bytes, self.pos);
        let idle = cursor.integer("an entry's idle time")?;
        let count = cursor.integer("an entry's number of deliveries")?;
        self.table.push(idle as u64);
        self.table.push(count as u64);
        self.pos = cursor.position();
        Ok(())
    }

    /// Reserves space for all entries at the first, and again only if numbers of fields differ.
    /// The fields of the current entry begin or end at `pos`.
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

    /// Counts the words that the entry at `pos` and those behind it need.
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

/// Reads a bulk or simple string, the only types in entries.
fn text<'b>(cursor: &mut Cursor<'b>, expected: &'static str) -> Result<&'b [u8], DecodeError> {
    match cursor.value(expected)? {
        Token::Bulk(text) | Token::Simple(text) => Ok(text),
        other => Err(DecodeError::new(expected, other.kind())),
    }
}

/// Reads the number of names and values; `None` for a deleted entry.
fn field_count(cursor: &mut Cursor<'_>) -> Result<Option<usize>, DecodeError> {
    match cursor.value("an entry's fields")? {
        Token::Array(n) if n % 2 == 0 => Ok(Some(n)),
        Token::Map(n) => Ok(Some(n * 2)),
        Token::Null => Ok(None),
        Token::Array(_) => Err(DecodeError::new("an entry's fields", "an array of odd length")),
        other => Err(DecodeError::new("an entry's fields", other.kind())),
    }
}

/// Finds values that have these headers. Returns their number and the rest of the bytes.
#[inline]
fn find_values<'b>(
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
        *place = pos as u64 + template.span_at_0;
        pos += template.stride;
        rest = behind;
        passed += 1;
    }
    (passed, rest)
}

/// A known header: if the bytes at a position are equal, so is the decoded value.
#[derive(Debug, Clone, Copy)]
struct Template {
    bytes: u64,
    mask: u64,
    /// Distance from the header to the next: for a string its header, its bytes and two.
    stride: usize,
    /// Span of a string whose header is at 0.
    span_at_0: u64,
    /// Its position in the last entry.
    at: u32,
}

impl Template {
    const NONE: Self = Self { bytes: 0, mask: 0, stride: 0, span_at_0: 0, at: 0 };

    /// Creates a template from the first `header` bytes; `None` if they exceed a word.
    #[inline]
    fn new(rest: &[u8], header: usize, stride: usize, span_at_0: u64) -> Option<Self> {
        let word = u64::from_le_bytes(*rest.first_chunk()?);
        let mask = u64::MAX >> (64usize.checked_sub(8 * header).filter(|_| header > 0)?);
        Some(Self { bytes: word & mask, mask, stride, span_at_0, at: 0 })
    }

    /// Creates a template for the bulk string at the start of `rest`; `None` for other values.
    #[inline]
    fn of_string(rest: &[u8]) -> Option<Self> {
        let (len, header) = short_length(rest).filter(|_| rest.first() == Some(&b'$'))?;
        Self::new(rest, header, header + len + 2, span(header, len))
    }
}
