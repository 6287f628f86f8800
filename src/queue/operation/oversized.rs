//! Dead-letters an entry that is too large for the client to read. An operation.
//!
//! ```text
//! XADD dlq * _id id _group group _attempt n _reason text _at ms
//! XACK stream group id
//! ```
//!
//! The letter has no payload. The entry stays in the stream: it is the only copy.

use crate::command::{XAck, XAdd};
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::event::QueueEvent;
use crate::queue::operation::clock;
use crate::queue::operation::dead_letter::{AT, ATTEMPT, GROUP, ID, REASON, TOKEN};
use crate::queue::shared::Shared;
use crate::random;

/// Adds a letter that names the entry, and acknowledges the entry.
pub(crate) async fn dead_letter(
    shared: &Shared,
    id: EntryId,
    attempts: u32,
    limit: usize,
) -> Result<(), Error> {
    let settings = &shared.settings;
    let (stream, group) = (&*settings.stream, &*settings.group);
    let reason = format!(
        "the entry is larger than {limit} bytes (Config::reply_bytes); it is still in the stream"
    );
    if let Some(dlq) = &settings.dead_letter {
        // After a crash between the two commands there is another letter, and nothing is lost.
        let add = XAdd::new(dlq)
            .field(ID, id)
            .field(GROUP, group)
            .field(ATTEMPT, attempts)
            .field(REASON, &reason)
            .field(AT, clock::unix_ms())
            .field(TOKEN, format!("{:016x}", random::bits()));
        shared.client.send(add).await?;
    }
    shared.client.send(XAck::new(stream, group, id)).await?;
    shared.emit(QueueEvent::DeadLettered { id, attempts, reason: reason.into() });
    Ok(())
}
