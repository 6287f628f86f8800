//! Abilities: which of several ways a server allows. Pure.
//!
//! | ability | with it | without |
//! |---|---|---|
//! | `claim` (Redis 8.4) | XREADGROUP CLAIM brings what others let lie, and wakes for it | XAUTOCLAIM, about once a second |
//! | `nack` (8.8) | XNACK gives an entry back | XCLAIM makes it look idle |
//! | `ack_del` (8.2) | XACKDEL | XDEL, XACK |
//! | `idmp` (8.6) | XADD IDMP: an unknown outcome is made known by sending it again | the outcome stays unknown |
//! | `max_count` (8.10) | one read in order of priority | a read for each stream |
//! | `max_size` (8.10) | the server bounds a reply's bytes | its entries are counted after those that came before |
//! | `deleted` (7.0) | XAUTOCLAIM clears entries away that were deleted while pending | they are claimed as nulls, and acknowledged |
//!
//! All ways mean the same. Of a server that is neither Redis nor Valkey nothing is taken for granted.

use crate::server::{Feature, Flavour, Server, Version};

/// What a server can do that matters to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Abilities {
    pub(crate) claim: bool,
    pub(crate) nack: bool,
    pub(crate) ack_del: bool,
    pub(crate) idmp: bool,
    pub(crate) max_count: bool,
    pub(crate) max_size: bool,
    pub(crate) deleted: bool,
}

impl Abilities {
    pub(crate) fn of(server: Option<&Server>) -> Self {
        let Some(server) = server else { return Self::default() };
        let can = |feature| server.supports(feature) == Some(true);
        Self {
            claim: can(Feature::Claim),
            nack: can(Feature::XNack),
            ack_del: can(Feature::XAckDel),
            idmp: can(Feature::Idmp),
            max_count: can(Feature::MaxCount),
            max_size: can(Feature::MaxSize),
            deleted: match server.flavour() {
                Flavour::Redis => server.version() >= Version::new(7, 0, 0),
                Flavour::Valkey => true,
                Flavour::Other => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_what_its_version_has() {
        let of = |name, version| Abilities::of(Some(&Server::new(name, version)));
        let none = Abilities::default();
        let deleted = Abilities { deleted: true, ..none };
        let ack_del = Abilities { ack_del: true, ..deleted };
        let claim = Abilities { claim: true, ..ack_del };
        let idmp = Abilities { idmp: true, ..claim };
        let nack = Abilities { nack: true, ..idmp };
        let rows = [
            ("redis", "6.2.5", none),
            ("redis", "7.0.15", deleted),
            ("valkey", "8.1.8", deleted),
            ("valkey", "9.1.2", deleted),
            ("redis", "8.2.3", ack_del),
            ("redis", "8.4.0", claim),
            ("redis", "8.6.2", idmp),
            ("redis", "8.8.0", nack),
            ("redis", "8.10.2", Abilities { max_count: true, max_size: true, ..nack }),
            ("another", "99.0.0", none),
        ];
        for (name, version, expected) in rows {
            assert_eq!(of(name, version), expected, "{name} {version}");
        }
        assert_eq!(Abilities::of(None), none);
    }
}
