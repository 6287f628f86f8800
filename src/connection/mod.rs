//! One socket, shared by everyone who sends on it.
//!
//! | room | what it does |
//! |---|---|
//! | `outbox` | callers write their requests into one buffer, and wait in one queue |
//! | `backlog` | the requests that no writer has yet |
//! | `pipeline` | who waits for which reply; who is overdue |
//! | `budget` | how much may be queued; who waits for room |
//! | `call` | the future that a caller awaits |
//! | `driver` | the one task that reads and writes |
//! | `guard` | a second task that settles overdue callers when the driver cannot |
//! | `handshake` | the first words on a socket |
//! | `health` | is there still somebody at the other end |
//! | `retry` | which command is sent again, and when |
//! | `events` | what becomes of a connection, for whoever wants to know |
//! | `sync` | the lock that they share; `interleavings` tests it |
//! | `reconnect`, `backoff` | a new socket when the old one is gone |
//! | `renew` | new credentials on a socket that lives |
//! | `transport`, `tls` | TCP, Unix sockets, streams of the user's; TLS on them |
//!
//! Promises. Requests are written in the order in which their futures were first polled, and answered in that order. Each
//! future ends: with its replies, or with an error that says whether the request may have run, by its deadline. When a
//! connection ends, requests of which any byte was handed to the socket are lost, and sent again only if that can do no harm;
//! the others wait for the next connection. A request that is wrong in itself, or whose reply is, concerns nobody else.

mod append;
mod backlog;
mod backoff;
mod budget;
mod call;
mod driver;
mod events;
mod guard;
mod handshake;
mod health;
#[cfg(all(test, bourn_loom))]
mod interleavings;
mod one;
mod outbox;
mod pipeline;
mod reconnect;
mod renew;
mod retry;
mod sync;
#[cfg(feature = "tls")]
mod tls;
mod transport;

pub(crate) use call::{Asked, Call, Enqueue, Patience, Request, Ticket};
pub use events::{Event, Events};
pub(crate) use one::{One, decode, error, measure, name, sendable};
pub(crate) use outbox::{Shared, Size};
pub(crate) use pipeline::{Failed, Failure, Replies};
pub(crate) use retry::{Again, Attempts};
pub use transport::ByteStream;
pub(crate) use transport::Dialler;

use crate::config::Config;
use crate::error::Error;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// A connection that is kept up until its last handle is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
}

impl Connection {
    /// Connects, and leaves a task behind that keeps the connection up.
    pub(crate) async fn open(config: Arc<Config>, dialler: Dialler) -> Result<Self, Error> {
        Self::open_for(config, dialler, Patience::Usual).await
    }

    /// The same; new credentials have so long to be answered: for ever where a read may be waiting before them.
    pub(crate) async fn open_for(
        config: Arc<Config>,
        dialler: Dialler,
        patience: Patience,
    ) -> Result<Self, Error> {
        config.check()?;
        let first = reconnect::establish(&config, &dialler).await?;
        let shared = Arc::new(Shared::new(&config));
        // The task may run later than its caller asks.
        shared.greeted(first.hello.clone());
        shared.events().tell(Event::Connected { server: shared.server() });
        let end = reconnect::End(Arc::clone(&shared));
        tokio::spawn(reconnect::run(end, config, dialler, patience, first));
        Ok(Self { shared })
    }

    /// Sends a request; nothing happens before the future is polled.
    #[inline]
    pub(crate) fn call<R: Request>(&self, request: R) -> Call<'_, R> {
        Call::new(&self.shared, request)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Takes no more requests, and returns when those under way are finished and the socket is closed.
    pub(crate) async fn close(&self) {
        self.shared.close();
        poll_fn(|cx| if self.shared.ended(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// What is queued is still finished.
impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.close();
    }
}
