//! One socket, shared by all callers.
//!
//! | module | purpose |
//! |---|---|
//! | `outbox` | the shared write buffer and the queue of waiting callers |
//! | `backlog` | requests that no writer has taken yet |
//! | `request` | what can be sent |
//! | `pipeline` | matches replies to callers; deadlines |
//! | `budget` | limits queued bytes; callers that wait for capacity |
//! | `call` | the future that a caller awaits |
//! | `enqueue` | queues a request; its place in the pipeline |
//! | `driver` | the task that reads and writes |
//! | `guard` | a second task that settles overdue callers if the driver cannot run |
//! | `establish` | one attempt to connect: resolve, dial, TLS, credentials, handshake |
//! | `addresses` | the addresses of a name, and the race between them |
//! | `handshake`, `handshake_history` | the first requests on a socket; with HELLO or without |
//! | `panics` | turns panics in user code into errors |
//! | `health` | idle probes, overdue replies |
//! | `resolve` | an address that is found before each attempt |
//! | `route` | the way of a request to one of several servers |
//! | `subscription` | a connection that receives messages |
//! | `retry` | whether and when a command is retried |
//! | `window` | the window in which a server recognizes a repeated `XADD IDMP` |
//! | `events` | connection state changes, for listeners |
//! | `scratch` | the buffer that a request is encoded into |
//! | `timers` | callers that wait for a point in time |
//! | `sync` | the lock; `interleavings` tests it |
//! | `reconnect`, `backoff` | makes a new connection after one is lost |
//! | `renew` | new credentials on a live connection |
//! | `transport`, `tls`, `pinned` | byte streams; TLS on them; trust by fingerprint |
//!
//! Guarantees: requests are written in the order in which their futures were first polled, and
//! answered in that order. Each future completes by its deadline, with its replies or with an error
//! that says whether the request may have run. When a connection ends, requests of which any byte
//! was passed to the socket are lost, and retried only if that is safe. The others wait for the
//! next connection. An invalid request, or an invalid reply, does not affect other requests.

mod addresses;
mod backlog;
mod backoff;
mod budget;
mod call;
mod dialler;
mod driver;
mod enqueue;
mod establish;
mod event;
mod events;
mod guard;
mod handshake;
mod handshake_history;
mod health;
mod host;
#[cfg(all(test, bourn_loom))]
mod interleavings;
mod outbox;
mod panics;
#[cfg(feature = "tls")]
mod pinned;
mod pipeline;
mod reconnect;
mod renew;
mod request;
mod resolve;
mod retry;
mod route;
mod scratch;
mod single;
mod subscription;
mod sync;
mod timers;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tracing")]
mod trace;
mod transport;
mod window;

pub(crate) use call::Call;
pub(crate) use dialler::Dialler;
pub(crate) use enqueue::{Enqueue, Patience, Ticket};
pub use event::Event;
pub use events::Events;
pub(crate) use events::{Hook, Publisher};
pub(crate) use host::Host;
pub(crate) use outbox::{Shared, Size};
pub(crate) use pipeline::{Failed, Failure, Replies};
pub(crate) use request::{Request, ServerLookup};
pub(crate) use resolve::Resolve;
pub(crate) use retry::Attempts;
pub(crate) use route::{ASKING, Hop, Route, without_asking};
pub(crate) use single::{Single, decode, error, measure, name, sendable};
pub(crate) use subscription::{Heard, Subscription};
pub use transport::ByteStream;
pub(crate) use window::Sends;

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

/// A connection that is re-established until its last handle is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
}

impl Connection {
    /// Connects, and spawns a task that keeps the connection up.
    pub(crate) async fn open(config: Arc<Config>, dialler: Dialler) -> Result<Self, Error> {
        Self::open_for(config, dialler, Patience::Usual).await
    }

    /// Does the same as `open`, with a time limit for the reply to new credentials: none where a
    /// blocked read may be ahead of them.
    pub(crate) async fn open_for(
        config: Arc<Config>,
        dialler: Dialler,
        patience: Patience,
    ) -> Result<Self, Error> {
        config.check()?;
        let runtime = runtime(&config)?;
        let (settings, how) = (Arc::clone(&config), dialler.clone());
        let first = async move { reconnect::first(&settings, &how).await };
        // The socket belongs to the runtime on which it is created.
        let first = if config.runtime.is_none() && Handle::try_current().is_ok() {
            first.await
        } else {
            Spawned { task: runtime.spawn(first), address: config.address.to_string() }.await
        }?;
        Ok(Self::begin(config, dialler, patience, &runtime, Some(first)))
    }

    /// Returns immediately; a task connects and keeps the connection up.
    pub(crate) fn lazy(config: Arc<Config>, dialler: Dialler) -> Result<Self, Error> {
        config.check()?;
        let runtime = runtime(&config)?;
        Ok(Self::begin(config, dialler, Patience::Usual, &runtime, None))
    }

    /// Returns immediately; a task connects when a request needs it. The connection is one of
    /// several, which count their requests together.
    pub(crate) fn parked(
        config: Arc<Config>,
        dialler: Dialler,
        patience: Patience,
        runtime: &Handle,
        (sends, hook): (Sends, Hook),
    ) -> Self {
        let shared = Arc::new(Shared::counting(&config, sends, Some(hook)));
        shared.begin_parked();
        Self::begin_with(shared, config, dialler, patience, runtime, None)
    }

    fn begin(
        config: Arc<Config>,
        dialler: Dialler,
        patience: Patience,
        runtime: &Handle,
        first: Option<establish::Established>,
    ) -> Self {
        let shared = Arc::new(Shared::new(&config));
        Self::begin_with(shared, config, dialler, patience, runtime, first)
    }

    fn begin_with(
        shared: Arc<Shared>,
        config: Arc<Config>,
        dialler: Dialler,
        patience: Patience,
        runtime: &Handle,
        first: Option<establish::Established>,
    ) -> Self {
        if let Some(first) = &first {
            // The task may run after the caller first asks for the server.
            shared.set_greeting(first.greeting.clone());
            shared.connected(None);
            shared.events().emit(Event::Connected { server: shared.server() });
        }
        if let Some(resolve) = dialler.resolve() {
            resolve.joined(&shared);
        }
        let end = reconnect::End(Arc::clone(&shared));
        let guarded = Arc::clone(&shared);
        runtime.spawn(async move { Guard::new(guarded).await });
        runtime.spawn(reconnect::run(end, config, dialler, patience, first));
        Self { shared }
    }

    /// Returns the future of a request; nothing happens before it is polled.
    #[inline]
    pub(crate) fn call<R: Request>(&self, request: R) -> Call<'_, R> {
        Call::new(&self.shared, None, request)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Waits until the connection is established, for at most this long.
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
        let error = self.shared.connect_error().map(|error| (*error).clone());
        let timed_out = || {
            let during = "no attempt has ended".to_owned();
            let reason = ConnectReason::TimedOut { after: within, during };
            ConnectError::new(self.shared.events().address(), reason)
        };
        Err(error.unwrap_or_else(timed_out).into())
    }

    /// Rejects new requests. Returns when those in flight are finished and the socket is closed.
    pub(crate) async fn close(&self) {
        self.shared.close();
        poll_fn(|cx| if self.shared.ended(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// Returns the runtime that a connection runs on: that of the settings, the current one, or that of
/// the client.
pub(crate) fn runtime(config: &Config) -> Result<Handle, ConfigError> {
    if let Some(Runtime(runtime)) = &config.runtime {
        return Ok(runtime.clone());
    }
    if let Ok(current) = Handle::try_current() {
        return Ok(current);
    }
    config
        .client_runtime
        .as_ref()
        .map(|Runtime(runtime)| runtime.clone())
        .ok_or(ConfigError::NoRuntime)
}

/// A task whose result is awaited; it is aborted when this is dropped.
struct Spawned<T> {
    task: JoinHandle<Result<T, ConnectError>>,
    address: String,
}

impl<T> Future for Spawned<T> {
    type Output = Result<T, ConnectError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { task, address } = self.get_mut();
        // A join error means that the task's runtime ended.
        let ended = |_| Err(ConnectError::new(&*address, ConnectReason::Eof));
        Pin::new(task).poll(cx).map(|result| result.unwrap_or_else(ended))
    }
}

impl<T> Drop for Spawned<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Queued requests are still finished.
impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.close();
    }
}
