//! Where jobs go that failed too often, or that nobody will ever be able to do; how they get there.
//!
//! ```text
//! MULTI
//! XADD dlq [IDMP group id] * _id id _group group _attempt n _why text _at ms _by token <the entry's own fields>
//! XACK stream group id
//! XDEL stream id
//! EXEC
//! ```
//!
//! | what happens | what is done |
//! |---|---|
//! | no memory, a replica, no permission: EXECABORT | nothing was done: tried again, a little later each time |
//! | the key is not a stream: XADD fails, and XACK does not | the entry is added to its own stream again; an event; no more moves before the key was looked at |
//! | someone else had finished it (XACK and XDEL answer 0) | the copy that was just made is deleted |
//! | the reply is lost | sent again: with IDMP (Redis 8.6) it is the same copy, without it the second one is deleted |
//!
//! With IDMP a copy may be an earlier mover's: `_by` says whose it is, and only a mover's own one is deleted.

use super::clerk::{Case, Pause, helps};
use super::core::Core;
use super::event::QueueEvent;
use crate::client::Client;
use crate::command::{XAck, XAdd, XDel, XLen, XRange};
use crate::entry::Entry;
use crate::error::{Code, Error, Outcome};
use crate::id::EntryId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// How many fields of a dead letter are ours; they come first.
pub(super) const OWN_FIELDS: usize = 6;

/// Names of the fields that a dead letter begins with.
pub(super) const ID: &str = "_id";
pub(super) const GROUP: &str = "_group";
pub(super) const ATTEMPT: &str = "_attempt";
pub(super) const WHY: &str = "_why";
pub(super) const AT: &str = "_at";
pub(super) const BY: &str = "_by";

/// A job on its way to the dead letters.
#[derive(Debug)]
pub(super) struct Burial {
    id: EntryId,
    attempt: u32,
    why: Arc<str>,
    at_ms: u64,
    /// Whose copy it is.
    by: String,
    entry: Entry,
    /// Whether a try has had no answer: then there may be a copy already.
    unknown: AtomicBool,
}

impl Burial {
    pub(super) fn new(case: &Case, why: &Arc<str>) -> Self {
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

/// Tells that a job cannot be moved.
pub(super) fn blocked(core: &Core, id: EntryId, error: &Error) {
    core.tell(QueueEvent::DeadLetterBlocked { id, error: Arc::new(error.clone()) });
}

/// What became of a move.
#[derive(Debug)]
pub(super) enum Buried {
    /// The job is where it should be.
    Moved,
    /// The key of the dead letters is not a stream, and the job was put back into its own.
    PutBack(Error),
}

/// Moves a job to the dead letters; without those it is acknowledged, and that is all. An error says that it is not moved, or
/// that this is not known.
pub(super) async fn bury(core: &Core, burial: &Burial) -> Result<Buried, Error> {
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
        core.tell(QueueEvent::DeadLettered { id: burial.id, attempts, reason });
    }
    result
}

async fn to(core: &Core, dlq: &[u8], burial: &Burial) -> Result<Buried, Error> {
    if core.blocked.load(Ordering::Acquire) {
        // Not moved before the key is seen to be a stream again, or nothing.
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
        // The group had forgotten what was pending, and the stream still had the job: this copy is all that there is.
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

/// Somebody had acknowledged the job before: the copy is one too many, unless it is all that there is.
async fn spare(core: &Core, dlq: &[u8], burial: &Burial, copy: EntryId) -> Result<(), Error> {
    if core.abilities().idmp {
        let found = core.client.send(XRange::new(dlq, copy..=copy)).await?;
        let by = found.first().and_then(|entry| entry.get(BY));
        let own = by == Some(burial.by.as_bytes());
        // Our own first try may have been the one that acknowledged it.
        if !own || burial.unknown.load(Ordering::Acquire) {
            return Ok(());
        }
    }
    core.client.send(XDel::new(dlq, copy)).await.map(drop)
}

/// The entry was acknowledged, and is nowhere: it is added to its own stream again, at the end.
pub(super) async fn put_back(client: &Client, stream: &[u8], entry: &Entry) -> Result<(), Error> {
    let mut pause = Pause::default();
    loop {
        match client.send(XAdd::new(stream).fields(entry.fields())).await {
            Ok(_) => return Ok(()),
            // It is in our hands alone: better twice than not at all.
            Err(error) if helps(&error) => pause.wait().await,
            Err(error) => return Err(error),
        }
    }
}
