//! HELLO and ROLE.

use super::law;
use super::node::{Node, are_added};
use crate::any::{bytes, count};
use bourn::{
    Command, ConnectedReplica, DedicatedCommand, Hello, HelloReply, LinkState, Role, RoleReply,
    Server,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// A HELLO reply: server and protocol; and the connection's id, mode and role, which may be absent.
type Greeting = (Server, i64, Option<i64>, [Option<String>; 2]);

#[test]
fn hello_decodes_every_field() {
    let name = prop_oneof![Just("redis".into()), Just("valkey".into()), "[^\r\n]{0,12}"];
    let server = (name, [any::<u32>(), any::<u32>(), any::<u32>()]);
    let text = || option::of("[a-z]{0,12}");
    let greeting = (server, any::<i64>(), option::of(any::<i64>()), [text(), text()]);
    let greetings = greeting.prop_map(|((name, [major, minor, patch]), proto, id, texts)| {
        (Server::new(&name, &format!("{major}.{minor}.{patch}")), proto, id, texts)
    });
    law(
        Hello::dedicated_reply,
        greetings,
        |(server, proto, id, [mode, role]): &Greeting| {
            let version = server.version();
            let version = format!("{}.{}.{}", version.major, version.minor, version.patch);
            Node::map([
                ("server", Some(Node::bulk(server.name()))),
                ("version", Some(Node::bulk(version))),
                ("proto", Some(Node::Integer(*proto))),
                ("id", Some(id.map_or(Node::Unknown, Node::Integer))),
                ("mode", Some(mode.as_ref().map_or(Node::Unknown, Node::bulk))),
                ("role", Some(role.as_ref().map_or(Node::Unknown, Node::bulk))),
            ])
        },
        |HelloReply { server, proto, id, mode, role, extra, .. }| {
            assert!(are_added(&extra), "{extra:?}");
            (server, proto, id, [mode, role])
        },
    );
}

/// A role.
#[derive(Debug, PartialEq)]
enum Part {
    Master { offset: u64, replicas: Vec<(Vec<u8>, u16, u64)> },
    Replica { host: Vec<u8>, port: u16, state: Vec<u8>, offset: Option<u64> },
    Sentinel { masters: Vec<Vec<u8>> },
}

fn part() -> BoxedStrategy<Part> {
    let replicas = vec((bytes(), any::<u16>(), count()), 0..4);
    let words = ["connect", "connecting", "handshake", "sync", "connected"].map(Vec::from);
    let state = prop_oneof![proptest::sample::select(words.to_vec()), bytes()];
    prop_oneof![
        (count(), replicas).prop_map(|(offset, replicas)| Part::Master { offset, replicas }),
        (bytes(), any::<u16>(), state, option::of(count()))
            .prop_map(|(host, port, state, offset)| Part::Replica { host, port, state, offset }),
        vec(bytes(), 0..4).prop_map(|masters| Part::Sentinel { masters }),
    ]
    .boxed()
}

fn part_node(part: &Part) -> Node {
    match part {
        Part::Master { offset, replicas } => {
            let replicas = Node::list(replicas, |(host, port, offset)| {
                Node::Tuple(vec![Node::bulk(host), Node::digits(port), Node::digits(offset)])
            });
            Node::Tuple(vec![Node::bulk("master"), Node::count(*offset), replicas])
        }
        Part::Replica { host, port, state, offset } => Node::Tuple(vec![
            Node::bulk("slave"),
            Node::bulk(host),
            Node::Integer(i64::from(*port)),
            Node::bulk(state),
            offset.map_or(Node::Integer(-1), Node::count),
        ]),
        Part::Sentinel { masters } => {
            Node::Tuple(vec![Node::bulk("sentinel"), Node::list(masters, |name| Node::bulk(name))])
        }
    }
}

fn part_of(said: RoleReply) -> Part {
    match said {
        RoleReply::Master { offset, replicas, .. } => {
            let replica = |said: ConnectedReplica| (said.host.to_vec(), said.port, said.offset);
            Part::Master { offset, replicas: replicas.into_iter().map(replica).collect() }
        }
        RoleReply::Replica { host, port, state, offset, .. } => {
            let state = match state {
                LinkState::Connect => b"connect".to_vec(),
                LinkState::Connecting => b"connecting".to_vec(),
                LinkState::Handshake => b"handshake".to_vec(),
                LinkState::Sync => b"sync".to_vec(),
                LinkState::Connected => b"connected".to_vec(),
                LinkState::Other(word) => word.to_vec(),
                other => panic!("{other:?}"),
            };
            Part::Replica { host: host.to_vec(), port, state, offset }
        }
        RoleReply::Sentinel { masters, .. } => {
            Part::Sentinel { masters: masters.iter().map(|name| name.to_vec()).collect() }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn role_decodes_every_field() {
    law(Role::reply, part(), part_node, part_of);
}
