//! Credentials providers: when they are called, and how live connections use new credentials.

use super::peer::{Peer, Server, config, ends, hello_reply, ms, poll_once, settle};
use bourn::{
    BoxFuture, Client, Code, Config, ConnectReason, Credentials, CredentialsError,
    CredentialsProvider, Disconnect, Error, Event, GroupFrom, Unsent, XAdd, XLen, XReadGroup,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Credentials that a test changes while they are in use.
fn changing() -> (watch::Sender<Credentials>, Config) {
    let (sender, receiver) = watch::channel(Credentials::new("p0").user("u"));
    (sender, config().credentials(receiver))
}

fn nth(n: usize) -> Credentials {
    Credentials::new(format!("p{n}")).user("u")
}

/// Answers a handshake, which must contain this password.
async fn greet(peer: &mut Peer, password: &str) {
    let hello = peer.requests(3).await.remove(0);
    assert_eq!(hello, format!("HELLO 3 AUTH u {password}"));
    peer.send(hello_reply(peer.number) + "+OK\r\n+OK\r\n").await;
}

async fn connect(server: &Server, config: Config) -> (Client, Peer) {
    let (client, peer) = ends(async {
        tokio::join!(Client::connect_with(config, server.dialler()), async {
            let mut peer = server.accept().await;
            greet(&mut peer, "p0").await;
            peer
        })
    })
    .await;
    settle().await;
    (client.expect("the handshake was answered"), peer)
}

#[tokio::test(start_paused = true)]
async fn each_connection_calls_the_provider_and_its_failure_has_its_own_error() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let config = config().command_timeout(ms(500)).credentials(move || {
        let n = counter.fetch_add(1, SeqCst);
        async move {
            // The first call fails, then some in the middle.
            if n == 0 || (3..6).contains(&n) {
                return Err(CredentialsError::new("the vault is sealed"));
            }
            Ok(Credentials::new(format!("p{n}")).user("u"))
        }
    });
    let server = Server::new();
    let error = ends(Client::connect_with(config.clone(), server.dialler())).await.unwrap_err();
    let Error::Connect(connect) = &error else {
        panic!("{error:?}");
    };
    let ConnectReason::Credentials(source) = connect.reason() else {
        panic!("{error:?}");
    };
    assert!(!connect.is_permanent());
    assert_eq!(source.to_string(), "the vault is sealed");
    let _unused = server.accept().await;
    let (client, peer) = ends(async {
        tokio::join!(Client::connect_with(config, server.dialler()), async {
            let mut peer = server.accept().await;
            greet(&mut peer, "p1").await;
            peer
        })
    })
    .await;
    let client = client.unwrap();
    let (reader, _reader_peer) = ends(async {
        tokio::join!(client.reader(), async {
            let mut peer = server.accept().await;
            greet(&mut peer, "p2").await;
            peer
        })
    })
    .await;
    reader.unwrap();
    drop(peer);
    let (len, ()) = ends(async {
        tokio::join!(client.send(XLen::new("s")), async {
            for _ in 3..6 {
                assert_eq!(server.accept().await.next_request().await, None);
            }
            let mut peer = server.accept().await;
            greet(&mut peer, "p6").await;
            peer.answer(":1\r\n").await;
        })
    })
    .await;
    assert_eq!((len.unwrap(), calls.load(SeqCst)), (1, 7));
}

#[tokio::test(start_paused = true)]
async fn provider_that_never_answers_ends_with_the_connect_timeout() {
    let server = Server::new();
    let config = config().connect_timeout(ms(700)).credentials(std::future::pending);
    let start = Instant::now();
    let error = ends(Client::connect_with(config, server.dialler())).await.unwrap_err();
    assert_eq!(start.elapsed(), ms(700));
    let Error::Connect(connect) = &error else { panic!("{error:?}") };
    assert!(matches!(connect.reason(), ConnectReason::Credentials(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn new_credentials_are_sent_between_commands_and_affect_none() {
    let server = Server::new();
    let (sender, config) = changing();
    let (client, mut peer) = connect(&server, config).await;
    for n in 1..50 {
        let before = client.send(XAdd::new("s").field("n", n));
        let mut before = Box::pin(before);
        assert!(poll_once(&mut before).await.is_none());
        sender.send_replace(nth(n));
        settle().await;
        let mut after = Box::pin(client.send(XLen::new("s")));
        assert!(poll_once(&mut after).await.is_none());
        let requests = peer.requests(3).await;
        assert_eq!(requests, [format!("XADD s * n {n}"), format!("AUTH u p{n}"), "XLEN s".into()]);
        peer.send(format!("+{n}-1\r\n+OK\r\n:{n}\r\n")).await;
        assert_eq!(ends(before).await.unwrap().ms(), n as u64);
        assert_eq!(ends(after).await.unwrap(), n as u64);
        settle().await;
    }
    // Credentials already in use are not sent again. The next connection starts with them.
    sender.send_replace(nth(49));
    settle().await;
    drop(peer);
    let mut peer = server.accept().await;
    greet(&mut peer, "p49").await;
    assert_eq!(server.dials().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn reader_authenticates_once_when_its_blocking_read_ends() {
    let server = Server::new();
    let (sender, config) = changing();
    let (client, _peer) = connect(&server, config).await;
    let (reader, mut peer) = ends(async {
        tokio::join!(client.reader(), async {
            let mut peer = server.accept().await;
            greet(&mut peer, "p0").await;
            peer
        })
    })
    .await;
    let mut reader = reader.unwrap();
    let read = || XReadGroup::new("g", "c").stream("s", GroupFrom::New);
    {
        let mut waiting = Box::pin(reader.read(read().block_forever()));
        assert!(poll_once(&mut waiting).await.is_none());
        peer.request().await;
        sender.send_replace(nth(1));
        assert_eq!(peer.request().await, "AUTH u p1");
        // AUTH is sent once, however long the server takes.
        sleep(ms(3_600_000)).await;
        peer.send("_\r\n+OK\r\n").await;
        assert!(ends(waiting).await.unwrap().is_empty());
    }
    let (streams, request) =
        ends(async { tokio::join!(reader.read(read().block(ms(10))), peer.answer("_\r\n")) }).await;
    assert!(streams.unwrap().is_empty());
    assert_eq!(request, "XREADGROUP GROUP g c BLOCK 10 STREAMS s >");
}

#[tokio::test(start_paused = true)]
async fn rejected_new_credentials_end_the_connection_and_the_client_reconnects() {
    const SECRET: &str = "sesame-that-must-not-be-printed";
    let server = Server::new();
    let (sender, config) = changing();
    let config = config.command_timeout(ms(500)).reconnect(ms(10), ms(100));
    let (client, mut peer) = connect(&server, config).await;
    let mut events = client.events();
    sender.send_replace(Credentials::new(SECRET).user("u"));
    assert_eq!(peer.request().await, format!("AUTH u {SECRET}"));
    // A command in flight behind it is still answered.
    let (len, ()) = ends(async {
        tokio::join!(client.send(XLen::new("s")), async {
            peer.request().await;
            peer.send(format!("-WRONGPASS {SECRET} is no password\r\n:7\r\n")).await;
        })
    })
    .await;
    assert_eq!(len.unwrap(), 7);
    let refuse = async {
        for _ in 0..3 {
            let mut peer = server.accept().await;
            assert_eq!(peer.requests(3).await[0], format!("HELLO 3 AUTH u {SECRET}"));
            peer.send(format!("-WRONGPASS {SECRET}\r\n")).await;
        }
    };
    let (unsent, ()) = ends(async { tokio::join!(client.send(XLen::new("s")), refuse) }).await;
    let unsent = unsent.unwrap_err();
    let Error::Unsent { reason: Unsent::TimedOut { source: Some(source), .. }, .. } = &unsent
    else {
        panic!("{unsent:?}");
    };
    assert!(matches!(source.reason(), ConnectReason::Refused(e) if *e.code() == Code::WrongPass));
    assert!(source.is_permanent());
    let mut seen = Vec::new();
    while !matches!(seen.last(), Some(Event::Disconnected { .. })) {
        seen.push(ends(events.next()).await.unwrap());
    }
    let [_, Event::CredentialsRejected { error, .. }, Event::Disconnected { reason, .. }] =
        &seen[..]
    else {
        panic!("{seen:?}");
    };
    assert!(error.is_credentials() && matches!(reason, Disconnect::Credentials(_)));
    let shown =
        format!("{reason:?} {reason} {seen:?} {unsent:?} {client:?} {sender:?} {client:#?}");
    assert!(shown.contains("WRONGPASS") && !shown.contains("sesame"), "{shown}");
    // The correct credentials are used for the next attempt.
    sender.send_replace(nth(1));
    let mut peer = server.accept().await;
    while peer.requests(3).await[0] != "HELLO 3 AUTH u p1" {
        peer.send("-WRONGPASS no\r\n").await;
        peer = server.accept().await;
    }
    peer.send(hello_reply(1) + "+OK\r\n+OK\r\n").await;
    let (len, _) =
        ends(async { tokio::join!(client.send(XLen::new("s")), peer.answer(":1\r\n")) }).await;
    assert_eq!(len.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn connection_lost_during_a_renewal_leaves_no_auth_for_the_next() {
    for written in [false, true] {
        // If the pipe is full, AUTH stays in the queue.
        let server = if written { Server::new() } else { Server::with_buffer(256) };
        let (sender, config) = changing();
        let (client, mut peer) = connect(&server, config).await;
        let large = vec![b'x'; 4096];
        let mut add = Box::pin(client.send(XAdd::new("s").field("v", &large)));
        if !written {
            assert!(poll_once(&mut add).await.is_none());
        }
        settle().await;
        sender.send_replace(nth(1));
        if written {
            assert_eq!(peer.request().await, "AUTH u p1");
        }
        settle().await;
        drop(peer);
        let mut peer = server.accept().await;
        greet(&mut peer, "p1").await;
        settle().await;
        let (len, request) =
            ends(async { tokio::join!(client.send(XLen::new("s")), peer.answer(":1\r\n")) }).await;
        assert_eq!((len.unwrap(), request.as_str()), (1, "XLEN s"), "{written}");
    }
}

#[tokio::test(start_paused = true)]
async fn unanswered_auth_does_not_block_close() {
    let server = Server::new();
    let (sender, config) = changing();
    let (client, mut peer) = connect(&server, config.command_timeout(ms(500))).await;
    sender.send_replace(nth(1));
    assert_eq!(peer.request().await, "AUTH u p1");
    let start = Instant::now();
    ends(client.close()).await;
    assert!(start.elapsed() <= ms(500), "{:?}", start.elapsed());
}

/// A provider that always reports changed credentials.
struct AlwaysChanged(AtomicUsize);

impl CredentialsProvider for AlwaysChanged {
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        let n = self.0.fetch_add(1, SeqCst);
        let same = if n % 2 == 0 { Ok(nth(0)) } else { Err(CredentialsError::new("not now")) };
        Box::pin(async { same })
    }

    fn changed<'a>(&'a self, _: &'a Credentials) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

#[tokio::test(start_paused = true)]
async fn provider_that_always_reports_a_change_is_not_called_in_a_tight_loop() {
    let server = Server::new();
    let provider = Arc::new(AlwaysChanged(AtomicUsize::new(0)));
    struct Shared(Arc<AlwaysChanged>);
    impl CredentialsProvider for Shared {
        fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
            self.0.credentials()
        }
        fn changed<'a>(&'a self, used: &'a Credentials) -> BoxFuture<'a, ()> {
            self.0.changed(used)
        }
    }
    let config = config().credentials(Shared(Arc::clone(&provider)));
    let (client, mut peer) = connect(&server, config).await;
    sleep(ms(60_000)).await;
    let calls = provider.0.load(SeqCst);
    assert!((60..300).contains(&calls), "{calls} calls in a minute");
    let (len, request) =
        ends(async { tokio::join!(client.send(XLen::new("s")), peer.answer(":1\r\n")) }).await;
    assert_eq!((len.unwrap(), request.as_str()), (1, "XLEN s"), "no AUTH in between");
}
