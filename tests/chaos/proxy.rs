//! A proxy in front of a server that causes network faults.
//!
//! A connection's [`Plan`] is made when it is dialled; some faults can be ordered for all
//! connections at any time. Whatever happens to the client's side, the proxy closes the server's
//! side properly and reads until the server closes, too. Once no connection is open
//! ([`Proxy::settled`]), the server has run every command that arrived.
//!
//! | fault | by plan | by order |
//! |---|---|---|
//! | cut, with FIN or RST | after a number of bytes in either direction | [`Proxy::reset`] |
//! | stall: forward nothing, close nothing | after a number of bytes, for a time | [`Proxy::stall`], [`Proxy::go_on`] |
//! | split, delay | every number of bytes, for a time | |
//! | refuse | | [`Proxy::refuse`], [`Proxy::accept`] |

use crate::forward::{Connection, Counts};
use crate::schedule::{Plan, Way};
use crate::support::free_port;
use bourn::Config;
use socket2::SockRef;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The server's address.
#[derive(Debug, Clone)]
pub(crate) enum Upstream {
    Tcp(u16),
    Unix(PathBuf),
}

/// The record of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) dialled: Instant,
    /// The bytes that were forwarded.
    pub(crate) up: u64,
    pub(crate) down: u64,
    /// Its plan cut it.
    pub(crate) cut: bool,
}

/// The faults ordered for all connections.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Orders {
    /// Up, down.
    stalled: [bool; 2],
    pub(crate) resets: u64,
}

type MakePlan = dyn Fn(u64) -> Plan + Send + Sync;

pub(crate) struct Shared {
    pub(crate) upstream: Upstream,
    /// The buffer size of the sockets on both sides, if they are small.
    pub(crate) buffers: Option<usize>,
    pub(crate) orders: watch::Sender<Orders>,
    /// The number of connections with an open side.
    pub(crate) open: watch::Sender<u64>,
    plan: Mutex<(Arc<MakePlan>, Vec<Arc<Counts>>)>,
}

/// The proxy. Dropping it drops every connection.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    port: u16,
    listening: Option<JoinHandle<()>>,
    serving: Arc<Mutex<JoinSet<()>>>,
}

impl Proxy {
    /// Starts a proxy without faults.
    pub(crate) async fn start(upstream: Upstream) -> Self {
        Self::with_buffers(upstream, None).await
    }

    /// Starts a proxy whose sockets have small buffers.
    pub(crate) async fn with_buffers(upstream: Upstream, buffers: Option<usize>) -> Self {
        let shared = Arc::new(Shared {
            upstream,
            buffers,
            orders: watch::Sender::default(),
            open: watch::Sender::default(),
            plan: Mutex::new((Arc::new(|_| Plan::default()), Vec::new())),
        });
        let serving = Arc::default();
        let mut proxy = Self { shared, port: free_port(), listening: None, serving };
        proxy.accept();
        proxy
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the settings for a client that connects through the proxy.
    pub(crate) fn config(&self) -> Config {
        Config::tcp("127.0.0.1", self.port)
    }

    /// Clears the records; new connections, counted from 0, have these plans.
    pub(crate) fn plan(&self, plan: impl Fn(u64) -> Plan + Send + Sync + 'static) {
        *lock(&self.shared.plan) = (Arc::new(plan), Vec::new());
    }

    /// Refuses new connections, by closing the listener. Open connections stay.
    pub(crate) async fn refuse(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            let _ = listening.await;
        }
    }

    /// Accepts new connections again.
    pub(crate) fn accept(&mut self) {
        let socket = TcpSocket::new_v4().expect("there are sockets");
        socket.set_reuseaddr(true).expect("it is a socket");
        if let Some(bytes) = self.shared.buffers {
            // Accepted sockets inherit the sizes.
            set_buffers(&SockRef::from(&socket), bytes);
        }
        socket.bind((Ipv4Addr::LOCALHOST, self.port).into()).expect("the port is free");
        let listener = socket.listen(1024).expect("it is bound");
        let (shared, serving) = (Arc::clone(&self.shared), Arc::clone(&self.serving));
        self.listening = Some(tokio::spawn(listen(listener, shared, serving)));
    }

    /// Stalls this direction: forwards nothing, closes nothing.
    pub(crate) fn stall(&self, way: Way) {
        self.shared.orders.send_modify(|orders| orders.stalled[way as usize] = true);
    }

    /// Ends the stall.
    pub(crate) fn go_on(&self) {
        self.shared.orders.send_modify(|orders| orders.stalled = [false; 2]);
    }

    /// Resets all connections.
    pub(crate) fn reset(&self) {
        self.shared.orders.send_modify(|orders| orders.resets += 1);
    }

    /// Returns the connections since the last plan, in the order of their dials.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let seen = |counts: &Arc<Counts>| Seen {
            dialled: counts.dialled,
            up: counts.passed[0].load(Ordering::Relaxed),
            down: counts.passed[1].load(Ordering::Relaxed),
            cut: counts.cut.load(Ordering::Relaxed),
        };
        lock(&self.shared.plan).1.iter().map(seen).collect()
    }

    /// Waits until the `nth` connection since the last plan has ended on both sides.
    pub(crate) async fn over(&self, nth: usize) {
        let counts = lock(&self.shared.plan).1.get(nth).cloned().expect("there was one");
        let mut now = self.shared.open.subscribe();
        let _ = now.wait_for(|_| counts.over.load(Ordering::Relaxed)).await;
    }

    /// Waits until at most this many connections are open, on either side.
    pub(crate) async fn settled(&self, open: u64) {
        let mut now = self.shared.open.subscribe();
        now.wait_for(|now| *now <= open).await.expect("we have the sender");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
        lock(&self.serving).abort_all();
    }
}

impl Orders {
    pub(crate) fn forwards(self, way: Way) -> bool {
        !self.stalled[way as usize]
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The largest segment of a socket with small buffers, in bytes. A loopback segment of 64 KiB would
/// not fit the receive window: the sender could wait 200 ms before each partial one.
const SEGMENT: u32 = 1024;

/// Sets small buffers, before the socket is connected.
pub(crate) fn set_buffers(socket: &SockRef<'_>, bytes: usize) {
    socket.set_recv_buffer_size(bytes).expect("it is a socket");
    socket.set_send_buffer_size(bytes).expect("it is a socket");
    socket.set_tcp_mss(SEGMENT).expect("it is not connected");
}

async fn listen(listener: TcpListener, shared: Arc<Shared>, serving: Arc<Mutex<JoinSet<()>>>) {
    loop {
        let (client, _) = listener.accept().await.expect("connections come");
        client.set_nodelay(true).expect("it is a socket");
        let counts = Arc::new(Counts::new());
        let plan = {
            let mut plan = lock(&shared.plan);
            plan.1.push(Arc::clone(&counts));
            plan.0(plan.1.len() as u64 - 1)
        };
        let connection = Connection::new(Arc::clone(&shared), plan, counts);
        let mut serving = lock(&serving);
        while serving.try_join_next().is_some() {}
        serving.spawn(connection.serve(client));
    }
}
