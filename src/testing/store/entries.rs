//! Entries and ids as replies. No I/O.

use super::Reply;
use super::stream::Fields;
use crate::id::EntryId;
use bytes::Bytes;

/// Returns an id.
pub(super) fn id(id: EntryId) -> Reply {
    Reply::Bulk(Bytes::from(id.to_string()))
}

/// Returns an entry: its id and its fields.
pub(super) fn entry((of, fields): (EntryId, &Fields)) -> Reply {
    Reply::Array(vec![id(of), self::fields(fields)])
}

/// Returns the fields of an entry.
pub(super) fn fields(fields: &Fields) -> Reply {
    Reply::Array(fields.iter().cloned().map(Reply::Bulk).collect())
}
