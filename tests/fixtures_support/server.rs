//! HELLO, ROLE and CLUSTER replies, part by part.

use super::fields::{Fields, matches_all};
use super::json::{Json, integer, list, tuple};
use super::meaning::{Means, all};
use bourn::resp::Value;
use bourn::{
    ClusterNode, ConnectedReplica, HelloReply, LinkState, NodeHealth, NodeRole, RoleReply, Server,
    Shard, ShardNode, SlotRange,
};
use bytes::Bytes;
use std::ops::RangeInclusive;

impl Means for u16 {
    fn means(&self, value: &Json) -> bool {
        let text = value.as_str().and_then(|text| text.parse().ok());
        integer(value).or(text) == Some(i64::from(*self))
    }
}

impl Means for HelloReply {
    fn means(&self, value: &Json) -> bool {
        let text = |text: &String, value: &Json| value == text.as_str();
        let version = |server: &Server, value: &Json| {
            value.as_str().is_some_and(|text| *server == Server::new(server.name(), text))
        };
        matches_all(value, |fields| {
            fields.matches("server", Some(self.server.name()), |name, value| value == name)
                && fields.matches("version", Some(&self.server), version)
                && fields.mean("proto", &self.proto)
                && fields.mean_if_there("id", &self.id)
                && fields.matches("mode", self.mode.as_ref(), text)
                && fields.matches("role", self.role.as_ref(), text)
                && are_extra(&self.extra, &["modules"], fields)
        })
    }
}

/// Whether exactly these fields are kept as trees.
fn are_extra(extra: &[(Bytes, Value)], names: &[&str], fields: &mut Fields<'_>) -> bool {
    extra.len() == names.len()
        && extra.iter().zip(names).all(|((name, tree), expected)| {
            name == expected.as_bytes() && fields.mean(expected, tree)
        })
}

impl Means for RoleReply {
    fn means(&self, value: &Json) -> bool {
        match (self, list(value)) {
            (Self::Master { offset, replicas, .. }, [role, said, list]) => {
                role == "master" && offset.means(said) && replicas.means(list)
            }
            (Self::Replica { host, port, state, offset, .. }, [role, ip, at, link, said]) => {
                let state: &[u8] = match state {
                    LinkState::Connect => b"connect",
                    LinkState::Connecting => b"connecting",
                    LinkState::Handshake => b"handshake",
                    LinkState::Sync => b"sync",
                    LinkState::Connected => b"connected",
                    // No captured server sends another one.
                    _ => b"",
                };
                let offset = offset.map_or(integer(said) == Some(-1), |n| n.means(said));
                role == "slave"
                    && host.means(ip)
                    && port.means(at)
                    && link.as_str().map(str::as_bytes) == Some(state)
                    && offset
            }
            (Self::Sentinel { masters, .. }, [role, names]) => {
                role == "sentinel" && masters.means(names)
            }
            _ => false,
        }
    }
}

impl Means for ConnectedReplica {
    fn means(&self, value: &Json) -> bool {
        let Some([host, port, offset]) = tuple(value) else { return false };
        let is_offset = offset.as_str() == Some(&self.offset.to_string());
        self.host.means(host) && self.port.means(port) && is_offset
    }
}

fn are_slots(slots: &RangeInclusive<u16>, first: &Json, last: &Json) -> bool {
    slots.start().means(first) && slots.end().means(last)
}

impl Means for SlotRange {
    fn means(&self, value: &Json) -> bool {
        let [first, last, nodes @ ..] = list(value) else { return false };
        let found = [&self.master].into_iter().chain(&self.replicas);
        are_slots(&self.slots, first, last) && all(nodes, found, |node, value| node.means(value))
    }
}

/// The captured clusters all name their hosts by address.
impl Means for ClusterNode {
    fn means(&self, value: &Json) -> bool {
        let [host, port, id, metadata @ ..] = list(value) else { return false };
        let metadata = match metadata {
            [] => self.metadata.is_empty(),
            [map] => matches_all(map, |fields| {
                self.metadata.iter().all(|(name, text)| {
                    std::str::from_utf8(name).is_ok_and(|name| fields.mean(name, text))
                })
            }),
            _ => false,
        };
        self.host.means(host) && self.port.means(port) && self.id.means(id) && metadata
    }
}

impl Means for Shard {
    fn means(&self, value: &Json) -> bool {
        let slots = |slots: &[RangeInclusive<u16>], value: &Json| {
            let pairs: Vec<_> = list(value).chunks(2).collect();
            pairs.len() == slots.len()
                && pairs.iter().zip(slots).all(|(pair, slots)| match pair {
                    [first, last] => are_slots(slots, first, last),
                    _ => false,
                })
        };
        self.extra.is_empty()
            && matches_all(value, |fields| {
                fields.matches("slots", Some(self.slots.as_slice()), slots)
                    && fields.mean("nodes", &self.nodes)
                    && fields.mean_if_there("id", &self.id)
            })
    }
}

impl Means for ShardNode {
    fn means(&self, value: &Json) -> bool {
        let role = match self.role {
            NodeRole::Master => "master",
            NodeRole::Replica => "replica",
            _ => "",
        };
        let health = match self.health {
            NodeHealth::Online => "online",
            NodeHealth::Failed => "fail",
            NodeHealth::Loading => "loading",
            _ => "",
        };
        self.extra.is_empty()
            && matches_all(value, |fields| {
                fields.mean("id", &self.id)
                    && fields.mean_if_there("port", &self.port)
                    && fields.mean_if_there("tls-port", &self.tls_port)
                    && fields.mean("ip", &self.ip)
                    && fields.mean("endpoint", &self.endpoint)
                    && fields.mean_if_there("hostname", &self.hostname)
                    && fields.matches("role", Some(role), |role, value| value == role)
                    && fields.mean("replication-offset", &self.replication_offset)
                    && fields.matches("health", Some(health), |health, value| value == health)
            })
    }
}
