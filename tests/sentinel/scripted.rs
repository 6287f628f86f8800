//! Sentinels that name the wrong server: scripted ones, in front of real servers.

use crate::support::Server;
use bourn::{Client, Config, ConnectReason, Error, Role, RoleReply};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A sentinel that names the server at this port, and says nothing by itself.
async fn sentinel(port: &Arc<AtomicU16>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let port = Arc::clone(port);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&port)));
        }
    });
    address
}

/// Answers requests, each of which comes whole.
async fn serve(mut stream: TcpStream, port: Arc<AtomicU16>) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
        for request in text.split('*').filter(|request| !request.is_empty()) {
            let port = port.load(Relaxed).to_string();
            let reply = if request.contains("GET-MASTER-ADDR-BY-NAME") {
                format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len())
            } else if request.contains("MASTER") {
                "*2\r\n$12\r\nconfig-epoch\r\n$1\r\n0\r\n".to_owned()
            } else if request.contains("SENTINELS") {
                "*0\r\n".to_owned()
            } else if request.contains("PING") {
                "+PONG\r\n".to_owned()
            } else if request.contains("SUBSCRIBE") {
                String::new()
            } else {
                "-ERR unknown command\r\n".to_owned()
            };
            if stream.write_all(reply.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test]
async fn replica_that_a_sentinel_names_is_not_used() {
    let (master, replica) = (Server::start(), Server::start());
    replica.command(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    let port = Arc::new(AtomicU16::new(replica.port()));
    let address = sentinel(&port).await;
    let config = Config::sentinel("mymaster", [&address]);

    let refused = Client::connect(config.clone()).await.unwrap_err();
    let Error::Connect(error) = &refused else { panic!("{refused:?}") };
    assert!(matches!(error.reason(), ConnectReason::NotMaster), "{refused}");
    assert!(!error.is_permanent());
    assert_eq!(error.address(), format!("127.0.0.1:{}", replica.port()));

    // It connects as soon as the sentinel names the master.
    let connecting = tokio::spawn(Client::connect(config.wait_for_server(Duration::from_secs(20))));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!connecting.is_finished());
    port.store(master.port(), Relaxed);
    let client = connecting.await.unwrap().unwrap();
    let role: RoleReply = client.send(Role::new()).await.unwrap();
    assert!(matches!(role, RoleReply::Master { .. }), "{role:?}");
}
