//! Large commands both ways through small buffers: reading goes on while writing is blocked, so it all comes through.

use crate::alone::alone;
use crate::both::Random;
use crate::proxy::{Proxy, Upstream};
use crate::support::Server;
use bourn::{Client, Echo};
use futures_util::future::join_all;
use socket2::SockRef;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Of each socket. The kernel makes it twice as much.
const BUFFERS: usize = 4096;

const MIB: usize = 1 << 20;

/// Each has a text of its own, and all are under way at once.
async fn both_ways(client: &Client, commands: u64) {
    let start = Instant::now();
    let texts: Vec<_> =
        (0..commands).map(|n| Random::new(n).bytes(1000).repeat(MIB / 1000)).collect();
    let said = join_all(texts.iter().map(|text| client.send(Echo::new(text)))).await;
    for (text, said) in texts.iter().zip(said) {
        assert!(*text == said.expect("it comes through"), "another's text");
    }
    println!("{commands} MiB each way in {:?}", start.elapsed());
}

#[test]
fn megabytes_both_ways_pass_through_small_buffers() {
    let server = Server::start();
    alone(async {
        let port = server.port();
        let proxy = Proxy::with_buffers(Upstream::Tcp(port), Some(BUFFERS)).await;
        // The deadlock would be for ever; slow is not wrong.
        let config = proxy.config().command_timeout(Duration::from_secs(60));
        both_ways(&Client::connect(&config).await.expect("it is there"), 24).await;

        // And the client's own socket.
        let port = proxy.port();
        let dial = move || async move {
            let socket = TcpStream::connect(("127.0.0.1", port)).await?;
            SockRef::from(&socket).set_send_buffer_size(BUFFERS)?;
            SockRef::from(&socket).set_recv_buffer_size(BUFFERS)?;
            Ok(socket)
        };
        both_ways(&Client::connect_with(config, dial).await.expect("it is there"), 8).await;
    });
}
