//! Removes pending entries that are no longer in the stream. An operation.

use crate::command::{XAutoClaim, XClaim};
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::operation::claim;
use crate::queue::policy::delay::RETRY;
use crate::queue::shared::Shared;
use std::time::Duration;

/// The number of pages of pending entries to scan each time.
const PAGES: usize = 10;

/// The number of entries of a page. The server looks at ten times as many.
const COUNT: u64 = 100;

/// Longer than any idle time, in milliseconds that a server accepts.
const NEVER: Duration = Duration::from_millis(9_000_000_000_000_000);

/// Removes pending entries that are no longer in the stream, continuing at the cursor. Adds their
/// ids to `missing`, unless their jobs are in the wheel.
pub(crate) async fn clear(
    shared: &Shared,
    me: &[u8],
    cursor: &mut Option<EntryId>,
    missing: &mut Vec<EntryId>,
) -> Result<(), Error> {
    let (stream, group) = (&shared.settings.stream, &shared.settings.group);
    // An entry that XNACK gave back is claimed by the scan. Under our own name it would look like one
    // whose delivery was lost, which is no attempt.
    let scanner = if shared.capabilities().nack { RETRY } else { me };
    for _ in 0..PAGES {
        let start = cursor.unwrap_or(EntryId::MIN);
        let Some(waiting) = claim::in_wheel(shared, start, 10 * COUNT).await? else {
            *cursor = None;
            break;
        };
        let scan = XAutoClaim::new(stream, group, scanner, NEVER, start).count(COUNT).just_id();
        let page = shared.client.send(scan).await?;
        let deleted = page.deleted.unwrap_or_default();
        missing.extend(deleted.into_iter().filter(|id| !waiting.contains(id)));
        if !page.entries.is_empty() {
            // XNACK has made them older than any idle time. Any consumer may have them.
            let lease = shared.settings.lease;
            let release = XClaim::new(stream, group, RETRY, Duration::ZERO, &page.entries);
            shared.client.send(release.idle(lease).just_id()).await?;
        }
        *cursor = page.cursor;
        if page.cursor.is_none() {
            break;
        }
    }
    Ok(())
}
