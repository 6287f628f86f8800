//! Takes, keeps and leaves a turn, whose records are in a stream of their own. An operation.
//!
//! | step | commands |
//! |---|---|
//! | look who has it | `XREVRANGE key + - COUNT 1` |
//! | take it | `XADD key MAXLEN 1 <the next id> by me`: of several consumers one succeeds |
//! | keep it | `MULTI`, the look, `XADD key MAXLEN 1 * by me`, `EXEC` |
//! | leave it | `XADD key MAXLEN 1 * by ""` |
//!
//! A record may also say what its consumer knows about the group: [`Note`].

use crate::command::{Trim, XAdd, XRevRange};
use crate::entry::Entries;
use crate::error::{Code, Error};
use crate::id::EntryId;
use crate::queue::policy::turn::{Note, Record};
use crate::queue::shared::Shared;

/// The field of a record; without a value the consumer has left.
const BY: &str = "by";

/// The fields of a note.
const CONSUMERS: &str = "consumers";
const DELAYS: &str = "delays";
const RECURRING: &str = "recurring";

/// Returns the last record.
pub(crate) async fn look(shared: &Shared, key: &[u8]) -> Result<Option<(Record, Note)>, Error> {
    let last = shared.client.send(last_record(key)).await?;
    Ok(record(&last).map(|(record, _, note)| (record, note)))
}

/// Returns the command that looks at the last record.
pub(crate) fn last_record(key: &[u8]) -> XRevRange<'_> {
    XRevRange::new(key, ..).count(1)
}

fn record(last: &Entries) -> Option<(Record, Vec<u8>, Note)> {
    let last = last.first()?;
    let field = |name: &str| last.fields().find(|(found, _)| *found == name.as_bytes());
    let by = field(BY).map(|(_, by)| by.to_vec()).unwrap_or_default();
    let consumers = field(CONSUMERS).and_then(|(_, count)| std::str::from_utf8(count).ok());
    let note = Note {
        consumers: consumers.and_then(|count| count.parse().ok()).unwrap_or_default(),
        delays: field(DELAYS).is_some(),
        recurring: field(RECURRING).is_some(),
    };
    Some((Record { id: last.id(), is_free: by.is_empty() }, by, note))
}

fn add<'a>(key: &'a [u8], by: &'a [u8], note: Note) -> XAdd<'a> {
    let mut add = XAdd::new(key).trim(Trim::max_len(1)).field(BY, by);
    if note.consumers > 0 {
        add = add.field(CONSUMERS, note.consumers);
    }
    if note.delays {
        add = add.field(DELAYS, 1);
    }
    if note.recurring {
        add = add.field(RECURRING, 1);
    }
    add
}

/// Adds our record with this id. False if another consumer has added one.
pub(crate) async fn take(
    shared: &Shared,
    key: &[u8],
    me: &[u8],
    id: EntryId,
    note: Note,
) -> Result<bool, Error> {
    match shared.client.send(add(key, me, note).id(id)).await {
        Ok(_) => Ok(true),
        // The id is not above the last one.
        Err(Error::Server(error)) if *error.code() == Code::Err => Ok(false),
        Err(error) => Err(error),
    }
}

/// Adds another record. Returns the id of the last one, and its own, which has the server's time.
/// `None` if the last one was not ours.
pub(crate) async fn renew(
    shared: &Shared,
    key: &[u8],
    me: &[u8],
    note: Note,
) -> Result<Option<(EntryId, EntryId)>, Error> {
    let both = (last_record(key), add(key, me, note));
    let (last, added) = shared.client.transact(both).await?;
    let (last, added) = (last?, added?);
    if let Some((last, ..)) = record(&last).filter(|(_, by, _)| by == me) {
        return Ok(Some((last.id, added)));
    }
    // Our record is now the last one.
    leave(shared, key).await?;
    Ok(None)
}

/// Adds a record which says that the turn is free.
pub(crate) async fn leave(shared: &Shared, key: &[u8]) -> Result<(), Error> {
    shared.client.send(add(key, b"", Note::default())).await.map(drop)
}
