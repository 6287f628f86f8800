//! CLUSTER SHARDS: returns the shards of a cluster, with their slots and nodes. No I/O.

use super::{host, port, slots};
use crate::command::reply::tree;
use crate::command::{Command, Safety};
use crate::resp::{Args, Cursor, DecodeError, Frame, Value};
use crate::server::{Feature, Features};
use bytes::Bytes;
use std::ops::RangeInclusive;

/// Returns the shards of the cluster: each is a master and its replicas, which serve the same
/// slots.
///
/// `CLUSTER SHARDS` (Redis 7.0). Nodes that are down are included, with the slots they had.
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) from a server that is not in a cluster.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, ClusterShards, Error, NodeHealth};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// for node in client.send(ClusterShards::new()).await?.iter().flat_map(|shard| &shard.nodes) {
///     if node.health != NodeHealth::Online {
///         println!("{} is {:?}", node.ip.escape_ascii(), node.health);
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ClusterShards(());

impl ClusterShards {
    /// Creates a CLUSTER SHARDS command.
    pub fn new() -> Self {
        Self(())
    }
}

/// A master and its replicas. Its texts share the buffer of the reply.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::ClusterShards;
///
/// for shard in client.send(ClusterShards::new()).await? {
///     println!("slots {:?} on {} nodes", shard.slots, shard.nodes.len());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Shard {
    /// The slots of the shard, from 0 to 16383; empty if it has none.
    pub slots: Vec<RangeInclusive<u16>>,
    /// The nodes of the shard, in no particular order.
    pub nodes: Vec<ShardNode>,
    /// The shard's id (Valkey 9.1); `None` if the server does not report it.
    pub id: Option<Bytes>,
    /// Other fields of the reply, by name.
    pub extra: Vec<(Bytes, Value)>,
}

/// A node of a shard. Its texts share the buffer of the reply.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::ClusterShards;
///
/// for node in client.send(ClusterShards::new()).await?.iter().flat_map(|shard| &shard.nodes) {
///     println!("{}, port {:?}, TLS port {:?}", node.ip.escape_ascii(), node.port, node.tls_port);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ShardNode {
    /// The node's id.
    pub id: Bytes,
    /// The node's port; `None` if it accepts only TLS connections.
    pub port: Option<u16>,
    /// The node's port for TLS; `None` if it has none.
    pub tls_port: Option<u16>,
    /// The node's address. Empty if it does not know its own yet, which only the queried node can
    /// report.
    pub ip: Bytes,
    /// The host to connect to, a name or an address; `None` for the host that the command was sent
    /// to.
    ///
    /// If the server sends `?`, for a node without a configured name, this is its [`ip`](Self::ip).
    pub endpoint: Option<Bytes>,
    /// The node's configured name; `None` if it has none.
    pub hostname: Option<Bytes>,
    /// The node's role in its shard.
    pub role: NodeRole,
    /// The replication offset, in bytes.
    pub replication_offset: u64,
    /// The health of the node.
    pub health: NodeHealth,
    /// Other fields of the reply, by name.
    pub extra: Vec<(Bytes, Value)>,
}

/// The role of a node in its shard.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{ClusterShards, NodeRole};
///
/// for shard in client.send(ClusterShards::new()).await? {
///     let replicas = shard.nodes.iter().filter(|node| node.role == NodeRole::Replica);
///     println!("{:?} has {} replicas", shard.slots, replicas.count());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeRole {
    /// The node accepts writes.
    Master,
    /// The node replicates the master.
    Replica,
    /// A role that only later servers report.
    Other(Bytes),
}

/// The health of a node, as known to the queried node.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{ClusterShards, NodeHealth};
///
/// for node in client.send(ClusterShards::new()).await?.iter().flat_map(|shard| &shard.nodes) {
///     println!("{}: {}", node.id.escape_ascii(), node.health == NodeHealth::Online);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeHealth {
    /// The node is available.
    Online,
    /// The majority of masters cannot reach the node.
    Failed,
    /// The node has not received its master's data yet.
    Loading,
    /// A state that only later servers report.
    Other(Bytes),
}

impl Command for ClusterShards {
    const NAME: &'static str = "CLUSTER SHARDS";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = Vec<Shard>;

    fn args(&self, _: &mut impl Args) {}

    fn needs(&self) -> Features {
        Feature::ClusterShards.into()
    }

    fn reply(frame: Frame) -> Result<Vec<Shard>, DecodeError> {
        let bytes = frame.into_bytes();
        let mut cursor = Cursor::at(&bytes, 0);
        let len = cursor.array("shards")?;
        (0..len).map(|_| shard(&bytes, &mut cursor)).collect()
    }
}

fn shard(bytes: &Bytes, cursor: &mut Cursor<'_>) -> Result<Shard, DecodeError> {
    let (mut ranges, mut nodes, mut id, mut extra) = (None, None, None, Vec::new());
    for _ in 0..cursor.pairs("a shard")? {
        match cursor.string("a key of a shard")? {
            b"slots" => {
                let pairs = cursor.pairs("the slots of a shard")?;
                ranges = Some((0..pairs).map(|_| slots(cursor)).collect::<Result<_, _>>()?);
            }
            b"nodes" => {
                let len = cursor.array("the nodes of a shard")?;
                nodes = Some((0..len).map(|_| node(bytes, cursor)).collect::<Result<_, _>>()?);
            }
            b"id" => id = text(bytes, cursor, "a shard's id")?,
            key => extra.push((bytes.slice_ref(key), tree(bytes, cursor))),
        }
    }
    let missing = |expected| DecodeError::new(expected, "a shard without it");
    let slots = ranges.ok_or_else(|| missing("the slots of a shard"))?;
    let nodes = nodes.ok_or_else(|| missing("the nodes of a shard"))?;
    Ok(Shard { slots, nodes, id, extra })
}

fn node(bytes: &Bytes, cursor: &mut Cursor<'_>) -> Result<ShardNode, DecodeError> {
    let (mut id, mut ip, mut endpoint, mut hostname) = (None, None, None, None);
    let (mut plain, mut tls_port, mut role, mut offset) = (None, None, None, None);
    let (mut health, mut extra) = (None, Vec::new());
    for _ in 0..cursor.pairs("a node")? {
        match cursor.string("a key of a node")? {
            b"id" => id = text(bytes, cursor, ID)?,
            b"port" => plain = Some(port(cursor)?),
            b"tls-port" => tls_port = Some(port(cursor)?),
            b"ip" => ip = text(bytes, cursor, IP)?,
            b"endpoint" => endpoint = cursor.string_or_null("a node's endpoint")?,
            b"hostname" => hostname = text(bytes, cursor, "a node's name")?,
            b"role" => role = text(bytes, cursor, ROLE)?,
            b"replication-offset" => offset = Some(cursor.count(OFFSET)?),
            b"health" => health = text(bytes, cursor, HEALTH)?,
            key => extra.push((bytes.slice_ref(key), tree(bytes, cursor))),
        }
    }
    let missing = |expected| DecodeError::new(expected, "a node without it");
    let ip = ip.ok_or_else(|| missing(IP))?;
    Ok(ShardNode {
        id: id.ok_or_else(|| missing(ID))?,
        port: plain,
        tls_port,
        endpoint: host(bytes, endpoint, Some(&ip)),
        ip,
        hostname: hostname.filter(|name| !name.is_empty()),
        role: node_role(role.ok_or_else(|| missing(ROLE))?),
        replication_offset: offset.ok_or_else(|| missing(OFFSET))?,
        health: node_health(health.ok_or_else(|| missing(HEALTH))?),
        extra,
    })
}

fn text(
    bytes: &Bytes,
    cursor: &mut Cursor<'_>,
    expected: &'static str,
) -> Result<Option<Bytes>, DecodeError> {
    Ok(cursor.string_or_null(expected)?.map(|text| bytes.slice_ref(text)))
}

fn node_role(word: Bytes) -> NodeRole {
    match &*word {
        b"master" => NodeRole::Master,
        b"replica" => NodeRole::Replica,
        _ => NodeRole::Other(word),
    }
}

fn node_health(word: Bytes) -> NodeHealth {
    match &*word {
        b"online" => NodeHealth::Online,
        // The documentation says `failed`; servers from 7.0 to 8.10 send `fail`.
        b"fail" | b"failed" => NodeHealth::Failed,
        b"loading" => NodeHealth::Loading,
        _ => NodeHealth::Other(word),
    }
}

const ID: &str = "a node's id";
const IP: &str = "a node's address";
const ROLE: &str = "a node's role";
const OFFSET: &str = "a node's offset";
const HEALTH: &str = "a node's health";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    const NODE: [&str; 7] = [
        "+id\r\n+x\r\n",
        "+ip\r\n+10.0.0.1\r\n",
        "+role\r\n+master\r\n",
        "+replication-offset\r\n:14\r\n",
        "+health\r\n+online\r\n",
        "+port\r\n:7000\r\n",
        "+endpoint\r\n+10.0.0.1\r\n",
    ];

    fn node() -> ShardNode {
        ShardNode {
            id: "x".into(),
            port: Some(7000),
            tls_port: None,
            ip: "10.0.0.1".into(),
            endpoint: Some("10.0.0.1".into()),
            hostname: None,
            role: NodeRole::Master,
            replication_offset: 14,
            health: NodeHealth::Online,
            extra: Vec::new(),
        }
    }

    fn shard(nodes: Vec<ShardNode>) -> Shard {
        Shard { slots: vec![0..=5, 7..=7], nodes, id: None, extra: Vec::new() }
    }

    /// Encodes a map, and the flat array that RESP2 has instead.
    fn maps(pairs: &[&str]) -> [String; 2] {
        let (n, text) = (pairs.len(), pairs.concat());
        [format!("%{n}\r\n{text}"), format!("*{}\r\n{text}", 2 * n)]
    }

    fn read(bytes: String) -> Option<Vec<Shard>> {
        ClusterShards::reply(Frame::parse(bytes, Limits::default()).unwrap()).ok()
    }

    /// Decodes a shard with one node, in both protocols.
    fn read_node(pairs: &[&str]) -> Option<ShardNode> {
        let [new, old] = maps(pairs).map(|node| {
            let nodes = format!("+nodes\r\n*1\r\n{node}");
            maps(&["+slots\r\n*4\r\n:0\r\n:5\r\n:7\r\n:7\r\n", &nodes])
        });
        let [new, old] = [new, old].map(|[map, flat]| {
            let shards = read(format!("*1\r\n{map}"));
            assert_eq!(shards, read(format!("*1\r\n{flat}")), "{pairs:?}");
            shards
        });
        assert_eq!(new, old, "{pairs:?}");
        let mut shards = new?;
        let node = shards[0].nodes.pop()?;
        assert_eq!(shards, [shard(Vec::new())]);
        Some(node)
    }

    #[test]
    fn request_has_no_arguments() {
        assert_eq!(encode(&ClusterShards::new()), encode(&Raw::new("CLUSTER SHARDS")));
        assert_eq!(ClusterShards::new().needs(), Feature::ClusterShards.into());
    }

    #[test]
    fn node_fields_are_found_by_name() {
        let mut backwards = NODE;
        backwards.reverse();
        assert_eq!(read_node(&NODE), Some(node()));
        assert_eq!(read_node(&backwards), Some(node()));
        for missing in 0..NODE.len() {
            let mut pairs = NODE.to_vec();
            pairs.remove(missing);
            let expected = match missing {
                0..=4 => None,
                5 => Some(ShardNode { port: None, ..node() }),
                _ => Some(ShardNode { endpoint: None, ..node() }),
            };
            assert_eq!(read_node(&pairs), expected, "{pairs:?}");
        }
        let text = |text: &'static str| Some(Bytes::from(text));
        let zone = || vec![("zone".into(), Value::Simple(b"eu".to_vec()))];
        let rows = [
            ("+tls-port\r\n:7001\r\n", ShardNode { tls_port: Some(7001), ..node() }),
            ("+hostname\r\n+h\r\n", ShardNode { hostname: text("h"), ..node() }),
            ("+hostname\r\n$0\r\n\r\n", node()),
            ("+endpoint\r\n+h\r\n", ShardNode { endpoint: text("h"), ..node() }),
            ("+endpoint\r\n$0\r\n\r\n", ShardNode { endpoint: None, ..node() }),
            ("+endpoint\r\n_\r\n", ShardNode { endpoint: None, ..node() }),
            ("+endpoint\r\n+?\r\n", node()),
            ("+role\r\n+replica\r\n", ShardNode { role: NodeRole::Replica, ..node() }),
            ("+role\r\n+x\r\n", ShardNode { role: NodeRole::Other("x".into()), ..node() }),
            ("+health\r\n+fail\r\n", ShardNode { health: NodeHealth::Failed, ..node() }),
            ("+health\r\n+failed\r\n", ShardNode { health: NodeHealth::Failed, ..node() }),
            ("+health\r\n+loading\r\n", ShardNode { health: NodeHealth::Loading, ..node() }),
            ("+health\r\n+x\r\n", ShardNode { health: NodeHealth::Other("x".into()), ..node() }),
            ("+zone\r\n+eu\r\n", ShardNode { extra: zone(), ..node() }),
        ];
        for (pair, expected) in rows {
            assert_eq!(read_node(&[&NODE[..], &[pair]].concat()), Some(expected), "{pair:?}");
        }
        for pair in ["+port\r\n:65536\r\n", "+ip\r\n:7\r\n", "+replication-offset\r\n:-1\r\n"] {
            assert_eq!(read_node(&[&NODE[..], &[pair]].concat()), None, "{pair:?}");
        }
    }

    #[test]
    fn shard_has_slots_nodes_and_optional_fields() {
        let slots = "+slots\r\n*4\r\n:0\r\n:5\r\n:7\r\n:7\r\n";
        let nodes = format!("+nodes\r\n*1\r\n{}", maps(&NODE)[0]);
        let one = || shard(vec![node()]);
        let extra = || vec![("later".into(), Value::Integer(1))];
        let rows: [(&[&str], Option<Shard>); 11] = [
            (&[slots, &nodes], Some(one())),
            (&[&nodes, slots], Some(one())),
            (&["+slots\r\n*0\r\n", &nodes], Some(Shard { slots: Vec::new(), ..one() })),
            (&[slots, "+nodes\r\n*0\r\n"], Some(shard(Vec::new()))),
            (&[slots, &nodes, "+id\r\n+y\r\n"], Some(Shard { id: Some("y".into()), ..one() })),
            (&["+later\r\n:1\r\n", slots, &nodes], Some(Shard { extra: extra(), ..one() })),
            (&[slots], None),
            (&[&nodes], None),
            (&["+slots\r\n*1\r\n:0\r\n", &nodes], None),
            (&["+slots\r\n*2\r\n:0\r\n:16384\r\n", &nodes], None),
            (&[slots, "+nodes\r\n*1\r\n:1\r\n"], None),
        ];
        for (pairs, expected) in rows {
            for map in maps(pairs) {
                let shards = expected.clone().map(|shard| vec![shard]);
                assert_eq!(read(format!("*1\r\n{map}")), shards, "{map:?}");
            }
        }
        assert_eq!(read("*0\r\n".to_owned()), Some(Vec::new()));
        for bytes in ["*-1\r\n", "_\r\n", "+OK\r\n", "*1\r\n*0\r\n", "*1\r\n:1\r\n"] {
            assert_eq!(read(bytes.to_owned()), None, "{bytes:?}");
        }
    }
}
