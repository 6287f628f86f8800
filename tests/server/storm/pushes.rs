//! Pushes on another connection: a tracker that redirects them, and a relay that counts them.

use crate::support::Server;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A connection that lets the server notify another one about every key.
pub(super) struct Tracker(BufReader<TcpStream>);

impl Tracker {
    pub(super) async fn connect(server: &Server) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", server.port())).await;
        Self(BufReader::new(socket.expect("the server takes connections")))
    }

    async fn ask(&mut self, words: &str) {
        self.0.write_all(format!("{words}\r\n").as_bytes()).await.expect("the server reads");
        let mut line = String::new();
        self.0.read_line(&mut line).await.expect("the server answers");
        assert_eq!(line, "+OK\r\n", "{words}");
    }

    /// Redirects the notifications to this connection from now on.
    pub(super) async fn redirect(&mut self, connection: i64) {
        self.ask("CLIENT TRACKING OFF").await;
        self.ask(&format!("CLIENT TRACKING ON REDIRECT {connection} BCAST")).await;
    }
}

/// Relays bytes, and counts the notifications of the server.
pub(super) async fn relay(listener: TcpListener, port: u16, pushes: Arc<AtomicU64>) {
    loop {
        let (client, _) = listener.accept().await.expect("connections come");
        let server = TcpStream::connect(("127.0.0.1", port)).await.expect("the server is there");
        client.set_nodelay(true).expect("it is a socket");
        server.set_nodelay(true).expect("it is a socket");
        let pushes = Arc::clone(&pushes);
        tokio::spawn(async move {
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let up = tokio::io::copy(&mut from_client, &mut to_server);
            let down = async {
                const MESSAGE: &[u8] = b"invalidate";
                let mut bytes = vec![0; 64 << 10];
                // The end of the bytes read before, which may contain the start of a word.
                let mut kept = 0;
                loop {
                    let read = from_server.read(&mut bytes[kept..]).await.unwrap_or(0);
                    if read == 0 || to_client.write_all(&bytes[kept..kept + read]).await.is_err() {
                        return;
                    }
                    let end = kept + read;
                    let messages = memchr::memmem::find_iter(&bytes[..end], MESSAGE).count();
                    pushes.fetch_add(messages as u64, Ordering::Relaxed);
                    kept = end.min(MESSAGE.len() - 1);
                    bytes.copy_within(end - kept..end, 0);
                }
            };
            // When one direction ends, both sockets are closed.
            tokio::select! {
                _ = up => {}
                () = down => {}
            }
        });
    }
}
