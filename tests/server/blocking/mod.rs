//! Readers: blocking, being woken, and reads that are dropped or lose their connection.

mod dedicated;
mod dropped;
mod durable;
mod lost;
mod waiting;

use crate::both::{add, until};
use crate::support::Server;
use bourn::{Client, EntryId, GroupFrom, ReadFrom, StartAt, XGroupCreate, XRead, XReadGroup};
use std::time::Duration;

/// Longer than any test takes. A read with this block time ends for another reason, or never.
const LONG: Duration = Duration::from_secs(600);

/// Reads the entries of `s` above this id.
fn after(ms: u64) -> XRead<'static> {
    XRead::new().stream("s", ReadFrom::After(EntryId::new(ms, 0)))
}

/// Reads the entries of `s` that were never delivered to the group `g`.
fn new() -> XReadGroup<'static> {
    XReadGroup::new("g", "c").stream("s", GroupFrom::New)
}

/// Reads the pending entries of the consumer `c`.
fn history() -> XReadGroup<'static> {
    XReadGroup::new("g", "c").stream("s", GroupFrom::ALL_PENDING)
}

/// Starts a replica, and waits until it has all that the master has. One that is still synchronising
/// counts as complete.
async fn replica_of(server: &Server) -> Server {
    let port = server.port().to_string();
    let replica = Server::builder().args(["--replicaof", "127.0.0.1", &port]).start();
    until("the replica has linked up", async || {
        replica.command(&["INFO", "replication"]).contains("master_link_status:up")
    })
    .await;
    replica
}

/// Creates the stream `s` with `entries` entries, and the group `g` with none of them delivered.
async fn group(client: &Client, entries: u64) {
    client.send(XGroupCreate::new("s", "g", StartAt::START).mk_stream()).await.unwrap();
    if entries > 0 {
        add(client, "s", 1..=entries).await;
    }
}
