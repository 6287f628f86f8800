//! Moves jobs to the dead-letter stream: those without attempts left, and those with a permanent
//! error. An operation.
//!
//! ```text
//! MULTI
//! XADD dlq [IDMP <stream and group> id] * _id id _stream stream _group group _attempt n _reason text _at ms _token n <the entry's own fields>
//! XACK stream group id
//! XDEL stream id
//! EXEC
//! ```
//!
//! | event | action |
//! |---|---|
//! | out of memory, a replica, no permission: EXECABORT | nothing was applied: retried with increasing delays |
//! | the key is not a stream: XADD fails, and XACK does not | the entry is added to its own stream again; an event is emitted; no more moves until the key was checked |
//! | another consumer had finished the job (XACK and XDEL return 0) | the new copy is deleted |
//! | the reply is lost | sent again: with IDMP (Redis 8.6) it is the same copy, without it the second one is deleted |
//!
//! With IDMP, the copy may have been added by another consumer. `_token` identifies it: each
//! consumer deletes only its own.

use crate::client::Client;
use crate::command::{XAck, XAdd, XDel, XLen, XRange};
use crate::entry::Entry;
use crate::error::{Code, Error, Outcome};
use crate::id::EntryId;
use crate::queue::codec::origin::{Letter, producer_id};
use crate::queue::event::QueueEvent;
use crate::queue::operation::backoff::{Backoff, is_transient};
use crate::queue::operation::clock;
use crate::queue::shared::Shared;
use crate::random;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A job that is being moved to the dead-letter stream.
#[derive(Debug)]
pub(crate) struct DeadLetterMove {
    attempt: u32,
    reason: Arc<str>,
    at_ms: u64,
    /// Identifies the copy.
    token: String,
    entry: Entry,
    /// Whether the outcome of an attempt is unknown: there may be a copy already.
    unknown: AtomicBool,
}

impl DeadLetterMove {
    pub(crate) fn new(entry: Entry, attempt: u32, reason: Arc<str>) -> Self {
        Self {
            attempt,
            reason,
            at_ms: clock::unix_ms(),
            token: format!("{:016x}", random::bits()),
            entry,
            unknown: AtomicBool::new(false),
        }
    }

    fn id(&self) -> EntryId {
        self.entry.id()
    }
}

/// The result of a move.
#[derive(Debug)]
pub(crate) enum DeadLetterOutcome {
    /// The job was moved, or only acknowledged if there is no dead-letter stream.
    Moved,
    /// The key of the dead-letter stream is not a stream, and the job was added to its own stream
    /// again.
    Restored(Error),
}

/// Moves a job to the dead-letter stream; without one it is only acknowledged and deleted. An error
/// means that it was not moved, or that the outcome is unknown.
pub(crate) async fn send(
    shared: &Shared,
    job: &DeadLetterMove,
) -> Result<DeadLetterOutcome, Error> {
    let result = match &shared.settings.dead_letter {
        Some(dlq) => move_to(shared, dlq, job).await,
        None => {
            let (stream, group) = (&shared.settings.stream, &shared.settings.group);
            let ack = XAck::new(stream, group, job.id());
            let gone = shared.client.transact((ack, XDel::new(stream, job.id()))).await;
            gone.map(|_| DeadLetterOutcome::Moved)
        }
    };
    if matches!(result, Ok(DeadLetterOutcome::Moved)) {
        let (attempts, reason) = (job.attempt, Arc::clone(&job.reason));
        shared.emit(QueueEvent::DeadLettered { id: job.id(), attempts, reason });
    }
    result
}

async fn move_to(
    shared: &Shared,
    dlq: &[u8],
    job: &DeadLetterMove,
) -> Result<DeadLetterOutcome, Error> {
    if shared.blocked.load(Ordering::Acquire) {
        // No move before the key is known to be a stream again, or missing.
        shared.client.send(XLen::new(dlq)).await?;
        shared.blocked.store(false, Ordering::Release);
    }
    let settings = &shared.settings;
    let (stream, group) = (&*settings.stream, &*settings.group);
    let (pid, iid) = (producer_id("dead", stream, group), job.id().to_string());
    let add = XAdd::new(dlq);
    let add = if shared.capabilities().idmp { add.idmp(&pid, &iid) } else { add };
    let letter = Letter {
        id: job.id(),
        stream,
        group,
        attempts: job.attempt,
        reason: job.reason.as_bytes(),
        at_ms: job.at_ms,
        token: job.token.as_bytes(),
    };
    let add = add.fields(letter.fields()).fields(job.entry.fields());
    let ack = XAck::new(stream, group, job.id());
    let moved = if settings.retention.deletes() {
        let del = XDel::new(stream, job.id());
        shared.client.transact((add, ack, del)).await
    } else {
        shared.client.transact((add, ack)).await.map(|(copy, acked)| (copy, acked, Ok(0)))
    };
    let (copy, acked, deleted) = moved.inspect_err(|error| {
        if error.outcome() == Outcome::Unknown {
            job.unknown.store(true, Ordering::Release);
        }
    })?;
    match (copy, acked) {
        (Ok(_), Ok(1..)) => Ok(DeadLetterOutcome::Moved),
        // The group had lost its pending entries, and the stream still had the job: this copy is
        // the only one.
        (Ok(_), Ok(0)) if deleted.is_ok_and(|deleted| deleted > 0) => Ok(DeadLetterOutcome::Moved),
        (Ok(copy), Ok(0)) => {
            delete_copy(shared, dlq, job, copy).await?;
            Ok(DeadLetterOutcome::Moved)
        }
        (Ok(_), Err(error)) => Err(error),
        (Err(error), acked) => {
            if error.code() == Some(&Code::WrongType) {
                shared.blocked.store(true, Ordering::Release);
            }
            if acked.unwrap_or(0) == 0 {
                return Err(error);
            }
            put_back(&shared.client, &shared.settings.stream, &job.entry).await?;
            Ok(DeadLetterOutcome::Restored(error))
        }
    }
}

/// Handles a job that was acknowledged before: deletes the copy, unless it is the only one.
async fn delete_copy(
    shared: &Shared,
    dlq: &[u8],
    job: &DeadLetterMove,
    copy: EntryId,
) -> Result<(), Error> {
    if shared.capabilities().idmp {
        let found = shared.client.send(XRange::new(dlq, copy..=copy)).await?;
        let found = found.first().and_then(|entry| Letter::split(entry.fields()));
        let own = found.is_some_and(|(letter, _)| letter.token == job.token.as_bytes());
        // Our own first attempt may have acknowledged the job.
        if !own || job.unknown.load(Ordering::Acquire) {
            return Ok(());
        }
    }
    shared.client.send(XDel::new(dlq, copy)).await.map(drop)
}

/// Adds an entry to the end of its own stream again. It was acknowledged and is in no stream.
pub(crate) async fn put_back(client: &Client, stream: &[u8], entry: &Entry) -> Result<(), Error> {
    let mut backoff = Backoff::default();
    loop {
        match client.send(XAdd::new(stream).fields(entry.fields())).await {
            Ok(_) => return Ok(()),
            // This process has the only copy: a duplicate is better than a loss.
            Err(error) if is_transient(&error) => backoff.wait().await,
            Err(error) => return Err(error),
        }
    }
}
