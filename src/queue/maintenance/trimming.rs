//! Trims entries that no group needs any more, or that exceed the retention. An operation.

use crate::command::{Trim, XInfoGroups, XPending, XTrim};
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::operation::clock;
use crate::queue::settings::{OPERATORS, Retention, Settings};
use crate::queue::shared::Shared;

/// Trims entries that no group needs any more, or that exceed the retention.
///
/// After a failover the groups may need entries that they had acknowledged: what is not needed is
/// trimmed only on the connection on which that was seen.
pub(crate) async fn trim(shared: &Shared) -> Result<(), Error> {
    let connection = shared.client.connected_since();
    let stream = &shared.settings.stream;
    let trim = match shared.settings.retention {
        // Before XACKDEL there is nothing left to be trimmed.
        Retention::DeleteOnAck if !shared.capabilities().ack_del => return Ok(()),
        Retention::DeleteOnAck | Retention::KeepUntilAllAcked => match needed(shared).await? {
            Some(least) => Trim::min_id(least),
            None => return Ok(()),
        },
        Retention::LossyMaxLen(entries) => Trim::max_len(entries),
        Retention::LossyMaxAge(age) => match clock::id_of_age_at_server(shared, age) {
            Some(least) => Trim::min_id(least),
            None => return Ok(()),
        },
    };
    let trim = XTrim::new(stream, trim.approximate());
    let (trimmed,) = shared.client.transact((trim,)).on(connection).await?;
    trimmed.map(drop)
}

/// Returns the lowest id that any group still needs, pending or not yet read. `None` if there is no
/// group, or only one, which deletes what it acknowledges.
async fn needed(shared: &Shared) -> Result<Option<EntryId>, Error> {
    let Settings { stream, retention, .. } = &shared.settings;
    let mut groups = shared.client.send(XInfoGroups::new(stream)).await?;
    groups.retain(|info| info.name != OPERATORS.as_bytes());
    if retention.deletes() && groups.len() < 2 {
        return Ok(None);
    }
    let pending = groups.iter().map(|group| XPending::new(stream, &group.name));
    let pending = shared.client.send_all(pending).await;
    let mut least: Option<EntryId> = None;
    for (group, pending) in groups.iter().zip(pending) {
        let unread = group.last_delivered_id.next().unwrap_or(EntryId::MAX);
        let needs = pending?.min.map_or(unread, |min| min.min(unread));
        least = Some(least.map_or(needs, |least| least.min(needs)));
    }
    Ok(least)
}

/// Records up to which entry the group has acknowledged everything, and the server's time.
pub(crate) async fn note_progress(shared: &Shared) -> Result<(), Error> {
    let Settings { stream, group, .. } = &shared.settings;
    let ask = (XInfoGroups::new(stream), XPending::new(stream, group));
    let (groups, pending) = shared.client.transact(ask).await?;
    let (groups, pending) = (groups?, pending?);
    if let Some(own) = groups.iter().find(|info| info.name == **group) {
        let last = own.last_delivered_id;
        clock::id_seen(shared, last);
        let done = pending.min.map_or(last, |min| min.prev().unwrap_or(EntryId::MIN).min(last));
        shared.note_acknowledged(done);
    }
    Ok(())
}
