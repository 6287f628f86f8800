//! The input and the result of a request. No I/O.

use super::{Blocked, Reply};
use bytes::Bytes;

/// The number of databases.
pub(crate) const DATABASES: u32 = 16;

/// The database, time and protocol of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    /// The server's clock, in milliseconds since 1970.
    pub(crate) now_ms: u64,
    /// The selected database.
    pub(crate) db: u32,
    /// Whether the connection uses RESP3. `MAXSIZE` counts the bytes of the reply.
    pub(crate) resp3: bool,
}

/// The result of a request.
#[derive(Debug)]
pub(crate) enum Run {
    Reply(Reply),
    /// A read that waits.
    Blocked(Blocked),
}

/// The keys that commands touched.
#[derive(Debug, Clone, Default)]
pub(super) struct Signals {
    pub(super) ready: Vec<(u32, Bytes)>,
    pub(super) modified: Vec<(u32, Bytes)>,
}
