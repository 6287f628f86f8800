//! Acknowledges entries, many in one command. Each has its own result. An operation.
//!
//! | retention | Redis 8.2 | before |
//! |---|---|---|
//! | delete on ack | `XACKDEL s g ACKED IDS n id ...` | `XDEL s id ...` `XACK s g id ...`, in one pipeline |
//! | keep until all acked | `XACKDEL s g ACKED IDS n id ...` | `XACK s g id ...` |
//! | lossy | `XACK s g id ...` | the same |
//!
//! ACKED keeps an entry that another group has not acknowledged. With delete on ack there is no other
//! group, unless another client has created one.
//!
//! XACK reports how many of the entries were pending, not which. So those that may not be pending are
//! acknowledged by a command each.
//!
//! A server that refuses XACKDEL, by its ACL or because it was renamed, is treated as an older one.
//!
//! XDEL comes first: if the pipeline is interrupted, a pending entry without a payload is left,
//! which cannot run twice. In the other order, an entry would be left that runs again in a group
//! created at 0.

use crate::command::{DeleteOutcome, Refs, XAck, XAckDel, XDel, XDelEx};
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::policy::capabilities::is_denied;
use crate::queue::shared::Shared;

/// The result of an acknowledgement.
///
/// ```no_run
/// # async fn f(
/// #     delivery: bourn::queue::Delivery<String>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::queue::Acked;
///
/// match delivery.ack().await? {
///     Acked::Done => println!("removed from the queue"),
///     Acked::AlreadyGone => println!("another worker finished it: this was a duplicate"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Acked {
    /// The job was pending, and is now acknowledged.
    Done,
    /// The job was no longer pending. Another worker finished it after this lease was lost, or this
    /// acknowledgement was applied before and its reply was lost.
    ///
    /// Before Redis 8.2, and with a lossy retention, the server reports how many of the jobs
    /// acknowledged together were pending, not which. A job whose lease was lost is acknowledged by a
    /// command of its own. If another client settles a job whose lease is valid, all jobs that are
    /// acknowledged together with it get this result; those after them do not.
    AlreadyGone,
}

/// Acknowledges these entries. Returns a result for each. `may_be_gone` says whether some of them may
/// not be pending.
pub(crate) async fn send(
    shared: &Shared,
    ids: &[EntryId],
    may_be_gone: bool,
) -> Result<Vec<Acked>, Error> {
    let settings = &shared.settings;
    let (stream, group) = (&settings.stream, &settings.group);
    if !settings.retention.is_lossy() && shared.capabilities().ack_del {
        let ack = XAckDel::new(stream, group, ids).refs(Refs::Acked);
        match shared.client.send(ack).await {
            Ok(outcomes) => {
                if settings.retention.deletes() {
                    delete_missing(shared, ids, &outcomes).await;
                }
                return Ok(outcomes.into_iter().map(acked).collect());
            }
            Err(error) if is_denied(&error) => shared.denied.ack_del(),
            Err(error) => return Err(error),
        }
    }
    let one = |acked| if acked { Acked::Done } else { Acked::AlreadyGone };
    if may_be_gone && ids.len() > 1 {
        if settings.retention.deletes() {
            shared.client.send(XDel::new(stream, ids)).await?;
        }
        let each = ids.iter().map(|id| XAck::new(stream, group, *id));
        let acked = shared.client.send_all(each).await;
        return acked.into_iter().map(|acked| Ok(one(acked? > 0))).collect();
    }
    let ack = XAck::new(stream, group, ids);
    let acked = if settings.retention.deletes() {
        let (deleted, acked) = shared.client.send_all((XDel::new(stream, ids), ack)).await;
        deleted?;
        acked?
    } else {
        shared.client.send(ack).await?
    };
    let all = u64::try_from(ids.len()).is_ok_and(|count| count == acked);
    Ok(vec![one(all); ids.len()])
}

/// Deletes the entries that were not pending: XACKDEL leaves them in the stream. Another client has
/// acknowledged them. Those stay that another group has not acknowledged.
async fn delete_missing(shared: &Shared, ids: &[EntryId], outcomes: &[DeleteOutcome]) {
    let is_missing = |(_, outcome): &(_, &DeleteOutcome)| **outcome == DeleteOutcome::Missing;
    let missing = ids.iter().zip(outcomes).filter(is_missing);
    let missing: Vec<EntryId> = missing.map(|(id, _)| *id).collect();
    if !missing.is_empty() {
        // The jobs are settled, whether this fails or not.
        let delete = XDelEx::new(&shared.settings.stream, &missing).refs(Refs::Acked);
        let _ = shared.client.send(delete).await;
    }
}

fn acked(outcome: DeleteOutcome) -> Acked {
    match outcome {
        DeleteOutcome::Missing => Acked::AlreadyGone,
        _ => Acked::Done,
    }
}
