//! The client's end of a connection, and the task that lets time pass at the server.

use super::fault::End;
use super::state::{Key, State};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// A server, which its handles and connections share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// The task that lets time pass.
    timer: Arc<Timer>,
}

#[derive(Debug, Default)]
struct Timer {
    /// There is an event before the one that the task waits for.
    changed: Notify,
    running: AtomicBool,
    /// The moment until which the task sleeps.
    armed: Mutex<Option<Instant>>,
}

impl Shared {
    pub(super) fn new(state: State) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(state), timer: Arc::default() })
    }

    /// Does something with the server, at the current time, and wakes those that it concerns.
    pub(super) fn with<T>(self: &Arc<Self>, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance_to(Instant::now().into_std());
        let result = act(&mut state);
        let next = state.settle().map(Instant::from_std);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        // A waker may drop a task, and with it a connection, which needs the lock.
        wakers.into_iter().for_each(std::task::Waker::wake);
        self.arm(next);
        result
    }

    /// Makes the task notice an earlier event.
    fn arm(self: &Arc<Self>, next: Option<Instant>) {
        let Some(next) = next else { return };
        self.start();
        let armed = self.timer.armed();
        if armed.is_none_or(|armed| next < armed) {
            self.timer.changed.notify_one();
        }
    }

    /// Starts the task, unless it runs or there is no runtime.
    fn start(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.timer.running.swap(true, Ordering::AcqRel) {
            let running = Running(Arc::clone(&self.timer));
            runtime.spawn(pass_time(Arc::downgrade(self), running));
        }
    }

    /// Opens a connection.
    pub(super) fn dial(self: &Arc<Self>) -> io::Result<Connection> {
        let opened = self.with(|state| {
            let key = state.connect()?;
            Some((key, state.sessions.get(&key).map_or(0, |session| session.id)))
        });
        let (key, id) = opened.ok_or(io::ErrorKind::ConnectionRefused)?;
        Ok(Connection { shared: Arc::clone(self), key, id })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.timer.changed.notify_one();
    }
}

impl Timer {
    fn armed(&self) -> Option<Instant> {
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arm(&self, next: Option<Instant>) {
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

/// Present as long as the task runs. Its runtime may end before the server does.
struct Running(Arc<Timer>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.arm(None);
        self.0.running.store(false, Ordering::Release);
    }
}

/// Lets the events of a server happen when they are due, until the server is dropped.
async fn pass_time(shared: Weak<Shared>, running: Running) {
    let Running(timer) = &running;
    loop {
        let next = {
            let Some(shared) = shared.upgrade() else { return };
            let next = shared.with(|state| state.next_event()).map(Instant::from_std);
            timer.arm(next);
            next
        };
        match next {
            None => timer.changed.notified().await,
            Some(next) => drop(timeout_at(next, timer.changed.notified()).await),
        }
    }
}

/// The client's end of a connection to an in-memory [`Server`](super::Server).
///
/// Created by [`Server::dial`](super::Server::dial), for [`Client::connect_with`] and
/// [`Client::lazy_with`], or to send bytes of your own:
///
/// ```
/// # use bourn::testing::Server;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let mut connection = Server::new().dial()?;
/// connection.write_all(b"*1\r\n$4\r\nPING\r\n").await?;
/// let mut reply = [0; 7];
/// connection.read_exact(&mut reply).await?;
/// assert_eq!(&reply, b"+PONG\r\n");
/// # Ok(()) }
/// ```
///
/// [`Client::connect_with`]: crate::Client::connect_with
/// [`Client::lazy_with`]: crate::Client::lazy_with
pub struct Connection {
    shared: Arc<Shared>,
    key: Key,
    id: i64,
}

impl Connection {
    /// Returns the id of the connection, as `CLIENT ID` does, for
    /// [`Fault::on_connection`](super::Fault::on_connection).
    #[must_use]
    pub fn id(&self) -> i64 {
        self.id
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (poll, old) = self.shared.with(|state| {
            let Some(link) = state.links.get_mut(&self.key) else {
                return (Poll::Ready(Ok(())), None);
            };
            let mut any = false;
            while buf.remaining() > 0 {
                let Some(bytes) = link.read(buf.remaining()) else { break };
                buf.put_slice(&bytes);
                any = true;
            }
            match link.ended() {
                _ if any => (Poll::Ready(Ok(())), None),
                Some(End::Eof) => (Poll::Ready(Ok(())), None),
                Some(End::Reset) => (Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())), None),
                None => (Poll::Pending, link.reader.replace(cx.waker().clone())),
            }
        });
        drop(old);
        poll
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let (poll, old) = self.shared.with(|state| {
            let ended = state.links.get(&self.key).and_then(|link| link.ended());
            match ended {
                Some(End::Eof) => {
                    return (Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())), None);
                }
                Some(End::Reset) => {
                    return (Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())), None);
                }
                None => {}
            }
            match state.write(self.key, buf) {
                0 if !buf.is_empty() => {
                    let link = state.links.get_mut(&self.key);
                    let old = link.and_then(|link| link.writer.replace(cx.waker().clone()));
                    (Poll::Pending, old)
                }
                len => (Poll::Ready(Ok(len)), None),
            }
        });
        drop(old);
        poll
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.with(|state| state.hang_up(self.key, false));
        Poll::Ready(Ok(()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.with(|state| state.hang_up(self.key, true));
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("key", &self.key).finish_non_exhaustive()
    }
}
