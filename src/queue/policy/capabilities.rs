//! Capabilities: the commands and options of a server that a queue uses. No I/O.
//!
//! | capability | with it | without |
//! |---|---|---|
//! | `claim` (Redis 8.4) | XREADGROUP CLAIM returns abandoned entries, and wakes for them | XAUTOCLAIM, about once a second |
//! | `nack` (8.8) | XNACK gives an entry back | XCLAIM sets its idle time |
//! | `ack_del` (8.2) | XACKDEL, XDELEX: an entry that another group has not read stays | XDEL, XACK |
//! | `idmp` (8.6) | XADD IDMP: an unknown outcome is resolved by sending the job again | the outcome stays unknown |
//! | `max_count` (8.10) | one read in order of priority | one read per stream |
//! | `max_size` (8.10) | the server limits the bytes of a reply | the number of entries is estimated from earlier ones |
//! | `place` (8.0, Valkey) | `entries-read` of a group is the place of the last entry delivered | it counts deliveries |
//! | `listed` (7.2) | a consumer that reads is listed, and counts as active | it is if a read had a result; each reads its own pending entries now and then |
//! | `deleted` (7.0) | XAUTOCLAIM removes entries that were deleted while pending | they are claimed as nulls, and acknowledged |
//!
//! The result is the same with all of them. For a server that is neither Redis nor Valkey, no
//! capability is assumed. A command that the user may not run, or that the server does not know, is
//! not used again, nor IDMP where the stream forgets ids too soon: [`Denied`].

use crate::error::{Code, Error};
use crate::server::{Feature, Flavour, Server, Version};
use std::sync::atomic::{AtomicBool, Ordering};

/// The capabilities of a server that matter to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Capabilities {
    pub(crate) claim: bool,
    pub(crate) nack: bool,
    pub(crate) ack_del: bool,
    pub(crate) idmp: bool,
    pub(crate) max_count: bool,
    pub(crate) max_size: bool,
    pub(crate) deleted: bool,
    pub(crate) listed: bool,
    pub(crate) place: bool,
}

impl Capabilities {
    pub(crate) fn of(server: Option<&Server>) -> Self {
        let Some(server) = server else { return Self::default() };
        let can = |feature| server.supports(feature) == Some(true);
        let since = |version| match server.flavour() {
            Flavour::Redis => server.version() >= version,
            Flavour::Valkey => true,
            Flavour::Other => false,
        };
        Self {
            claim: can(Feature::Claim),
            nack: can(Feature::XNack),
            ack_del: can(Feature::XAckDel),
            idmp: can(Feature::Idmp),
            max_count: can(Feature::MaxCount),
            max_size: can(Feature::MaxSize),
            deleted: since(Version::new(7, 0, 0)),
            listed: since(Version::new(7, 2, 0)),
            place: since(Version::new(8, 0, 0)),
        }
    }
}

/// The newer commands that were refused: the user may not run them, or an administrator has renamed
/// them. Also, whether XCFGSET was refused where the stream forgets ids too soon.
#[derive(Debug, Default)]
pub(crate) struct Denied {
    nack: AtomicBool,
    ack_del: AtomicBool,
    short_window: AtomicBool,
}

impl Denied {
    /// Records that XNACK was refused.
    pub(crate) fn nack(&self) {
        self.nack.store(true, Ordering::Relaxed);
    }

    /// Records that XACKDEL or XDELEX was refused.
    pub(crate) fn ack_del(&self) {
        self.ack_del.store(true, Ordering::Relaxed);
    }

    /// Records whether the stream forgets the ids of jobs while they may be sent again, and XCFGSET
    /// was refused. Returns whether that was recorded before.
    pub(crate) fn short_window(&self, is_short: bool) -> bool {
        self.short_window.swap(is_short, Ordering::Relaxed)
    }

    /// Returns the capabilities without those that need a refused command.
    pub(crate) fn limit(&self, capabilities: Capabilities) -> Capabilities {
        Capabilities {
            nack: capabilities.nack && !self.nack.load(Ordering::Relaxed),
            ack_del: capabilities.ack_del && !self.ack_del.load(Ordering::Relaxed),
            idmp: capabilities.idmp && !self.short_window.load(Ordering::Relaxed),
            ..capabilities
        }
    }
}

/// Whether an older command may work instead: the user may not run this one, or the server does not
/// know it.
pub(crate) fn is_denied(error: &Error) -> bool {
    match error {
        Error::TooOld(_) => true,
        Error::Server(error) => {
            *error.code() == Code::NoPerm || error.message().starts_with(b"unknown command")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_follow_the_server_version() {
        let of = |name, version| Capabilities::of(Some(&Server::new(name, version)));
        let none = Capabilities::default();
        let deleted = Capabilities { deleted: true, ..none };
        let listed = Capabilities { listed: true, ..deleted };
        let place = Capabilities { place: true, ..listed };
        let ack_del = Capabilities { ack_del: true, ..place };
        let claim = Capabilities { claim: true, ..ack_del };
        let idmp = Capabilities { idmp: true, ..claim };
        let nack = Capabilities { nack: true, ..idmp };
        let rows = [
            ("redis", "6.2.5", none),
            ("redis", "7.0.15", deleted),
            ("redis", "7.2.0", listed),
            ("redis", "7.4.1", listed),
            ("valkey", "8.1.8", place),
            ("valkey", "9.1.2", place),
            ("redis", "8.2.3", ack_del),
            ("redis", "8.4.0", claim),
            ("redis", "8.6.2", idmp),
            ("redis", "8.8.0", nack),
            ("redis", "8.10.2", Capabilities { max_count: true, max_size: true, ..nack }),
            ("another", "99.0.0", none),
        ];
        for (name, version, expected) in rows {
            assert_eq!(of(name, version), expected, "{name} {version}");
        }
        assert_eq!(Capabilities::of(None), none);
    }

    #[test]
    fn refused_commands_are_not_used_again() {
        let all = Capabilities { nack: true, ack_del: true, idmp: true, ..Default::default() };
        let denied = Denied::default();
        assert_eq!(denied.limit(all), all);
        denied.nack();
        assert_eq!(denied.limit(all), Capabilities { nack: false, ..all });
        denied.ack_del();
        assert_eq!(denied.limit(all), Capabilities { nack: false, ack_del: false, ..all });
        assert!(!denied.short_window(true), "it is new");
        assert_eq!(denied.limit(all), Capabilities::default());
        assert!(denied.short_window(false));
        assert!(denied.limit(all).idmp);
    }
}
