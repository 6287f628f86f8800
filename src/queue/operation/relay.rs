//! Moving: acknowledges and deletes an entry in one stream, and adds one to another, in one
//! transaction.
//!
//! ```text
//! MULTI
//! XADD to [IDMP from/group id] * <fields>
//! XACK from group id
//! XDEL from id
//! EXEC
//! ```
//!
//! If XADD fails, because the target is not a stream, the entry is added to its own stream again.
//!
//! If XACK and XDEL both return 0, another consumer had finished the entry. With IDMP (Redis 8.6)
//! the new entry is then the one that the other consumer added. Without it, it is a duplicate and
//! is deleted: it exists for a moment.

use crate::client::Client;
use crate::command::{XAck, XAdd, XDel};
use crate::entry::Entry;
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::Acked;
use crate::queue::QueueError;
use crate::queue::codec::FieldList;
use crate::queue::consumer::report::Ending;
use crate::queue::consumer::settle::{Case, Pause, is_transient};
use crate::queue::operation::dead_letter;
use crate::queue::shared::Core;
use std::time::{Duration, Instant};

/// The result of a move: whether the entry was ours, and the id of the new entry, if there is one.
pub(crate) type Moved = (Acked, Option<EntryId>);

/// The source and the target of a move.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Move<'a> {
    pub(crate) from: &'a [u8],
    pub(crate) group: &'a [u8],
    pub(crate) entry: &'a Entry,
    /// Whether the entry is deleted from its stream.
    pub(crate) deletes: bool,
    pub(crate) to: &'a [u8],
    /// Whether the server has IDMP.
    pub(crate) idmp: bool,
}

impl Move<'_> {
    /// Retries for this duration, until the outcome is known.
    pub(crate) async fn until_known<'f>(
        &'f self,
        client: &Client,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
        time: Duration,
    ) -> Result<Moved, Error> {
        let until = Instant::now() + time;
        let mut pause = Pause::default();
        loop {
            match self.once(client, fields.clone()).await {
                Err(error) if is_transient(&error) && Instant::now() < until => pause.wait().await,
                result => return result,
            }
        }
    }

    async fn once<'f>(
        &'f self,
        client: &Client,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<Moved, Error> {
        let Move { from, group, entry, deletes, to, idmp } = *self;
        let id = entry.id();
        let iid = id.to_string();
        // Entries of several streams may have the same id.
        let pid = [from, b"/", group].concat();
        let add = XAdd::new(to).fields(fields);
        let add = if idmp { add.idmp(&pid, &iid) } else { add };
        let ack = XAck::new(from, group, id);
        let (added, acked, deleted) = if deletes {
            client.transact((add, ack, XDel::new(from, id))).await?
        } else {
            let (added, acked) = client.transact((add, ack)).await?;
            (added, acked, Ok(0))
        };
        let (acked, deleted) = (acked?, deleted?);
        let added = match added {
            Ok(added) => added,
            // The target is not a stream, and the entry was acknowledged.
            Err(error) => {
                if acked > 0 || deleted > 0 {
                    dead_letter::put_back(client, from, entry).await?;
                }
                return Err(error);
            }
        };
        // A group that was created again has lost its pending entries. An entry still in the stream
        // was not finished.
        if acked > 0 || deleted > 0 {
            return Ok((Acked::Done, Some(added)));
        }
        if idmp {
            return Ok((Acked::AlreadyGone, Some(added)));
        }
        client.send(XDel::new(to, added)).await?;
        Ok((Acked::AlreadyGone, None))
    }
}

/// Adds the next job and acknowledges this one. Retries for the duration of a lease, until the
/// outcome is known.
pub(crate) async fn ack_then(
    case: &Case,
    out: &Core,
    fields: &FieldList,
) -> Result<Moved, QueueError> {
    let core = case.core()?;
    let settings = &core.settings;
    let whole = Move {
        from: &settings.stream,
        group: &settings.group,
        entry: &case.entry,
        deletes: settings.retention.deletes(),
        to: &out.settings.stream,
        idmp: core.abilities().idmp,
    };
    let result = whole.until_known(&core.client, fields.iter(), settings.lease).await;
    case.end();
    match &result {
        Ok((Acked::Done, _)) => case.desk.tally.add(case.key.0, Ending::Done, 1),
        Ok((Acked::AlreadyGone, _)) => case.desk.tally.add(case.key.0, Ending::AlreadyGone, 1),
        Err(_) => {}
    }
    Ok(result?)
}
