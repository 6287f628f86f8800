//! One connection through the proxy, from its dial to the end of both sides.

use crate::proxy::{Orders, Shared, Upstream, set_buffers};
use crate::schedule::{Cut, Plan, Way};
use socket2::SockRef;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// The most bytes per read.
const CHUNK: usize = 16 << 10;

/// A connection's counters.
pub(crate) struct Counts {
    pub(crate) dialled: Instant,
    pub(crate) passed: [AtomicU64; 2],
    pub(crate) cut: AtomicBool,
    pub(crate) over: AtomicBool,
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self {
            dialled: Instant::now(),
            passed: Default::default(),
            cut: AtomicBool::new(false),
            over: AtomicBool::new(false),
        }
    }
}

/// A connection, which counts as open while either side is.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    orders: watch::Receiver<Orders>,
    resets: u64,
    plan: Plan,
    counts: Arc<Counts>,
    _open: Open,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, plan: Plan, counts: Arc<Counts>) -> Self {
        shared.open.send_modify(|open| *open += 1);
        let orders = shared.orders.subscribe();
        let resets = orders.borrow().resets;
        let _open = Open(Arc::clone(&shared), Arc::clone(&counts));
        Self { shared, orders, resets, plan, counts, _open }
    }

    pub(crate) async fn serve(self, client: TcpStream) {
        match &self.shared.upstream {
            Upstream::Tcp(port) => {
                let socket = TcpSocket::new_v4().expect("there are sockets");
                if let Some(bytes) = self.shared.buffers {
                    set_buffers(&SockRef::from(&socket), bytes);
                }
                match socket.connect((Ipv4Addr::LOCALHOST, *port).into()).await {
                    Ok(server) => {
                        server.set_nodelay(true).expect("it is a socket");
                        self.between(client, server).await;
                    }
                    Err(_) => reset(&client),
                }
            }
            Upstream::Unix(path) => match UnixStream::connect(path).await {
                Ok(server) => self.between(client, server).await,
                Err(_) => reset(&client),
            },
        }
    }

    async fn between(&self, mut client: TcpStream, server: impl AsyncRead + AsyncWrite) {
        let (mut from_server, mut to_server) = io::split(server);
        let cut = {
            let (mut from_client, mut to_client) = client.split();
            self.forward((&mut from_client, &mut to_server), (&mut from_server, &mut to_client))
                .await
        };
        // The client's side ends first; the server may finish the commands that it has.
        let at_client = async {
            if cut == Cut::Rst {
                reset(&client);
                drop(client);
            } else {
                let _ = client.shutdown().await;
                let _ = io::copy(&mut client, &mut io::sink()).await;
            }
        };
        let at_server = async {
            let _ = to_server.shutdown().await;
            let _ = io::copy(&mut from_server, &mut io::sink()).await;
        };
        tokio::join!(at_client, at_server);
    }

    /// Forwards both ways until one ends; returns how to end the client's side.
    async fn forward(
        &self,
        up: (&mut (impl AsyncRead + Unpin), &mut (impl AsyncWrite + Unpin)),
        down: (&mut (impl AsyncRead + Unpin), &mut (impl AsyncWrite + Unpin)),
    ) -> Cut {
        let mut orders = self.orders.clone();
        let reset = orders.wait_for(|orders| orders.resets > self.resets);
        let upwards = async {
            match self.pump(up.0, up.1, Way::Up).await {
                // The server still answers what it has; then it ends the other direction.
                End::Over | End::Cut(Cut::Answered) => {
                    let _ = up.1.shutdown().await;
                    std::future::pending().await
                }
                End::Broken => std::future::pending().await,
                End::Cut(cut) => cut,
            }
        };
        let downwards = async {
            match self.pump(down.0, down.1, Way::Down).await {
                End::Over | End::Broken => Cut::Fin,
                End::Cut(cut) => cut,
            }
        };
        tokio::select! {
            biased;
            _ = reset => Cut::Rst,
            cut = upwards => cut,
            cut = downwards => cut,
        }
    }

    async fn pump(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        way: Way,
    ) -> End {
        let flow = if way == Way::Up { self.plan.up } else { self.plan.down };
        let passed = &self.counts.passed[way as usize];
        let mut orders = self.orders.clone();
        let mut stall = flow.stall;
        let mut buffer = vec![0; CHUNK.min(flow.split.unwrap_or(CHUNK))];
        loop {
            let so_far = passed.load(Ordering::Relaxed);
            let mut allowed = buffer.len() as u64;
            if let Some((after, cut)) = flow.cut {
                allowed = allowed.min(after - so_far);
                if allowed == 0 {
                    self.counts.cut.store(true, Ordering::Relaxed);
                    return End::Cut(cut);
                }
            }
            if let Some((after, time)) = stall {
                allowed = allowed.min(after.saturating_sub(so_far).max(1));
                if so_far >= after {
                    stall = None;
                    sleep(time).await;
                }
            }
            let allowed = usize::try_from(allowed).expect("it is no longer than the buffer");
            let _ = orders.wait_for(|orders| orders.forwards(way)).await;
            let read = match from.read(&mut buffer[..allowed]).await {
                Ok(0) | Err(_) => return End::Over,
                Ok(read) => read,
            };
            let _ = orders.wait_for(|orders| orders.forwards(way)).await;
            if let Some(delay) = flow.delay {
                sleep(delay).await;
            }
            if to.write_all(&buffer[..read]).await.is_err() {
                return End::Broken;
            }
            passed.fetch_add(read as u64, Ordering::Relaxed);
        }
    }
}

/// Makes the drop of this socket send a reset.
fn reset(client: &TcpStream) {
    SockRef::from(client).set_linger(Some(Duration::ZERO)).expect("it is a socket");
}

/// The end of forwarding in one direction.
enum End {
    /// The sender closed, or is gone.
    Over,
    /// The receiver is gone.
    Broken,
    Cut(Cut),
}

/// Counts a connection as open.
struct Open(Arc<Shared>, Arc<Counts>);

impl Drop for Open {
    fn drop(&mut self) {
        self.1.over.store(true, Ordering::Relaxed);
        self.0.open.send_modify(|open| *open -= 1);
    }
}
