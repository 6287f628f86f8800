//! TLS: verification of certificates, and the same behaviour as without TLS.
//!
//! Runs against Redis 7.0, which is built with TLS, and against a rustls server where an exact byte
//! matters. The tests generate the certificates.
//!
//! | module | subject |
//! |---|---|
//! | `certificates` | valid certificates, and every kind of invalid one |
//! | `clients` | the client's own certificate: requested, sent, refused |
//! | `settings` | invalid names, authorities and keys; the system's authorities |
//! | `pinned` | certificates that are trusted by their fingerprints |
//! | `provider` | settings that change while a client lives |
//! | `failed_write` | a write that fails after some of its bytes were sent |
//! | `traffic` | megabytes each way, readers, reconnecting, the end of a connection |
//! | `handshake` | peers without TLS, with TLS only, or silent; the deadline; SNI |
//!
//! `authority` makes certificates, `server` starts Redis with them.

#[cfg(test)]
mod authority;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod failed_write;
#[cfg(test)]
mod handshake;
#[cfg(test)]
mod pinned;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod server;
#[cfg(test)]
mod settings;
#[cfg(test)]
#[path = "../server/support.rs"]
mod support;
#[cfg(test)]
mod traffic;
