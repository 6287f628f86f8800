//! The host and port of a server. No I/O.

/// The host and port of a server.
pub(crate) type Host = (String, u16);
