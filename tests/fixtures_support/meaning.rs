//! Comparison of a decoded reply with the case's `value`, part by part.

use super::json::{Json, count, id, integer, is_bytes, list, tuple};
use super::tree::is_double;
use bourn::resp::{List, Value};
use bourn::{
    AutoClaimed, DeleteOutcome, Entries, EntryId, EntryRef, PendingEntry, PendingSummary,
    ServerError, Streams,
};
use bytes::Bytes;
use serde_json::Map;
use std::time::Duration;

/// A decoded value that can be compared with a `value`.
///
/// Where the type does not distinguish null from empty, null equals empty.
pub(crate) trait Means {
    fn means(&self, value: &Json) -> bool;
}

/// Whether both lists have the same length and equal items.
pub(super) fn all<T>(
    values: &[Json],
    parts: impl Iterator<Item = T>,
    same: impl Fn(&T, &Json) -> bool,
) -> bool {
    let parts: Vec<_> = parts.collect();
    parts.len() == values.len() && parts.iter().zip(values).all(|(part, value)| same(part, value))
}

/// Whether this is a list of two that satisfy these checks.
pub(super) fn is_pair(
    pair: &Json,
    first: impl Fn(&Json) -> bool,
    second: impl Fn(&Json) -> bool,
) -> bool {
    tuple(pair).is_some_and(|[a, b]| first(a) && second(b))
}

impl Means for () {
    fn means(&self, value: &Json) -> bool {
        value == "OK" || value == "PONG"
    }
}

impl Means for bool {
    fn means(&self, value: &Json) -> bool {
        integer(value) == Some(i64::from(*self))
    }
}

impl Means for u64 {
    fn means(&self, value: &Json) -> bool {
        count(value) == Some(*self)
    }
}

impl Means for i64 {
    fn means(&self, value: &Json) -> bool {
        integer(value) == Some(*self)
    }
}

impl Means for Bytes {
    fn means(&self, value: &Json) -> bool {
        is_bytes(value, self)
    }
}

impl Means for DeleteOutcome {
    fn means(&self, value: &Json) -> bool {
        match self {
            Self::Deleted => integer(value) == Some(1),
            Self::Missing => integer(value) == Some(-1),
            Self::StillReferenced => integer(value) == Some(2),
            // No captured server sends another one.
            _ => false,
        }
    }
}

impl Means for EntryId {
    fn means(&self, value: &Json) -> bool {
        id(value) == Some(*self) && value == self.to_string().as_str()
    }
}

impl<T: Means> Means for Option<T> {
    fn means(&self, value: &Json) -> bool {
        self.as_ref().map_or_else(|| value.is_null(), |part| part.means(value))
    }
}

impl<T: Means> Means for Vec<T> {
    fn means(&self, value: &Json) -> bool {
        let is_list = value.is_array() || value.is_null();
        is_list && all(list(value), self.iter(), |part, value| part.means(value))
    }
}

impl Means for Entries {
    fn means(&self, value: &Json) -> bool {
        let (entries, nulls): (Vec<_>, Vec<_>) = list(value).iter().partition(|e| !e.is_null());
        self.nulls() == nulls.len()
            && self.len() == entries.len()
            && self.iter().zip(entries).all(|(entry, value)| entry.means(value))
    }
}

impl Means for EntryRef<'_> {
    fn means(&self, value: &Json) -> bool {
        let [id, fields, delivery @ ..] = list(value) else { return false };
        let body = all(list(fields), self.fields(), |(name, text), field| {
            is_pair(field, |expected| is_bytes(expected, name), |expected| is_bytes(expected, text))
        });
        let delivery = match (self.delivery(), delivery) {
            (None, []) => true,
            (Some(got), [idle, deliveries]) => {
                integer(idle) == Some(got.idle_ms) && got.deliveries.means(deliveries)
            }
            _ => false,
        };
        self.id().means(id) && self.is_deleted() == fields.is_null() && body && delivery
    }
}

impl Means for Streams {
    fn means(&self, value: &Json) -> bool {
        all(list(value), self.streams(), |stream, value| {
            let means = |entries: &Json| entries.is_array() && stream.entries().means(entries);
            is_pair(value, |key| is_bytes(key, stream.key()), means)
        })
    }
}

impl Means for PendingSummary {
    fn means(&self, value: &Json) -> bool {
        let consumers = &value["consumers"];
        self.count.means(&value["count"])
            && self.min.means(&value["min"])
            && self.max.means(&value["max"])
            && (consumers.is_array() || consumers.is_null())
            && all(list(consumers), self.consumers.iter(), |(name, n), value| {
                is_pair(value, |expected| is_bytes(expected, name), |expected| n.means(expected))
            })
    }
}

impl Means for PendingEntry {
    fn means(&self, value: &Json) -> bool {
        let Some([id, consumer, idle, deliveries]) = tuple(value) else { return false };
        self.id.means(id)
            && self.consumer.means(consumer)
            && self.idle == count(idle).map(Duration::from_millis)
            && (self.idle.is_some() || integer(idle) == Some(-1))
            && self.deliveries.means(deliveries)
    }
}

impl<E: Means> Means for AutoClaimed<E> {
    fn means(&self, value: &Json) -> bool {
        let deleted = &value["deleted"];
        self.cursor.unwrap_or(EntryId::MIN).means(&value["cursor"])
            && self.cursor != Some(EntryId::MIN)
            && self.entries.means(&value["claimed"])
            && self.deleted.is_none() == deleted.is_null()
            && self.deleted.as_ref().is_none_or(|ids| ids.means(deleted))
    }
}

/// An error in `cases.json`: the code, the text after it, and the target of MOVED and ASK.
impl Means for ServerError {
    fn means(&self, value: &Json) -> bool {
        let points = match self.redirect() {
            None => value["host"].is_null(),
            Some(to) => {
                let slot = to.slot.map(u64::from);
                slot == value["slot"].as_u64()
                    && value["host"] == to.host.as_str()
                    && value["port"] == to.port
            }
        };
        value["code"] == self.code().as_str()
            && value["message"] == *String::from_utf8_lossy(self.message())
            && points
    }
}

/// The reply of a command without a type: a tree, whose `value` is the plain form.
impl Means for Value {
    fn means(&self, value: &Json) -> bool {
        match value {
            Json::Null => self.is_null(),
            Json::Bool(b) => *self.described() == Self::Boolean(*b),
            Json::Number(_) => integer(value).is_some_and(|n| self.as_integer() == Some(n)),
            Json::String(_) => self.as_bytes().is_some_and(|text| is_bytes(value, text)),
            Json::Array(values) => self.as_list().is_some_and(|parts| {
                all(values, parts.iter(), |part, value| part.means(value)) || pairs(values, parts)
            }),
            Json::Object(object) => object_means(self.described(), value, object),
        }
    }
}

/// Compares with a form that JSON lacks; else with a map or RESP2's flat array, by the server's
/// names.
fn object_means(got: &Value, value: &Json, object: &Map<String, Json>) -> bool {
    let first = object.keys().next().map(String::as_str);
    match (first, got) {
        (Some("int"), Value::Integer(n)) => integer(value) == Some(*n),
        (Some("int"), Value::BigNumber(text)) => is_bytes(&value["int"], text),
        (Some("double"), Value::Double(n)) => is_double(&value["double"], *n),
        (Some("map"), Value::Map(parts)) => pairs(list(&value["map"]), parts),
        (Some("hex" | "len"), _) => got.as_bytes().is_some_and(|text| is_bytes(value, text)),
        _ => got.as_list().is_some_and(|parts| {
            let named = |(name, part): (&Value, &Value)| {
                name.as_str().and_then(|name| object.get(name)).is_some_and(|v| part.means(v))
            };
            parts.len() == 2 * object.len() && parts.pairs().all(named)
        }),
    }
}

/// Whether alternating names and values equal these pairs: an entry's fields, or a map.
fn pairs(values: &[Json], parts: &List) -> bool {
    parts.len() == 2 * values.len()
        && all(values, parts.pairs(), |(name, part), pair| {
            is_pair(pair, |expected| name.means(expected), |expected| part.means(expected))
        })
}
