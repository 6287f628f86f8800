//! Dead-letters an entry that is too large for the client to read. An operation.
//!
//! ```text
//! XADD dlq * <the letter's fields>
//! XACK stream group id
//! ```
//!
//! The letter has no fields of the job, so it is not redriven. The entry stays in the stream: it is
//! the only copy.

use crate::command::{XAck, XAdd};
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::cause::DeadLetterCause;
use crate::queue::codec::origin::Letter;
use crate::queue::event::QueueEvent;
use crate::queue::operation::clock;
use crate::queue::shared::Shared;
use crate::random;

/// Adds a letter that names the entry, and acknowledges the entry.
pub(crate) async fn dead_letter(
    shared: &Shared,
    id: EntryId,
    attempts: u32,
    limit: usize,
) -> Result<(), Error> {
    let connection = shared.client.connected_since();
    let settings = &shared.settings;
    let (stream, group) = (&*settings.stream, &*settings.group);
    let reason = format!(
        "the entry is larger than {limit} bytes (Config::reply_bytes); it is still in the stream"
    );
    if let Some(dlq) = &settings.dead_letter {
        // After a crash between the two commands there is another letter, and nothing is lost.
        let token = format!("{:016x}", random::bits());
        let letter = Letter {
            id,
            stream,
            group,
            attempts,
            cause: DeadLetterCause::TooLarge,
            reason: reason.as_bytes(),
            at_ms: clock::unix_ms(),
            token: token.as_bytes(),
        };
        let add = XAdd::new(dlq).fields(letter.fields());
        shared.client.send(add).await?;
    }
    let (acked,) = shared.client.transact((XAck::new(stream, group, id),)).on(connection).await?;
    acked?;
    let (cause, reason) = (DeadLetterCause::TooLarge, reason.into());
    shared.emit(QueueEvent::DeadLettered { id, attempts, cause, reason });
    Ok(())
}
