//! The entries of a stream as they are added, with a cursor.

use super::Reader;
use super::page_size::{Next, PageLimits, PageSize, exceeded};
use super::pages::{Pages, Source};
use crate::cluster::Opener;
use crate::command::{XRead, XRevRange};
use crate::connection::{Patience, Single};
use crate::entry::{Entries, Entry};
use crate::error::{EntryTooLarge, Error};
use crate::id::{EntryId, ReadFrom};
use crate::server::Feature;
use futures_core::Stream;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The entries of a stream from some id on, including those added later. Created by
/// [`Client::tail`](crate::Client::tail).
///
/// It never ends. An error is an item. Polled again, it continues after the last entry: no entry is
/// skipped or repeated, whatever happened to the connection. Only entries that are trimmed before
/// they could be read are missed.
///
/// A reply larger than [`Config::reply_bytes`](crate::Config::reply_bytes) is read again with half
/// the entries. If a single entry is larger, the item is [`Error::EntryTooLarge`], each time the
/// tail is polled: its docs describe how to continue.
///
/// # Cancel safety
///
/// Dropping a future that waits for the next entry loses nothing: the read continues at the next
/// poll.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, ReadFrom};
/// # use futures_util::StreamExt;
/// # use std::time::Duration;
/// # async fn f(client: &Client) -> Result<(), bourn::Error> {
/// let mut tail = client.tail("orders", ReadFrom::START).count(100).max_bytes(1 << 20);
/// while let Some(entry) = tail.next().await {
///     println!("{:?}", entry?);
/// }
/// # Ok(()) }
/// ```
#[must_use = "a stream does nothing until it is polled"]
pub struct Tail {
    pages: Pages<Cursor>,
    limits: TailLimits,
}

#[derive(Debug, Clone, Copy)]
struct TailLimits {
    page: PageLimits,
    block: Duration,
}

/// The position of a tail, and how it continues.
struct Cursor {
    opener: Opener,
    key: Box<[u8]>,
    from: ReadFrom,
    reader: Option<Reader>,
    size: PageSize,
}

impl Tail {
    pub(crate) fn new(opener: Opener, key: &[u8], from: ReadFrom) -> Self {
        let page = PageLimits::new(opener.config.limits.reply_bytes);
        let size = PageSize::default();
        let cursor = Cursor { opener, key: key.into(), from, reader: None, size };
        let limits = TailLimits { page, block: Duration::from_secs(5) };
        Self { pages: Pages::new(cursor), limits }
    }

    /// Sets the maximum number of entries per read: `COUNT`. 1000 by default; 0 counts as 1.
    ///
    /// The first read requests 32 entries. Later ones request more while replies are small, and
    /// fewer when one was too large for [`Config::reply_bytes`](crate::Config::reply_bytes).
    pub fn count(mut self, entries: u64) -> Self {
        self.limits.page.count = entries.max(1);
        self
    }

    /// Sets the target size of one reply in bytes. An eighth of
    /// [`Config::reply_bytes`](crate::Config::reply_bytes) by default, and 16 MiB at most; 0 counts
    /// as 1.
    ///
    /// Sent to Redis 8.10 as `MAXSIZE`: a reply then exceeds the target by at most one entry. For
    /// other servers it is a target: the number of entries is halved after a reply of more than
    /// twice the target, and doubled after one of less than a quarter.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.limits.page.bytes = bytes.max(1);
        self
    }

    /// Sets how long one read waits for entries at the server: `BLOCK`. 5 s by default, 1 ms at
    /// least.
    ///
    /// When it is over, no item is returned, and the next read follows. A longer wait means fewer
    /// reads of a stream with few additions. A connection that was lost silently is detected after
    /// this time plus [`Config::block_grace`](crate::Config::block_grace).
    pub fn block(mut self, wait: Duration) -> Self {
        self.limits.block = wait;
        self
    }
}

impl Cursor {
    /// Returns the last entry of the stream. Later entries have higher ids, even if this one was
    /// not the last ever added.
    async fn newest(&self) -> Result<Entries, Error> {
        let config = Arc::clone(&self.opener.config);
        let link = self.opener.open(config, Patience::Usual).await?;
        let newest = link.call(Single(XRevRange::new(&self.key, ..).count(1))).await;
        newest.map_err(|error| match exceeded(&error) {
            Some(limit) => {
                let all = EntryId::MIN..=EntryId::MAX;
                Error::EntryTooLarge(Box::new(EntryTooLarge::new(&self.key, all, true, limit)))
            }
            None => error,
        })
    }
}

impl Source for Cursor {
    type Limits = TailLimits;

    async fn page(&mut self, limits: TailLimits) -> Result<Option<Entries>, Error> {
        let after = match self.from {
            ReadFrom::After(id) => id,
            ReadFrom::End | ReadFrom::Last => {
                let newest = self.newest().await?;
                let id = newest.first().map_or(EntryId::MIN, |entry| entry.id());
                let last = self.from == ReadFrom::Last;
                self.from = ReadFrom::After(id);
                if last && !newest.is_empty() {
                    return Ok(Some(newest));
                }
                id
            }
        };
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                let reader = Reader::open(&self.opener).await?;
                none.insert(reader)
            }
        };
        loop {
            let asked = self.size.count(limits.page);
            let mut read = XRead::new().stream(&self.key, after).count(asked);
            // Checked for each read: a new connection may be to another server.
            let server = reader.server();
            if server.is_some_and(|server| server.supports(Feature::MaxSize) == Some(true)) {
                read = read.max_size(limits.page.bytes as u64);
            }
            let error = match reader.read(read.block(limits.block)).await {
                Ok(streams) => {
                    let mut streams = streams.into_streams();
                    let Some(stream) = streams.find(|s| !s.entries().is_empty()) else { continue };
                    let page = stream.into_entries();
                    self.size.succeeded(page.len(), asked, page.reply_bytes(), limits.page);
                    if let Some(last) = page.last() {
                        self.from = ReadFrom::After(last.id());
                    }
                    return Ok(Some(page));
                }
                Err(error) => error,
            };
            match self.size.failed(asked, &error) {
                Next::Smaller => {}
                Next::OneIsTooLarge { limit } => {
                    let first = after.next().unwrap_or(EntryId::MAX);
                    let error = EntryTooLarge::new(&self.key, first..=EntryId::MAX, false, limit);
                    return Err(Error::EntryTooLarge(Box::new(error)));
                }
                Next::Report => return Err(error),
            }
        }
    }

    fn pause(&self) -> Duration {
        self.opener.config.reconnect_max
    }
}

impl Stream for Tail {
    type Item = Result<Entry, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.pages.poll_next(cx, this.limits)
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").field("unread", &self.pages.unread()).finish()
    }
}
