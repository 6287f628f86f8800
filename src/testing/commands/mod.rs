//! The commands that are not about data: connections, users, replication, the cluster. No I/O.

mod acl;
mod answer;
mod arguments;
mod client;
mod cluster;
mod config;
mod connection;
mod info;
mod replication;
mod table;

pub(super) use answer::Ran;
pub(super) use arguments::Arguments;
pub(super) use table::{Command, Found, Handler, find};
