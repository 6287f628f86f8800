//! Large commands both ways through small buffers: reading continues while writing is blocked.

use crate::alone::alone;
use crate::both::Random;
use crate::proxy::{Proxy, Upstream, set_buffers};
use crate::support::Server;
use bourn::{Client, Echo};
use futures_util::future::join_all;
use socket2::SockRef;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;

/// The size of each socket buffer. The kernel doubles it.
const BUFFERS: usize = 4096;

const MIB: usize = 1 << 20;

/// Sends distinct texts, all at once.
async fn both_ways(client: &Client, commands: u64) {
    let start = Instant::now();
    let texts: Vec<_> =
        (0..commands).map(|n| Random::new(n).bytes(1000).repeat(MIB / 1000)).collect();
    let said = join_all(texts.iter().map(|text| client.send(Echo::new(text)))).await;
    for (text, said) in texts.iter().zip(said) {
        assert!(*text == said.expect("the reply arrives"), "the text of another command");
    }
    println!("{commands} MiB each way in {:?}", start.elapsed());
}

#[test]
fn megabytes_both_ways_pass_through_small_buffers() {
    let server = Server::start();
    alone(async {
        let port = server.port();
        let proxy = Proxy::with_buffers(Upstream::Tcp(port), Some(BUFFERS)).await;
        // A deadlock would never end; slowness is allowed.
        let config = proxy.config().command_timeout(Duration::from_secs(60));
        both_ways(&Client::connect(&config).await.expect("it is there"), 24).await;

        // The client's own socket with small buffers.
        let port = proxy.port();
        let dial = move || async move {
            let socket = TcpSocket::new_v4()?;
            set_buffers(&SockRef::from(&socket), BUFFERS);
            socket.connect((Ipv4Addr::LOCALHOST, port).into()).await
        };
        both_ways(&Client::connect_with(config, dial).await.expect("it is there"), 8).await;
    });
}
