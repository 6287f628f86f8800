//! Adds an entry to another stream, and then removes the one from which it was made: the next job
//! of a job, or the job of a dead letter. An operation.
//!
//! ```text
//! MULTI                                          the copy
//! XCLAIM from group me 0 id RETRYCOUNT 500000000+n JUSTID
//! XADD to [IDMP <from and group> id] * <its origin> <fields>
//! EXEC
//! MULTI                                          the removal
//! XACK from group id
//! XDEL from id
//! EXEC
//! ```
//!
//! MULTI does not undo: where `to` holds another type, XADD fails and the commands beside it
//! succeed. So the entry is removed only when its copy is known to exist. The delivery count says in
//! between that there may be a copy.
//!
//! | event | action |
//! |---|---|
//! | `to` is not a stream, out of memory, a replica | there is no copy, and the entry stays pending |
//! | the reply to the copy is lost | with IDMP (Redis 8.6) it is sent again, and is the same copy; otherwise the copy is looked for by its origin. If it is not there, the delivery count says whether it was added: it was then taken from `to` already |
//! | the process died after the copy | the next one sees the delivery count, and looks for the copy: it removes the entry only. A copy that was taken from `to` already is not found, and is added again, unless IDMP recognises it |
//! | the entry was removed before the copy was added (XCLAIM, XACK and XDEL find nothing) | the copy is deleted; with IDMP it is the copy of the one who removed the entry |
//! | the entry was removed after that | its consumer has seen the copy, which stays |
//! | the connection was replaced after the copy | the copy is looked up: a server that crashed may have lost it, and not the entry. If the mark is gone too, it is added again |
//! | the reply to the removal is lost | sent again; the copy stays, whatever the second reply is |
//!
//! The mark does not check the owner of the entry. So it is sent only while no other consumer can
//! have the entry: until `expiry`.

use crate::client::Client;
use crate::command::{XAck, XAdd, XClaim, XDel, XLen, XPendingRange, XRange};
use crate::entry::{EntryRef, Fields};
use crate::error::{Error, Outcome};
use crate::id::EntryId;
use crate::queue::codec::origin::{Address, Source, producer_id};
use crate::queue::operation::ack::Acked;
use crate::queue::operation::backoff::{Backoff, is_transient};
use crate::queue::operation::copied::Copied;
use crate::queue::operation::dead_letter::remove;
use crate::queue::operation::failures::Failures;
use crate::queue::operation::{clock, copies};
use crate::queue::policy::mark::{self, Mark, split_count};
use crate::queue::shared::Shared;
use std::time::{Duration, Instant};

/// The result of a relay: whether the entry was ours, and the id of the new entry, if there is one
/// and it is known.
pub(crate) type Relayed = (Acked, Option<EntryId>);

/// The origin that the new entry has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// It is the next job of this one, a job of `shared`.
    Next { shared: &'a Shared, source: Source<'a> },
    /// It is the job of a dead letter.
    Redriven(Address<'a>),
}

/// An entry that is relayed, and how far that has come.
#[derive(Debug)]
pub(crate) struct Relay<'a> {
    client: &'a Client,
    from: &'a [u8],
    group: &'a [u8],
    /// The owner of the pending entry.
    me: &'a [u8],
    id: EntryId,
    attempt: u32,
    to: &'a [u8],
    /// Whether the server has IDMP.
    idmp: bool,
    origin: Origin<'a>,
    /// Whether an earlier process may have added a copy.
    is_resumed: bool,
    copy: Option<Copy>,
    /// Whether there may be a copy whose id is unknown.
    copy_unknown: bool,
    /// Whether the entry may have been removed by this relay.
    removal_unknown: bool,
}

/// A copy that the server has confirmed.
#[derive(Debug, Clone, Copy)]
struct Copy {
    /// `None` if it was taken from its stream before its id was known.
    copied: Option<Copied>,
    /// Whether the entry was pending when the copy was added.
    is_marked: bool,
}

impl<'a> Relay<'a> {
    /// Creates the relay of the entry `id`, which is pending in `group` for `me`, with this number
    /// of deliveries. `is_resumed` says whether it has the mark of a copy.
    pub(crate) fn new(
        client: &'a Client,
        (from, group, me): (&'a [u8], &'a [u8], &'a [u8]),
        (id, attempt, is_resumed): (EntryId, u32, bool),
        (to, idmp): (&'a [u8], bool),
        origin: Origin<'a>,
    ) -> Self {
        Self {
            client,
            from,
            group,
            me,
            id,
            attempt,
            to,
            idmp,
            origin,
            is_resumed,
            copy: None,
            copy_unknown: false,
            removal_unknown: false,
        }
    }

    /// Whether there may be a copy.
    pub(crate) fn is_begun(&self) -> bool {
        self.copy.is_some() || self.copy_unknown || self.is_resumed
    }

    /// Retries for this duration, until the outcome is known. `expiry` returns when another consumer
    /// may claim the entry. `None` if that time came before there was a copy: nothing was done.
    pub(crate) async fn send_until_known<'f>(
        &mut self,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
        expiry: impl Fn() -> Option<Instant>,
        time: Duration,
    ) -> Result<Option<Relayed>, Error>
    where
        'a: 'f,
    {
        let until = clock::now() + time;
        let mut backoff = Backoff::default();
        let mut failures = Failures::default();
        loop {
            let result = match (self.copy, expiry()) {
                (None, None) => return failures.unknown().map_or(Ok(None), Err),
                (_, expiry) => self.once(fields.clone(), (expiry, until)).await,
            };
            let error = match result {
                Ok(relayed) => return Ok(Some(relayed)),
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
        &mut self,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
        (expiry, until): (Option<Instant>, Instant),
    ) -> Result<Relayed, Error>
    where
        'a: 'f,
    {
        loop {
            let mut copy = match self.copy {
                Some(copy) => copy,
                None => match self.earlier().await? {
                    Some(copy) => copy,
                    // Without a lease nothing is added.
                    None => self.add(fields.clone(), expiry.unwrap_or_else(clock::now)).await?,
                },
            };
            self.copy = Some(copy);
            let left = until.saturating_duration_since(clock::now());
            let exists = match &mut copy.copied {
                Some(copied) => copied.exists(self.client, self.to, left).await?,
                None => true,
            };
            if exists || !self.is_lost().await? {
                self.copy = Some(copy);
                return self.remove(copy, left).await;
            }
            self.copy = None;
        }
    }

    /// Whether the server has lost a copy that is not in its stream. Otherwise it was taken from
    /// there: the mark was set together with the copy.
    async fn is_lost(&self) -> Result<bool, Error> {
        let ask = XPendingRange::new(self.from, self.group, self.id..=self.id, 1);
        if let Some(entry) = self.client.send(ask).await?.first() {
            let count = u32::try_from(entry.deliveries).unwrap_or(u32::MAX);
            // An earlier mark says nothing of this copy.
            return Ok(split_count(count).1 != Mark::Copied || self.is_resumed);
        }
        let entry = self.client.send(XRange::new(self.from, self.id..=self.id)).await?;
        Ok(!self.removal_unknown || !entry.is_empty())
    }

    /// Returns the copy that an earlier attempt has added.
    async fn earlier(&mut self) -> Result<Option<Copy>, Error> {
        if !self.is_resumed && (!self.copy_unknown || self.idmp) {
            return Ok(None);
        }
        let connection = self.client.connected_since();
        let found = self.find().await?;
        // The mark is ours only if there was none before.
        let is_taken = found.is_none() && self.copy_unknown && !self.idmp && !self.is_resumed;
        if is_taken && self.is_marked().await? {
            // Beside the mark, XADD failed only if the key was no stream.
            self.client.send(XLen::new(self.to)).await?;
            return Ok(Some(Copy { copied: None, is_marked: true }));
        }
        let copied = found.map(|id| Some(Copied::new(id, connection)));
        Ok(copied.map(|copied| Copy { copied, is_marked: true }))
    }

    /// Finds the first copy of the entry.
    async fn find(&self) -> Result<Option<EntryId>, Error> {
        let mut found = None;
        let oldest = |_| EntryId::new(self.first().ms(), 0);
        let visit = |entry: EntryRef<'_>| {
            if self.is_copy(entry.fields()) {
                found = Some(entry.id());
            }
            false
        };
        copies::search(self.client, self.to, oldest, visit).await?;
        Ok(found)
    }

    /// Returns the id of the job's first entry: after a delay it has another one.
    fn first(&self) -> EntryId {
        match self.origin {
            Origin::Next { source, .. } => source.id,
            Origin::Redriven(_) => self.id,
        }
    }

    fn is_copy(&self, fields: Fields<'_>) -> bool {
        match &self.origin {
            Origin::Next { source, .. } => Source::of(fields, self.to).as_ref() == Some(source),
            Origin::Redriven(address) => {
                let found = Address::split(fields, self.to).map(|(found, _)| found);
                found.is_some_and(|it| it.id == address.id && it.group == address.group)
            }
        }
    }

    /// Whether the entry is pending with a mark.
    async fn is_marked(&self) -> Result<bool, Error> {
        let ask = XPendingRange::new(self.from, self.group, self.id..=self.id, 1);
        Ok(self.client.send(ask).await?.first().is_some_and(|entry| {
            let count = u32::try_from(entry.deliveries).unwrap_or(u32::MAX);
            split_count(count).1 == Mark::Copied
        }))
    }

    /// Adds the copy, and marks the entry.
    async fn add<'f>(
        &mut self,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
        expiry: Instant,
    ) -> Result<Copy, Error>
    where
        'a: 'f,
    {
        let (pid, iid) = (producer_id("then", self.from, self.group), self.first().to_string());
        let claim = XClaim::new(self.from, self.group, self.me, Duration::ZERO, self.id);
        let claim = claim.retry_count(mark::copied(self.attempt).into()).just_id();
        let origin = match self.origin {
            Origin::Next { source, .. } => source.args(),
            Origin::Redriven(address) => address.args(self.to),
        };
        let add = XAdd::new(self.to).fields(origin).fields(fields);
        let add = if self.idmp { add.idmp(&pid, &iid) } else { add };
        let left = expiry.saturating_duration_since(clock::now());
        let connection = self.client.connected_since();
        let (marked, added) =
            self.client.transact((claim, add)).within(left).await.inspect_err(|error| {
                self.copy_unknown |= error.outcome() == Outcome::Unknown;
            })?;
        // The group may be missing: that is for the removal to find out.
        let is_marked = marked.is_ok_and(|marked| !marked.is_empty());
        Ok(Copy { copied: Some(Copied::new(added?, connection)), is_marked })
    }

    /// Removes the entry, of which there is a copy.
    async fn remove(&mut self, copy: Copy, within: Duration) -> Result<Relayed, Error> {
        let on = copy.copied.and_then(|copied| copied.connection());
        let is_removed = match self.origin {
            Origin::Next { shared, .. } => remove(shared, self.id, on, within).await,
            Origin::Redriven(_) => {
                let ack = XAck::new(self.from, self.group, self.id);
                let both = self.client.transact((ack, XDel::new(self.from, self.id)));
                both.within(within)
                    .on(on)
                    .await
                    .and_then(|(acked, deleted)| Ok(acked? > 0 || deleted? > 0))
            }
        };
        let is_removed = is_removed.inspect_err(|error| {
            self.removal_unknown |= error.outcome() == Outcome::Unknown;
        })?;
        let id = copy.copied.map(|copied| copied.id);
        if is_removed || self.removal_unknown {
            return Ok((Acked::Done, id));
        }
        match id.filter(|_| !copy.is_marked && !self.idmp) {
            // The copy was added after the entry was removed.
            Some(duplicate) => {
                self.client.send(XDel::new(self.to, duplicate)).await?;
                Ok((Acked::AlreadyGone, None))
            }
            None => Ok((Acked::AlreadyGone, id)),
        }
    }
}
