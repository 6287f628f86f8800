//! Each command with each of its options: its replies with data, without data, and its errors.
//!
//! `tests/commands` checks the requests.

mod raw;
#[cfg(feature = "serde")]
mod record;
mod xack;
mod xadd;
mod xautoclaim;
mod xclaim;
mod xgroup;
mod xpending;
mod xrange;
mod xread;
mod xreadgroup;
mod xtrim;

use crate::both::{add, run};
use bourn::{Client, GroupFrom, StartAt, XGroupCreate, XReadGroup};

/// The error of a server too old for an option of XADD: it takes the option for the id.
const BAD_ID: &str = "ERR Invalid stream ID specified as stream command argument";

const SYNTAX: &str = "ERR syntax error";

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// The error of every command that needs a group, without one.
const NO_GROUP: &str = "NOGROUP No such key 's' or consumer group 'g'";

/// Sets the key `text` to a value that is not a stream.
async fn set_text(client: &Client) {
    run(client, "SET text x").await;
}

/// Creates the stream `s` with `entries` entries, and the group `g` with none of them delivered.
async fn group(client: &Client, entries: u64) {
    client.send(XGroupCreate::new("s", "g", StartAt::START).mk_stream()).await.unwrap();
    add(client, "s", 1..=entries).await;
}

/// Calls [`group`] and delivers the first `pending` entries to the consumer `c`.
async fn pending(client: &Client, entries: u64, pending: u64) {
    group(client, entries).await;
    let read = XReadGroup::new("g", "c").stream("s", GroupFrom::New).count(pending);
    assert_eq!(client.send(read).await.unwrap().len() as u64, pending);
}
