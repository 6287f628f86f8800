//! Finds copies of an entry in another stream. An operation.
//!
//! `XREVRANGE key end - COUNT 100`, page by page, newest first: a copy is newer than the entry.

use crate::client::Client;
use crate::command::XRevRange;
use crate::entry::EntryRef;
use crate::error::Error;
use crate::id::EntryId;
use crate::queue::policy::plan::PAGE;

/// The largest number of pages that are searched. A copy that is missed is a second one.
const PAGES: usize = 100;

/// Calls `visit` for the entries of this stream, newest first, until it returns true. `oldest` is the
/// id to stop at, given the newest one.
pub(crate) async fn search(
    client: &Client,
    key: &[u8],
    oldest: impl Fn(EntryId) -> EntryId,
    mut visit: impl FnMut(EntryRef<'_>) -> bool,
) -> Result<(), Error> {
    let (mut end, mut least) = (Some(EntryId::MAX), None);
    for _ in 0..PAGES {
        let Some(last) = end else { break };
        let page = client.send(XRevRange::new(key, ..=last).count(PAGE as u64)).await?;
        let Some(newest) = page.first() else { break };
        let least = *least.get_or_insert_with(|| oldest(newest.id()));
        for entry in &page {
            if entry.id() < least || visit(entry) {
                return Ok(());
            }
        }
        end = page.last().and_then(|entry| entry.id().prev());
    }
    Ok(())
}
