//! An async client for Redis Streams, with a job queue built on consumer groups.
//!
//! Supports Redis 6.2 to 8.10 and Valkey 8.1 and 9.1, with RESP2 and RESP3.
//!
//! ```no_run
//! use bourn::{Client, GroupFrom, StartAt, XAck, XAdd, XGroupCreate, XReadGroup};
//! use std::time::Duration;
//!
//! # async fn f() -> Result<(), bourn::Error> {
//! let client = Client::connect("redis://127.0.0.1").await?;
//! let create = XGroupCreate::new("orders", "billing", StartAt::START).mk_stream();
//! client.send(create.if_missing()).await?;
//! client.send(XAdd::new("orders").field("sku", "A-7").field("count", 3)).await?;
//!
//! let mut reader = client.reader().await?;
//! let read = XReadGroup::new("billing", "worker-1").stream("orders", GroupFrom::New).count(100);
//! for entry in reader.read(read.block(Duration::from_secs(5))).await?.iter() {
//!     println!("{}: {:?}", entry.id(), entry.get_str("sku"));
//!     client.send(XAck::new("orders", "billing", entry.id())).await?;
//! }
//! # Ok(()) }
//! ```
//!
//! The [`guide`] starts from zero: [getting started](crate::guide::getting_started), the
//! [queue](crate::guide::queue_guide), [reliability](crate::guide::reliability),
//! [operations](crate::guide::operations), [troubleshooting](crate::guide::troubleshooting).
//!
//! # Crate layout
//!
//! | module | content |
//! |---|---|
//! | [`guide`] | documentation pages |
//! | [`Client`], [`Reader`], [`Tail`] | the shared connection; dedicated ones for blocking reads |
//! | [`queue`] | a job queue on a consumer group: retries, leases, dead letters |
//! | [`command`] | one type per command: its arguments and its reply |
//! | [`entry`] | entries read in place: [`Entries`], [`EntryRef`], [`Entry`] |
//! | [`id`] | [`EntryId`], and what each command accepts in place of an id |
//! | [`error`] | [`Error`], and whether the command may have run: [`Outcome`] |
//! | [`Config`] | address, timeouts, limits |
//! | [`Events`] | connection state changes: connected, lost, reconnecting |
//! | [`resp`] | the RESP protocol, for use with your own connection |
//!
//! # Promises
//!
//! * Commands of one [`Client`] run in the order in which their futures were first polled. A
//!   command that is retried is the exception.
//! * A reply is delivered to the command that caused it, or discarded. It is never delivered to
//!   another command.
//! * Every future completes by its deadline, except a read that blocks without a limit.
//! * Every error says whether the command may have run.
//! * A command that may have run is retried only if it is read-only or idempotent: see [`Safety`]
//!   and [`Retry`].
//! * Every future is cancel-safe: dropping it does not affect other commands. A dropped
//!   [`Reader::read`] loses no entry.
//! * Untrusted input never causes a panic, nor allocations out of proportion to the bytes received.
//!
//! # Features
//!
//! `tokio` (default): the connection, the client, the reader and the queue. Without it the crate
//! has no runtime dependency. It then contains the protocol, ids, entries and commands.
//!
//! `tls`: `rediss://` and `valkeys://` URLs, and `Config::tls`, with rustls and ring.
//!
//! `serde`: structs as fields of an entry ([`XAdd`]`::record`, [`Entry`]`::record`), and queue
//! payloads of any serde type (`queue::Json`, `queue::Record`). Also `Serialize` for ids, XINFO,
//! XPENDING and the queue's statistics.
//!
//! `metrics`: counters, gauges and histograms of the queue, through the `metrics` crate.
//!
//! `tracing`: events of the `tracing` crate. A new connection is INFO. Disconnected and
//! reconnecting are WARN, at first and then once a minute. A failed attempt of a job and a lost
//! lease are WARN, a dead-lettered job is ERROR. Each job runs in a span `job`. `queue::Propagate`
//! carries a trace context to it.
//!
//! `cron`: recurring jobs by cron texts in any time zone (`queue::Queue::cron`).
//!
//! `testing`: an in-memory server for tests (`testing::Server`), with the behaviour of nine versions
//! and faults on request, and `queue::Job::for_test`. See [`guide::testing`].
#![cfg_attr(docsrs, feature(doc_cfg))]

/// Implements `Debug` of errors as their text and its causes, for `unwrap` and for a `main` that
/// returns a `Result`.
macro_rules! debug_is_display {
    ($($type:ty),+) => {$(
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{self}")?;
                let mut source = std::error::Error::source(self);
                while let Some(error) = source {
                    write!(f, ": {error}")?;
                    source = error.source();
                }
                Ok(())
            }
        }
    )+};
}

pub mod command;
mod config;
pub mod entry;
pub mod error;
pub mod id;
#[cfg(any(feature = "tokio", feature = "serde"))]
mod record;
pub mod resp;
mod server;

#[cfg(feature = "tokio")]
mod client;
#[cfg(feature = "tokio")]
mod cluster;
#[cfg(feature = "tokio")]
mod connection;
#[cfg(feature = "tokio")]
pub mod guide;
#[cfg(feature = "tokio")]
pub mod queue;
#[cfg(feature = "tokio")]
mod random;
#[cfg(feature = "tokio")]
mod reader;
#[cfg(feature = "tokio")]
mod sentinel;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "tokio")]
pub use client::{
    Batch, Client, Durability, Durable, DurableError, IntoBatch, IterKind, Kept, NodeClient,
    SendAll, Sending, Transact, TupleKind,
};
#[cfg(feature = "tokio")]
pub use cluster::Node;
#[doc(inline)]
pub use command::{
    Active, Arg, Auth, AutoClaimed, Block, Blocking, BlockingCommand, ClientGetName, ClientId,
    ClientKill, ClientNoEvict, ClientPause, ClientSetName, ClientUnblock, ClientUnpause,
    ClusterNode, ClusterShards, ClusterSlots, Command, ConnectedReplica, ConsumerInfo,
    ConsumerInfoFull, ConsumerPending, DedicatedCommand, Del, DeleteOutcome, Echo, Exists, Expire,
    ExpireWhen, FromReplica, GroupInfo, GroupInfoFull, GroupPending, Hello, HelloReply, IdmpInfo,
    Ids, KeyType, LinkState, NackMode, NodeHealth, NodeRole, PExpire, PendingEntry, PendingSummary,
    Ping, PingText, Raw, ReadCommand, Refs, RespVersion, Role, RoleReply, Safety, Shard, ShardNode,
    SlotRange, StreamInfo, StreamInfoFull, Trim, Type, Unlink, Wait, WaitAof, WaitAofReply, XAck,
    XAckDel, XAdd, XAddNoMkStream, XAutoClaim, XAutoClaimJustId, XCfgSet, XClaim, XClaimJustId,
    XDel, XDelEx, XGroupCreate, XGroupCreateConsumer, XGroupCreateIfMissing, XGroupDelConsumer,
    XGroupDestroy, XGroupHelp, XGroupSetId, XIdmpRecord, XInfoConsumers, XInfoGroups, XInfoHelp,
    XInfoStream, XInfoStreamFull, XLen, XNack, XPending, XPendingRange, XRange, XRead, XReadGroup,
    XRevRange, XSetId, XTrim,
};
pub use config::{Address, Config, Protocol, Replicas, Retry, Secret, WhenFull};
#[cfg(feature = "tokio")]
pub use config::{BoxFuture, Credentials, CredentialsProvider};
#[cfg(feature = "tls")]
pub use config::{Tls, TlsProvider};
#[cfg(feature = "tokio")]
pub use connection::{ByteStream, Event, Events};
#[doc(inline)]
pub use entry::{DeliveryInfo, Entries, Entry, EntryRef, StreamEntries, Streams};
#[doc(inline)]
pub use error::{
    Code, ConfigError, ConnectError, ConnectReason, CredentialsError, Disconnect, EntryTooLarge,
    Error, Outcome, Redirect, Refusal, Repeat, ServerError, TooOld, Unsent,
};
#[doc(inline)]
pub use id::{AddId, EntryId, GroupFrom, ParseIdError, ReadFrom, StartAt};
#[cfg(feature = "tokio")]
pub use reader::{DedicatedSending, RangeStream, Reader, Reading, Tail};
#[cfg(any(feature = "tokio", feature = "serde"))]
pub use record::CodecError;
#[doc(inline)]
pub use resp::{DecodeError, ProtocolError};
pub use server::{Feature, Features, Flavour, Server, Version};

#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
mod readme {}
