//! The measured clients, each behind the same interface, so that every work is written once.
//!
//! A client is used as its documentation shows for a shared connection: with its own typed reply
//! and its own defaults. Options that make it faster are enabled (no Nagle, no response timeout,
//! pipelining). bourn uses its defaults only.

pub mod bourn;
pub mod fred;
pub mod raw;
mod redis;
pub mod redis1;
pub mod redis2;
pub mod rustis;

use crate::server::Address;
use bytes::Bytes;
use clap::ValueEnum;
use std::future::Future;

/// The stream, the group and the consumer of every work.
pub const KEY: &str = "bench";
pub const GROUP: &str = "group";
pub const CONSUMER: &str = "consumer";

/// Fields of an entry to add.
pub type Fields = &'static [(&'static str, &'static str)];

/// The protocol of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resp {
    Two,
    Three,
}

/// A client: a handle of one connection that tasks share.
pub trait Peer: Clone + Send + Sync + 'static {
    /// The typed reply of XRANGE.
    type Range: Send;
    /// The typed reply of XREADGROUP.
    type Read: Send;
    /// The id type that XACK accepts.
    type Id: Clone + Send + Sync;

    /// Opens a connection with this client's settings.
    fn connect(at: &Address) -> impl Future<Output = Self> + Send;

    /// Adds an entry and waits for its id.
    fn xadd(&mut self, fields: Fields) -> impl Future<Output = ()> + Send;

    /// Reads the whole stream.
    fn xrange(&mut self) -> impl Future<Output = Self::Range> + Send;

    /// Reads new entries for the consumer, without blocking.
    fn xreadgroup(&mut self, count: usize) -> impl Future<Output = Self::Read> + Send;

    /// Sends one XACK.
    fn xack(&mut self, ids: &[Self::Id]) -> impl Future<Output = ()> + Send;

    /// Sends one XACK per id, pipelined.
    fn xack_each(&mut self, ids: &[Self::Id]) -> impl Future<Output = ()> + Send;

    /// A dedicated connection that waits for entries.
    type Reader: Send;
    fn reader(at: &Address) -> impl Future<Output = Self::Reader> + Send;

    /// Waits for new entries of the group, 5 s at most.
    fn wait(reader: &mut Self::Reader) -> impl Future<Output = Self::Read> + Send;

    /// Parses a reply's bytes as this client's connection does, into its typed reply.
    fn parse_range(reply: &Bytes) -> Self::Range;
    fn parse_read(reply: &Bytes, resp: Resp) -> Self::Read;

    /// Reads the id and each field and value of every entry. Returns the sum of their lengths.
    fn touch_range(range: &Self::Range) -> usize;
    fn touch_read(read: &Self::Read) -> usize;

    /// Returns the ids of all entries.
    fn ids(read: &Self::Read) -> Vec<Self::Id>;
}

/// The clients by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Name {
    Bourn,
    Redis1,
    Redis2,
    Fred,
    Rustis,
}

impl Name {
    pub const ALL: [Self; 5] = [Self::Bourn, Self::Redis1, Self::Redis2, Self::Fred, Self::Rustis];

    /// Returns the name used in the results.
    pub fn label(self) -> &'static str {
        match self {
            Self::Bourn => "bourn",
            Self::Redis1 => "redis-rs 1",
            Self::Redis2 => "redis-rs 2 rc",
            Self::Fred => "fred",
            Self::Rustis => "rustis",
        }
    }
}

/// Runs generic code with the client of this name.
#[macro_export]
macro_rules! with_peer {
    ($name:expr, $peer:ident => $body:expr) => {
        match $name {
            $crate::clients::Name::Bourn => {
                type $peer = $crate::clients::bourn::Bourn;
                $body
            }
            $crate::clients::Name::Redis1 => {
                type $peer = $crate::clients::redis1::Redis1;
                $body
            }
            $crate::clients::Name::Redis2 => {
                type $peer = $crate::clients::redis2::Redis2;
                $body
            }
            $crate::clients::Name::Fred => {
                type $peer = $crate::clients::fred::Fred;
                $body
            }
            $crate::clients::Name::Rustis => {
                type $peer = $crate::clients::rustis::Rustis;
                $body
            }
        }
    };
}
