//! The way of greeting a server: with HELLO or without, and what earlier connections of a client learnt about it. Pure.
//!
//! | manner | requests |
//! |---|---|
//! | `Hello` | HELLO 3 with AUTH and SETNAME, CLIENT SETINFO, SELECT |
//! | `Plain` ([`Protocol::Resp2`]) | AUTH, CLIENT SETNAME, CLIENT SETINFO, SELECT, CLIENT ID, INFO server |
//! | `Bare` (where the others do not work) | AUTH, CLIENT SETNAME, SELECT, PING |
//!
//! A server that refuses HELLO in words gets the requests of `Bare` on the same connection. One that hangs up without a word gets
//! them on a new connection, unless it took the usual requests before. Both are remembered, so later connections of the client begin with what works. A failed attempt
//! to connect ends that memory, and so do ten minutes: a server that was upgraded is asked for RESP3 again.

use crate::config::Protocol;
use std::time::{Duration, Instant};

/// The time for which a server is greeted without HELLO before it is asked again.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The requests that a handshake consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Hello,
    Plain,
    Bare,
}

/// Requests that a handshake can do without, as a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Optional(u8);

impl Optional {
    pub(super) const SET_INFO: Self = Self(1);
    pub(super) const CLIENT_ID: Self = Self(2);
    pub(super) const INFO: Self = Self(4);

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What the connections of one client learnt about their server.
#[derive(Debug, Default)]
pub(super) struct Lessons {
    /// The time at which `Bare` was found to be needed.
    bare: Option<Instant>,
    /// Optional requests that the server refused.
    refused: Optional,
    /// The manner that the settings ask for has worked.
    worked: bool,
}

impl Lessons {
    /// The manner to begin a connection with, and the optional requests to leave out.
    pub(super) fn manner(&self, protocol: Protocol, now: Instant) -> (Manner, Optional) {
        let is_recent = |since: Instant| now.saturating_duration_since(since) < REMEMBERED;
        let manner = match protocol {
            _ if self.bare.is_some_and(is_recent) => Manner::Bare,
            Protocol::Auto => Manner::Hello,
            Protocol::Resp2 => Manner::Plain,
        };
        (manner, self.refused)
    }

    /// Whether a hang-up at the first request may be meant for that request: a server that took it before is just going away.
    pub(super) fn may_need_bare(&self) -> bool {
        !self.worked
    }

    /// The server needs `Bare`.
    pub(super) fn needs_bare(&mut self, now: Instant) {
        self.bare = Some(now);
    }

    /// A handshake succeeded; the server refused these requests.
    pub(super) fn connected(&mut self, manner: Manner, refused: Optional) {
        self.refused.add(refused);
        if manner != Manner::Bare {
            self.worked = true;
            self.bare = None;
        }
    }

    /// An attempt to connect failed: the server that answers next may be another one.
    pub(super) fn failed(&mut self) {
        self.bare = None;
        self.refused = Optional::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learnt_ends_with_a_failure_and_with_time() {
        let start = Instant::now();
        let manner = |lessons: &Lessons, now| lessons.manner(Protocol::Auto, now).0;
        let mut lessons = Lessons::default();
        assert_eq!(manner(&lessons, start), Manner::Hello);
        assert_eq!(lessons.manner(Protocol::Resp2, start).0, Manner::Plain);
        lessons.needs_bare(start);
        lessons.connected(Manner::Bare, Optional::SET_INFO);
        let last = start + REMEMBERED - Duration::from_millis(1);
        for protocol in [Protocol::Auto, Protocol::Resp2] {
            assert_eq!(lessons.manner(protocol, last), (Manner::Bare, Optional::SET_INFO));
        }
        assert_eq!(manner(&lessons, start + REMEMBERED), Manner::Hello);
        lessons.failed();
        assert_eq!(lessons.manner(Protocol::Auto, start), (Manner::Hello, Optional::default()));
    }

    #[test]
    fn a_hang_up_of_a_server_that_knew_hello_proves_nothing() {
        let mut lessons = Lessons::default();
        assert!(lessons.may_need_bare());
        lessons.connected(Manner::Bare, Optional::default());
        assert!(lessons.may_need_bare());
        lessons.connected(Manner::Hello, Optional::default());
        lessons.failed();
        assert!(!lessons.may_need_bare());
    }
}
