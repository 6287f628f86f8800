//! TLS: whom a client believes, and that it is otherwise as good as no TLS.
//!
//! Against Redis 7.0, which is built with it, and against a server of rustls's where an exact byte matters. The certificates
//! are made by the tests.
//!
//! | room | what is tried |
//! |---|---|
//! | `certificates` | good ones, and every way in which one is not |
//! | `clients` | the client's own certificate: asked for, shown, refused |
//! | `settings` | names, authorities and keys that cannot be used; those of the system |
//! | `pinned` | certificates that are trusted by their fingerprints |
//! | `renewed` | settings that change while a client lives |
//! | `late` | a write that fails when some of it has gone |
//! | `traffic` | megabytes each way, readers, reconnecting, the end of a connection |
//! | `strangers` | who does not speak TLS, or only TLS, or nothing at all |
//!
//! `authority` makes certificates, `server` starts Redis with them.

#[cfg(test)]
mod authority;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod late;
#[cfg(test)]
mod pinned;
#[cfg(test)]
mod renewed;
#[cfg(test)]
mod server;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod strangers;
#[cfg(test)]
#[path = "../server/support.rs"]
mod support;
#[cfg(test)]
mod traffic;
