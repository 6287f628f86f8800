//! Decodes entries and streams from a value tree, one by one: the oracle for the fast index.

use bourn::resp::Value;
use bourn::{Entries, EntryId, EntryRef, Streams};

/// The entries of one stream.
#[derive(Debug, Default, PartialEq)]
pub struct Batch {
    /// The entries that are not null.
    pub entries: Vec<Entry>,
    /// The number of nulls in place of entries.
    pub nulls: usize,
}

/// One entry.
#[derive(Debug, PartialEq)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// Names and values; `None` if the entry was deleted.
    pub fields: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    /// Idle milliseconds and the number of deliveries, as in `XREADGROUP ... CLAIM`.
    pub delivery: Option<(i64, u64)>,
}

/// Returns the entries of a reply like that of XRANGE; `None` if the value is not such a reply.
pub fn batch(value: &Value) -> Option<Batch> {
    let mut batch = Batch::default();
    for value in list_or_null(value)? {
        match value.described() {
            Value::Null => batch.nulls += 1,
            value => batch.entries.push(entry(list_or_null(value)?)?),
        }
    }
    Some(batch)
}

/// Returns the streams of a reply of XREAD or XREADGROUP; `None` if the value is not such a reply.
pub fn streams(value: &Value) -> Option<Vec<(Vec<u8>, Batch)>> {
    match value.described() {
        Value::Null => Some(Vec::new()),
        Value::Map(list) => list.pairs().map(|(key, entries)| stream(key, entries)).collect(),
        Value::Array(list) => {
            let pair = |value: &Value| match (value.is_null(), list_or_null(value)?) {
                (false, [key, entries]) => stream(key, entries),
                _ => None,
            };
            list.iter().map(pair).collect()
        }
        _ => None,
    }
}

fn stream(key: &Value, entries: &Value) -> Option<(Vec<u8>, Batch)> {
    Some((key.as_bytes()?.to_vec(), batch(entries)?))
}

/// Returns the same from entries that were read in place.
pub fn of_entries(entries: &Entries) -> Batch {
    Batch { entries: entries.iter().map(of_entry).collect(), nulls: entries.nulls() }
}

/// Returns the same from streams that were read in place.
pub fn of_streams(streams: &Streams) -> Vec<(Vec<u8>, Batch)> {
    streams.streams().map(|s| (s.key().to_vec(), of_entries(s.entries()))).collect()
}

fn of_entry(entry: EntryRef<'_>) -> Entry {
    let fields = entry.fields().map(|(name, value)| (name.to_vec(), value.to_vec()));
    let fields: Vec<_> = fields.collect();
    assert_eq!(fields.len(), entry.field_count());
    assert_eq!(entry.to_entry().detach(), entry.to_entry(), "an entry copied out");
    Entry {
        id: entry.id(),
        fields: if entry.is_deleted() { None } else { Some(fields) },
        delivery: entry.delivery().map(|d| (d.idle_ms, d.deliveries)),
    }
}

fn list_or_null(value: &Value) -> Option<&[Value]> {
    match value.described() {
        Value::Array(list) | Value::Set(list) | Value::Push(list) => Some(list),
        Value::Null => Some(&[]),
        _ => None,
    }
}

fn entry(parts: &[Value]) -> Option<Entry> {
    let [id, fields, more @ ..] = parts else { return None };
    let id = EntryId::parse(string(id)?).ok()?;
    let fields = match fields.described() {
        Value::Null => None,
        Value::Array(list) if list.len() % 2 == 0 => Some(list),
        Value::Map(list) => Some(list),
        _ => return None,
    };
    let pair = |(name, value)| Some((string(name)?.to_vec(), string(value)?.to_vec()));
    let fields = match fields {
        Some(list) => Some(list.pairs().map(pair).collect::<Option<_>>()?),
        None => None,
    };
    let delivery = match more {
        [idle, count, ..] => Some((integer(idle)?, integer(count)? as u64)),
        _ => None,
    };
    Some(Entry { id, fields, delivery })
}

/// Returns a simple or bulk string. An entry contains no verbatim string.
fn string(value: &Value) -> Option<&[u8]> {
    match value.described() {
        Value::Simple(text) | Value::Bulk(text) => Some(text),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value.described() {
        Value::Integer(n) => Some(*n),
        value => std::str::from_utf8(string(value)?).ok()?.parse().ok(),
    }
}
