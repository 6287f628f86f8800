//! Makes entries claimable again whose idle time stands still, because the server's clock was set
//! back. An operation.
//!
//! An entry that was delivered in what is now the future has an idle time of zero until that time
//! comes: an hour, if the clock was an hour ahead. No claim takes it. A live consumer's next
//! heartbeat sets it right. What its owner left behind is measured by our own clock, and gets the
//! idle time at which it is due.

use crate::command::{PendingEntry, XClaim, XPendingRange};
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::operation::clock;
use crate::queue::policy::plan::LIST;
use crate::queue::shared::Shared;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::{Duration, Instant};

/// The entries that look stuck: their owner, their delivery count, and since when.
#[derive(Debug, Default)]
pub(crate) struct Stuck {
    found: BTreeMap<EntryId, (Bytes, u64, Instant)>,
    /// The page that is checked next begins after this entry.
    after: Option<EntryId>,
}

/// Checks the next page of pending entries, and those that looked stuck before.
pub(crate) async fn free(shared: &Shared, stuck: &mut Stuck) -> Result<(), Error> {
    let (stream, group) = (&shared.settings.stream, &shared.settings.group);
    let range = (stuck.after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
    let page = shared.client.send(XPendingRange::new(stream, group, range, LIST)).await?;
    let last = page.last().map(|entry| entry.id);
    stuck.after = last.filter(|_| page.len() as u64 >= LIST);
    let now = clock::now();
    for entry in page.into_iter().filter(is_stuck) {
        stuck.found.entry(entry.id).or_insert((entry.consumer, entry.deliveries, now));
    }
    let ids: Vec<EntryId> = stuck.found.keys().copied().collect();
    let ask = |id: &EntryId| XPendingRange::new(stream, group, *id..=*id, 1);
    let checked = shared.client.send_all(ids.iter().map(ask)).await;
    for (id, checked) in ids.iter().zip(checked) {
        let Some((owner, deliveries, since)) = stuck.found.get(id).cloned() else { continue };
        let is_same = |entry: &PendingEntry| {
            is_stuck(entry) && entry.consumer == owner && entry.deliveries == deliveries
        };
        if !checked?.first().is_some_and(is_same) {
            stuck.found.remove(id);
            continue;
        }
        let due = shared.settings.lease;
        if clock::now().saturating_duration_since(since) >= due {
            let claim = XClaim::new(stream, group, &*owner, Duration::ZERO, *id);
            // Later it might take the entry from a consumer that has claimed it in the meantime.
            let limit = shared.settings.lease / 4;
            shared.client.send(claim.idle(due).just_id()).within(limit).await?;
            stuck.found.remove(id);
        }
    }
    Ok(())
}

/// Whether the entry may have been delivered in the future. One that was delivered in this
/// millisecond looks the same, and not the next time.
fn is_stuck(entry: &PendingEntry) -> bool {
    entry.idle == Some(Duration::ZERO)
}
