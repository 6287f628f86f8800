//! The network of one process: all its connections, which can break, stall and end with it.

use bourn::testing::{Connection, Fault, Server};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The network of a process.
#[derive(Debug, Default)]
pub(crate) struct Link(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sockets: Vec<Arc<Mutex<Slot>>>,
    /// New connections are refused for a time.
    down: bool,
    /// The process or its machine has ended.
    ended: bool,
}

/// A connection, until it breaks.
#[derive(Debug)]
struct Slot {
    connection: Option<Connection>,
    wakers: Vec<Waker>,
    /// Carries nothing: bytes are lost in both directions.
    silent: bool,
    /// The machine that should close it has ended.
    vanished: bool,
}

/// A process's end of a connection.
#[derive(Debug)]
pub(crate) struct Socket(Arc<Mutex<Slot>>);

impl Link {
    /// Opens a connection.
    pub(crate) fn dial(&self, server: &Server) -> io::Result<Socket> {
        let mut state = self.0.lock().expect("no panic");
        if state.down || state.ended {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let connection = Some(server.dial()?);
        let slot = Slot { connection, wakers: Vec::new(), silent: false, vanished: false };
        let slot = Arc::new(Mutex::new(slot));
        state.sockets.retain(|slot| Arc::strong_count(slot) > 1);
        state.sockets.push(Arc::clone(&slot));
        Ok(Socket(slot))
    }

    /// Breaks all connections.
    pub(crate) fn cut(&self) {
        let sockets = std::mem::take(&mut self.0.lock().expect("no panic").sockets);
        for slot in sockets {
            let (connection, wakers) = {
                let mut slot = slot.lock().expect("no panic");
                (slot.connection.take(), std::mem::take(&mut slot.wakers))
            };
            drop(connection);
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Ends the network with the process.
    pub(crate) fn end(&self) {
        self.0.lock().expect("no panic").ended = true;
        self.cut();
    }

    /// Ends the network with the machine: its connections stay open and carry nothing.
    pub(crate) fn vanish(&self) {
        let mut state = self.0.lock().expect("no panic");
        state.ended = true;
        for slot in &state.sockets {
            let mut slot = slot.lock().expect("no panic");
            (slot.silent, slot.vanished) = (true, true);
        }
    }

    /// Carries nothing for a time; then all connections break.
    pub(crate) fn unplug(self: &Arc<Self>, time: Duration) {
        let mut state = self.0.lock().expect("no panic");
        state.down = true;
        for slot in &state.sockets {
            slot.lock().expect("no panic").silent = true;
        }
        let link = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            link.0.lock().expect("no panic").down = false;
            link.cut();
        });
    }

    /// Holds back requests or replies for a time.
    pub(crate) fn delay(&self, server: &Server, time: Duration, requests: bool) {
        for id in self.ids() {
            let fault =
                if requests { Fault::stall_requests(time) } else { Fault::stall_replies(time) };
            server.inject(fault.on_connection(id));
        }
    }

    fn ids(&self) -> Vec<i64> {
        let state = self.0.lock().expect("no panic");
        let id = |slot: &Arc<Mutex<Slot>>| {
            slot.lock().expect("no panic").connection.as_ref().map(Connection::id)
        };
        state.sockets.iter().filter_map(id).collect()
    }
}

impl Socket {
    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        silent: Poll<io::Result<T>>,
        poll: impl FnOnce(Pin<&mut Connection>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut slot = self.0.lock().expect("no panic");
        let is_silent = slot.silent;
        let Some(connection) = &mut slot.connection else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let result = if is_silent { silent } else { poll(Pin::new(connection), cx) };
        if result.is_pending() && !slot.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            slot.wakers.push(cx.waker().clone());
        }
        result
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut slot = self.0.lock().expect("no panic");
        let connection = if slot.vanished { None } else { slot.connection.take() };
        drop(slot);
        drop(connection);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll(cx, Poll::Pending, |connection, cx| connection.poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Poll::Ready(Ok(buf.len()));
        self.poll(cx, sent, |connection, cx| connection.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, Poll::Ready(Ok(())), |connection, cx| connection.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, Poll::Ready(Ok(())), |connection, cx| connection.poll_shutdown(cx))
    }
}
