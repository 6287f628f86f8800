//! Counts the letters of one queue in its dead-letter stream. An operation.
//!
//! The stream may be shared, so its length is not the answer. The count is kept with the length and
//! the last id of the stream for which it holds. If letters were only added since then, these are
//! read; if some were removed, all are read again.

use crate::command::{XInfoStream, XRange};
use crate::error::{Code, Error};
use crate::id::EntryId;
use crate::queue::admin::letter::own;
use crate::queue::policy::plan::PAGE;
use crate::queue::shared::{LetterCount, Shared};
use std::ops::RangeInclusive;
use std::sync::PoisonError;

/// Returns the number of letters of this queue, and the first one's id.
pub(crate) async fn count(shared: &Shared) -> Result<LetterCount, Error> {
    let Some(key) = &shared.settings.dead_letter else { return Ok(LetterCount::default()) };
    let known = *shared.letters.lock().unwrap_or_else(PoisonError::into_inner);
    let (length, last) = match shared.client.send(XInfoStream::new(key)).await {
        Ok(info) => (info.length, info.last_generated_id),
        // No such key.
        Err(Error::Server(error)) if *error.code() == Code::Err => (0, EntryId::MIN),
        Err(error) => return Err(error),
    };
    if (length, last) == (known.length, known.last) {
        return Ok(known);
    }
    let mut count = known;
    if let Some(first) = known.last.next().filter(|first| *first <= last) {
        add(shared, key, &mut count, first..=last).await?;
    }
    if count.length != length || known.last > last {
        count = LetterCount::default();
        add(shared, key, &mut count, EntryId::MIN..=last).await?;
    }
    count.last = last;
    *shared.letters.lock().unwrap_or_else(PoisonError::into_inner) = count;
    Ok(count)
}

/// Adds the letters of this range to the count.
async fn add(
    shared: &Shared,
    key: &[u8],
    count: &mut LetterCount,
    range: RangeInclusive<EntryId>,
) -> Result<(), Error> {
    let (mut next, last) = (Some(*range.start()), *range.end());
    while let Some(first) = next.filter(|first| *first <= last) {
        let page = shared.client.send(XRange::new(key, first..=last).count(PAGE as u64)).await?;
        count.length += page.len() as u64;
        for entry in page.iter().filter(|entry| own(&shared.settings, *entry).is_some()) {
            count.own += 1;
            if count.oldest.is_none() {
                count.oldest = Some(entry.id());
            }
        }
        next = page.last().and_then(|entry| entry.id().next()).filter(|_| page.len() >= PAGE);
    }
    Ok(())
}
