//! Moves jobs to the dead-letter stream: those without attempts left, and those with a permanent
//! error.
//!
//! ```text
//! MULTI
//! XADD dlq [IDMP group id] * _id id _group group _attempt n _why text _at ms _by token <the entry's own fields>
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
//! With IDMP, the copy may have been added by another consumer. `_by` identifies it: each consumer
//! deletes only its own.

use crate::client::Client;
use crate::command::{XAck, XAdd, XDel, XLen, XRange};
use crate::entry::Entry;
use crate::error::{Code, Error, Outcome};
use crate::id::EntryId;
use crate::queue::consumer::settle::{Case, Pause, is_transient};
use crate::queue::event::QueueEvent;
use crate::queue::shared::Core;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The number of fields that are added to a dead letter; they come first.
pub(crate) const OWN_FIELDS: usize = 6;

/// The names of the fields at the start of a dead letter.
pub(crate) const ID: &str = "_id";
pub(crate) const GROUP: &str = "_group";
pub(crate) const ATTEMPT: &str = "_attempt";
pub(crate) const WHY: &str = "_why";
pub(crate) const AT: &str = "_at";
pub(crate) const BY: &str = "_by";

/// A job that is being moved to the dead-letter stream.
#[derive(Debug)]
pub(crate) struct Burial {
    id: EntryId,
    attempt: u32,
    why: Arc<str>,
    at_ms: u64,
    /// Identifies the copy.
    by: String,
    entry: Entry,
    /// Whether the outcome of an attempt is unknown: there may be a copy already.
    unknown: AtomicBool,
}

impl Burial {
    pub(crate) fn new(case: &Case, why: &Arc<str>) -> Self {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            id: case.key.1,
            attempt: case.attempt,
            why: Arc::clone(why),
            at_ms: u64::try_from(at.as_millis()).unwrap_or_default(),
            by: format!("{:016x}", fastrand::u64(..)),
            entry: case.entry.clone(),
            unknown: AtomicBool::new(false),
        }
    }
}

/// Emits the event that a job cannot be moved.
pub(crate) fn blocked(core: &Core, id: EntryId, error: &Error) {
    core.emit(QueueEvent::DeadLetterBlocked { id, error: Arc::new(error.clone()) });
}

/// The result of a move.
#[derive(Debug)]
pub(crate) enum Buried {
    /// The job was moved, or only acknowledged if there is no dead-letter stream.
    Moved,
    /// The key of the dead-letter stream is not a stream, and the job was added to its own stream
    /// again.
    PutBack(Error),
}

/// Moves a job to the dead-letter stream; without one it is only acknowledged and deleted. An error
/// means that it was not moved, or that the outcome is unknown.
pub(crate) async fn bury(core: &Core, burial: &Burial) -> Result<Buried, Error> {
    let result = match &core.settings.dead_letter {
        Some(dlq) => to(core, dlq, burial).await,
        None => {
            let (stream, group) = (&core.settings.stream, &core.settings.group);
            let ack = XAck::new(stream, group, burial.id);
            let gone = core.client.transact((ack, XDel::new(stream, burial.id))).await;
            gone.map(|_| Buried::Moved)
        }
    };
    if matches!(result, Ok(Buried::Moved)) {
        let (attempts, reason) = (burial.attempt, Arc::clone(&burial.why));
        core.emit(QueueEvent::DeadLettered { id: burial.id, attempts, reason });
    }
    result
}

async fn to(core: &Core, dlq: &[u8], burial: &Burial) -> Result<Buried, Error> {
    if core.blocked.load(Ordering::Acquire) {
        // No move before the key is known to be a stream again, or missing.
        core.client.send(XLen::new(dlq)).await?;
        core.blocked.store(false, Ordering::Release);
    }
    let settings = &core.settings;
    let (stream, group) = (&*settings.stream, &*settings.group);
    let iid = burial.id.to_string();
    let add = XAdd::new(dlq);
    let add = if core.abilities().idmp { add.idmp(group, &iid) } else { add };
    let add = add
        .field(ID, burial.id)
        .field(GROUP, group)
        .field(ATTEMPT, burial.attempt)
        .field(WHY, &*burial.why)
        .field(AT, burial.at_ms)
        .field(BY, &burial.by)
        .fields(burial.entry.fields());
    let ack = XAck::new(stream, group, burial.id);
    let moved = if settings.retention.deletes() {
        let del = XDel::new(stream, burial.id);
        core.client.transact((add, ack, del)).await
    } else {
        core.client.transact((add, ack)).await.map(|(copy, acked)| (copy, acked, Ok(0)))
    };
    let (copy, acked, deleted) = moved.inspect_err(|error| {
        if error.outcome() == Outcome::Unknown {
            burial.unknown.store(true, Ordering::Release);
        }
    })?;
    match (copy, acked) {
        (Ok(_), Ok(1..)) => Ok(Buried::Moved),
        // The group had lost its pending entries, and the stream still had the job: this copy is
        // the only one.
        (Ok(_), Ok(0)) if deleted.is_ok_and(|deleted| deleted > 0) => Ok(Buried::Moved),
        (Ok(copy), Ok(0)) => {
            spare(core, dlq, burial, copy).await?;
            Ok(Buried::Moved)
        }
        (Ok(_), Err(error)) => Err(error),
        (Err(error), acked) => {
            if error.code() == Some(&Code::WrongType) {
                core.blocked.store(true, Ordering::Release);
            }
            if acked.unwrap_or(0) == 0 {
                return Err(error);
            }
            put_back(&core.client, &core.settings.stream, &burial.entry).await?;
            Ok(Buried::PutBack(error))
        }
    }
}

/// Handles a job that was acknowledged before: deletes the copy, unless it is the only one.
async fn spare(core: &Core, dlq: &[u8], burial: &Burial, copy: EntryId) -> Result<(), Error> {
    if core.abilities().idmp {
        let found = core.client.send(XRange::new(dlq, copy..=copy)).await?;
        let by = found.first().and_then(|entry| entry.get(BY));
        let own = by == Some(burial.by.as_bytes());
        // Our own first attempt may have acknowledged the job.
        if !own || burial.unknown.load(Ordering::Acquire) {
            return Ok(());
        }
    }
    core.client.send(XDel::new(dlq, copy)).await.map(drop)
}

/// Adds an entry to the end of its own stream again. It was acknowledged and is in no stream.
pub(crate) async fn put_back(client: &Client, stream: &[u8], entry: &Entry) -> Result<(), Error> {
    let mut pause = Pause::default();
    loop {
        match client.send(XAdd::new(stream).fields(entry.fields())).await {
            Ok(_) => return Ok(()),
            // This process has the only copy: a duplicate is better than a loss.
            Err(error) if is_transient(&error) => pause.wait().await,
            Err(error) => return Err(error),
        }
    }
}
