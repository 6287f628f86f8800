//! The requests of a handshake, with or without HELLO, and what earlier connections of a client
//! learnt about its server. No I/O.
//!
//! | style | requests |
//! |---|---|
//! | `Hello` | HELLO 3 with AUTH and SETNAME, CLIENT SETINFO, SELECT |
//! | `Plain` (`Protocol::Resp2`) | AUTH, CLIENT SETNAME, CLIENT SETINFO, SELECT, CLIENT ID, INFO |
//! | `Bare` (if the others fail) | AUTH, CLIENT SETNAME, SELECT, PING |
//!
//! A server that rejects HELLO with an error is sent the requests of `Bare` on the same connection.
//! A server that closes the connection is sent them on a new connection, unless it accepted the
//! usual requests before. Both are remembered, so later connections of the client begin with what
//! works. A failed attempt to connect clears that memory, and it expires after ten minutes: an
//! upgraded server is then asked for RESP3 again.

use crate::config::Protocol;
use std::time::{Duration, Instant};

/// The time after which a server is sent HELLO again.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The requests that a handshake consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandshakeStyle {
    Hello,
    Plain,
    Bare,
}

/// The optional requests of a handshake, as a set of bits.
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

/// The facts that the connections of one client learnt about their server.
#[derive(Debug, Default)]
pub(super) struct HandshakeHistory {
    /// The time at which the server was found to need `Bare`.
    bare: Option<Instant>,
    /// The optional requests that the server rejected.
    refused: Optional,
    /// The style of the settings has worked.
    worked: bool,
}

impl HandshakeHistory {
    /// Returns the style to begin a connection with, and the optional requests to leave out.
    pub(super) fn style(&self, protocol: Protocol, now: Instant) -> (HandshakeStyle, Optional) {
        let is_recent = |since: Instant| now.saturating_duration_since(since) < REMEMBERED;
        let style = match protocol {
            _ if self.bare.is_some_and(is_recent) => HandshakeStyle::Bare,
            Protocol::Auto => HandshakeStyle::Hello,
            Protocol::Resp2 => HandshakeStyle::Plain,
        };
        (style, self.refused)
    }

    /// Whether a disconnect after the first request may be a rejection of it. A server that
    /// accepted that request before is probably shutting down.
    pub(super) fn may_need_bare(&self) -> bool {
        !self.worked
    }

    /// Records that the server needs `Bare`.
    pub(super) fn needs_bare(&mut self, now: Instant) {
        self.bare = Some(now);
    }

    /// Records a successful handshake, and the requests that the server rejected.
    pub(super) fn connected(&mut self, style: HandshakeStyle, refused: Optional) {
        self.refused.add(refused);
        if style != HandshakeStyle::Bare {
            self.worked = true;
            self.bare = None;
        }
    }

    /// Records a failed attempt to connect: the next connection may reach another server.
    pub(super) fn failed(&mut self) {
        self.bare = None;
        self.refused = Optional::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_manner_is_forgotten_after_a_failure_and_after_ten_minutes() {
        let start = Instant::now();
        let style = |history: &HandshakeHistory, now| history.style(Protocol::Auto, now).0;
        let mut history = HandshakeHistory::default();
        assert_eq!(style(&history, start), HandshakeStyle::Hello);
        assert_eq!(history.style(Protocol::Resp2, start).0, HandshakeStyle::Plain);
        history.needs_bare(start);
        history.connected(HandshakeStyle::Bare, Optional::SET_INFO);
        let last = start + REMEMBERED - Duration::from_millis(1);
        for protocol in [Protocol::Auto, Protocol::Resp2] {
            assert_eq!(history.style(protocol, last), (HandshakeStyle::Bare, Optional::SET_INFO));
        }
        assert_eq!(style(&history, start + REMEMBERED), HandshakeStyle::Hello);
        history.failed();
        assert_eq!(
            history.style(Protocol::Auto, start),
            (HandshakeStyle::Hello, Optional::default())
        );
    }

    #[test]
    fn disconnect_does_not_imply_bare_after_hello_worked() {
        let mut history = HandshakeHistory::default();
        assert!(history.may_need_bare());
        history.connected(HandshakeStyle::Bare, Optional::default());
        assert!(history.may_need_bare());
        history.connected(HandshakeStyle::Hello, Optional::default());
        history.failed();
        assert!(!history.may_need_bare());
    }
}
