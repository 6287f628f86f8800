//! Returns the entries of one page after the other, for [`Tail`](super::Tail) and
//! [`RangeStream`](super::RangeStream).

use crate::entry::{Entries, Entry};
use crate::error::Error;
use crate::random;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Reads pages.
pub(super) trait Source: Sized + Send + 'static {
    /// The bounds of a page; they may change between pages.
    type Limits: Copy + Send + 'static;

    /// Reads the next page; `None` at the end. After an error, called again for the same page.
    fn page(
        &mut self,
        limits: Self::Limits,
    ) -> impl Future<Output = Result<Option<Entries>, Error>> + Send;

    /// Returns the longest pause before a page is read again after an error.
    fn pause(&self) -> Duration;
}

/// The entries of all pages, one after the other.
///
/// The read in flight is kept here, so a future that waits for the next entry can be dropped at any
/// time.
pub(super) struct Pages<S> {
    page: Entries,
    next: usize,
    state: State<S>,
}

enum State<S> {
    Idle { source: Box<S>, failed: bool },
    Reading(Pin<Box<dyn Future<Output = (Box<S>, Page)> + Send>>),
    Ended,
}

type Page = Result<Option<Entries>, Error>;

impl<S: Source> Pages<S> {
    pub(super) fn new(source: S) -> Self {
        let state = State::Idle { source: Box::new(source), failed: false };
        Self { page: Entries::default(), next: 0, state }
    }

    /// Returns the number of entries that were read and not returned yet.
    pub(super) fn unread(&self) -> usize {
        self.page.len() - self.next
    }

    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        limits: S::Limits,
    ) -> Poll<Option<Result<Entry, Error>>> {
        loop {
            if let Some(entry) = self.page.get(self.next) {
                self.next += 1;
                return Poll::Ready(Some(Ok(entry.to_entry())));
            }
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Idle { source, failed } => {
                    self.state = State::Reading(Box::pin(read(source, failed, limits)));
                }
                State::Reading(mut reading) => {
                    let Poll::Ready((source, page)) = reading.as_mut().poll(cx) else {
                        self.state = State::Reading(reading);
                        return Poll::Pending;
                    };
                    match page {
                        Ok(Some(page)) => {
                            (self.page, self.next) = (page, 0);
                            self.state = State::Idle { source, failed: false };
                        }
                        Ok(None) => {}
                        Err(error) => {
                            self.state = State::Idle { source, failed: true };
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                }
                State::Ended => {
                    // Release the last page now: the stream may live much longer.
                    (self.page, self.next) = (Entries::default(), 0);
                    return Poll::Ready(None);
                }
            }
        }
    }
}

async fn read<S: Source>(mut source: Box<S>, failed: bool, limits: S::Limits) -> (Box<S>, Page) {
    if failed {
        // A caller that polls again after an error must not do so in a tight loop.
        tokio::time::sleep(source.pause().mul_f64(random::fraction())).await;
    }
    let page = source.page(limits).await;
    (source, page)
}
