//! Acks: many acknowledgements in one command; each still has its own result.
//!
//! While one command is in flight, others gather for the next: no acknowledgement waits for a batch
//! to fill.
//!
//! | retention | Redis 8.2 | before |
//! |---|---|---|
//! | delete on ack | `XACKDEL s g IDS n id ...` | `XDEL s id ...` `XACK s g id ...`, in one pipeline |
//! | keep until all acked | `XACKDEL s g ACKED IDS n id ...` | `XACK s g id ...` |
//! | lossy | `XACK s g id ...` | the same |
//!
//! XDEL comes first: if the pipeline is interrupted, a pending entry without a payload is left,
//! which cannot run twice. In the other order, an entry would be left that runs again in a group
//! created at 0.

use crate::command::{DeleteOutcome, Refs, XAck, XAckDel, XDel};
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::Acked;
use crate::queue::consumer::report::Ending;
use crate::queue::consumer::settle::{AckResult, Pause, is_transient};
use crate::queue::consumer::state::{AckOrder, Desk};
use crate::queue::policy::plan::PAGE;
use crate::queue::settings::Retention;
use crate::queue::shared::Core;
use std::time::Instant;

/// Sends these acknowledgements, and reports each result to its caller.
pub(crate) async fn send(desk: &Desk, acks: Vec<AckOrder>) {
    let mut acks = acks;
    for (level, core) in desk.levels.iter().enumerate() {
        let (mut here, others): (Vec<_>, Vec<_>) =
            acks.into_iter().partition(|ack| ack.key.0 == level);
        acks = others;
        while !here.is_empty() {
            let some: Vec<AckOrder> = here.drain(..here.len().min(PAGE)).collect();
            let ids: Vec<EntryId> = some.iter().map(|ack| ack.key.1).collect();
            let results = until_done(desk, core, &ids).await;
            for (ack, result) in some.into_iter().zip(results) {
                end(desk, ack, result);
            }
        }
    }
}

/// Records the result of one acknowledgement.
fn end(desk: &Desk, ack: AckOrder, result: AckResult) {
    if result.is_err() {
        // If the entry is delivered again, it is acknowledged again.
        desk.note_done(ack.key, Instant::now());
    }
    desk.held().end(ack.key, ack.ticket);
    desk.room.notify_waiters();
    match (&result, ack.ending) {
        (Ok(Acked::AlreadyGone), _) => desk.tally.add(ack.key.0, Ending::AlreadyGone, 1),
        (Ok(Acked::Done), ending) => desk.tally.add(ack.key.0, ending, 1),
        (Err(_), _) => {}
    }
    if let Some(reply) = ack.reply {
        // The caller may have dropped its future.
        let _ = reply.send(result);
    }
}

/// Sends an acknowledgement until there is a reply, at most for the duration of a lease.
async fn until_done(desk: &Desk, core: &Core, ids: &[EntryId]) -> Vec<AckResult> {
    let until = Instant::now() + core.settings.lease;
    let mut pause = Pause::default();
    loop {
        let error = match once(core, ids).await {
            Ok(results) => return results.into_iter().map(Ok).collect(),
            Err(error) => error,
        };
        if !is_transient(&error) || Instant::now() >= until || desk.ended.is_cancelled() {
            return ids.iter().map(|_| Err(error.clone().into())).collect();
        }
        pause.wait().await;
    }
}

/// Acknowledges these entries once.
async fn once(core: &Core, ids: &[EntryId]) -> Result<Vec<Acked>, Error> {
    let settings = &core.settings;
    let (stream, group) = (&settings.stream, &settings.group);
    let refs = match settings.retention {
        Retention::DeleteOnAck => Some(Refs::Keep),
        Retention::KeepUntilAllAcked => Some(Refs::Acked),
        Retention::LossyMaxLen(_) | Retention::LossyMaxAge(_) => None,
    };
    if let Some(refs) = refs.filter(|_| core.abilities().ack_del) {
        let ack = XAckDel::new(stream, group, ids);
        // The default is omitted: not all servers document it.
        let ack = if refs == Refs::Keep { ack } else { ack.refs(refs) };
        let outcomes = core.client.send(ack).await?;
        let outcome = |outcome: DeleteOutcome| match outcome {
            DeleteOutcome::Missing => Acked::AlreadyGone,
            _ => Acked::Done,
        };
        return Ok(outcomes.into_iter().map(outcome).collect());
    }
    let ack = XAck::new(stream, group, ids);
    let acked = if settings.retention.deletes() {
        let (deleted, acked) = core.client.send_all((XDel::new(stream, ids), ack)).await;
        deleted?;
        acked?
    } else {
        core.client.send(ack).await?
    };
    // The server reports how many were pending, not which. All of them were, unless a lease was
    // lost.
    let all = u64::try_from(ids.len()).is_ok_and(|count| count == acked);
    let outcome = if all { Acked::Done } else { Acked::AlreadyGone };
    Ok(vec![outcome; ids.len()])
}
