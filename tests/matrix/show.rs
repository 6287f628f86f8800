//! Replies as short texts, which do not depend on the protocol or the time of day.

use bourn::{
    AutoClaimed, DeleteOutcome, Entries, EntryId, EntryRef, PendingEntry, PendingSummary, Streams,
};
use bytes::Bytes;
use std::time::{Duration, SystemTime};

/// A reply that can be shown.
pub(crate) trait Show {
    fn show(&self) -> String;
}

/// Joins items with a separator.
pub(crate) fn list<T: Show>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    let shown: Vec<_> = items.into_iter().map(|item| item.show()).collect();
    format!("[{}]", shown.join(separator))
}

impl<T: Show> Show for &T {
    fn show(&self) -> String {
        (*self).show()
    }
}

impl Show for () {
    fn show(&self) -> String {
        "OK".to_owned()
    }
}

impl Show for bool {
    fn show(&self) -> String {
        u8::from(*self).to_string()
    }
}

impl Show for i64 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for u64 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for String {
    fn show(&self) -> String {
        self.clone()
    }
}

impl Show for EntryId {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for Bytes {
    fn show(&self) -> String {
        if self.is_empty() { "''".to_owned() } else { self.escape_ascii().to_string() }
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "nil".to_owned(), Show::show)
    }
}

impl<T: Show> Show for Vec<T> {
    fn show(&self) -> String {
        list(self, " ")
    }
}

impl<A: Show, B: Show> Show for (A, B) {
    fn show(&self) -> String {
        format!("{}={}", self.0.show(), self.1.show())
    }
}

/// A duration, which varies between runs: whole minutes.
impl Show for Duration {
    fn show(&self) -> String {
        match self.as_secs() / 60 {
            0 => "now".to_owned(),
            minutes if minutes > 10_000_000 => "since 1970".to_owned(),
            minutes => format!("{minutes}min"),
        }
    }
}

/// A point in time, as the time since then.
impl Show for SystemTime {
    fn show(&self) -> String {
        self.elapsed().unwrap_or_default().show()
    }
}

impl Show for EntryRef<'_> {
    fn show(&self) -> String {
        let mut text = self.id().show();
        for (name, value) in self.fields() {
            text += &format!(" {}={}", name.escape_ascii(), value.escape_ascii());
        }
        if self.is_deleted() {
            text += " nil";
        }
        if let Some(delivery) = self.delivery() {
            text += &format!(" ({} {})", delivery.idle().show(), delivery.deliveries);
        }
        text
    }
}

impl Show for Entries {
    fn show(&self) -> String {
        let nulls = (0..self.nulls()).map(|_| "nil".to_owned());
        let shown: Vec<_> = nulls.chain(self.iter().map(|entry| entry.show())).collect();
        format!("[{}]", shown.join(", "))
    }
}

impl Show for Streams {
    fn show(&self) -> String {
        let stream = |stream: &bourn::StreamEntries| {
            format!("{} {}", stream.key().escape_ascii(), stream.entries().show())
        };
        let streams: Vec<_> = self.streams().map(stream).collect();
        if streams.is_empty() { "nil".to_owned() } else { streams.join(" ") }
    }
}

impl Show for PendingSummary {
    fn show(&self) -> String {
        let Self { count, min, max, consumers, .. } = self;
        format!("{count} {} {} {}", min.show(), max.show(), consumers.show())
    }
}

impl Show for PendingEntry {
    fn show(&self) -> String {
        let Self { id, consumer, idle, deliveries, .. } = self;
        format!("{id} {} {} {deliveries}", consumer.show(), idle.show())
    }
}

impl Show for DeleteOutcome {
    fn show(&self) -> String {
        match self {
            Self::Deleted => "1".to_owned(),
            Self::Missing => "-1".to_owned(),
            Self::StillReferenced => "2".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

/// Deleted entries are shown only if there are any.
impl<E: Show> Show for AutoClaimed<E> {
    fn show(&self) -> String {
        let Self { cursor, entries, deleted, .. } = self;
        let page = format!("{} {}", cursor.unwrap_or_default(), entries.show());
        match deleted {
            Some(deleted) if !deleted.is_empty() => format!("{page} {}", deleted.show()),
            _ => page,
        }
    }
}
