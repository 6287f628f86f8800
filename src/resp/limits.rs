//! Limits on the size of a reply. No I/O.

/// Limits on the size of a reply. If one is exceeded, the connection is closed with a
/// [`ProtocolError`](super::ProtocolError) that names it.
///
/// ```
/// use bourn::resp::{Frame, Limits, ProtocolError};
///
/// let mut limits = Limits::default();
/// limits.reply_bytes = 1024;
/// let error = Frame::parse("$2000\r\n", limits).unwrap_err();
/// assert_eq!(error, ProtocolError::TooLarge { limit: 1024 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum size of a whole reply in bytes, counting 32 more for each element. Default 512 MiB,
    /// at most 4 GiB - 1. The default for a client's shared connection is 256 MiB
    /// ([`Config::reply_bytes`](crate::Config::reply_bytes)).
    pub reply_bytes: usize,
    /// Maximum size of a line in bytes (simple strings, errors, numbers). Default 64 KiB.
    pub line_bytes: usize,
    /// Maximum depth of nesting; an attribute counts as one level. Default 64; the deepest stream
    /// reply has 7.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { reply_bytes: 512 << 20, line_bytes: 64 << 10, depth: 64 }
    }
}
