//! The entries of a range of ids, page by page.

use super::page_size::{Next, PageLimits, PageSize};
use super::pages::{Pages, Source};
use crate::cluster::{Link, Opener};
use crate::command::{XRange, XRevRange};
use crate::connection::{Patience, Single};
use crate::entry::{Entries, Entry};
use crate::error::{EntryTooLarge, Error};
use crate::id::EntryId;
use futures_core::Stream;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The entries of a range of ids, from one end to the other. Created by
/// [`Client::range`](crate::Client::range) and [`Client::rev_range`](crate::Client::rev_range).
///
/// A [`Stream`] that reads page by page, each from the id after the last one. No entry of the range
/// is skipped or repeated, whatever is added or deleted meanwhile. It ends when a page has fewer
/// entries than requested.
///
/// It reads on a dedicated connection, which is opened by the first poll and closed at the end.
///
/// An error is an item. Polled again, the stream continues after the last entry.
/// [`Error::EntryTooLarge`] is returned again each time: its docs describe how to continue.
///
/// # Cancel safety
///
/// Dropping a future that waits for the next entry loses nothing: the read continues at the next
/// poll.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::StreamExt;
///
/// // Page by page: memory is bounded however long the stream is.
/// let mut entries = client.range("orders", ..).count(500);
/// while let Some(entry) = entries.next().await {
///     println!("{}", entry?.id());
/// }
/// # Ok(()) }
/// ```
#[must_use = "a stream does nothing until it is polled"]
pub struct RangeStream {
    pages: Pages<Span>,
    limits: PageLimits,
}

/// The part of the range that is left, and how to read it.
struct Span {
    opener: Opener,
    key: Box<[u8]>,
    /// The smallest and the largest id that are left; `None` at the end.
    left: Option<(EntryId, EntryId)>,
    newest_first: bool,
    link: Option<Link>,
    size: PageSize,
}

impl RangeStream {
    pub(crate) fn new(
        opener: Opener,
        key: &[u8],
        range: &impl RangeBounds<EntryId>,
        newest_first: bool,
    ) -> Self {
        let limits = PageLimits::new(opener.config.limits.reply_bytes);
        let span = Span {
            opener,
            key: key.into(),
            left: ends(range),
            newest_first,
            link: None,
            size: PageSize::default(),
        };
        Self { pages: Pages::new(span), limits }
    }

    /// Sets the maximum number of entries per read. 1000 by default; 0 counts as 1.
    ///
    /// The first read requests 32 entries. Later ones request more while replies are small, and
    /// fewer when one was too large for [`Config::reply_bytes`](crate::Config::reply_bytes).
    pub fn count(mut self, entries: u64) -> Self {
        self.limits.count = entries.max(1);
        self
    }

    /// Sets the target size of one reply in bytes. An eighth of
    /// [`Config::reply_bytes`](crate::Config::reply_bytes) by default, and 16 MiB at most; 0 counts
    /// as 1.
    ///
    /// It is a target, not a limit: the number of entries is halved after a reply of more than
    /// twice the target, and doubled after one of less than a quarter.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes.max(1);
        self
    }
}

/// Returns the smallest and the largest id of a range; `None` if the range is empty.
///
/// Both ends are inclusive, so servers before Redis 6.2 accept the range too.
fn ends(range: &impl RangeBounds<EntryId>) -> Option<(EntryId, EntryId)> {
    let low = match range.start_bound() {
        Bound::Included(id) => *id,
        Bound::Excluded(id) => id.next()?,
        Bound::Unbounded => EntryId::MIN,
    };
    let high = match range.end_bound() {
        Bound::Included(id) => *id,
        Bound::Excluded(id) => id.prev()?,
        Bound::Unbounded => EntryId::MAX,
    };
    (low <= high).then_some((low, high))
}

impl Span {
    /// Removes the entries of a page from the range. A page that is not full is the last one.
    fn passed(&mut self, page: &Entries, asked: u64) {
        let last = page.last().filter(|_| page.len() as u64 >= asked);
        self.left = self.left.zip(last).and_then(|((low, high), last)| {
            let (low, high) = match self.newest_first {
                false => (last.id().next()?, high),
                true => (low, last.id().prev()?),
            };
            (low <= high).then_some((low, high))
        });
        if self.left.is_none() {
            self.link = None;
        }
    }
}

impl Source for Span {
    type Limits = PageLimits;

    async fn page(&mut self, limits: PageLimits) -> Result<Option<Entries>, Error> {
        loop {
            let Some((low, high)) = self.left else { return Ok(None) };
            let link = match &self.link {
                Some(link) => link,
                None => {
                    let config = Arc::clone(&self.opener.config);
                    self.link.insert(self.opener.open(config, Patience::Usual).await?)
                }
            };
            let asked = self.size.count(limits);
            let page = if self.newest_first {
                let page = XRevRange::new(&self.key, low..=high).count(asked);
                link.call(Single(page)).await
            } else {
                link.call(Single(XRange::new(&self.key, low..=high).count(asked))).await
            };
            match page {
                Ok(page) => {
                    self.size.succeeded(page.len(), asked, page.reply_bytes(), limits);
                    self.passed(&page, asked);
                    if !page.is_empty() {
                        return Ok(Some(page));
                    }
                }
                Err(error) => match self.size.failed(asked, &error) {
                    Next::Smaller => {}
                    Next::OneIsTooLarge { limit } => {
                        let key = &self.key;
                        let error = EntryTooLarge::new(key, low..=high, self.newest_first, limit);
                        return Err(Error::EntryTooLarge(Box::new(error)));
                    }
                    Next::Report => return Err(error),
                },
            }
        }
    }

    fn pause(&self) -> Duration {
        self.opener.config.reconnect_max
    }
}

impl Stream for RangeStream {
    type Item = Result<Entry, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.pages.poll_next(cx, this.limits)
    }
}

impl fmt::Debug for RangeStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeStream").field("unread", &self.pages.unread()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Bound::{Excluded, Included, Unbounded};

    #[test]
    fn ends_of_a_range_are_inclusive_ids() {
        let (a, b) = (EntryId::new(1, 2), EntryId::new(3, 0));
        let (min, max) = (EntryId::MIN, EntryId::MAX);
        let rows = [
            ((Unbounded, Unbounded), Some((min, max))),
            ((Included(a), Included(b)), Some((a, b))),
            ((Excluded(a), Excluded(b)), Some((EntryId::new(1, 3), EntryId::new(2, u64::MAX)))),
            ((Included(a), Included(a)), Some((a, a))),
            ((Included(b), Included(a)), None),
            ((Excluded(a), Excluded(a)), None),
            ((Excluded(max), Unbounded), None),
            ((Unbounded, Excluded(min)), None),
        ];
        for (range, expected) in rows {
            assert_eq!(ends(&range), expected, "{range:?}");
        }
    }
}
