//! Behaviour over TLS equals behaviour without TLS.

use crate::authority::Authority;
use crate::handshake::rustls_server;
use crate::server::{run, start};
use bourn::{
    Client, Config, Disconnect, Error, GroupFrom, Raw, ReadFrom, StartAt, Tls, XAdd, XGroupCreate,
    XLen, XRange, XRead, XReadGroup,
};
use futures_util::StreamExt;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

#[test]
fn megabytes_pass_both_ways_at_once() {
    let (_server, config) = start();
    run(async {
        let client = Client::connect(config.clone()).await.expect("it connects");
        let values: Vec<Vec<u8>> =
            (0..32_u8).map(|n| vec![n; (1 << 20) - usize::from(n)]).collect();
        let adds = values.iter().map(|value| client.send(XAdd::new("s").field("v", value)));
        for added in futures_util::future::join_all(adds).await {
            added.expect("it is added");
        }
        // 32 MiB in one reply, while as much is written.
        let (all, added) = tokio::join!(
            client.send(XRange::new("s", ..)),
            client.send_all(values.iter().map(|value| XAdd::new("t").field("v", value)))
        );
        let all = all.expect("it is read");
        assert!(all.iter().map(|entry| entry.get("v")).eq(values.iter().map(|v| Some(&v[..]))));
        assert!(added.iter().all(Result::is_ok));
        // Many small commands.
        let small = client.send_all((0..20_000).map(|n| XAdd::new("u").field("n", n))).await;
        assert!(small.iter().all(Result::is_ok));
        assert_eq!(client.send(XLen::new("u")).await.expect("it is counted"), 20_000);
        client.close().await;
    });
}

#[test]
fn reader_blocks_and_tail_follows_over_tls() {
    let (_server, config) = start();
    run(async {
        let client = Client::connect(config).await.expect("it connects");
        let create = XGroupCreate::new("s", "g", StartAt::START).mk_stream();
        client.send(create).await.expect("it is created");
        let mut reader = client.reader().await.expect("it connects");
        let read = XReadGroup::new("g", "c").stream("s", GroupFrom::New);
        let mut tail = client.tail("s", ReadFrom::START);
        let (read, added) = tokio::join!(reader.read(read.block_forever()), async {
            client.send(XAdd::new("s").field("f", "v")).await
        });
        let id = added.expect("it is added");
        assert_eq!(
            read.expect("it is read").iter().map(|entry| entry.id()).collect::<Vec<_>>(),
            [id]
        );
        let next = tail.next().await.expect("it does not end").expect("it is read");
        assert_eq!(next.id(), id);
    });
}

#[test]
fn killed_connection_is_replaced() {
    let (server, config) = start();
    run(async {
        let client = Client::connect(config).await.expect("it connects");
        let mut reader = client.reader().await.expect("it connects");
        for round in 0..10_u32 {
            let ids = [client.connection_id(), reader.connection_id()].map(|id| id.expect("one"));
            for id in ids {
                server.command(&["CLIENT", "KILL", "ID", &id.to_string()]);
            }
            // The client may not have noticed the lost connection: then this command is lost.
            while client.send(XAdd::new("s").field("n", round)).await.is_err() {}
            let read = || XRead::new().stream("s", ReadFrom::START).block(Duration::from_secs(5));
            let streams = loop {
                if let Ok(streams) = reader.read(read()).await {
                    break streams;
                }
            };
            assert!(u64::try_from(streams.len()).unwrap() > u64::from(round));
            assert_ne!([client.connection_id(), reader.connection_id()], ids.map(Some));
        }
    });
}

/// Returns the reason for a lost connection to a rustls server, which shuts down properly or not
/// after the first command.
async fn lost_when(orderly: bool) -> Disconnect {
    let authority = Authority::new("good");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    let config = Config::tcp("127.0.0.1", port).tls(Tls::new().ca_pem(authority.pem()));
    let acceptor = TlsAcceptor::from(rustls_server(&authority));
    let play = async {
        let (socket, _) = listener.accept().await.expect("it dials");
        let mut peer = acceptor.accept(socket).await.expect("the handshake succeeds");
        until(&mut peer, b"LIB-VER").await;
        let hello = "-ERR unknown command\r\n+OK\r\n+OK\r\n";
        peer.write_all(hello.as_bytes()).await.expect("it reads");
        peer.flush().await.expect("it reads");
        until(&mut peer, b"XLEN").await;
        if orderly {
            peer.shutdown().await.expect("close_notify can be sent");
        }
    };
    let ask = async {
        let client = Client::connect(config).await.expect("it connects");
        client.send(XLen::new("s")).await
    };
    match tokio::join!(ask, play).0 {
        Err(Error::Lost { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

/// Reads until this word has arrived.
pub(crate) async fn until(peer: &mut (impl AsyncReadExt + Unpin), word: &[u8]) {
    let mut came = Vec::new();
    while !came.windows(word.len()).any(|bytes| bytes == word) {
        assert_ne!(peer.read_buf(&mut came).await.expect("it writes"), 0);
    }
}

#[test]
fn close_notify_is_eof_and_its_absence_is_an_error() {
    run(async {
        let reason = lost_when(true).await;
        assert!(matches!(reason, Disconnect::Eof), "{reason:?}");
        let reason = lost_when(false).await;
        let Disconnect::Io(error) = &reason else { panic!("{reason:?}") };
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn closing_client_sends_close_notify() {
    let authority = Authority::new("good");
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("it has one").port();
        let acceptor = TlsAcceptor::from(rustls_server(&authority));
        let config = Config::tcp("127.0.0.1", port).tls(Tls::new().ca_pem(authority.pem()));
        let ask = async { Client::connect(config).await.expect("it connects").close().await };
        let ((), end) = tokio::join!(ask, async {
            let (socket, _) = listener.accept().await.expect("it dials");
            let mut peer = acceptor.accept(socket).await.expect("the handshake succeeds");
            until(&mut peer, b"LIB-VER").await;
            peer.write_all(b"-ERR unknown command\r\n+OK\r\n+OK\r\n").await.expect("it reads");
            peer.flush().await.expect("it reads");
            // Without close_notify this would be an error.
            peer.read_to_end(&mut Vec::new()).await
        });
        end.expect("it ends in order");
    });
}

#[test]
fn custom_stream_carries_tls() {
    let (server, config) = start();
    run(async {
        let port = server.port();
        let dial = move || tokio::net::TcpStream::connect(("127.0.0.1", port));
        let client = Client::connect_with(config, dial).await.expect("it connects");
        let pong = client.send(Raw::new("PING")).await.expect("it answers");
        assert_eq!(pong.as_str(), Some("PONG"));
    });
}
