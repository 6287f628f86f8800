//! Two hundred clients lose their server at once for five seconds. They do not dial in step while
//! it is away, and all are connected soon after it is back.

use crate::alone::alone;
use crate::proxy::{Proxy, Upstream};
use crate::schedule::{Cut, Plan, Way};
use crate::support::Server;
use bourn::{Client, Echo};
use futures_util::future::join_all;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::sleep;

const CLIENTS: usize = 200;
const SECONDS: u32 = 5;

/// The limit for all clients to reconnect after the server is back.
const BACK: Duration = Duration::from_secs(2);

/// The kind of outage.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Away {
    /// Connections are refused.
    Refuses,
    /// Connections are accepted and closed.
    HangsUp,
}

#[test]
fn refusing_server_sees_no_reconnect_storm() {
    let server = Server::start();
    alone(storm(&server, Away::Refuses));
}

#[test]
fn disconnecting_server_sees_no_reconnect_storm() {
    let server = Server::start();
    alone(storm(&server, Away::HangsUp));
}

async fn storm(server: &Server, away: Away) {
    let mut proxy = Proxy::start(Upstream::Unix(server.socket_path())).await;
    let (refused, port, config) = (Arc::default(), proxy.port(), proxy.config());
    let clients = join_all((0..CLIENTS).map(|_| async {
        let client = match away {
            // A refused dial never reaches the proxy: dials are counted at the client.
            Away::Refuses => {
                let dials: Arc<Mutex<Vec<Instant>>> = Arc::clone(&refused);
                let dial = move || {
                    lock(&dials).push(Instant::now());
                    TcpStream::connect(("127.0.0.1", port))
                };
                Client::connect_with(&config, dial).await
            }
            Away::HangsUp => Client::connect(&config).await,
        };
        client.expect("it is there")
    }));
    let clients = clients.await;
    lock(&refused).clear();

    let start = Instant::now();
    match away {
        Away::Refuses => proxy.refuse().await,
        Away::HangsUp => proxy.plan(move |_| {
            let back = start.elapsed() >= Duration::from_secs(SECONDS.into());
            if back { Plan::default() } else { Plan::cut(Way::Up, 0, Cut::Fin) }
        }),
    }
    proxy.reset();
    sleep(Duration::from_secs(SECONDS.into())).await;
    let back = Instant::now();
    if away == Away::Refuses {
        proxy.accept();
    }
    let said = join_all(clients.iter().map(|client| client.send(Echo::new("back")))).await;
    let after = back.elapsed();
    for said in said {
        assert_eq!(said.expect("within a command's time"), "back");
    }

    let dials = match away {
        Away::Refuses => lock(&refused).clone(),
        Away::HangsUp => proxy.seen().iter().map(|seen| seen.dialled).collect(),
    };
    let dials: Vec<_> = dials.into_iter().map(|at| at - start).collect();
    let second = Duration::from_secs(1);
    let by_second: Vec<_> = (0..=SECONDS + 1)
        .map(|n| dials.iter().filter(|at| (n * second..(n + 1) * second).contains(at)).count())
        .collect();
    let away = dials.iter().filter(|at| **at < SECONDS * second).count();
    let mean = away / SECONDS as usize;
    // Any window of one second, not only those of a clock.
    let in_second =
        |from: &Duration| dials.iter().filter(|at| (*from..*from + second).contains(at)).count();
    let most = dials.iter().map(in_second).max().expect("they dial");
    println!("dials by second: {by_second:?}; {mean} on average, {most} in any one");
    println!("all back after {after:?}");
    assert!(most <= 3 * mean, "{most} in a second, {mean} on average");
    assert!(after < BACK, "back after {after:?}");
    assert!(mean >= CLIENTS, "too few dials: {mean}");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
