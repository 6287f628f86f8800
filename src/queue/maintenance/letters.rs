//! Deletes dead letters beyond the limits of the queue. An operation.

use crate::error::Error;
use crate::id::EntryId;
use crate::queue::admin::{letter_count, oldest};
use crate::queue::event::QueueEvent;
use crate::queue::operation::clock;
use crate::queue::shared::Shared;

/// Deletes the letters that are too old, and the oldest of those that are too many. Only letters of
/// this queue count, and are deleted.
pub(crate) async fn limit(shared: &Shared) -> Result<(), Error> {
    let (limit, key) = (shared.settings.letters, shared.settings.dead_letter.as_deref());
    let Some(key) = key.filter(|_| limit.most.is_some() || limit.age.is_some()) else {
        return Ok(());
    };
    let count = letter_count::count(shared).await?;
    let mut deleted = 0;
    if let (Some(age), Some(oldest)) = (limit.age, count.oldest) {
        clock::id_seen(shared, count.last);
        clock::ask(shared).await?;
        let end = clock::id_of_age_at_server(shared, age).and_then(EntryId::prev);
        if let Some(end) = end.filter(|end| oldest <= *end) {
            deleted = oldest::delete(shared, key, end, u64::MAX).await?;
        }
    }
    let most = limit.most.unwrap_or(u64::MAX);
    let more = count.own.saturating_sub(deleted).saturating_sub(most);
    let result = match more {
        0 => Ok(0),
        _ => oldest::delete(shared, key, EntryId::MAX, more).await,
    };
    deleted += result.as_ref().map_or(0, |more| *more);
    if deleted > 0 {
        shared.emit(QueueEvent::DeadLettersDropped { letters: deleted });
    }
    result.map(drop)
}
