//! CLUSTER SLOTS and SHARDS: the nodes that serve each slot, and their addresses.

use super::law_of;
use super::node::{Node, are_added};
use crate::any::{bytes, count};
use bourn::{
    ClusterNode, ClusterShards, ClusterSlots, Command, NodeHealth, NodeRole, Shard, ShardNode,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// The host in a reply.
#[derive(Debug, Clone, PartialEq)]
enum Host {
    /// The host that was asked: null or empty.
    Asked {
        empty: bool,
    },
    /// `?`: a hostname is preferred but not set, so that the address must be used.
    Address,
    Said(Vec<u8>),
}

fn host() -> impl Strategy<Value = Host> {
    let said =
        bytes().prop_filter("neither empty nor `?`", |host| !matches!(&host[..], b"" | b"?"));
    prop_oneof![
        3 => said.prop_map(Host::Said),
        1 => Just(Host::Address),
        1 => any::<bool>().prop_map(|empty| Host::Asked { empty }),
    ]
}

impl Host {
    fn node(&self) -> Node {
        match self {
            Self::Asked { empty: false } => Node::Null,
            Self::Asked { empty: true } => Node::bulk(""),
            Self::Address => Node::bulk("?"),
            Self::Said(host) => Node::bulk(host),
        }
    }

    /// Returns the host to connect to, if it differs from the one that was asked.
    fn found(&self, address: Option<&Vec<u8>>) -> Option<Vec<u8>> {
        match self {
            Self::Asked { .. } => None,
            Self::Address => address.filter(|address| !address.is_empty()).cloned(),
            Self::Said(host) => Some(host.clone()),
        }
    }
}

/// The first and the last slot of a range.
fn slots() -> impl Strategy<Value = (u16, u16)> {
    (0..16_384u16, 0..16_384u16)
}

/// A node of CLUSTER SLOTS: host and port; since Redis 4.0 its id; since 7.0 its address and
/// hostname, if it has them.
type Reached = (Host, u16, Option<(Vec<u8>, Option<[Option<Vec<u8>>; 2]>)>);

fn reached() -> impl Strategy<Value = Reached> {
    let metadata = || option::of(bytes());
    let metadata = option::weighted(0.8, [metadata(), metadata()]);
    (host(), any::<u16>(), option::weighted(0.9, (bytes(), metadata)))
}

fn reached_node((host, port, rest): &Reached) -> Node {
    let mut parts = vec![host.node(), Node::Integer(i64::from(*port))];
    let Some((id, metadata)) = rest else { return Node::List(parts) };
    parts.push(Node::bulk(id));
    let Some(metadata) = metadata else { return Node::List(parts) };
    let [ip, name] = metadata.each_ref().map(|text| text.as_ref().map(Node::bulk));
    parts.push(Node::map([("ip", ip), ("hostname", name)]));
    Node::Tuple(parts)
}

/// Whether the decoded node equals the one in the reply.
fn is_reached(found: &ClusterNode, (host, port, rest): &Reached) -> bool {
    let (id, metadata) = rest.clone().unzip();
    let [ip, name] = metadata.flatten().unwrap_or_default();
    let text = |key: &str| {
        let found = found.metadata.iter().find(|(name, _)| name == key);
        found.map(|(_, text)| text.to_vec())
    };
    let known = |key: &[u8]| key == b"ip" || key == b"hostname" || key.starts_with(b"later-");
    found.host.as_deref() == host.found(ip.as_ref()).as_deref()
        && found.port == *port
        && found.id.as_deref() == id.as_deref()
        && (text("ip"), text("hostname")) == (ip, name)
        && found.metadata.iter().all(|(key, _)| known(key))
}

#[test]
fn slot_ranges_have_their_nodes() {
    law_of(
        ClusterSlots::reply,
        vec((slots(), vec(reached(), 1..4)), 0..4),
        |ranges| {
            Node::list(ranges, |((first, last), nodes)| {
                let ends = [first, last].map(|slot| Node::Integer(i64::from(*slot)));
                Node::List(ends.into_iter().chain(nodes.iter().map(reached_node)).collect())
            })
        },
        |found, said, bytes| {
            prop_assert_eq!(found.len(), said.len());
            for (found, ((first, last), nodes)) in found.iter().zip(&said) {
                prop_assert_eq!(&found.slots, &(*first..=*last));
                prop_assert_eq!(1 + found.replicas.len(), nodes.len());
                for (found, said) in [&found.master].into_iter().chain(&found.replicas).zip(nodes) {
                    prop_assert!(is_reached(found, said), "{:?} {:?} {}", found, said, bytes);
                }
            }
            Ok(())
        },
    );
}

/// A node of CLUSTER SHARDS.
#[derive(Debug)]
struct Member {
    id: Vec<u8>,
    ports: [Option<u16>; 2],
    ip: Vec<u8>,
    host: Host,
    hostname: Option<Vec<u8>>,
    role: Vec<u8>,
    offset: u64,
    health: Vec<u8>,
}

fn member() -> impl Strategy<Value = Member> {
    let word = |words: [&'static str; 4]| {
        (0..5usize, bytes()).prop_map(move |(place, other)| {
            words.get(place).map_or(other, |word| word.as_bytes().to_vec())
        })
    };
    let role = word(["master", "replica", "master", "replica"]);
    let health = word(["online", "fail", "failed", "loading"]);
    let ports = [option::of(any::<u16>()), option::of(any::<u16>())];
    (bytes(), ports, bytes(), host(), option::of(bytes()), role, count(), health).prop_map(
        |(id, ports, ip, host, hostname, role, offset, health)| Member {
            id,
            ports,
            ip,
            host,
            hostname,
            role,
            offset,
            health,
        },
    )
}

impl Member {
    fn node(&self) -> Node {
        let [port, tls_port] = self.ports.map(|port| Some(Node::Integer(i64::from(port?))));
        Node::map([
            ("id", Some(Node::bulk(&self.id))),
            ("port", port),
            ("tls-port", tls_port),
            ("ip", Some(Node::bulk(&self.ip))),
            ("endpoint", Some(self.host.node())),
            ("hostname", self.hostname.as_ref().map(Node::bulk)),
            ("role", Some(Node::bulk(&self.role))),
            ("replication-offset", Some(Node::count(self.offset))),
            ("health", Some(Node::bulk(&self.health))),
        ])
    }

    /// Whether the decoded node equals this one.
    fn is(&self, found: &ShardNode) -> bool {
        let role: &[u8] = match &found.role {
            NodeRole::Master => b"master",
            NodeRole::Replica => b"replica",
            NodeRole::Other(word) => word,
            _ => return false,
        };
        let health: &[u8] = match &found.health {
            NodeHealth::Online => b"online",
            NodeHealth::Failed if self.health == b"failed" => b"failed",
            NodeHealth::Failed => b"fail",
            NodeHealth::Loading => b"loading",
            NodeHealth::Other(word) => word,
            _ => return false,
        };
        // A server may send an empty hostname.
        let hostname = self.hostname.as_deref().filter(|name| !name.is_empty());
        found.id == self.id
            && [found.port, found.tls_port] == self.ports
            && found.ip == self.ip
            && found.endpoint.as_deref() == self.host.found(Some(&self.ip)).as_deref()
            && found.hostname.as_deref() == hostname
            && role == self.role
            && found.replication_offset == self.offset
            && health == self.health
            && are_added(&found.extra)
    }
}

#[test]
fn shards_have_their_slots_and_nodes() {
    let shard = (vec(slots(), 0..4), vec(member(), 0..3), option::of(bytes()));
    law_of(
        ClusterShards::reply,
        vec(shard, 0..3),
        |shards| {
            Node::list(shards, |(slots, members, id)| {
                let ends = slots.iter().flat_map(|(first, last)| [first, last]);
                let ends = ends.map(|slot| Node::Integer(i64::from(*slot)));
                Node::map([
                    ("slots", Some(Node::List(ends.collect()))),
                    ("nodes", Some(Node::list(members, Member::node))),
                    ("id", id.as_ref().map(Node::bulk)),
                ])
            })
        },
        |found: Vec<Shard>, said, bytes| {
            prop_assert_eq!(found.len(), said.len());
            for (found, (slots, members, id)) in found.iter().zip(&said) {
                let ranges: Vec<_> = slots.iter().map(|(first, last)| *first..=*last).collect();
                prop_assert_eq!(&found.slots, &ranges);
                prop_assert_eq!(found.id.as_deref(), id.as_deref());
                prop_assert!(are_added(&found.extra), "{:?}", found.extra);
                prop_assert_eq!(found.nodes.len(), members.len());
                for (found, said) in found.nodes.iter().zip(members) {
                    prop_assert!(said.is(found), "{:?} {:?} {}", found, said, bytes);
                }
            }
            Ok(())
        },
    );
}
