//! Deletes the oldest letters of one queue from its dead-letter stream. An operation.

use crate::command::{XDel, XRange};
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::admin::letter::own;
use crate::queue::policy::plan::PAGE;
use crate::queue::shared::Shared;

/// Deletes the letters of this queue up to this id, the oldest first, and at most this many. Returns
/// the number deleted. Those of other queues, and of other producers, stay.
pub(crate) async fn delete(
    shared: &Shared,
    key: &[u8],
    end: EntryId,
    most: u64,
) -> Result<u64, Error> {
    let (mut next, mut deleted) = (Some(EntryId::MIN), 0);
    while let Some(first) = next.filter(|first| *first <= end && deleted < most) {
        let page = XRange::new(key, first..=end).count(PAGE as u64);
        let page = shared.client.send(page).await?;
        next = page.last().and_then(|entry| entry.id().next()).filter(|_| page.len() >= PAGE);
        let left = usize::try_from(most - deleted).unwrap_or(usize::MAX);
        let own = page.iter().filter(|entry| own(&shared.settings, *entry).is_some());
        let ids: Vec<EntryId> = own.map(|entry| entry.id()).take(left).collect();
        if !ids.is_empty() {
            deleted += shared.client.send(XDel::new(key, &ids)).await?;
        }
    }
    Ok(deleted)
}
