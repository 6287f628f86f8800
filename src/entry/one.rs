//! A single entry: [`EntryRef`] borrows from a batch, [`Entry`] is owned. No I/O.

use super::fields::{Fields, Values};
use super::head::{Head, slice, span};
use crate::EntryId;
use bytes::Bytes;
use std::fmt;
use std::str::Utf8Error;
use std::time::Duration;

/// The delivery count and idle time of an entry, before the call that returned it.
///
/// `XREADGROUP ... CLAIM` returns it (Redis 8.4). Both are 0 for an entry that was never delivered.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{GroupFrom, XReadGroup};
/// use std::time::Duration;
///
/// let read = XReadGroup::new("billing", "worker-1").stream("orders", GroupFrom::New);
/// for entry in client.send(read.claim(Duration::from_secs(60))).await?.iter() {
///     if let Some(delivery) = entry.delivery().filter(|delivery| delivery.deliveries > 0) {
///         println!("{} again, after {:?}", entry.id(), delivery.idle());
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryInfo {
    /// Milliseconds since the last delivery; since 1970 for an entry that XNACK released.
    pub idle_ms: i64,
    /// The number of earlier deliveries; [`i64::MAX`] after XNACK FATAL.
    pub deliveries: u64,
}

impl DeliveryInfo {
    /// Returns the time since the last delivery; zero if the server sent a negative one.
    #[must_use]
    pub fn idle(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.idle_ms).unwrap_or_default())
    }
}

/// An entry that borrows from its batch.
///
/// ```
/// use bourn::{Command, XRange, resp::{Frame, Limits}};
///
/// let fields = "*4\r\n$3\r\nsku\r\n$3\r\nA-7\r\n$3\r\ntag\r\n$3\r\nnew\r\n";
/// let reply = ["*1\r\n*2\r\n$3\r\n7-0\r\n", fields].concat();
/// let entries = XRange::reply(Frame::parse(reply, Limits::default())?)?;
/// let entry = entries.iter().next().expect("there is one");
/// assert_eq!((entry.id().to_string(), entry.field_count()), ("7-0".into(), 2));
/// assert_eq!(entry.get("sku"), Some(&b"A-7"[..]));
/// assert_eq!(entry.get_str("tag")?, Some("new"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    bytes: &'a Bytes,
    id: EntryId,
    spans: &'a [u64],
    deleted: bool,
    delivery: Option<DeliveryInfo>,
}

impl<'a> EntryRef<'a> {
    /// `words` begins with the spans of the entry.
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

    /// Returns the entry's id.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// Returns names and values, in order. Names may repeat and need not be UTF-8. A deleted entry
    /// has none.
    #[must_use]
    pub fn fields(&self) -> Fields<'a> {
        Fields::new(self.bytes, self.spans)
    }

    /// Returns the number of fields.
    #[must_use]
    pub fn field_count(&self) -> usize {
        self.spans.len() / 2
    }

    /// Returns the first value of this field.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&'a [u8]> {
        self.get_all(name.as_ref()).next()
    }

    /// Returns the first value of this field as text; `None` if there is no such field.
    ///
    /// # Errors
    ///
    /// The value is not UTF-8.
    pub fn get_str(&self, name: impl AsRef<[u8]>) -> Result<Option<&'a str>, Utf8Error> {
        self.get(name).map(std::str::from_utf8).transpose()
    }

    /// Returns all values of this field, in order.
    #[must_use]
    pub fn get_all<'n>(&self, name: &'n (impl AsRef<[u8]> + ?Sized)) -> Values<'a, 'n> {
        Values { fields: self.fields(), name: name.as_ref() }
    }

    /// Deserializes the fields into a serde struct or map (feature `serde`), as
    /// [`XAdd::record`](crate::XAdd::record) writes them.
    ///
    /// Fields that the type does not have are ignored. Text can be borrowed: `&'a str`.
    ///
    /// # Errors
    ///
    /// A field is missing or does not have the expected type. A deleted entry has no fields. The
    /// error names the field.
    #[cfg(feature = "serde")]
    pub fn record<T: serde::Deserialize<'a>>(&self) -> Result<T, crate::record::CodecError> {
        crate::record::deserialize(self.fields())
    }

    /// Whether the entry is pending but was deleted from the stream, so that its fields are lost.
    ///
    /// Equivalent to having no fields, because an entry always has at least one.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Returns what CLAIM reported about earlier deliveries; `None` in every other reply.
    #[must_use]
    pub fn delivery(&self) -> Option<DeliveryInfo> {
        self.delivery
    }

    /// Returns the total size of names and values in bytes.
    pub(super) fn len_bytes(&self) -> usize {
        self.spans.iter().map(|span| slice(self.bytes, *span).len()).sum()
    }

    /// Appends names and values to `bytes`, and their spans and delivery to `table`, where the
    /// spans begin at `start`.
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

    /// Returns an owned entry. It shares the buffer of the whole reply, which is at least 64 KiB;
    /// [`Entry::detach`] copies the entry out of it.
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

/// An owned entry: `Send`, `'static`, cheap to move to another task.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XRange;
///
/// if let Some(entry) = client.send(XRange::new("orders", ..).count(1)).await?.iter().next() {
///     let entry = entry.to_entry();
///     tokio::spawn(async move { println!("{}: {:?}", entry.id(), entry.get_str("sku")) });
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Entry {
    bytes: Bytes,
    id: EntryId,
    spans: Box<[u64]>,
    deleted: bool,
    delivery: Option<DeliveryInfo>,
}

impl Entry {
    /// Returns the same entry as a reference, which has all methods of an entry.
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

    /// Returns the entry's id.
    #[must_use]
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// Returns names and values, in order. Names may repeat and need not be UTF-8. A deleted entry
    /// has none.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        self.by_ref().fields()
    }

    /// Returns the first value of this field.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.by_ref().get(name)
    }

    /// Returns the first value of this field as text; `None` if there is no such field.
    ///
    /// # Errors
    ///
    /// The value is not UTF-8.
    pub fn get_str(&self, name: impl AsRef<[u8]>) -> Result<Option<&str>, Utf8Error> {
        self.by_ref().get_str(name)
    }

    /// Returns all values of this field, in order.
    #[must_use]
    pub fn get_all<'n>(&self, name: &'n (impl AsRef<[u8]> + ?Sized)) -> Values<'_, 'n> {
        self.by_ref().get_all(name)
    }

    /// Deserializes the fields into a serde struct or map (feature `serde`), as
    /// [`EntryRef::record`].
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
    /// The same as for [`EntryRef::record`].
    #[cfg(feature = "serde")]
    pub fn record<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, crate::record::CodecError> {
        crate::record::deserialize(self.fields())
    }

    /// Whether the entry is pending but was deleted from the stream, so that its fields are lost.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Returns what CLAIM reported about earlier deliveries; `None` in every other reply.
    #[must_use]
    pub fn delivery(&self) -> Option<DeliveryInfo> {
        self.delivery
    }

    /// Copies the entry's own bytes out, so that it no longer keeps the reply alive.
    ///
    /// Use it for an entry that is kept for long after the rest of its batch was dropped.
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

/// Serializes the id, and the fields in order as pairs of texts.
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

/// Serializes the id, and the fields in order as pairs of texts.
#[cfg(feature = "serde")]
impl serde::Serialize for Entry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::record::Field::serialize(self, serializer)
    }
}
