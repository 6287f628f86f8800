//! `tracing` events: each step of a connection at its level, and no password.
//!
//! A binary of its own, because a subscriber's interest is cached for the whole process.

#[path = "../server/support.rs"]
mod support;

#[cfg(test)]
mod connection;
#[cfg(test)]
mod jobs;
#[cfg(test)]
#[path = "../faults/peer.rs"]
#[expect(dead_code, reason = "each test binary uses its own part")]
mod peer;
#[cfg(test)]
#[path = "../faults/wire.rs"]
#[expect(dead_code, reason = "each test binary uses its own part")]
mod wire;
