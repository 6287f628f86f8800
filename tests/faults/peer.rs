//! The scripted server: the dialler of a client, and the peer of each connection.
//!
//! Nothing happens automatically: a test accepts a connection, reads requests and sends bytes, step
//! by step. Time is paused, so a wait takes no real time and ends at an exact moment.

use super::wire::{Plan, Valve, Wire};
use bourn::resp::{Frame, Limits, Scanner, Value};
use bourn::{Client, Config, Retry};
use bytes::BytesMut;
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Builder;
use tokio::sync::{Mutex as Turns, mpsc};
use tokio::time::{Instant, timeout};

/// Large enough that no write waits for a read.
const ROOMY: usize = 1 << 20;

/// The amount sent at once of repeated bytes.
const PIECE: usize = 64 << 10;

/// A dial in progress.
pub(crate) type Dialling = Pin<Box<dyn Future<Output = io::Result<Wire>> + Send>>;

/// A server that a client can dial.
#[derive(Clone)]
pub(crate) struct Server(Arc<Inner>);

struct Inner {
    buffer: usize,
    plans: Mutex<VecDeque<Plan>>,
    dials: Mutex<Vec<Instant>>,
    valves: Mutex<Vec<Valve>>,
    dialled: mpsc::UnboundedSender<Peer>,
    accepted: Turns<mpsc::UnboundedReceiver<Peer>>,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::with_buffer(ROOMY)
    }

    /// Creates a server whose connections buffer this many bytes in each direction. Further writes
    /// wait.
    pub(crate) fn with_buffer(buffer: usize) -> Self {
        let (dialled, accepted) = mpsc::unbounded_channel();
        Self(Arc::new(Inner {
            buffer,
            plans: Mutex::default(),
            dials: Mutex::default(),
            valves: Mutex::default(),
            dialled,
            accepted: Turns::new(accepted),
        }))
    }

    /// Sets the result of the next dials, in order. Later dials are accepted.
    pub(crate) fn plan(&self, plans: impl IntoIterator<Item = Plan>) {
        self.0.plans.lock().unwrap().extend(plans);
    }

    /// Accepts every dial from now on.
    pub(crate) fn unplan(&self) {
        self.0.plans.lock().unwrap().clear();
    }

    /// Returns the number of connections that the client holds.
    pub(crate) fn open(&self) -> usize {
        self.0.valves.lock().unwrap().iter().filter(|valve| valve.is_held()).count()
    }

    /// Returns the times of the dials.
    pub(crate) fn dials(&self) -> Vec<Instant> {
        self.0.dials.lock().unwrap().clone()
    }

    /// Returns the dialler for `Client::connect_with`.
    pub(crate) fn dialler(&self) -> impl Fn() -> Dialling + Send + Sync + 'static {
        let inner = Arc::clone(&self.0);
        move || {
            inner.dials.lock().unwrap().push(Instant::now());
            let plan = inner.plans.lock().unwrap().pop_front().unwrap_or(Plan::Accept);
            let inner = Arc::clone(&inner);
            Box::pin(async move {
                match plan {
                    Plan::Accept => {}
                    Plan::Refuse => return Err(io::ErrorKind::ConnectionRefused.into()),
                    Plan::Never => pending().await,
                }
                let (near, far) = duplex(inner.buffer);
                let valve = Valve::default();
                inner.valves.lock().unwrap().push(valve.clone());
                let number = inner.dials.lock().unwrap().len();
                let peer = Peer::new(far, valve.clone(), number);
                inner.dialled.send(peer).map_err(|_| io::ErrorKind::ConnectionRefused)?;
                Ok(Wire::new(near, valve))
            })
        }
    }

    /// Returns the next connection, before its handshake.
    pub(crate) async fn accept(&self) -> Peer {
        ends(self.next()).await
    }

    /// Returns the next connection, without a time limit.
    pub(crate) async fn next(&self) -> Peer {
        let mut accepted = self.0.accepted.lock().await;
        accepted.recv().await.expect("the server holds a sender")
    }

    /// Returns the next connection after its handshake.
    pub(crate) async fn greet(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.greet().await;
        peer
    }

    /// Returns a client and the peer of its first connection.
    pub(crate) async fn connect(&self, config: Config) -> (Client, Peer) {
        let (client, peer) =
            tokio::join!(ends(Client::connect_with(config, self.dialler())), self.greet());
        // The connection's task takes over the socket.
        settle().await;
        (client.expect("the handshake was answered"), peer)
    }
}

/// The server's end of one connection.
pub(crate) struct Peer {
    stream: DuplexStream,
    input: BytesMut,
    scanner: Scanner,
    /// Controls the bytes that pass from the client's end of the wire.
    pub(crate) valve: Valve,
    /// The number of the connection, and the id in HELLO's reply.
    pub(crate) number: usize,
}

impl Peer {
    fn new(stream: DuplexStream, valve: Valve, number: usize) -> Self {
        let scanner = Scanner::new(Limits::default());
        Self { stream, input: BytesMut::new(), scanner, valve, number }
    }

    /// Answers the handshake.
    pub(crate) async fn greet(&mut self) {
        self.greet_or_end().await.expect("the client hung up");
    }

    /// Answers the handshake. Returns `None` if the client hangs up before its end.
    pub(crate) async fn greet_or_end(&mut self) -> Option<()> {
        let hello = self.request_or_end().await?;
        assert!(hello.starts_with("HELLO 3"), "{hello}");
        for _ in 0..2 {
            let info = self.request_or_end().await?;
            assert!(info.starts_with("CLIENT SETINFO LIB-"), "{info}");
        }
        self.send(hello_reply(self.number)).await;
        self.send("+OK\r\n+OK\r\n").await;
        Some(())
    }

    /// Returns the next request, its words separated by blanks.
    pub(crate) async fn request(&mut self) -> String {
        self.request_or_end().await.expect("the client hung up")
    }

    /// Returns the next request, or `None` if the client has hung up.
    pub(crate) async fn request_or_end(&mut self) -> Option<String> {
        ends(self.next_request()).await
    }

    /// Returns the next request, without a time limit, or `None` if the client has hung up.
    pub(crate) async fn next_request(&mut self) -> Option<String> {
        loop {
            if let Some(len) = self.scanner.scan(&self.input).expect("a request is RESP") {
                let bytes = self.input.split_to(len).freeze();
                let frame = Frame::parse(bytes, Limits::default()).expect("scanned before");
                let value = Value::from(&frame);
                let words = value.as_list().expect("a request is an array").iter();
                let words = words.map(|word| String::from_utf8_lossy(word.as_bytes().unwrap()));
                return Some(words.collect::<Vec<_>>().join(" "));
            }
            if self.stream.read_buf(&mut self.input).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Returns the next `n` requests.
    pub(crate) async fn requests(&mut self, n: usize) -> Vec<String> {
        let mut requests = Vec::new();
        for _ in 0..n {
            requests.push(self.request().await);
        }
        requests
    }

    /// Sends bytes, whether or not the client still reads them.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = ends(self.stream.write_all(bytes.as_ref())).await;
    }

    /// Sends bytes in pieces. The client reads each piece before the next one is sent.
    pub(crate) async fn send_in_pieces(&mut self, bytes: &[u8], piece: usize) {
        for piece in bytes.chunks(piece.max(1)) {
            self.send(piece).await;
            settle().await;
        }
    }

    /// Sends the same bytes repeatedly, until the count is reached or the client has hung up.
    pub(crate) async fn send_repeatedly(&mut self, bytes: &[u8], times: usize) {
        let at_once = (PIECE / bytes.len().max(1)).max(1);
        let piece = bytes.repeat(at_once.min(times));
        let mut left = times;
        while left > 0 {
            let now = left.min(at_once);
            let piece = piece.get(..now * bytes.len()).unwrap_or_default();
            if ends(self.stream.write_all(piece)).await.is_err() {
                return;
            }
            left -= now;
        }
    }

    /// Reads the next request and sends this reply.
    pub(crate) async fn answer(&mut self, reply: impl AsRef<[u8]>) -> String {
        let request = self.request().await;
        self.send(reply).await;
        request
    }

    /// Reads exactly `n` bytes.
    pub(crate) async fn take(&mut self, n: usize) -> Vec<u8> {
        assert!(self.input.is_empty(), "bytes were read ahead");
        let mut bytes = vec![0; n];
        ends(self.stream.read_exact(&mut bytes)).await.expect("the client hung up");
        bytes
    }

    /// Waits until the client has hung up. Returns the unread bytes that it sent before that.
    pub(crate) async fn rest(mut self) -> Vec<u8> {
        let mut rest = self.input.to_vec();
        let _ = ends(self.stream.read_to_end(&mut rest)).await;
        rest
    }

    /// Returns the stream. No bytes may have been read ahead.
    pub(crate) fn into_stream(self) -> DuplexStream {
        assert!(self.input.is_empty(), "bytes were read ahead");
        self.stream
    }
}

/// Returns the reply to HELLO.
pub(crate) fn hello_reply(id: usize) -> String {
    format!(
        "%4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.4.0\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:{id}\r\n"
    )
}

/// Returns a configuration without probes and retries, unless a test enables them.
pub(crate) fn config() -> Config {
    Config::tcp("scripted", 1).probe(None).retry(Retry::Never)
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Runs a test as `#[tokio::test(start_paused = true)]` does.
pub(crate) fn in_paused_time(test: impl Future<Output = ()>) {
    let mut runtime = Builder::new_current_thread();
    runtime.enable_time().start_paused(true);
    runtime.build().expect("a runtime").block_on(test);
}

/// Runs a test in which the other tasks take one step each time the test yields.
pub(crate) fn in_small_steps(test: impl Future<Output = ()>) {
    let mut runtime = Builder::new_current_thread();
    runtime.enable_time().start_paused(true).event_interval(1);
    runtime.build().expect("a runtime").block_on(test);
}

/// Lets every task do what it can without advancing the time.
pub(crate) async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Polls a future once. Returns its output if it completed.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match Pin::new(&mut *future).poll(cx) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}

/// Fails a test that does not end. With paused time, the hour takes no real time.
pub(crate) async fn ends<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(3600), what).await.expect("the test does not end")
}
