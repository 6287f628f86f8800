//! The data of the in-memory server: databases, keys and streams. No I/O.
//!
//! A request goes in, a [`Reply`] comes out. Time is an argument, so that the same requests always
//! give the same replies.

mod release;
mod reply;

pub(super) use release::Release;
pub(super) use reply::Reply;

use bytes::Bytes;

/// Where and when a request runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    /// The server's clock, in milliseconds since 1970.
    pub(super) now_ms: u64,
    /// The selected database.
    pub(super) db: u32,
    /// Whether the connection uses RESP3. `MAXSIZE` counts the bytes of the reply.
    pub(super) resp3: bool,
}

/// The result of a request.
#[derive(Debug)]
pub(super) enum Run {
    Reply(Reply),
    /// A read that waits.
    Blocked(Blocked),
}

/// A read that waits for one of its keys.
#[derive(Debug, Clone)]
pub(super) struct Blocked {
    /// The request, with ids in place of `$` and `+`.
    request: Vec<Bytes>,
    keys: Vec<Bytes>,
    timeout_ms: Option<u64>,
}

impl Blocked {
    /// Returns the keys that it waits for, in the database of its context.
    pub(super) fn keys(&self) -> &[Bytes] {
        &self.keys
    }

    /// Returns the time after which it ends with [`Reply::NullArray`]. `None` is no limit.
    pub(super) const fn timeout_ms(&self) -> Option<u64> {
        self.timeout_ms
    }
}

/// Properties of a command that the server needs before it runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits {
    /// Refused by a replica (`READONLY`).
    pub(super) write: bool,
    /// Refused when the memory is full (`OOM`).
    pub(super) deny_oom: bool,
}

/// The databases of one server.
#[derive(Debug, Clone)]
pub(super) struct Store {
    release: Release,
    ready: Vec<(u32, Bytes)>,
    modified: Vec<(u32, Bytes)>,
}

impl Store {
    /// Creates empty databases, 0 to 15.
    pub(super) const fn new(release: Release) -> Self {
        Self { release, ready: Vec::new(), modified: Vec::new() }
    }

    /// Returns the release whose behaviour this has.
    pub(super) const fn release(&self) -> Release {
        self.release
    }

    /// Returns the properties of a command that the store runs, in any case. `None`: not known here.
    pub(super) fn traits(&self, request: &[Bytes]) -> Option<Traits> {
        let _ = request;
        None
    }

    /// Returns the error of a request that is refused before it runs: an unknown command or
    /// subcommand, a wrong number of arguments. It also makes a transaction fail.
    pub(super) fn refuses(&self, request: &[Bytes]) -> Option<Reply> {
        let _ = request;
        None
    }

    /// Runs a request. Calls `refuses` first.
    pub(super) fn run(&mut self, context: Context, request: &[Bytes]) -> Run {
        let _ = context;
        Run::Reply(self.refuses(request).unwrap_or(Reply::Null))
    }

    /// Runs a read that waits again, because one of its keys is ready or an entry can be claimed.
    /// `None`: it goes on waiting.
    pub(super) fn resume(
        &mut self,
        context: Context,
        blocked: &Blocked,
        key: &Bytes,
    ) -> Option<Reply> {
        let _ = (context, blocked, key);
        None
    }

    /// Returns when a pending entry becomes old enough for a read that waits with CLAIM.
    pub(super) fn claimable_at(&self, context: Context, blocked: &Blocked) -> Option<(u64, Bytes)> {
        let _ = (context, blocked);
        None
    }

    /// Returns the keys for which a waiting read may have something, and forgets them.
    pub(super) fn take_ready(&mut self) -> Vec<(u32, Bytes)> {
        std::mem::take(&mut self.ready)
    }

    /// Returns the keys that were modified, for WATCH and for replication, and forgets them.
    pub(super) fn take_modified(&mut self) -> Vec<(u32, Bytes)> {
        std::mem::take(&mut self.modified)
    }

    /// Returns the time at which the next key expires.
    pub(super) fn next_expiry(&self) -> Option<u64> {
        None
    }

    /// Removes the keys that have expired.
    pub(super) fn expire(&mut self, now_ms: u64) {
        let _ = now_ms;
    }
}
