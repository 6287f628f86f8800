//! What is asked of the server and what it answers.

use crate::command::PendingEntry;
use crate::id::EntryId;
use crate::queue::policy::plan::{Failure, Read};
use bytes::Bytes;
use std::time::Duration;

/// A command. Those that go together in one request are run one after the other, and may be cut off in between.
#[derive(Debug, Clone)]
pub(super) enum Command {
    /// XADD; `once` with IDMP.
    Add {
        level: usize,
        job: usize,
        once: bool,
    },
    /// XGROUP CREATE from the beginning, MKSTREAM.
    Create {
        level: usize,
    },
    /// XREADGROUP.
    Read {
        me: Bytes,
        read: Read,
    },
    /// XAUTOCLAIM.
    Sweep {
        level: usize,
        me: Bytes,
        least: Duration,
        cursor: EntryId,
        count: usize,
    },
    Claim(Claim),
    /// XNACK SILENT or FAIL.
    Nack {
        level: usize,
        id: EntryId,
        silent: bool,
    },
    /// XPENDING.
    Owners {
        level: usize,
    },
    /// XPENDING of one owner, from behind an id on.
    Pending {
        level: usize,
        owner: Bytes,
        after: Option<EntryId>,
        count: usize,
    },
    /// XPENDING of one id.
    Whose {
        level: usize,
        id: EntryId,
    },
    /// XRANGE of one id.
    Exists {
        level: usize,
        id: EntryId,
    },
    /// XDEL.
    Delete {
        level: usize,
        ids: Vec<EntryId>,
    },
    /// XACK.
    Ack {
        level: usize,
        ids: Vec<EntryId>,
    },
    /// XACKDEL.
    AckDel {
        level: usize,
        ids: Vec<EntryId>,
    },
    /// MULTI, XADD to the dead letters, XACK, XDEL, EXEC.
    Bury {
        level: usize,
        id: EntryId,
        job: usize,
        by: u64,
    },
    /// XRANGE of a dead letter: who made the copy.
    MadeBy {
        copy: u64,
    },
    /// XDEL of a dead letter.
    Spare {
        copy: u64,
    },
}

/// XCLAIM.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) level: usize,
    pub(super) me: Bytes,
    pub(super) least: Duration,
    pub(super) ids: Vec<EntryId>,
    pub(super) idle: Option<Duration>,
    pub(super) count: Option<u64>,
    pub(super) just_id: bool,
}

impl Claim {
    pub(super) fn new(level: usize, me: &Bytes, least: Duration, ids: Vec<EntryId>) -> Self {
        Self { level, me: me.clone(), least, ids, idle: None, count: None, just_id: false }
    }

    pub(super) fn just_id(self) -> Self {
        Self { just_id: true, ..self }
    }
}

impl Command {
    /// The entries that it takes from whoever has them, without asking.
    pub(super) fn takes(&self) -> impl Iterator<Item = (usize, EntryId)> + use<'_> {
        let (level, ids) = match self {
            Self::Claim(claim) if claim.least.is_zero() => (claim.level, claim.ids.as_slice()),
            Self::Nack { level, id, .. } => (*level, std::slice::from_ref(id)),
            _ => (0, &[][..]),
        };
        ids.iter().map(move |id| (level, *id))
    }

    pub(super) fn block(&self) -> Option<Duration> {
        if let Self::Read { read, .. } = self { read.block } else { None }
    }
}

/// An entry in a reply.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    pub(super) level: usize,
    pub(super) id: EntryId,
    /// `None` for a null: the entry was deleted.
    pub(super) job: Option<usize>,
    /// How often it was delivered before, if the reply says so.
    pub(super) before: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Reply {
    Done,
    Added,
    /// Those that were claimed, or read.
    Entries(Vec<Given>),
    /// XAUTOCLAIM's, and where it goes on.
    Swept(Vec<Given>, Option<EntryId>),
    Ids(Vec<EntryId>),
    Owners(Vec<Bytes>),
    Pending(Vec<PendingEntry>),
    Exists(bool),
    /// A dead letter's number; whether the entry was pending, and whether it was there.
    Moved {
        copy: u64,
        acked: bool,
        deleted: bool,
    },
    MadeBy(Option<u64>),
    NoGroup,
}

/// What came of a request.
pub(super) type Answer = Result<Vec<Reply>, Failure>;
