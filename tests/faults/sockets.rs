//! The same guarantees on real sockets, where callers write directly if few commands are in flight.
//! Threads and the kernel determine the order. No test sleeps.

use super::echo::{Log, Session};
use super::peer::{hello_reply, poll_once};
use bourn::resp::{Frame, Limits, Scanner, Value};
use bourn::{Client, Config, Disconnect, Error, Outcome, Raw, Retry, XLen};
use bytes::BytesMut;
use fastrand::Rng;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use tokio::task::{JoinSet, yield_now};

/// One connection of a server that runs in its own thread.
struct Conn<S> {
    stream: S,
    input: BytesMut,
    scanner: Scanner,
}

impl<S: Read + Write> Conn<S> {
    /// Accepts a socket and answers its handshake.
    fn greet(stream: S) -> Self {
        let scanner = Scanner::new(Limits::default());
        let mut conn = Self { stream, input: BytesMut::new(), scanner };
        for _ in 0..3 {
            conn.request().expect("a handshake");
        }
        conn.send(hello_reply(1) + "+OK\r\n+OK\r\n");
        conn
    }

    fn request(&mut self) -> Option<String> {
        loop {
            if let Some(len) = self.scanner.scan(&self.input).expect("a request is RESP") {
                let bytes = self.input.split_to(len).freeze();
                let frame = Frame::parse(bytes, Limits::default()).expect("scanned before");
                let value = Value::from(&frame);
                let words = value.as_list().expect("a request is an array").iter();
                let words = words.map(|word| word.as_str().expect("text"));
                return Some(words.collect::<Vec<_>>().join(" "));
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.input.extend_from_slice(&piece[..n]),
            }
        }
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Answers each request with the number in it, until the client hangs up.
    fn echo(mut self, log: &Log) {
        let mut session = Session::default();
        while let Some(request) = self.request() {
            let reply = session.answer(&request, log);
            self.send(reply);
        }
    }
}

/// A Unix socket in the temporary folder, removed on drop.
struct Socket(PathBuf);

impl Socket {
    fn bind() -> (Self, UnixListener) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bourn-faults-{}-{n}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("a socket");
        (Self(path), listener)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Many tasks send, in all ways, and some drop their futures. Each gets its own reply, and each
/// command is sent at most once.
async fn check_own_replies(client: Client, log: Log) {
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let client = client.clone();
        tasks.spawn(async move {
            let mut rng = Rng::with_seed(task);
            for n in 0..200 {
                let n = 10_000 * (task + 1) + 3 * n;
                let names = [n, n + 1, n + 2].map(|n| format!("{n:0w$}", w = rng.usize(1..100)));
                if rng.u8(0..4) == 0 {
                    let dropped = client.send(XLen::new(&names[0]));
                    tokio::select! {
                        biased;
                        result = dropped => assert_eq!(result.unwrap(), n),
                        () = yield_now() => {}
                    }
                    continue;
                }
                let [a, b, c] = names.each_ref().map(XLen::new);
                let values = match rng.u8(0..3) {
                    0 => {
                        let (a, b, c) = client.send_all((a, b, c)).await;
                        [a, b, c]
                    }
                    1 => {
                        let (a, b, c) = client.transact((a, b, c)).await.unwrap();
                        [a, b, c]
                    }
                    _ => {
                        let (a, b, c) =
                            tokio::join!(client.send(a), client.send(b), client.send(c));
                        [a, b, c]
                    }
                };
                assert_eq!(values.map(Result::unwrap), [n, n + 1, n + 2]);
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let mut requests = log.requests();
    let all = requests.len();
    requests.sort_unstable();
    requests.dedup();
    assert_eq!(requests.len(), all, "nothing was sent twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_caller_gets_its_own_reply_over_a_unix_socket() {
    let (socket, listener) = Socket::bind();
    let log = Log::default();
    let served = log.clone();
    thread::spawn(move || Conn::greet(listener.accept().unwrap().0).echo(&served));
    let client = Client::connect(Config::unix(&socket.0).retry(Retry::Never)).await.unwrap();
    check_own_replies(client, log).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_caller_gets_its_own_reply_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let log = Log::default();
    let served = log.clone();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        Conn::greet(stream).echo(&served);
    });
    let client = Client::connect(Config::tcp("127.0.0.1", port).retry(Retry::Never)).await.unwrap();
    check_own_replies(client, log).await;
}

#[tokio::test]
async fn megabytes_both_ways_pass_through_a_smaller_socket() {
    const BODY: usize = 4 << 20;
    let (socket, listener) = Socket::bind();
    // Writes each reply while the request is still arriving.
    thread::spawn(move || {
        let mut conn = Conn::greet(listener.accept().unwrap().0);
        assert_eq!(conn.request().as_deref(), Some("XLEN before"));
        conn.send(":1\r\n");
        let mut buffer = vec![0; 10_000];
        loop {
            let head = format!("*2\r\n$4\r\nPING\r\n${BODY}\r\n");
            if conn.stream.read_exact(&mut buffer[..head.len()]).is_err() {
                return;
            }
            conn.send(format!("${BODY}\r\n"));
            let mut left = BODY + 2;
            while left > 0 {
                let piece = left.min(buffer.len());
                conn.stream.read_exact(&mut buffer[..piece]).unwrap();
                let piece = buffer[..piece].to_vec();
                conn.send(&piece);
                left -= piece.len();
            }
        }
    });
    let client = Client::connect(Config::unix(&socket.0).retry(Retry::Never)).await.unwrap();
    // From here on no deadline is new to the connection's task: it wakes only if it is notified
    // that there is more to write.
    assert_eq!(client.send(XLen::new("before")).await.unwrap(), 1);
    let body = "b".repeat(BODY);
    let ping = || client.send(Raw::new("PING").arg(&body));
    let (a, b, c) = tokio::join!(ping(), ping(), ping());
    for reply in [a, b, c] {
        assert!(reply.unwrap().as_str() == Some(&body));
    }
}

#[tokio::test]
async fn partly_written_command_is_lost_and_the_next_one_is_sent_once() {
    // The first request fills the socket. The second one has not left when the server hangs up.
    for read in [0, 1, 100_000] {
        let (socket, listener) = Socket::bind();
        let (full, hang_up) = mpsc::channel::<()>();
        let server = thread::spawn(move || {
            let mut conn = Conn::greet(listener.accept().unwrap().0);
            conn.stream.read_exact(&mut vec![0; read]).unwrap();
            hang_up.recv().unwrap();
            drop(conn);
            let mut conn = Conn::greet(listener.accept().unwrap().0);
            let request = conn.request();
            conn.send(":2\r\n");
            (request, conn.request())
        });
        let client = Client::connect(Config::unix(&socket.0).retry(Retry::Never)).await.unwrap();
        // The connection's task takes over the socket.
        yield_now().await;
        let large = "x".repeat(8 << 20);
        let (first, second, ()) =
            tokio::join!(client.send(XLen::new(&large)), client.send(XLen::new("next")), async {
                full.send(()).unwrap();
            });
        let error = first.unwrap_err();
        let lost = matches!(error, Error::Lost { reason: Disconnect::Io(_) | Disconnect::Eof, .. });
        assert!(lost, "{error:?}");
        assert_eq!((error.outcome(), second.unwrap()), (Outcome::Unknown, 2));
        client.close().await;
        drop(client);
        let (request, after) = server.join().unwrap();
        assert_eq!((request.as_deref(), after), (Some("XLEN next"), None));
    }
}

#[tokio::test]
async fn write_for_many_callers_loses_only_the_bytes_that_left() {
    // Many callers at once: one of them writes for all, and the socket accepts a part. The server
    // hangs up before the connection's task has processed the rest.
    const MANY: usize = 40;
    let (socket, listener) = Socket::bind();
    let (hang_up, hung_up) = (mpsc::channel::<()>(), mpsc::channel::<()>());
    let server = thread::spawn(move || {
        let mut conn = Conn::greet(listener.accept().unwrap().0);
        for n in 0..MANY {
            conn.request().unwrap();
            conn.send(format!(":{n}\r\n"));
        }
        hang_up.1.recv().unwrap();
        drop(conn);
        hung_up.0.send(()).unwrap();
        let mut conn = Conn::greet(listener.accept().unwrap().0);
        let mut received = Vec::new();
        while let Some(request) = conn.request() {
            let n: u64 = request.rsplit(' ').next().unwrap().parse().unwrap();
            conn.send(format!(":{n}\r\n"));
            received.push(n);
        }
        received
    });
    let client = Client::connect(Config::unix(&socket.0).retry(Retry::Never)).await.unwrap();
    let names: Vec<String> = (0..MANY).map(|n| format!("{n:010000}")).collect();
    // This makes the number of concurrent callers known.
    let short = names.iter().map(|name| client.send(XLen::new(&name[9_990..])));
    assert!(futures_util::future::join_all(short).await.iter().all(Result::is_ok));
    let calls = names.iter().map(|name| Box::pin(client.send(XLen::new(name))));
    let mut calls: Vec<_> = calls.collect();
    for call in &mut calls {
        assert!(poll_once(call).await.is_none());
    }
    hang_up.0.send(()).unwrap();
    hung_up.1.recv().unwrap();
    let results = futures_util::future::join_all(calls).await;
    client.close().await;
    drop(client);
    let received = server.join().unwrap();
    let lost = results.iter().take_while(|result| result.is_err()).count();
    assert!((1..MANY).contains(&lost), "{lost} lost");
    for (n, result) in (0u64..).zip(results) {
        match result {
            Ok(value) => assert_eq!(value, n),
            Err(error) => assert!(matches!(error, Error::Lost { .. }), "{error:?}"),
        }
    }
    assert_eq!(
        received,
        (lost as u64..MANY as u64).collect::<Vec<_>>(),
        "{lost} lost, the others arrived once"
    );
}
