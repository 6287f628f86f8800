//! What is told to `tracing`: each step of a connection, at its level, and no password.
//!
//! Alone in its binary: whether anybody listens is decided for a whole process.

#[path = "../server/support.rs"]
mod support;

#[cfg(test)]
mod jobs;
#[cfg(test)]
#[path = "../faults/peer.rs"]
#[expect(dead_code, reason = "each test binary uses its own part")]
mod peer;
#[cfg(test)]
mod told;
#[cfg(test)]
#[path = "../faults/wire.rs"]
#[expect(dead_code, reason = "each test binary uses its own part")]
mod wire;
