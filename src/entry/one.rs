//! One entry: [`EntryRef`] looks into a batch, [`Entry`] is kept. Pure.

use super::fields::{Fields, Values};
use super::index::{Head, slice, span};
use crate::EntryId;
use bytes::Bytes;
use std::fmt;
use std::str::Utf8Error;
use std::time::Duration;

/// How often and how long ago an entry was delivered, before the call that this reply answers.
///
/// `XREADGROUP ... CLAIM` says it (Redis 8.4); both are 0 for an entry that was never delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryInfo {
    /// Milliseconds since the last delivery; since 1970 for an entry that XNACK gave back.
    pub idle_ms: i64,
    /// How many times it had been delivered; [`i64::MAX`] after XNACK FATAL.
    pub deliveries: u64,
}

impl DeliveryInfo {
    /// The time since the last delivery; zero if the server says a negative one.
    #[must_use]
    pub fn idle(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.idle_ms).unwrap_or_default())
    }
}

/// An entry of a batch, where it lies.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    bytes: &'a Bytes,
    id: EntryId,
    spans: &'a [u64],
    deleted: bool,
    delivery: Option<DeliveryInfo>,
}

impl<'a> EntryRef<'a> {
    /// `words`: the spans of the entry and what follows them.
    #[inline]
    pub(super) fn new(bytes: &'a Bytes, head: Head, words: &'a [u64]) -> Self {
        let (spans, rest) = words.split_at_checked(head.spans).unwrap_or_default();
        let delivery = match *rest {
            [idle, count, ..] if head.delivery => {
                Some(DeliveryInfo { idle_ms: idle as i64, deliveries: count })
            }
            _ => None,
        };
        Self { bytes, id: head.id, spans, deleted: head.deleted, delivery }
    }

    /// The entry's id.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// Names and values, in order; names may repeat and need not be UTF-8. None for a deleted entry.
    #[must_use]
    pub fn fields(&self) -> Fields<'a> {
        Fields::new(self.bytes, self.spans)
    }

    /// How many fields it has.
    #[must_use]
    pub fn field_count(&self) -> usize {
        self.spans.len() / 2
    }

    /// The first value of this field.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&'a [u8]> {
        self.get_all(name.as_ref()).next()
    }

    /// The first value of this field, as text; `None` if there is no such field.
    ///
    /// # Errors
    ///
    /// The value is not UTF-8.
    pub fn get_str(&self, name: impl AsRef<[u8]>) -> Result<Option<&'a str>, Utf8Error> {
        self.get(name).map(std::str::from_utf8).transpose()
    }

    /// Every value of this field, in order.
    #[must_use]
    pub fn get_all<'n>(&self, name: &'n (impl AsRef<[u8]> + ?Sized)) -> Values<'a, 'n> {
        Values { fields: self.fields(), name: name.as_ref() }
    }

    /// Reads the fields as a serde struct or map (feature `serde`), as [`XAdd::record`](crate::XAdd::record) writes them.
    ///
    /// Fields that the type does not have are ignored. Texts can be borrowed: `&'a str`.
    ///
    /// # Errors
    ///
    /// A field is missing, as all are of a deleted entry, or is not what the type expects. The error names the field.
    #[cfg(feature = "serde")]
    pub fn record<T: serde::Deserialize<'a>>(&self) -> Result<T, crate::record::CodecError> {
        crate::record::deserialize(self.fields())
    }

    /// Whether the entry is pending but no longer in the stream, so that its fields are lost.
    ///
    /// An entry always has a field, so one without is deleted; this says it without counting.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// What CLAIM said of earlier deliveries; `None` in every other reply.
    #[must_use]
    pub fn delivery(&self) -> Option<DeliveryInfo> {
        self.delivery
    }

    /// The bytes of all names and values.
    pub(super) fn len_bytes(&self) -> usize {
        self.spans.iter().map(|span| slice(self.bytes, *span).len()).sum()
    }

    /// Copies names and values to the end of `bytes`, and what is known of them to the end of `table`, where the spans begin at
    /// `start`.
    pub(super) fn detach_into(
        &self,
        start: usize,
        bytes: &mut Vec<u8>,
        table: &mut Vec<u64>,
    ) -> Head {
        for place in self.spans {
            let text = slice(self.bytes, *place);
            table.push(span(bytes.len(), text.len()));
            bytes.extend_from_slice(text);
        }
        if let Some(delivery) = self.delivery {
            table.extend([delivery.idle_ms as u64, delivery.deliveries]);
        }
        Head {
            id: self.id,
            start,
            spans: self.spans.len(),
            deleted: self.deleted,
            delivery: self.delivery.is_some(),
        }
    }

    /// This entry to keep. It shares the buffer of the whole reply, which is never less than the 64 KiB that were read at
    /// once; [`Entry::detach`] copies it out of there.
    #[must_use]
    pub fn to_entry(&self) -> Entry {
        Entry {
            bytes: self.bytes.clone(),
            id: self.id,
            spans: self.spans.into(),
            deleted: self.deleted,
            delivery: self.delivery,
        }
    }
}

/// An entry that owns what it needs: `Send`, `'static`, cheap to move to another task.
#[derive(Clone)]
pub struct Entry {
    bytes: Bytes,
    id: EntryId,
    spans: Box<[u64]>,
    deleted: bool,
    delivery: Option<DeliveryInfo>,
}

impl Entry {
    /// The same entry as a reference; whatever a reference can do, an entry can.
    #[must_use]
    pub fn by_ref(&self) -> EntryRef<'_> {
        EntryRef {
            bytes: &self.bytes,
            id: self.id,
            spans: &self.spans,
            deleted: self.deleted,
            delivery: self.delivery,
        }
    }

    /// The entry's id.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// Names and values, in order; names may repeat and need not be UTF-8. None for a deleted entry.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        self.by_ref().fields()
    }

    /// The first value of this field.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.by_ref().get(name)
    }

    /// The first value of this field, as text; `None` if there is no such field.
    ///
    /// # Errors
    ///
    /// The value is not UTF-8.
    pub fn get_str(&self, name: impl AsRef<[u8]>) -> Result<Option<&str>, Utf8Error> {
        self.by_ref().get_str(name)
    }

    /// Every value of this field, in order.
    #[must_use]
    pub fn get_all<'n>(&self, name: &'n (impl AsRef<[u8]> + ?Sized)) -> Values<'_, 'n> {
        self.by_ref().get_all(name)
    }

    /// Reads the fields as a serde struct or map (feature `serde`): [`EntryRef::record`].
    ///
    /// ```no_run
    /// # use bourn::{Client, XRange};
    /// #[derive(serde::Deserialize)]
    /// struct Order {
    ///     sku: String,
    ///     count: u32,
    /// }
    ///
    /// # async fn f(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// for entry in &client.send(XRange::new("orders", ..).count(10)).await? {
    ///     let order: Order = entry.record()?;
    ///     println!("{} of {}", order.count, order.sku);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`EntryRef::record`].
    #[cfg(feature = "serde")]
    pub fn record<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, crate::record::CodecError> {
        crate::record::deserialize(self.fields())
    }

    /// Whether the entry is pending but no longer in the stream, so that its fields are lost.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// What CLAIM said of earlier deliveries; `None` in every other reply.
    #[must_use]
    pub fn delivery(&self) -> Option<DeliveryInfo> {
        self.delivery
    }

    /// Copies the entry's own bytes out, so that it no longer holds the reply that it came in.
    ///
    /// Worth it for an entry that is kept for long while the rest of its batch is done with.
    #[must_use]
    pub fn detach(self) -> Self {
        let len = self.spans.iter().map(|span| slice(&self.bytes, *span).len()).sum();
        let mut bytes = Vec::with_capacity(len);
        let mut spans = self.spans;
        for place in &mut spans {
            let text = slice(&self.bytes, *place);
            *place = span(bytes.len(), text.len());
            bytes.extend_from_slice(text);
        }
        Self { bytes: bytes.into(), spans, ..self }
    }
}

impl From<EntryRef<'_>> for Entry {
    fn from(entry: EntryRef<'_>) -> Self {
        entry.to_entry()
    }
}

impl PartialEq for EntryRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.deleted == other.deleted
            && self.delivery == other.delivery
            && self.fields().eq(other.fields())
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.by_ref() == other.by_ref()
    }
}

impl fmt::Debug for EntryRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.id)?;
        if self.deleted {
            return f.write_str("(deleted)");
        }
        f.write_str("{")?;
        for (i, (name, value)) in self.fields().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}\"{}\": \"{}\"", name.escape_ascii(), value.escape_ascii())?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.by_ref().fmt(f)
    }
}

#[cfg(feature = "serde")]
crate::record::serialize_fields!(DeliveryInfo: idle_ms, deliveries);

/// Its id, and its fields in order as pairs of texts.
#[cfg(feature = "serde")]
impl crate::record::Field for Entry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use crate::record::Shown;
        use serde::ser::SerializeStruct;
        let fields: Vec<(&[u8], &[u8])> = self.fields().collect();
        let mut out = serializer.serialize_struct("Entry", 2)?;
        out.serialize_field("id", &self.id)?;
        out.serialize_field("fields", &Shown(&fields))?;
        out.end()
    }
}

/// Its id, and its fields in order as pairs of texts.
#[cfg(feature = "serde")]
impl serde::Serialize for Entry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::record::Field::serialize(self, serializer)
    }
}
