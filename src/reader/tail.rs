//! Tail: the entries of a stream as they are added, with the cursor kept.

use super::Reader;
use crate::command::{XRead, XRevRange};
use crate::config::Config;
use crate::connection::{Connection, Dialler, One};
use crate::entry::{Entries, Entry};
use crate::error::Error;
use crate::id::{EntryId, ReadFrom};
use futures_core::Stream;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long one read waits. Its end is not seen outside: the next one follows.
const BLOCK: Duration = Duration::from_secs(5);

/// Entries of one read.
const COUNT: u64 = 1000;

/// The entries of a stream from some id on, and those added later, as they come. Made by
/// [`Client::tail`](crate::Client::tail).
///
/// It never ends. An error is an item; polled again, it goes on behind the last entry: no entry is left out or comes twice,
/// whatever happened to the connection. Only entries that are trimmed away before they could be read are missed.
pub struct Tail {
    batch: Entries,
    next: usize,
    state: State,
}

enum State {
    Idle(Box<Cursor>),
    Reading(Pin<Box<dyn Future<Output = (Box<Cursor>, Result<Entries, Error>)> + Send>>),
    /// Only while a state is replaced.
    Moving,
}

/// Where a tail is, and how it reads on.
struct Cursor {
    config: Arc<Config>,
    dialler: Dialler,
    key: Box<[u8]>,
    from: ReadFrom,
    reader: Option<Reader>,
    failed: bool,
}

impl Tail {
    pub(crate) fn new(config: Arc<Config>, dialler: Dialler, key: &[u8], from: ReadFrom) -> Self {
        let cursor = Cursor { config, dialler, key: key.into(), from, reader: None, failed: false };
        Self { batch: Entries::default(), next: 0, state: State::Idle(Box::new(cursor)) }
    }
}

impl Cursor {
    async fn read(mut self: Box<Self>) -> (Box<Self>, Result<Entries, Error>) {
        let result = self.entries().await;
        self.failed = result.is_err();
        if let Some(last) = result.as_ref().ok().and_then(Entries::last) {
            self.from = ReadFrom::After(last.id());
        }
        (self, result)
    }

    async fn entries(&mut self) -> Result<Entries, Error> {
        if self.failed {
            // Whoever goes on after an error does not do so in a tight loop.
            tokio::time::sleep(self.config.reconnect_max.mul_f64(fastrand::f64())).await;
        }
        let after = match self.from {
            ReadFrom::After(id) => id,
            ReadFrom::End | ReadFrom::Last => {
                let newest = self.newest().await?;
                let id = newest.first().map_or(EntryId::MIN, |entry| entry.id());
                let last = self.from == ReadFrom::Last;
                self.from = ReadFrom::After(id);
                if last && !newest.is_empty() {
                    return Ok(newest);
                }
                id
            }
        };
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                let reader = Reader::open(Arc::clone(&self.config), self.dialler.clone()).await?;
                none.insert(reader)
            }
        };
        loop {
            let read = XRead::new().stream(&self.key, after).count(COUNT).block(BLOCK);
            let streams = reader.read(read).await?;
            if let Some(stream) = streams.into_streams().find(|s| !s.entries().is_empty()) {
                return Ok(stream.into_entries());
            }
        }
    }

    /// The last entry of the stream. What comes later has a higher id, even if this one was not the last ever added.
    async fn newest(&self) -> Result<Entries, Error> {
        let connection = Connection::open(Arc::clone(&self.config), self.dialler.clone()).await?;
        connection.call(One(XRevRange::new(&self.key, ..).count(1))).await
    }
}

impl Stream for Tail {
    type Item = Result<Entry, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(entry) = this.batch.get(this.next) {
                this.next += 1;
                return Poll::Ready(Some(Ok(entry.to_entry())));
            }
            match std::mem::replace(&mut this.state, State::Moving) {
                State::Idle(cursor) => this.state = State::Reading(Box::pin(cursor.read())),
                State::Reading(mut reading) => match reading.as_mut().poll(cx) {
                    Poll::Pending => {
                        this.state = State::Reading(reading);
                        return Poll::Pending;
                    }
                    Poll::Ready((cursor, result)) => {
                        this.state = State::Idle(cursor);
                        match result {
                            Ok(batch) => (this.batch, this.next) = (batch, 0),
                            Err(error) => return Poll::Ready(Some(Err(error))),
                        }
                    }
                },
                State::Moving => return Poll::Pending,
            }
        }
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").field("unread", &(self.batch.len() - self.next)).finish()
    }
}
