//! A reader: how it waits, what wakes it, and what becomes of its reads when they are dropped or cut off.

mod dropped;
mod lost;
mod own;
mod waiting;

use crate::both::add;
use bourn::{Client, EntryId, GroupFrom, ReadFrom, StartAt, XGroupCreate, XRead, XReadGroup};
use std::time::Duration;

/// Longer than any law takes: a read that blocks for this long ends otherwise or not at all.
const LONG: Duration = Duration::from_secs(600);

/// The entries of `s` above this id.
fn after(ms: u64) -> XRead<'static> {
    XRead::new().stream("s", ReadFrom::After(EntryId::new(ms, 0)))
}

/// What the group `g` has not been given of `s`.
fn new() -> XReadGroup<'static> {
    XReadGroup::new("g", "c").stream("s", GroupFrom::New)
}

/// What the consumer `c` has pending.
fn history() -> XReadGroup<'static> {
    XReadGroup::new("g", "c").stream("s", GroupFrom::ALL_PENDING)
}

/// The stream `s` with so many entries, and the group `g` to which none of them has been given.
async fn group(client: &Client, entries: u64) {
    client.send(XGroupCreate::new("s", "g", StartAt::START).mk_stream()).await.unwrap();
    if entries > 0 {
        add(client, "s", 1..=entries).await;
    }
}
