//! Limits: how large a reply may be. Pure.

/// How large a reply may be. Beyond a limit the connection is closed with a [`ProtocolError`](super::ProtocolError) that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one whole reply, and 32 more for each element in it. 512 MiB by default; 4 GiB - 1 at most. A client's shared
    /// connection has 256 MiB by default ([`Config::reply_bytes`](crate::Config::reply_bytes)).
    pub reply_bytes: usize,
    /// Bytes of one line (simple strings, errors, numbers). 64 KiB by default.
    pub line_bytes: usize,
    /// Levels of nesting; an attribute counts as one. 64 by default; the deepest stream reply has 7.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { reply_bytes: 512 << 20, line_bytes: 64 << 10, depth: 64 }
    }
}
