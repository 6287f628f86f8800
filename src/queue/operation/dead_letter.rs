//! Moves jobs to the dead-letter stream: those without attempts left, and those with a permanent
//! error. An operation.
//!
//! ```text
//! MULTI                                          the copy
//! XCLAIM stream group me 0 id RETRYCOUNT 1000000000+n JUSTID
//! XADD dlq [IDMP <stream and group> id/token] * <the letter's fields> <the entry's own fields>
//! EXEC
//! MULTI                                          the removal
//! XACK stream group id
//! XDELEX stream ACKED IDS 1 id                    XDEL before Redis 8.2
//! EXEC
//! ```
//!
//! MULTI does not undo: where the key of the dead-letter stream holds another type, XADD fails and
//! the commands beside it succeed. So the entry is removed only when its copy is known to exist.
//! The delivery count says in between that the job is to be moved, not run.
//!
//! | event | action |
//! |---|---|
//! | out of memory, a replica, no permission, the key is not a stream | there is no copy, and the job stays pending: tried again with increasing delays |
//! | the reply to the copy is lost | sent again: with IDMP (Redis 8.6) it is the same copy, otherwise it is looked for by its token |
//! | another client had settled the job: XCLAIM returns nothing, or XDEL returns 0 | the copy is deleted |
//! | the reply to the removal is lost | sent again; the copy is kept, whatever the second reply is |
//! | the connection was replaced after the copy | the copy is looked up: a server that crashed may have lost it, and not the entry. If so, it is added again |
//! | the lease ends after the copy | the copy is deleted: the next consumer makes its own |
//! | the worker died after the copy | the next consumer sees the delivery count: it replaces the copy by its own, and removes the entry |
//!
//! The next consumer does not rely on a copy that it has found: a consumer that is only slow would
//! delete its own copy when it finds the entry removed. No command is sent after the end of the
//! lease.

use crate::command::{DeleteOutcome, Refs, XAck, XAckDel, XAdd, XClaim, XDel, XDelEx};
use crate::entry::Entry;
use crate::error::{Error, Outcome};
use crate::id::EntryId;
use crate::queue::cause::{DeadLetterCause, Reason};
use crate::queue::codec::origin::{self, Letter, producer_id};
use crate::queue::event::QueueEvent;
use crate::queue::operation::ack::Acked;
use crate::queue::operation::copied::Copied;
use crate::queue::operation::{clock, copies};
use crate::queue::policy::capabilities::is_denied;
use crate::queue::policy::mark::{Mark, moving, split_count};
use crate::queue::settings::Retention;
use crate::queue::shared::Shared;
use crate::random;
use std::time::{Duration, Instant};

/// The reason of a letter whose first copy is not found.
const INTERRUPTED: &str =
    "its move to the dead-letter stream was interrupted, and the reason is lost";

fn interrupted() -> Reason {
    Reason::new(DeadLetterCause::Unknown, INTERRUPTED)
}

/// Allows for the time that a command is on its way.
const MARGIN: Duration = Duration::from_secs(60);

/// A job that is being moved to the dead-letter stream, and how far the move has come.
#[derive(Debug)]
pub(crate) struct DeadLetterMove {
    attempts: u32,
    reason: Reason,
    at_ms: u64,
    /// Identifies the copy.
    token: String,
    entry: Entry,
    started: Instant,
    /// Whether an earlier move may have left a copy, and it was not looked for yet.
    is_resumed: bool,
    /// Copies of an earlier move.
    older: Vec<EntryId>,
    /// Whether such copies were deleted, so that this one is needed.
    has_replaced: bool,
    copy: Option<Copied>,
    /// Whether there may be a copy whose id is unknown.
    copy_unknown: bool,
    /// Whether the entry is known to be unsettled, though it is not pending.
    pub(crate) is_unsettled: bool,
    /// Whether the entry was pending when it was marked.
    was_pending: bool,
    /// Whether the entry may have been removed by this move.
    removal_unknown: bool,
}

impl DeadLetterMove {
    /// Creates the move of an entry. `count` is its number of attempts, marked if an earlier move
    /// was interrupted.
    pub(crate) fn new(entry: Entry, count: u32, reason: Reason) -> Self {
        let (attempts, mark) = split_count(count);
        let is_resumed = mark == Mark::Moving;
        Self {
            attempts,
            reason: if is_resumed { interrupted() } else { reason },
            at_ms: clock::unix_ms(),
            token: format!("{:016x}", random::bits()),
            entry,
            started: clock::now(),
            is_resumed,
            older: Vec::new(),
            has_replaced: false,
            copy: None,
            copy_unknown: false,
            is_unsettled: false,
            was_pending: true,
            removal_unknown: false,
        }
    }

    /// Whether there may be a copy, or the entry may have been removed.
    pub(crate) fn is_begun(&self) -> bool {
        self.copy.is_some() || self.copy_unknown || self.has_replaced || self.removal_unknown
    }

    fn id(&self) -> EntryId {
        self.entry.id()
    }

    /// Returns the command that adds the copy to the stream `dlq`.
    fn letter<'a>(&'a self, shared: &'a Shared, dlq: &'a [u8]) -> XAdd<'a> {
        let (stream, group) = (&*shared.settings.stream, &*shared.settings.group);
        let (id, own) = origin::of_job(self.entry.fields(), self.id(), stream);
        let letter = Letter {
            id,
            stream,
            group,
            attempts: self.attempts,
            cause: self.reason.cause,
            reason: self.reason.text.as_bytes(),
            at_ms: self.at_ms,
            token: self.token.as_bytes(),
        };
        XAdd::new(dlq).fields(letter.fields()).fields(own)
    }

    /// Returns the producer and the idempotent id of the copy, for IDMP.
    fn idmp_ids(&self, shared: &Shared) -> (Vec<u8>, String) {
        let (stream, group) = (&*shared.settings.stream, &*shared.settings.group);
        (producer_id("dead", stream, group), format!("{}/{}", self.id(), self.token))
    }
}

/// Moves a job to the dead-letter stream; without one it is only acknowledged. `expiry` is the end of
/// the lease. An error means that the move is not complete, and is to be continued by another call,
/// or ended by [`withdraw`].
pub(crate) async fn send(
    shared: &Shared,
    me: &[u8],
    job: &mut DeadLetterMove,
    expiry: Instant,
) -> Result<Acked, Error> {
    let acked = match &shared.settings.dead_letter {
        Some(dlq) => move_to(shared, dlq, me, job, expiry).await?,
        // The retention decides whether it is deleted: other groups may not have read it.
        None => {
            let is_removed = remove_job(shared, job, None, expiry).await?;
            if is_removed || job.removal_unknown { Acked::Done } else { Acked::AlreadyGone }
        }
    };
    if acked == Acked::Done {
        let (attempts, Reason { cause, text }) = (job.attempts, job.reason.clone());
        shared.emit(QueueEvent::DeadLettered { id: job.id(), attempts, cause, reason: text });
    }
    Ok(acked)
}

/// Deletes the copy of a move that ends because the lease has ended: the job's next consumer decides.
/// It stays if the entry may have been removed, also by an earlier move whose copy was replaced.
pub(crate) async fn withdraw(shared: &Shared, job: &DeadLetterMove) -> Result<(), Error> {
    let may_be_only = job.removal_unknown || job.has_replaced;
    let Some(dlq) = shared.settings.dead_letter.as_deref().filter(|_| !may_be_only) else {
        return Ok(());
    };
    let copy = match job.copy {
        Some(copied) => Some(copied.id),
        None if !job.copy_unknown => None,
        // A copy that is still on its way is then the same one, and is not added again.
        None if shared.capabilities().idmp => {
            let ids = job.idmp_ids(shared);
            Some(shared.client.send(job.letter(shared, dlq).idmp(&ids.0, &ids.1)).await?)
        }
        None => find_own(shared, dlq, job).await?,
    };
    if let Some(copy) = copy {
        shared.client.send(XDel::new(dlq, copy)).await?;
    }
    Ok(())
}

async fn move_to(
    shared: &Shared,
    dlq: &[u8],
    me: &[u8],
    job: &mut DeadLetterMove,
    expiry: Instant,
) -> Result<Acked, Error> {
    let client = &shared.client;
    let left = || expiry.saturating_duration_since(clock::now());
    let copied = loop {
        let mut copied = match job.copy {
            Some(copied) => copied,
            None => copy(shared, dlq, me, job, left()).await?,
        };
        job.copy = Some(copied);
        if !job.older.is_empty() {
            job.has_replaced = true;
            client.send(XDel::new(dlq, &job.older)).await?;
            job.older.clear();
        }
        let exists = copied.exists(client, dlq, left()).await?;
        job.copy = exists.then_some(copied);
        if exists {
            break copied;
        }
    };
    // It was pending when its owner was asked.
    let is_settled = !job.was_pending && !job.is_unsettled;
    let is_removed = !is_settled && remove_job(shared, job, copied.connection(), expiry).await?;
    if is_removed || job.removal_unknown || job.has_replaced {
        return Ok(Acked::Done);
    }
    client.send(XDel::new(dlq, copied.id)).await?;
    Ok(Acked::AlreadyGone)
}

/// Adds the copy, and marks the entry as being moved.
async fn copy(
    shared: &Shared,
    dlq: &[u8],
    me: &[u8],
    job: &mut DeadLetterMove,
    within: Duration,
) -> Result<Copied, Error> {
    let connection = shared.client.connected_since();
    let idmp = shared.capabilities().idmp;
    if job.is_resumed {
        find_older(shared, dlq, job).await?;
        job.is_resumed = false;
    }
    if job.copy_unknown && !idmp {
        if let Some(copy) = find_own(shared, dlq, job).await? {
            return Ok(Copied::new(copy, connection));
        }
    }
    let (producer, letter) = job.idmp_ids(shared);
    let add = job.letter(shared, dlq);
    let add = if idmp { add.idmp(&producer, &letter) } else { add };
    let (stream, group) = (&shared.settings.stream, &shared.settings.group);
    let mark = XClaim::new(stream, group, me, Duration::ZERO, job.id());
    let mark = mark.retry_count(moving(job.attempts).into());
    // The group or the entry may be missing: that is for the removal to find out.
    let adding = shared.client.transact((mark.just_id(), add)).within(within);
    let (marked, added) = adding.await.inspect_err(|error| {
        job.copy_unknown |= error.outcome() == Outcome::Unknown;
    })?;
    job.was_pending = marked.is_ok_and(|marked| !marked.is_empty());
    Ok(Copied::new(added?, connection))
}

/// Acknowledges the entry, and deletes it as the retention requires. False if another client has
/// settled it: it was not pending; or not in the stream, where the retention deletes.
///
/// Transactions are not repeated by the client after an unknown outcome. The second reply would
/// look as if another consumer had finished the job, and the only copy would be deleted. This one is
/// sent only on the connection on which the copy is known to exist: the server of another one may
/// not have the copy.
pub(crate) async fn remove(
    shared: &Shared,
    id: EntryId,
    on: Option<Instant>,
    within: Duration,
) -> Result<bool, Error> {
    let until = clock::now() + within;
    let left = || until.saturating_duration_since(clock::now());
    let ack_del = shared.capabilities().ack_del;
    match remove_entry(shared, id, on, left(), ack_del).await {
        Err(error) if ack_del && is_denied(&error) => {
            shared.denied.ack_del();
            remove_entry(shared, id, on, left(), false).await
        }
        result => result,
    }
}

async fn remove_job(
    shared: &Shared,
    job: &mut DeadLetterMove,
    on: Option<Instant>,
    expiry: Instant,
) -> Result<bool, Error> {
    let left = expiry.saturating_duration_since(clock::now());
    let removed = remove(shared, job.id(), on, left).await;
    removed.inspect_err(|error| job.removal_unknown |= error.outcome() == Outcome::Unknown)
}

async fn remove_entry(
    shared: &Shared,
    id: EntryId,
    on: Option<Instant>,
    within: Duration,
    ack_del: bool,
) -> Result<bool, Error> {
    let settings = &shared.settings;
    let (stream, group, client) = (&settings.stream, &settings.group, &shared.client);
    let ack = XAck::new(stream, group, id);
    match settings.retention {
        Retention::DeleteOnAck if ack_del => {
            let delete = XDelEx::new(stream, id).refs(Refs::Acked);
            let removing = client.transact((ack, delete)).within(within).on(on);
            let (acked, outcomes) = removing.await?;
            let acked = acked? > 0;
            Ok(match outcomes?.first() {
                Some(DeleteOutcome::Deleted) => true,
                // Another group has not acknowledged it yet.
                Some(DeleteOutcome::StillReferenced) => acked,
                _ => false,
            })
        }
        Retention::DeleteOnAck => {
            // A group that was created again has lost its pending entries: an entry still in the
            // stream was not finished.
            let (acked, deleted) =
                client.transact((ack, XDel::new(stream, id))).within(within).on(on).await?;
            acked?;
            Ok(deleted? > 0)
        }
        Retention::KeepUntilAllAcked if ack_del => {
            let ack = XAckDel::new(stream, group, id).refs(Refs::Acked);
            let (outcomes,) = client.transact((ack,)).within(within).on(on).await?;
            Ok(outcomes?.first().is_some_and(|outcome| *outcome != DeleteOutcome::Missing))
        }
        _ => {
            let (acked,) = client.transact((ack,)).within(within).on(on).await?;
            Ok(acked? > 0)
        }
    }
}

/// Finds the copies of an earlier move of this job, and takes over what they say.
async fn find_older(shared: &Shared, dlq: &[u8], job: &mut DeadLetterMove) -> Result<(), Error> {
    let oldest = job.id();
    let (id, _) = origin::of_job(job.entry.fields(), job.id(), &shared.settings.stream);
    let mut older = Vec::new();
    let mut first = None;
    search(
        shared,
        dlq,
        |_| oldest,
        |copy, letter| {
            if letter.id == id {
                older.push(copy);
                let reason = Reason::new(letter.cause, String::from_utf8_lossy(letter.reason));
                first = Some((letter.attempts, reason, letter.at_ms));
            }
            false
        },
    )
    .await?;
    job.older = older;
    if let Some((attempts, reason, at_ms)) = first {
        (job.attempts, job.reason, job.at_ms) = (attempts, reason, at_ms);
    }
    Ok(())
}

/// Finds the copy that this move has added, after its reply was lost.
async fn find_own(
    shared: &Shared,
    dlq: &[u8],
    job: &DeadLetterMove,
) -> Result<Option<EntryId>, Error> {
    let mut found = None;
    // By the server's clock: the newest letter is not newer than now.
    let since = clock::now().saturating_duration_since(job.started) + MARGIN;
    let since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let oldest = |newest: EntryId| EntryId::new(newest.ms().saturating_sub(since), 0);
    search(shared, dlq, oldest, |copy, letter| {
        let is_own = letter.token == job.token.as_bytes();
        if is_own {
            found = Some(copy);
        }
        is_own
    })
    .await?;
    Ok(found)
}

/// Calls `visit` for the letters of this queue, newest first, until it returns true. `oldest` is
/// the id to stop at, given the newest one.
async fn search(
    shared: &Shared,
    dlq: &[u8],
    oldest: impl Fn(EntryId) -> EntryId,
    mut visit: impl FnMut(EntryId, &Letter<'_>) -> bool,
) -> Result<(), Error> {
    let settings = &shared.settings;
    copies::search(&shared.client, dlq, oldest, |entry| {
        let letter = Letter::split(entry.fields()).map(|(letter, _)| letter);
        let own = letter.filter(|letter| letter.is_of(&settings.stream, &settings.group));
        own.is_some_and(|letter| visit(entry.id(), &letter))
    })
    .await
}
