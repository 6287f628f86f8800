//! CLUSTER SLOTS: returns ranges of slots with their nodes. No I/O.

use super::{host, port, slots};
use crate::command::reply::at_least;
use crate::command::{Command, Safety};
use crate::resp::{Args, Cursor, DecodeError, Frame};
use bytes::Bytes;
use std::ops::RangeInclusive;

/// Returns the slots of the cluster and the nodes that serve them.
///
/// `CLUSTER SLOTS` (Redis 3.0). Slots without a node are in no range, and failed replicas are left
/// out. Since Redis 7.0 [`ClusterShards`](crate::ClusterShards) lists every node once.
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) from a server that is not in a cluster.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, ClusterSlots, Error};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// for range in client.send(ClusterSlots::new()).await? {
///     println!("{:?}: port {}", range.slots, range.master.port);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ClusterSlots(());

impl ClusterSlots {
    /// Creates a CLUSTER SLOTS command.
    pub fn new() -> Self {
        Self(())
    }
}

/// A range of slots and the nodes that serve it.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::ClusterSlots;
///
/// let ranges = client.send(ClusterSlots::new()).await?;
/// let owner = ranges.iter().find(|range| range.slots.contains(&3999));
/// println!("slot 3999: {:?}", owner.map(|range| range.master.port));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotRange {
    /// The slots, from 0 to 16383.
    pub slots: RangeInclusive<u16>,
    /// The node that accepts writes.
    pub master: ClusterNode,
    /// The nodes that replicate the master.
    pub replicas: Vec<ClusterNode>,
}

/// A node of a cluster and its address. Its texts share the buffer of the reply.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::ClusterSlots;
///
/// for range in client.send(ClusterSlots::new()).await? {
///     // Without a host, it is the node that was asked.
///     println!("{:?} {:?}:{}", range.slots, range.master.host, range.master.port);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterNode {
    /// The host to connect to, a name or an address; `None` for the host that the command was sent
    /// to.
    ///
    /// If the server sends `?`, for a node without a configured name, this is the `ip` of the
    /// [metadata](Self::metadata), or `None` without it.
    pub host: Option<Bytes>,
    /// The port to connect to: the TLS port if the command was sent over TLS.
    pub port: u16,
    /// The node's id; `None` before Redis 4.0.
    pub id: Option<Bytes>,
    /// Other addresses of the node: `ip`, `hostname` (Redis 7.0; empty before). Values that are not
    /// text are left out.
    pub metadata: Vec<(Bytes, Bytes)>,
}

impl Command for ClusterSlots {
    const NAME: &'static str = "CLUSTER SLOTS";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = Vec<SlotRange>;

    fn args(&self, _: &mut impl Args) {}

    fn reply(frame: Frame) -> Result<Vec<SlotRange>, DecodeError> {
        let bytes = frame.into_bytes();
        let mut cursor = Cursor::at(&bytes, 0);
        let len = cursor.array("ranges of slots")?;
        (0..len).map(|_| range(&bytes, &mut cursor)).collect()
    }
}

fn range(bytes: &Bytes, cursor: &mut Cursor<'_>) -> Result<SlotRange, DecodeError> {
    let parts = at_least(3, cursor.array(RANGE)?, RANGE)?;
    let slots = slots(cursor)?;
    let master = node(bytes, cursor)?;
    let replicas = (3..parts).map(|_| node(bytes, cursor)).collect::<Result<_, _>>()?;
    Ok(SlotRange { slots, master, replicas })
}

fn node(bytes: &Bytes, cursor: &mut Cursor<'_>) -> Result<ClusterNode, DecodeError> {
    let parts = at_least(2, cursor.array(NODE)?, NODE)?;
    let endpoint = cursor.string_or_null("a node's host")?;
    let port = port(cursor)?;
    let mut id = None;
    if parts > 2 {
        id = Some(bytes.slice_ref(cursor.string("a node's id")?));
    }
    let mut metadata = Vec::new();
    if parts > 3 {
        for _ in 0..cursor.pairs("a node's metadata")? {
            let key = bytes.slice_ref(cursor.string("a key of a node's metadata")?);
            let value = cursor.clone().string("text").ok();
            cursor.skip();
            metadata.extend(value.map(|value| (key, bytes.slice_ref(value))));
        }
    }
    (4..parts).for_each(|_| cursor.skip());
    let address = metadata.iter().find(|(key, _)| key == "ip").map(|(_, ip)| ip);
    Ok(ClusterNode { host: host(bytes, endpoint, address), port, id, metadata })
}

const RANGE: &str = "a range of slots and its nodes";
const NODE: &str = "a node";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    fn read(bytes: impl Into<Bytes>) -> Option<Vec<SlotRange>> {
        ClusterSlots::reply(Frame::parse(bytes, Limits::default()).unwrap()).ok()
    }

    fn node(host: Option<&'static str>, port: u16) -> ClusterNode {
        ClusterNode {
            host: host.map(Bytes::from),
            port,
            id: Some("x".into()),
            metadata: Vec::new(),
        }
    }

    #[test]
    fn request_has_no_arguments() {
        assert_eq!(encode(&ClusterSlots::new()), encode(&Raw::new("CLUSTER SLOTS")));
    }

    #[test]
    fn first_node_of_a_slot_range_is_the_master() {
        let range = |slots, master, replicas| SlotRange { slots, master, replicas };
        let (a, b, c) = (node(Some("a"), 1), node(Some("b"), 2), node(Some("c"), 65_535));
        let old = ClusterNode { id: None, ..a.clone() };
        let rows = [
            ("*0\r\n", Some(Vec::new())),
            (
                "*1\r\n*3\r\n:0\r\n:100\r\n*3\r\n+a\r\n:1\r\n+x\r\n",
                Some(vec![range(0..=100, a.clone(), vec![])]),
            ),
            (
                "*2\r\n*3\r\n:0\r\n:0\r\n*2\r\n+a\r\n:1\r\n\
                 *5\r\n:1\r\n:16383\r\n*4\r\n+a\r\n:1\r\n+x\r\n*0\r\n\
                 *4\r\n+b\r\n:2\r\n+x\r\n%0\r\n*5\r\n+c\r\n:65535\r\n+x\r\n%0\r\n*1\r\n:9\r\n",
                Some(vec![range(0..=0, old, vec![]), range(1..=16_383, a, vec![b, c])]),
            ),
            ("*1\r\n*2\r\n:0\r\n:100\r\n", None),
            ("*1\r\n*3\r\n:0\r\n:16384\r\n*3\r\n+a\r\n:1\r\n+x\r\n", None),
            ("*1\r\n*3\r\n:-1\r\n:1\r\n*3\r\n+a\r\n:1\r\n+x\r\n", None),
            ("*1\r\n*3\r\n:0\r\n:1\r\n*3\r\n+a\r\n:65536\r\n+x\r\n", None),
            ("*1\r\n*3\r\n:0\r\n:1\r\n*3\r\n:7\r\n:1\r\n+x\r\n", None),
            ("*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n+a\r\n", None),
            ("*1\r\n*3\r\n:0\r\n:1\r\n*4\r\n+a\r\n:1\r\n+x\r\n*1\r\n+ip\r\n", None),
            ("*1\r\n*4\r\n:0\r\n:1\r\n*3\r\n+a\r\n:1\r\n+x\r\n:9\r\n", None),
            ("*-1\r\n", None),
            ("_\r\n", None),
            ("+OK\r\n", None),
        ];
        for (bytes, expected) in rows {
            assert_eq!(read(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn missing_host_is_none_and_unnamed_host_is_its_ip() {
        let pair = |key: &'static str, value: &'static str| (key.into(), value.into());
        let ip = || vec![pair("ip", "10.0.0.1")];
        let rows = [
            ("$1\r\na\r\n", "*0\r\n", Some("a"), vec![]),
            ("_\r\n", "%1\r\n+ip\r\n+10.0.0.1\r\n", None, ip()),
            ("$-1\r\n", "*2\r\n+ip\r\n+10.0.0.1\r\n", None, ip()),
            ("$0\r\n\r\n", "*0\r\n", None, vec![]),
            ("$1\r\n?\r\n", "%1\r\n+ip\r\n+10.0.0.1\r\n", Some("10.0.0.1"), ip()),
            ("$1\r\n?\r\n", "*2\r\n+ip\r\n+10.0.0.1\r\n", Some("10.0.0.1"), ip()),
            ("$1\r\n?\r\n", "*2\r\n+ip\r\n$0\r\n\r\n", None, vec![pair("ip", "")]),
            ("$1\r\n?\r\n", "%0\r\n", None, vec![]),
            (
                // Numbers and lists are reserved for later versions.
                "$1\r\na\r\n",
                "%4\r\n+n\r\n:7\r\n+hostname\r\n+h\r\n+l\r\n*2\r\n:1\r\n:2\r\n+ip\r\n_\r\n",
                Some("a"),
                vec![pair("hostname", "h")],
            ),
        ];
        for (endpoint, extra, host, metadata) in rows {
            let text = format!("*1\r\n*3\r\n:0\r\n:1\r\n*4\r\n{endpoint}:7000\r\n+x\r\n{extra}");
            let master = ClusterNode { metadata, ..node(host, 7000) };
            let expected = SlotRange { slots: 0..=1, master, replicas: Vec::new() };
            assert_eq!(read(text.clone()), Some(vec![expected]), "{text:?}");
        }
    }
}
