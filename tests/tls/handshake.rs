//! Peers without TLS, with TLS only, or silent; the handshake's deadline; SNI.

use crate::authority::{Authority, GOOD};
use crate::server::{HOSTS, answers, reason, run, start, to};
use crate::support::Server;
use bourn::{Client, Config, ConnectReason, Error, Tls};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

#[test]
fn tls_client_fails_against_a_plain_server() {
    let server = Server::builder().label("redis-7.0").start();
    run(async {
        let config = to(&server).tls(Tls::new()).connect_timeout(Duration::from_millis(300));
        // The server reads the greeting as an unfinished command, or as an unknown one.
        for _ in 0..10 {
            let error = answers(config.clone()).await.expect_err("it speaks no TLS");
            let Error::Connect(connect) = &error else {
                panic!("{error:?}");
            };
            let ConnectReason::Tls(source) = connect.reason() else {
                panic!("{error:?}");
            };
            let reason = source.to_string();
            let said =
                reason.contains("does not speak TLS") || reason.contains("timed out after 300ms");
            assert!(said, "{reason}");
        }
    });
}

#[test]
fn plain_text_answer_is_reported_as_no_tls() {
    run(async {
        for answer in ["-ERR unknown command\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n"] {
            let (config, mut dialled) = scripted(Duration::from_secs(5));
            let (error, ()) = tokio::join!(config, async {
                let mut peer = dialled.recv().await.expect("it dials");
                peer.write_all(answer.as_bytes()).await.expect("it reads");
                let _ = peer.read_to_end(&mut Vec::new()).await;
            });
            assert_eq!(reason(error, true), "the server does not speak TLS");
        }
    });
}

#[test]
fn plain_client_of_a_tls_server_gets_a_clear_error() {
    let (server, _) = start();
    run(async {
        let error = answers(to(&server)).await.expect_err("it speaks TLS only");
        let Error::Connect(connect) = &error else { panic!("{error:?}") };
        assert!(matches!(connect.reason(), ConnectReason::Eof), "{error:?}");
        // Other servers report the reason in TLS.
        let (near, mut far) = duplex(1 << 16);
        let near = std::sync::Mutex::new(Some(near));
        let dial = move || {
            let near = near.lock().unwrap().take();
            async { near.ok_or_else(|| std::io::ErrorKind::ConnectionRefused.into()) }
        };
        far.write_all(b"\x15\x03\x01\x00\x02\x02\x46").await.expect("the pipe has capacity");
        let error = Client::connect_with(Config::tcp("h", 1), dial).await.expect_err("no RESP");
        assert!(reason(error, true).contains("requires TLS"));
    });
}

/// Connects with TLS over a pipe; returns the error and the pipes' other ends.
fn scripted(
    within: Duration,
) -> (impl Future<Output = Error>, mpsc::UnboundedReceiver<DuplexStream>) {
    let (sender, dialled) = mpsc::unbounded_channel();
    let config = Config::tcp("redis.test", 1).tls(Tls::new()).connect_timeout(within);
    let connect = Client::connect_with(config, move || {
        let (near, far) = duplex(1 << 16);
        let sent = sender.send(far).map_err(std::io::Error::other);
        async { sent.map(|()| near) }
    });
    (async { connect.await.expect_err("there is no such connection") }, dialled)
}

#[tokio::test(start_paused = true)]
async fn stalled_handshake_ends_at_the_connect_timeout() {
    for answered in [&b""[..], b"\x16", b"\x16\x03\x03\x00\x7a\x02\x00"] {
        let (config, mut dialled) = scripted(Duration::from_secs(3));
        let start = Instant::now();
        let (error, _peer) = tokio::join!(config, async {
            let mut peer = dialled.recv().await.expect("it dials");
            peer.write_all(answered).await.expect("it reads");
            peer
        });
        assert_eq!(reason(error, false), "timed out after 3s");
        assert_eq!(start.elapsed(), Duration::from_secs(3));
    }
}

#[tokio::test(start_paused = true)]
async fn disconnect_during_the_handshake_is_transient() {
    let (config, mut dialled) = scripted(Duration::from_secs(3));
    let (error, ()) = tokio::join!(config, async { drop(dialled.recv().await) });
    reason(error, false);
}

/// The settings of a rustls server.
pub(crate) fn rustls_server(authority: &Authority) -> Arc<ServerConfig> {
    let identity = authority.sign(&HOSTS, GOOD);
    let key = PrivateKeyDer::try_from(identity.key_der).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("its versions are known")
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(identity.der)], key);
    Arc::new(config.expect("the key fits"))
}

#[test]
fn tls_and_resp_handshakes_share_one_deadline() {
    let authority = Authority::new("good");
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("it has one").port();
        let tls = Tls::new().ca_pem(authority.pem());
        let within = Duration::from_millis(200);
        let config = Config::tcp("127.0.0.1", port).tls(tls).connect_timeout(within);
        let acceptor = TlsAcceptor::from(rustls_server(&authority));
        let (result, _peer) = tokio::join!(Client::connect(config), async {
            let (socket, _) = listener.accept().await.expect("it dials");
            acceptor.accept(socket).await.expect("the handshake succeeds")
        });
        let Err(Error::Connect(connect)) = &result else { panic!("{result:?}") };
        let ConnectReason::TimedOut { after, .. } = connect.reason() else { panic!("{result:?}") };
        assert_eq!(*after, within);
    });
}

#[test]
fn sni_has_names_and_never_addresses() {
    let rows = [
        ("redis.test", None, Some("redis.test")),
        ("127.0.0.1", None, None),
        ("::1", None, None),
        ("127.0.0.1", Some("redis.test"), Some("redis.test")),
        ("redis.test", Some("127.0.0.1"), None),
    ];
    run(async {
        for (host, name, expected) in rows {
            let tls = Tls::new();
            let tls = if let Some(name) = name { tls.server_name(name) } else { tls };
            let (near, far) = duplex(1 << 16);
            let near = std::sync::Mutex::new(Some(near));
            let dial = move || {
                let near = near.lock().unwrap().take();
                async { near.ok_or_else(|| std::io::ErrorKind::ConnectionRefused.into()) }
            };
            let connect = Client::connect_with(Config::tcp(host, 1).tls(tls), dial);
            let (_, asked) = tokio::join!(connect, async {
                let begun = LazyConfigAcceptor::new(Acceptor::default(), far).await;
                let begun = begun.expect("a greeting");
                begun.client_hello().server_name().map(str::to_owned)
            });
            assert_eq!(asked.as_deref(), expected, "{host} {name:?}");
        }
    });
}
