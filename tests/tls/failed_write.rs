//! A TLS write that fails may have sent some of its bytes: its commands are unknown, not unsent,
//! and are not sent again.

use crate::authority::Authority;
use crate::{handshake, server, traffic};
use bourn::{Client, Config, Outcome, Retry, Tls, XAdd, XLen};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const WORDS: [&str; 3] = ["first", "second", "third"];
const BYTES: usize = 15_000;

/// A socket that, once armed, accepts one record and a part of the next, and then fails.
struct Wire(TcpStream, Arc<AtomicUsize>);

const ARMED: usize = 1;
const FAILS: usize = 2;

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut bytes = bytes;
        match self.1.load(SeqCst) {
            ARMED => {
                self.1.store(FAILS, SeqCst);
                bytes = &bytes[..bytes.len().min(18_000)];
            }
            FAILS => {
                self.1.store(0, SeqCst);
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            _ => {}
        }
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Returns the words whose commands arrived complete on one connection.
async fn complete(listener: &TcpListener, acceptor: &TlsAcceptor) -> Vec<&'static str> {
    let (socket, _) = listener.accept().await.unwrap();
    let mut peer = acceptor.accept(socket).await.unwrap();
    traffic::until(&mut peer, b"LIB-VER").await;
    peer.write_all(b"%1\r\n+server\r\n+redis\r\n+OK\r\n+OK\r\n").await.unwrap();
    peer.flush().await.unwrap();
    let mut bytes = Vec::new();
    while peer.read_buf(&mut bytes).await.is_ok_and(|n| n > 0) {}
    let text = String::from_utf8_lossy(&bytes);
    let whole = |word: &&&str| {
        let body = format!("{word}\r\n${BYTES}\r\n");
        text.find(&body).is_some_and(|at| text.len() >= at + body.len() + BYTES)
    };
    WORDS.iter().filter(whole).copied().collect()
}

#[test]
fn failed_write_is_unknown_and_is_not_sent_again() {
    let authority = Authority::new("good");
    server::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = TlsAcceptor::from(handshake::rustls_server(&authority));
        let state = Arc::new(AtomicUsize::new(0));
        let armed = Arc::clone(&state);
        let dial = move || {
            let state = Arc::clone(&state);
            async move { Ok(Wire(TcpStream::connect(("127.0.0.1", port)).await?, state)) }
        };
        let tls = Tls::new().ca_pem(authority.pem());
        let config = Config::tcp("127.0.0.1", port).tls(tls).retry(Retry::Never);
        let config = config.command_timeout(Duration::from_secs(1));
        let peer = tokio::spawn(async move {
            let first = complete(&listener, &acceptor).await;
            (first, complete(&listener, &acceptor).await)
        });
        let client = Client::connect_with(config, dial).await.unwrap();
        armed.store(ARMED, SeqCst);
        let value = vec![b'v'; BYTES];
        let results = futures_util::future::join_all(
            WORDS.map(|word| client.send(XAdd::new("s").field(word, &value))),
        )
        .await;
        // No reply comes; but this is sent on the next connection, after any repeated command.
        assert!(client.send(XLen::new("end")).await.is_err());
        client.close().await;
        drop(client);
        let (first, second) = peer.await.unwrap();
        assert_eq!(first, ["first"], "one record is enough for it");
        assert!(second.is_empty(), "{second:?} was sent again");
        for result in results {
            assert_eq!(result.unwrap_err().outcome(), Outcome::Unknown);
        }
    });
}
