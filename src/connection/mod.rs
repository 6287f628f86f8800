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
//! | `establish` | one attempt to connect: resolve, dial, TLS, credentials, handshake |
//! | `addresses` | the addresses of a name, and the race between them |
//! | `handshake`, `manner` | the first requests on a socket; with HELLO or without |
//! | `panics` | panics in code of the user's, made into errors |
//! | `health` | is there still somebody at the other end |
//! | `retry` | which command is sent again, and when |
//! | `window` | how long a server recognizes a repeated `XADD IDMP` |
//! | `events` | what becomes of a connection, for whoever wants to know |
//! | `scratch` | the buffer that a request is encoded into |
//! | `timers` | callers that wait for a time |
//! | `sync` | the lock that they share; `interleavings` tests it |
//! | `reconnect`, `backoff` | a new socket when the old one is gone |
//! | `renew` | new credentials on a socket that lives |
//! | `transport`, `tls`, `pinned` | TCP, Unix sockets, streams of the user's; TLS on them; trust by fingerprint |
//!
//! Promises. Requests are written in the order in which their futures were first polled, and answered in that order. Each
//! future ends: with its replies, or with an error that says whether the request may have run, by its deadline. When a
//! connection ends, requests of which any byte was handed to the socket are lost, and sent again only if that can do no harm;
//! the others wait for the next connection. A request that is wrong in itself, or whose reply is, concerns nobody else.

mod addresses;
mod backlog;
mod backoff;
mod budget;
mod call;
mod driver;
mod establish;
mod events;
mod guard;
mod handshake;
mod health;
#[cfg(all(test, bourn_loom))]
mod interleavings;
mod manner;
mod one;
mod outbox;
mod panics;
#[cfg(feature = "tls")]
mod pinned;
mod pipeline;
mod reconnect;
mod renew;
mod retry;
mod scratch;
mod sync;
mod timers;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tracing")]
mod trace;
mod transport;
mod window;

pub(crate) use call::{Asked, Call, Enqueue, Patience, Request, Ticket};
pub use events::{Event, Events};
pub(crate) use one::{One, decode, error, measure, name, sendable};
pub(crate) use outbox::{Shared, Size};
pub(crate) use pipeline::{Failed, Failure, Replies};
pub(crate) use retry::Attempts;
pub use transport::ByteStream;
pub(crate) use transport::Dialler;

use crate::config::{Config, Runtime};
use crate::error::{ConfigError, ConnectError, ConnectReason, Disconnect, Error, Repeat};
use guard::Guard;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

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
        let runtime = runtime(&config)?;
        let (settings, how) = (Arc::clone(&config), dialler.clone());
        let first = async move { reconnect::first(&settings, &how).await };
        // The socket belongs to the runtime on which it is made.
        let first = if config.runtime.is_none() && Handle::try_current().is_ok() {
            first.await
        } else {
            Spawned { task: runtime.spawn(first), address: config.address.to_string() }.await
        }?;
        Ok(Self::begin(config, dialler, patience, &runtime, Some(first)))
    }

    /// Returns at once; a task connects, and keeps the connection up.
    pub(crate) fn lazy(config: Arc<Config>, dialler: Dialler) -> Result<Self, Error> {
        config.check()?;
        let runtime = runtime(&config)?;
        Ok(Self::begin(config, dialler, Patience::Usual, &runtime, None))
    }

    fn begin(
        config: Arc<Config>,
        dialler: Dialler,
        patience: Patience,
        runtime: &Handle,
        first: Option<establish::Established>,
    ) -> Self {
        let shared = Arc::new(Shared::new(&config));
        if let Some(first) = &first {
            // The task may run later than its caller asks.
            shared.greeted(first.greeting.clone());
            shared.connected(None);
            shared.events().tell(Event::Connected { server: shared.server() });
        }
        let end = reconnect::End(Arc::clone(&shared));
        let guarded = Arc::clone(&shared);
        runtime.spawn(async move { Guard::new(guarded).await });
        runtime.spawn(reconnect::run(end, config, dialler, patience, first));
        Self { shared }
    }

    /// Sends a request; nothing happens before the future is polled.
    #[inline]
    pub(crate) fn call<R: Request>(&self, request: R) -> Call<'_, R> {
        Call::new(&self.shared, request)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Waits until the connection stands, for at most this long.
    pub(crate) async fn ready(&self, within: Duration) -> Result<(), Error> {
        let deadline = tokio::time::Instant::now().checked_add(within);
        let mut timer = None;
        let ready = poll_fn(|cx| {
            if let Some(ready) = self.shared.ready(cx) {
                return Poll::Ready(ready);
            }
            match deadline.map(|at| self.shared.pause(&mut timer, at.into_std(), cx)) {
                Some(Poll::Ready(())) => Poll::Ready(false),
                Some(Poll::Pending) | None => Poll::Pending,
            }
        });
        if ready.await {
            return Ok(());
        }
        if self.shared.is_ended() {
            let (command, reason) = ("connecting", Disconnect::Closed);
            return Err(Error::Lost { command, reason, repeat: Repeat::SAFE });
        }
        let error = self.shared.trouble().map(|error| (*error).clone());
        let timed_out = || {
            let during = "no attempt has ended".to_owned();
            let reason = ConnectReason::TimedOut { after: within, during };
            ConnectError::new(self.shared.events().address(), reason)
        };
        Err(error.unwrap_or_else(timed_out).into())
    }

    /// Takes no more requests, and returns when those under way are finished and the socket is closed.
    pub(crate) async fn close(&self) {
        self.shared.close();
        poll_fn(|cx| if self.shared.ended(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// The runtime that a connection runs on: that of the settings, the current one, or that of the client.
fn runtime(config: &Config) -> Result<Handle, ConfigError> {
    if let Some(Runtime(runtime)) = &config.runtime {
        return Ok(runtime.clone());
    }
    if let Ok(current) = Handle::try_current() {
        return Ok(current);
    }
    config.client_runtime.as_ref().map(|Runtime(runtime)| runtime.clone()).ok_or(ConfigError::NoRuntime)
}

/// A task whose end is awaited; it is aborted when this is dropped.
struct Spawned<T> {
    task: JoinHandle<Result<T, ConnectError>>,
    address: String,
}

impl<T> Future for Spawned<T> {
    type Output = Result<T, ConnectError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { task, address } = self.get_mut();
        // A task that was not finished ended with its runtime.
        let ended = |_| Err(ConnectError::new(&*address, ConnectReason::Eof));
        Pin::new(task).poll(cx).map(|result| result.unwrap_or_else(ended))
    }
}

impl<T> Drop for Spawned<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is queued is still finished.
impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.close();
    }
}
