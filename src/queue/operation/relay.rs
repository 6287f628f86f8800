//! Acknowledges and deletes an entry in one stream, and adds one to another, in one
//! transaction. An operation.
//!
//! ```text
//! XLEN to
//! MULTI
//! XADD to [IDMP <from and group> id] * <fields>
//! XACK from group id
//! XDEL from id                                    XDELEX ACKED for a job, from Redis 8.2 on
//! EXEC
//! ```
//!
//! XLEN fails if the target is not a stream, and nothing is done. MULTI does not undo: if the target
//! became another type in between, XADD fails and the entry is added to its own stream again, or is
//! made pending again where it was not deleted.
//!
//! If XACK and XDEL both return 0, another consumer had finished the entry. With IDMP (Redis 8.6)
//! the new entry is then the one that the other consumer added. Without it, it is a duplicate and
//! is deleted: it exists for a moment.

use crate::client::Client;
use crate::command::{DeleteOutcome, Refs, XAck, XAdd, XClaim, XDel, XDelEx, XLen};
use crate::entry::Entry;
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::codec::origin::{self, Address, producer_id};
use crate::queue::operation::ack::Acked;
use crate::queue::operation::backoff::{Backoff, is_transient};
use crate::queue::operation::clock;
use crate::queue::operation::failures::Failures;
use crate::queue::policy::capabilities::Capabilities;
use crate::queue::policy::capabilities::is_denied;
use crate::queue::policy::delay::RETRY;
use std::time::Duration;

/// The result of a relay: whether the entry was ours, and the id of the new entry, if there is one.
pub(crate) type Relayed = (Acked, Option<EntryId>);

/// The source and the target of a relay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relay<'a> {
    pub(crate) from: &'a [u8],
    pub(crate) group: &'a [u8],
    pub(crate) entry: &'a Entry,
    /// Whether the entry is a job of a queue, not a dead letter.
    pub(crate) is_job: bool,
    /// Whether the entry is deleted from its stream.
    pub(crate) deletes: bool,
    pub(crate) to: &'a [u8],
    /// Whether the server has IDMP.
    pub(crate) idmp: bool,
}

impl Relay<'_> {
    /// Retries for this duration, until the outcome is known.
    pub(crate) async fn send_until_known<'f>(
        &'f self,
        client: &Client,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
        time: Duration,
    ) -> Result<Relayed, Error> {
        let until = clock::now() + time;
        let mut backoff = Backoff::default();
        let mut failures = Failures::default();
        loop {
            let error = match self.once(client, fields.clone()).await {
                Ok(relayed) => return Ok(relayed),
                Err(error) => error,
            };
            failures.add(&error);
            if !is_transient(&error) || clock::now() >= until {
                return Err(failures.error(error));
            }
            backoff.wait().await;
        }
    }

    async fn once<'f>(
        &'f self,
        client: &Client,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
    ) -> Result<Relayed, Error> {
        let Relay { from, group, entry, deletes, to, idmp, .. } = *self;
        let id = entry.id();
        let iid = id.to_string();
        let pid = producer_id("then", from, group);
        let add = || {
            let add = XAdd::new(to).fields(fields.clone());
            if idmp { add.idmp(&pid, &iid) } else { add }
        };
        client.send(XLen::new(to)).await?;
        let ack = || XAck::new(from, group, id);
        // A job stays that another group has not read.
        let can = Capabilities::of(client.server().as_deref());
        let acked_only = deletes && self.is_job && can.ack_del;
        let moved = if acked_only {
            let delete = XDelEx::new(from, id).refs(Refs::Acked);
            let moved = client.transact((add(), ack(), delete)).await;
            moved.map(|(added, acked, deleted)| {
                let is_deleted = |outcomes: Vec<_>| outcomes.contains(&DeleteOutcome::Deleted);
                (added, acked, deleted.map(|outcomes| u64::from(is_deleted(outcomes))))
            })
        } else if deletes {
            client.transact((add(), ack(), XDel::new(from, id))).await
        } else {
            let moved = client.transact((add(), ack())).await;
            moved.map(|(added, acked)| (added, acked, Ok(0)))
        };
        let (added, acked, deleted) = match moved {
            // Nothing was done.
            Err(error) if acked_only && is_denied(&error) => {
                client.transact((add(), ack(), XDel::new(from, id))).await?
            }
            moved => moved?,
        };
        let (acked, deleted) = (acked?, deleted?);
        let added = match added {
            Ok(added) => added,
            // The target is not a stream, and the entry was acknowledged.
            Err(error) => {
                if acked > 0 || deleted > 0 {
                    self.put_back(client).await?;
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

    /// Undoes the acknowledgement of an entry that was not added to the target.
    async fn put_back(&self, client: &Client) -> Result<(), Error> {
        let mut backoff = Backoff::default();
        loop {
            let (from, id) = (self.from, self.entry.id());
            let done = if self.deletes {
                // For this group only, and with the id that the job had.
                let (id, own) = origin::of_job(self.entry.fields(), id, from);
                let id = id.to_string();
                let to = Address::fields(&id, from, self.group);
                let to = to.into_iter().filter(|_| self.is_job);
                client.send(XAdd::new(from).fields(to).fields(own)).await.map(drop)
            } else {
                let claim = XClaim::new(from, self.group, RETRY, Duration::ZERO, id);
                client.send(claim.force().just_id()).await.map(drop)
            };
            match done {
                // This process has the only copy: a duplicate is better than a loss.
                Err(error) if is_transient(&error) => backoff.wait().await,
                result => return result,
            }
        }
    }
}
