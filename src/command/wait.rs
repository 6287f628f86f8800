//! WAIT, WAITAOF: wait until writes are replicated or on disk. No I/O.
//!
//! Both apply to writes *on the same connection*. Send them with a [`Reader`](crate::Reader), after
//! the writes. On a connection without writes every replica counts, and every disk.

use super::block::Block;
use super::dedicated::{self, DedicatedCommand};
use super::reply::at_least;
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Waits until replicas have received the writes of this connection.
///
/// `WAIT replicas timeout` (Redis 3.0). Returns the number of replicas that have received the
/// writes, once enough have or the wait timed out. The number can be lower or higher than
/// requested. The replicas have the writes in memory; they can still be lost in a failover.
///
/// Writes on an *earlier* connection of the reader do not count. If the reader reconnected in
/// between, as [`Reader::connection_id`](crate::Reader::connection_id) shows, the reply is
/// meaningless.
///
/// On a shared connection a wait would block the commands of other callers, so
/// [`Client::send`](crate::Client::send) does not compile with it:
///
/// ```compile_fail,E0277
/// # use bourn::{Block, Client, Error, Wait};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// client.send(Wait::new(1, Block::Forever)).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) from a replica; [`Code::Unblocked`](crate::Code::Unblocked) when
/// CLIENT UNBLOCK ended the wait with an error.
///
/// # Example
/// ```no_run
/// # use bourn::{Block, Client, Error, Wait, XAdd};
/// # use std::time::Duration;
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let mut reader = client.reader().await?;
/// reader.send(XAdd::new("orders").field("sku", "A-7")).await?;
/// let replicas = reader.send(Wait::new(1, Block::For(Duration::from_millis(100)))).await?;
/// println!("on {replicas} replicas");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Wait {
    replicas: u64,
    timeout: Block,
}

impl Wait {
    /// Waits for this many replicas, or until the timeout. For 0 replicas it returns at once.
    pub fn new(replicas: u64, timeout: Block) -> Self {
        Self { replicas, timeout }
    }
}

/// Waits until the writes of this connection are on disk: the server's, the replicas', or both.
///
/// `WAITAOF local replicas timeout` (Redis 7.2). Returns once all requested disks have the writes,
/// or the wait timed out. As [`Wait`], it applies to one connection.
///
/// # Errors
///
/// [`Code::Err`](crate::Code::Err) from a replica, and from a server without append-only file when
/// its own disk was requested; [`Code::Unblocked`](crate::Code::Unblocked) when CLIENT UNBLOCK
/// ended the wait with an error.
///
/// # Example
/// ```no_run
/// # use bourn::{Block, Client, Error, WaitAof, XAdd};
/// # use std::time::Duration;
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let mut reader = client.reader().await?;
/// reader.send(XAdd::new("orders").field("sku", "A-7")).await?;
/// let wait = WaitAof::new(true, 0, Block::For(Duration::from_secs(2)));
/// println!("on disk: {}", reader.send(wait).await?.local);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct WaitAof {
    local: bool,
    replicas: u64,
    timeout: Block,
}

impl WaitAof {
    /// Waits for the server's own disk if `local`, and for the disks of this many replicas, or
    /// until the timeout.
    pub fn new(local: bool, replicas: u64, timeout: Block) -> Self {
        Self { local, replicas, timeout }
    }
}

/// The disks that have the writes.
///
/// ```no_run
/// # async fn f(reader: &mut bourn::Reader) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Block, WaitAof};
/// use std::time::Duration;
///
/// let synced = reader.send(WaitAof::new(true, 0, Block::For(Duration::from_secs(1)))).await?;
/// println!("on the disk of the master: {}", synced.local);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitAofReply {
    /// Whether the server's own disk has the writes; false if it has no append-only file.
    pub local: bool,
    /// The number of replicas that have the writes on disk.
    pub replicas: u64,
}

impl dedicated::sealed::Sealed for Wait {}

impl DedicatedCommand for Wait {
    const DEDICATED_NAME: &'static str = "WAIT";
    type DedicatedReply = u64;

    fn dedicated_args(&self, out: &mut impl Args) {
        out.number(self.replicas);
        out.number(self.timeout.ms());
    }

    fn dedicated_reply(frame: Frame) -> Result<u64, DecodeError> {
        frame.cursor().count(REPLICAS)
    }

    fn dedicated_waits(&self) -> Option<Block> {
        Some(self.timeout)
    }
}

impl dedicated::sealed::Sealed for WaitAof {}

impl DedicatedCommand for WaitAof {
    const DEDICATED_NAME: &'static str = "WAITAOF";
    type DedicatedReply = WaitAofReply;

    fn dedicated_args(&self, out: &mut impl Args) {
        out.number(self.local.into());
        out.number(self.replicas);
        out.number(self.timeout.ms());
    }

    fn dedicated_reply(frame: Frame) -> Result<WaitAofReply, DecodeError> {
        let mut cursor = frame.cursor();
        at_least(2, cursor.array(DISKS)?, DISKS)?;
        let local = cursor.count("a number of servers")? > 0;
        Ok(WaitAofReply { local, replicas: cursor.count(REPLICAS)? })
    }

    fn dedicated_waits(&self) -> Option<Block> {
        Some(self.timeout)
    }

    fn dedicated_needs(&self) -> Features {
        Feature::WaitAof.into()
    }
}

const REPLICAS: &str = "a number of replicas";
const DISKS: &str = "a server's and its replicas' disks";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Raw, encode, encode_dedicated};
    use crate::resp::Limits;
    use std::time::Duration;

    #[test]
    fn wait_time_is_in_milliseconds_and_zero_is_not_without_limit() {
        let rows = [
            (1, Block::For(Duration::from_millis(5)), "1 5"),
            (0, Block::For(Duration::ZERO), "0 1"),
            (2, Block::For(Duration::from_micros(5_001)), "2 6"),
            (9, Block::Forever, "9 0"),
        ];
        for (replicas, block, expected) in rows {
            let wait = Wait::new(replicas, block);
            let raw = format!("WAIT {expected}");
            assert_eq!(encode_dedicated(&wait), encode(&Raw::new(&raw)), "{raw}");
            assert_eq!(wait.dedicated_waits(), Some(block));
            for (local, digit) in [(false, 0), (true, 1)] {
                let wait = WaitAof::new(local, replicas, block);
                let raw = format!("WAITAOF {digit} {expected}");
                assert_eq!(encode_dedicated(&wait), encode(&Raw::new(&raw)), "{raw}");
                assert_eq!(wait.dedicated_waits(), Some(block));
            }
        }
        assert_eq!(Wait::new(1, Block::Forever).dedicated_needs(), Features::NONE);
        let aof = WaitAof::new(true, 1, Block::Forever);
        assert_eq!(aof.dedicated_needs(), Feature::WaitAof.into());
    }

    #[test]
    fn wait_reply_is_a_count_of_replicas() {
        let rows = [
            (":0\r\n", Some(0)),
            (":3\r\n", Some(3)),
            (":-1\r\n", None),
            ("_\r\n", None),
            ("*0\r\n", None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            assert_eq!(Wait::dedicated_reply(frame).ok(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn waitaof_returns_the_servers_and_the_replicas_disks() {
        let rows = [
            ("*2\r\n:0\r\n:0\r\n", Some((false, 0))),
            ("*2\r\n:1\r\n:2\r\n", Some((true, 2))),
            ("*3\r\n:1\r\n:0\r\n:9\r\n", Some((true, 0))),
            ("*1\r\n:1\r\n", None),
            ("*2\r\n:1\r\n:-1\r\n", None),
            ("*2\r\n$-1\r\n:0\r\n", None),
            (":1\r\n", None),
            ("_\r\n", None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            let reply =
                WaitAof::dedicated_reply(frame).ok().map(|reply| (reply.local, reply.replicas));
            assert_eq!(reply, expected, "{bytes:?}");
        }
    }
}
