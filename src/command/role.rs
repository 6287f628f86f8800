//! ROLE: returns whether a server is master, replica or sentinel. No I/O.

use super::reply::{at_least, port};
use super::{Command, Safety};
use crate::resp::{Args, Cursor, DecodeError, Frame};
use bytes::Bytes;

/// Returns the server's role in replication.
///
/// `ROLE` (Redis 2.8).
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, Role, RoleReply};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// if let RoleReply::Replica { host, port, .. } = client.send(Role::new()).await? {
///     println!("write to {}:{port}", host.escape_ascii());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Role(());

impl Role {
    /// Creates a ROLE command.
    pub fn new() -> Self {
        Self(())
    }
}

/// The role of a server. Its texts share the buffer of the reply.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Role, RoleReply};
///
/// match client.send(Role::new()).await? {
///     RoleReply::Master { replicas, .. } => println!("master of {}", replicas.len()),
///     RoleReply::Replica { port, .. } => println!("replica of the server at port {port}"),
///     other => println!("{other:?}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoleReply {
    /// The server accepts writes.
    #[non_exhaustive]
    Master {
        /// The replication offset: the number of bytes written to the replication stream.
        offset: u64,
        /// The replicas that are connected and synchronized.
        replicas: Vec<ConnectedReplica>,
    },
    /// The server replicates a master and accepts no writes.
    #[non_exhaustive]
    Replica {
        /// The master's host: a name or an address.
        host: Bytes,
        /// The master's port.
        port: u16,
        /// The state of the connection to the master.
        state: LinkState,
        /// The replication offset, in bytes; `None` while it is not connected to the master.
        offset: Option<u64>,
    },
    /// The server monitors masters and has no data.
    #[non_exhaustive]
    Sentinel {
        /// The names of the masters.
        masters: Vec<Bytes>,
    },
}

/// A replica, as reported by its master.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Role, RoleReply};
///
/// if let RoleReply::Master { offset, replicas, .. } = client.send(Role::new()).await? {
///     for replica in replicas {
///         println!("port {} is {} bytes behind", replica.port, offset - replica.offset);
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectedReplica {
    /// The replica's host: the address it connected from, or the one it announces.
    pub host: Bytes,
    /// The replica's port.
    pub port: u16,
    /// The replication offset that it acknowledged, in bytes; 0 before the first.
    pub offset: u64,
}

/// The state of a replica's connection to its master.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{LinkState, Role, RoleReply};
///
/// if let RoleReply::Replica { state, .. } = client.send(Role::new()).await? {
///     println!("in step with its master: {}", state == LinkState::Connected);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkState {
    /// The replica has yet to connect.
    Connect,
    /// The replica is connecting.
    Connecting,
    /// The replica is connected; the handshake is in progress.
    Handshake,
    /// The master's data is being transferred.
    Sync,
    /// The replica is connected and receives writes.
    Connected,
    /// A state that only later servers report.
    Other(Bytes),
}

impl Command for Role {
    const NAME: &'static str = "ROLE";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = RoleReply;

    fn args(&self, _: &mut impl Args) {}

    fn reply(frame: Frame) -> Result<RoleReply, DecodeError> {
        let bytes = frame.into_bytes();
        let mut cursor = Cursor::at(&bytes, 0);
        let parts = at_least(1, cursor.array(ROLE)?, ROLE)?;
        match cursor.string(ROLE)? {
            b"master" => {
                at_least(3, parts, ROLE)?;
                let offset = cursor.count("a master's offset")?;
                let len = cursor.array("replicas")?;
                let replicas = (0..len).map(|_| replica(&bytes, &mut cursor));
                Ok(RoleReply::Master { offset, replicas: replicas.collect::<Result<_, _>>()? })
            }
            b"slave" | b"replica" => {
                at_least(5, parts, ROLE)?;
                let host = bytes.slice_ref(cursor.string("a master's host")?);
                let port = port(&mut cursor)?;
                let state = state(&bytes, cursor.string("the state of a link")?);
                // Without a known offset the server sends -1.
                let offset = u64::try_from(cursor.integer("a replica's offset")?).ok();
                Ok(RoleReply::Replica { host, port, state, offset })
            }
            b"sentinel" => {
                at_least(2, parts, ROLE)?;
                let len = cursor.array("the names of masters")?;
                let name = |_| cursor.string("a master's name").map(|name| bytes.slice_ref(name));
                Ok(RoleReply::Sentinel { masters: (0..len).map(name).collect::<Result<_, _>>()? })
            }
            other => Err(DecodeError::text(ROLE, other)),
        }
    }
}

fn replica(bytes: &Bytes, cursor: &mut Cursor<'_>) -> Result<ConnectedReplica, DecodeError> {
    let parts = at_least(3, cursor.array(REPLICA)?, REPLICA)?;
    let host = bytes.slice_ref(cursor.string("a replica's host")?);
    let (port, offset) = (port(cursor)?, cursor.count("a replica's offset")?);
    (3..parts).for_each(|_| cursor.skip());
    Ok(ConnectedReplica { host, port, offset })
}

fn state(bytes: &Bytes, word: &[u8]) -> LinkState {
    match word {
        b"connect" => LinkState::Connect,
        b"connecting" => LinkState::Connecting,
        b"handshake" => LinkState::Handshake,
        b"sync" => LinkState::Sync,
        b"connected" => LinkState::Connected,
        other => LinkState::Other(bytes.slice_ref(other)),
    }
}

const ROLE: &str = "a server's role";
const REPLICA: &str = "a replica";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    fn read(bytes: &'static str) -> Option<RoleReply> {
        Role::reply(Frame::parse(bytes, Limits::default()).unwrap()).ok()
    }

    #[test]
    fn request_has_no_arguments() {
        assert_eq!(encode(&Role::new()), encode(&Raw::new("ROLE")));
    }

    #[test]
    fn replica_ports_and_offsets_may_be_text() {
        let replica =
            |host: &'static str, port, offset| ConnectedReplica { host: host.into(), port, offset };
        let master = |offset, replicas| Some(RoleReply::Master { offset, replicas });
        let rows = [
            ("*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", master(0, Vec::new())),
            (
                "*3\r\n$6\r\nmaster\r\n:14\r\n*2\r\n\
                 *3\r\n$9\r\n127.0.0.1\r\n$4\r\n6380\r\n$2\r\n14\r\n\
                 *3\r\n$1\r\nb\r\n$5\r\n65535\r\n$1\r\n0\r\n",
                master(14, vec![replica("127.0.0.1", 6380, 14), replica("b", 65535, 0)]),
            ),
            (
                // Integers instead of text, and extra elements.
                "*4\r\n+master\r\n$1\r\n7\r\n*1\r\n*4\r\n+b\r\n:1\r\n:2\r\n*1\r\n:9\r\n:9\r\n",
                master(7, vec![replica("b", 1, 2)]),
            ),
            ("*2\r\n$6\r\nmaster\r\n:0\r\n", None),
            ("*3\r\n$6\r\nmaster\r\n:-1\r\n*0\r\n", None),
            ("*3\r\n$6\r\nmaster\r\n:0\r\n*-1\r\n", None),
            ("*3\r\n$6\r\nmaster\r\n:0\r\n*1\r\n*2\r\n+b\r\n:1\r\n", None),
            ("*3\r\n$6\r\nmaster\r\n:0\r\n*1\r\n*3\r\n+b\r\n:65536\r\n:0\r\n", None),
            ("*3\r\n$6\r\nmaster\r\n:0\r\n*1\r\n*3\r\n+b\r\n+x\r\n:0\r\n", None),
        ];
        for (bytes, expected) in rows {
            assert_eq!(read(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn disconnected_replica_has_no_offset() {
        for (word, state) in [
            ("connect", LinkState::Connect),
            ("connecting", LinkState::Connecting),
            ("handshake", LinkState::Handshake),
            ("sync", LinkState::Sync),
            ("connected", LinkState::Connected),
            ("later", LinkState::Other("later".into())),
        ] {
            for (number, offset) in [("-1", None), ("0", Some(0)), ("16294", Some(16294))] {
                let text =
                    format!("*6\r\n$5\r\nslave\r\n+host\r\n:6379\r\n+{word}\r\n:{number}\r\n_\r\n");
                let (host, state) = ("host".into(), state.clone());
                let expected = RoleReply::Replica { host, port: 6379, state, offset };
                let frame = Frame::parse(text, Limits::default()).unwrap();
                assert_eq!(Role::reply(frame), Ok(expected), "{word} {number}");
            }
        }
        for bytes in [
            "*4\r\n+slave\r\n+host\r\n:6379\r\n+sync\r\n",
            "*5\r\n+slave\r\n_\r\n:6379\r\n+sync\r\n:0\r\n",
            "*5\r\n+slave\r\n+host\r\n:-1\r\n+sync\r\n:0\r\n",
            "*5\r\n+slave\r\n+host\r\n:6379\r\n+sync\r\n+x\r\n",
        ] {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn sentinel_lists_its_masters_and_other_replies_are_refused() {
        let sentinel = |masters: &[&'static str]| {
            let masters = masters.iter().copied().map(Bytes::from).collect();
            Some(RoleReply::Sentinel { masters })
        };
        let rows = [
            ("*2\r\n$8\r\nsentinel\r\n*0\r\n", sentinel(&[])),
            ("*2\r\n$8\r\nsentinel\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n", sentinel(&["a", "b"])),
            ("*3\r\n+sentinel\r\n*1\r\n+a\r\n:1\r\n", sentinel(&["a"])),
            ("*1\r\n$8\r\nsentinel\r\n", None),
            ("*2\r\n$8\r\nsentinel\r\n*1\r\n:1\r\n", None),
            ("*2\r\n$5\r\nother\r\n*0\r\n", None),
            ("*0\r\n", None),
            ("*-1\r\n", None),
            ("_\r\n", None),
            ("+master\r\n", None),
        ];
        for (bytes, expected) in rows {
            assert_eq!(read(bytes), expected, "{bytes:?}");
        }
    }
}
