//! The scripted server: where a client dials, and what the other end of each connection does.
//!
//! Nothing happens by itself: a test accepts a connection, reads requests and sends bytes, step by step. Time is paused,
//! so a wait costs nothing and ends at an exact moment.

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

/// Enough that no write waits for a read.
const ROOMY: usize = 1 << 20;

/// As much as is sent at once of what is sent again and again.
const PIECE: usize = 64 << 10;

/// A dial under way.
pub(crate) type Dialling = Pin<Box<dyn Future<Output = io::Result<Wire>> + Send>>;

/// Where a client dials.
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

    /// A server whose connections hold so many bytes each way; a write of more waits.
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

    /// What becomes of the next dials, in order; those behind them are accepted.
    pub(crate) fn plan(&self, plans: impl IntoIterator<Item = Plan>) {
        self.0.plans.lock().unwrap().extend(plans);
    }

    /// From now on every dial is accepted.
    pub(crate) fn unplan(&self) {
        self.0.plans.lock().unwrap().clear();
    }

    /// How many connections the client holds.
    pub(crate) fn open(&self) -> usize {
        self.0.valves.lock().unwrap().iter().filter(|valve| valve.is_held()).count()
    }

    /// When it was dialled.
    pub(crate) fn dials(&self) -> Vec<Instant> {
        self.0.dials.lock().unwrap().clone()
    }

    /// What `Client::connect_with` takes.
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

    /// The next connection, before the first word on it.
    pub(crate) async fn accept(&self) -> Peer {
        ends(self.next()).await
    }

    /// The next connection, however long that takes.
    pub(crate) async fn next(&self) -> Peer {
        let mut accepted = self.0.accepted.lock().await;
        accepted.recv().await.expect("the server holds a sender")
    }

    /// The next connection, its handshake answered.
    pub(crate) async fn greet(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.greet().await;
        peer
    }

    /// A client and the first connection's other end.
    pub(crate) async fn connect(&self, config: Config) -> (Client, Peer) {
        let (client, peer) =
            tokio::join!(ends(Client::connect_with(config, self.dialler())), self.greet());
        // The connection's task takes the socket over.
        settle().await;
        (client.expect("the handshake was answered"), peer)
    }
}

/// The other end of one connection.
pub(crate) struct Peer {
    stream: DuplexStream,
    input: BytesMut,
    scanner: Scanner,
    /// What the client's end of the wire lets through.
    pub(crate) valve: Valve,
    /// Which connection it is; also the id that HELLO's reply says.
    pub(crate) number: usize,
}

impl Peer {
    fn new(stream: DuplexStream, valve: Valve, number: usize) -> Self {
        let scanner = Scanner::new(Limits::default());
        Self { stream, input: BytesMut::new(), scanner, valve, number }
    }

    /// Answers HELLO and what comes with it.
    pub(crate) async fn greet(&mut self) {
        self.greet_or_end().await.expect("the client hung up");
    }

    /// Answers HELLO and what comes with it; `None` if the client hangs up before.
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

    /// The next request, its words with blanks between them.
    pub(crate) async fn request(&mut self) -> String {
        self.request_or_end().await.expect("the client hung up")
    }

    /// The next request, or `None` if the client has hung up.
    pub(crate) async fn request_or_end(&mut self) -> Option<String> {
        ends(self.next_request()).await
    }

    /// The next request, however long that takes; `None` if the client has hung up.
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

    /// The next `n` requests.
    pub(crate) async fn requests(&mut self, n: usize) -> Vec<String> {
        let mut requests = Vec::new();
        for _ in 0..n {
            requests.push(self.request().await);
        }
        requests
    }

    /// Sends bytes; it does not matter whether the client still reads them.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = ends(self.stream.write_all(bytes.as_ref())).await;
    }

    /// Sends bytes in pieces, each of which the client reads before the next one comes.
    pub(crate) async fn send_in_pieces(&mut self, bytes: &[u8], piece: usize) {
        for piece in bytes.chunks(piece.max(1)) {
            self.send(piece).await;
            settle().await;
        }
    }

    /// Sends the same bytes again and again, until they were sent so often or the client has hung up.
    pub(crate) async fn pour(&mut self, bytes: &[u8], times: usize) {
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

    /// Answers the next request, whatever it is.
    pub(crate) async fn answer(&mut self, reply: impl AsRef<[u8]>) -> String {
        let request = self.request().await;
        self.send(reply).await;
        request
    }

    /// Takes exactly `n` bytes of whatever comes.
    pub(crate) async fn take(&mut self, n: usize) -> Vec<u8> {
        assert!(self.input.is_empty(), "bytes were read ahead");
        let mut bytes = vec![0; n];
        ends(self.stream.read_exact(&mut bytes)).await.expect("the client hung up");
        bytes
    }

    /// Waits until the client has hung up; what it sent before that and nobody read.
    pub(crate) async fn rest(mut self) -> Vec<u8> {
        let mut rest = self.input.to_vec();
        let _ = ends(self.stream.read_to_end(&mut rest)).await;
        rest
    }

    /// Both directions apart, with nothing read that was not asked for.
    pub(crate) fn into_stream(self) -> DuplexStream {
        assert!(self.input.is_empty(), "bytes were read ahead");
        self.stream
    }
}

/// What a server says of itself.
pub(crate) fn hello_reply(id: usize) -> String {
    format!(
        "%4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.4.0\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:{id}\r\n"
    )
}

/// Nothing happens by itself: nothing is asked, nothing is sent again, unless a test wants it.
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

/// Runs a test in which the other tasks take one step each time the test gives way.
pub(crate) fn in_small_steps(test: impl Future<Output = ()>) {
    let mut runtime = Builder::new_current_thread();
    runtime.enable_time().start_paused(true).event_interval(1);
    runtime.build().expect("a runtime").block_on(test);
}

/// Lets every task do what it can without time passing.
pub(crate) async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Polls once; what came of it, if anything did.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match Pin::new(&mut *future).poll(cx) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}

/// The law of every test here: it ends. Paused time makes the hour cost nothing.
pub(crate) async fn ends<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(3600), what).await.expect("it goes on for ever")
}
