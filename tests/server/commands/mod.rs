//! Each command with each of its options: what the server answers, with something, with nothing, and refusing.
//!
//! `tests/commands.rs` has what goes out over the wire.

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

/// What a server too old for them says of options of XADD: it takes the word for the id.
const BAD_ID: &str = "ERR Invalid stream ID specified as stream command argument";

const SYNTAX: &str = "ERR syntax error";

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// What every command that needs a group says without one.
const NO_GROUP: &str = "NOGROUP No such key 's' or consumer group 'g'";

/// Makes `text` a key that is no stream.
async fn set_text(client: &Client) {
    run(client, "SET text x").await;
}

/// The stream `s` with `entries` entries, and the group `g` to which none of them has been given.
async fn group(client: &Client, entries: u64) {
    client.send(XGroupCreate::new("s", "g", StartAt::START).mk_stream()).await.unwrap();
    add(client, "s", 1..=entries).await;
}

/// [`group`], with the first `pending` entries given to the consumer `c`.
async fn pending(client: &Client, entries: u64, pending: u64) {
    group(client, entries).await;
    let read = XReadGroup::new("g", "c").stream("s", GroupFrom::New).count(pending);
    assert_eq!(client.send(read).await.unwrap().len() as u64, pending);
}
