//! Panics in user code that runs on the connection's task: diallers, providers, streams.

use super::peer::{Peer, Server, config, ends, ms, settle};
use bourn::{
    BoxFuture, Client, ConnectReason, Credentials, CredentialsError, CredentialsProvider, Error,
    Event, XLen,
};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Checks that the connection answers commands. AUTH may come before.
async fn works(client: &Client, peer: &mut Peer) {
    let answer = async { while peer.answer(":7\r\n").await != "XLEN s" {} };
    let (len, ()) = ends(async { tokio::join!(client.send(XLen::new("s")), answer) }).await;
    assert_eq!(len.unwrap(), 7);
}

/// The point at which user code panics.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Call,
    Poll,
}

#[tokio::test(start_paused = true)]
async fn dialler_that_panics_is_a_failed_attempt() {
    for place in [Place::Call, Place::Poll] {
        let server = Server::new();
        let armed = Arc::new(AtomicBool::new(true));
        let (dial, trigger) = (server.dialler(), Arc::clone(&armed));
        let dial = Arc::new(move || {
            let panics = trigger.load(SeqCst);
            assert!(!panics || place == Place::Poll, "a bug in the call");
            let dialled = dial();
            async move {
                assert!(!panics, "a bug in the poll");
                dialled.await
            }
        });
        let again = Arc::clone(&dial);
        let error = Client::connect_with(config(), move || again()).await.unwrap_err();
        let Error::Connect(connect) = &error else { panic!("{error:?}") };
        let ConnectReason::Io(source) = connect.reason() else { panic!("{error:?}") };
        assert!(source.to_string().contains("the dialler panicked: a bug in the "), "{source}");
        while let Ok(peer) = tokio::time::timeout(ms(1), server.next()).await {
            drop(peer);
        }
        armed.store(false, SeqCst);
        let connect = Client::connect_with(config(), move || dial());
        let (client, peer) = ends(async { tokio::join!(connect, server.greet()) }).await;
        let client = client.unwrap();
        let mut events = client.events();
        armed.store(true, SeqCst);
        drop(peer);
        while !matches!(ends(events.next()).await, Some(Event::ConnectFailed { .. })) {}
        armed.store(false, SeqCst);
        // A connection that the dialler opened before it panicked gets no handshake.
        let mut peer = server.accept().await;
        while peer.greet_or_end().await.is_none() {
            peer = server.accept().await;
        }
        works(&client, &mut peer).await;
    }
}

/// Panics while it is armed: in `credentials` or in `changed`, when called or when polled.
struct Provider {
    armed: Arc<AtomicBool>,
    changes: Arc<tokio::sync::Notify>,
    in_changed: bool,
    place: Place,
    calls: Arc<AtomicUsize>,
}

impl Provider {
    fn panic_if_armed(&self, here: bool, place: Place) {
        let armed = here && self.place == place && self.armed.load(SeqCst);
        assert!(!armed, "a bug in the provider");
    }
}

impl CredentialsProvider for Provider {
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        let n = self.calls.fetch_add(1, SeqCst);
        self.panic_if_armed(!self.in_changed, Place::Call);
        Box::pin(async move {
            self.panic_if_armed(!self.in_changed, Place::Poll);
            Ok(Credentials::new(format!("p{n}")))
        })
    }

    fn changed<'a>(&'a self, _: &'a Credentials) -> BoxFuture<'a, ()> {
        self.panic_if_armed(self.in_changed, Place::Call);
        Box::pin(async {
            self.changes.notified().await;
            self.panic_if_armed(self.in_changed, Place::Poll);
        })
    }
}

#[tokio::test(start_paused = true)]
async fn provider_that_panics_is_a_failed_attempt() {
    for (in_changed, place) in
        [(false, Place::Call), (false, Place::Poll), (true, Place::Call), (true, Place::Poll)]
    {
        let server = Server::new();
        let (armed, changes) = (Arc::new(AtomicBool::new(!in_changed)), Arc::default());
        let provider = || Provider {
            armed: Arc::clone(&armed),
            changes: Arc::clone(&changes),
            in_changed,
            place,
            calls: Arc::default(),
        };
        let config = config().reconnect(ms(10), ms(50));
        if !in_changed {
            let failing = config.clone().credentials(provider());
            let error = ends(Client::connect_with(failing, server.dialler())).await.unwrap_err();
            let Error::Connect(connect) = &error else { panic!("{error:?}") };
            let ConnectReason::Credentials(source) = connect.reason() else {
                panic!("{error:?}");
            };
            assert!(source.to_string().contains("panicked: a bug in the provider"), "{source}");
            drop(server.accept().await);
            armed.store(false, SeqCst);
        }
        let (client, mut peer) = server.connect(config.credentials(provider())).await;
        // A renewal that panics is tried again.
        armed.store(true, SeqCst);
        changes.notify_one();
        settle().await;
        works(&client, &mut peer).await;
        tokio::time::sleep(ms(200)).await;
        armed.store(false, SeqCst);
        changes.notify_one();
        let auth = peer.answer("+OK\r\n").await;
        assert!(auth.starts_with("AUTH default p"), "{in_changed} {place:?}: {auth}");
        works(&client, &mut peer).await;
        // A connection attempt that panics is tried again too.
        armed.store(true, SeqCst);
        let mut events = client.events();
        drop(peer);
        if !in_changed {
            while !matches!(ends(events.next()).await, Some(Event::ConnectFailed { .. })) {}
        }
        armed.store(false, SeqCst);
        let mut peer = server.accept().await;
        while peer.greet_or_end().await.is_none() {
            peer = server.accept().await;
        }
        works(&client, &mut peer).await;
    }
}

/// A stream that panics in the read or the write of an armed connection, and when it is dropped.
struct Stream<S> {
    inner: S,
    reads: Arc<AtomicBool>,
    writes: Arc<AtomicBool>,
    drops: Arc<AtomicBool>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        assert!(!self.reads.swap(false, SeqCst), "a bug in the read");
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        assert!(!self.writes.swap(false, SeqCst), "a bug in the write");
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S> Drop for Stream<S> {
    fn drop(&mut self) {
        assert!(!self.drops.swap(false, SeqCst), "a bug in the drop");
    }
}

#[tokio::test(start_paused = true)]
async fn stream_that_panics_ends_only_its_connection() {
    let triggers: [Arc<AtomicBool>; 3] = std::array::from_fn(|_| Arc::default());
    let server = Server::new();
    let (dial, [reads, writes, drops]) = (server.dialler(), triggers.clone());
    let dial = move || {
        let (reads, writes, drops) = (reads.clone(), writes.clone(), drops.clone());
        let dialled = dial();
        async move { Ok(Stream { inner: dialled.await?, reads, writes, drops }) }
    };
    let connect = Client::connect_with(config(), dial);
    let (client, mut peer) = ends(async { tokio::join!(connect, server.greet()) }).await;
    let client = client.unwrap();
    for (what, trigger) in ["read", "write", "drop"].into_iter().zip(&triggers) {
        let mut events = client.events();
        trigger.store(true, SeqCst);
        if what == "drop" {
            drop(peer);
            peer = server.greet().await;
        } else {
            // The outcome depends on the poll order: it was sent, or waits for the next connection.
            let send = client.send(XLen::new("s"));
            let next = async {
                let mut peer = server.greet().await;
                let _ = tokio::time::timeout(ms(1), peer.answer(":7\r\n")).await;
                peer
            };
            (_, peer) = ends(async { tokio::join!(send, next) }).await;
            let shown = format!("{:?} {:?}", events.next().await, events.next().await);
            assert!(
                shown.contains(&format!("the stream panicked: a bug in the {what}")),
                "{shown}"
            );
        }
        works(&client, &mut peer).await;
        assert!(!trigger.load(SeqCst), "{what}");
    }
}
