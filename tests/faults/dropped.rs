//! Futures that are dropped during a retry, or while they wait for something other than a command.

use super::peer::{Peer, Server, config, ends, in_small_steps, ms, poll_once, settle};
use bourn::{Config, Event, ReadFrom, Retry, XLen};
use futures_util::StreamExt;
use tokio::task::yield_now;
use tokio::time::sleep;

fn safe() -> Config {
    config().retry(Retry::Safe)
}

/// Checks that the next command on this connection is answered, and is the first to arrive.
async fn works(client: &bourn::Client, peer: &mut Peer, scene: &str) {
    let (len, request) =
        ends(async { tokio::join!(client.send(XLen::new("next")), peer.answer(":7\r\n")) }).await;
    assert_eq!((len.unwrap(), request.as_str()), (7, "XLEN next"), "{scene}");
}

#[tokio::test(start_paused = true)]
async fn command_dropped_during_its_backoff_is_not_sent_again() {
    for refusals in 1..4 {
        let server = Server::new();
        let (client, mut peer) = server.connect(safe()).await;
        let mut call = Box::pin(client.send(XLen::new("s")));
        for _ in 0..refusals {
            while poll_once(&mut call).await.is_none() {
                tokio::select! {
                    biased;
                    request = peer.next_request() => {
                        assert_eq!(request.unwrap(), "XLEN s");
                        peer.send("-LOADING data\r\n").await;
                        settle().await;
                        break;
                    }
                    () = sleep(ms(1)) => {}
                }
            }
        }
        assert!(poll_once(&mut call).await.is_none());
        drop(call);
        sleep(ms(2000)).await;
        works(&client, &mut peer, &format!("{refusals} refusals")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn lost_command_dropped_around_its_retry_takes_no_reply() {
    for queued in [false, true] {
        let server = Server::new();
        let (client, mut peer) = server.connect(safe()).await;
        let mut call = Box::pin(client.send(XLen::new("s")));
        assert!(poll_once(&mut call).await.is_none());
        assert_eq!(peer.request().await, "XLEN s");
        drop(peer);
        settle().await;
        if queued {
            assert!(poll_once(&mut call).await.is_none());
        }
        drop(call);
        // Dropped commands are not sent on the next connection.
        let mut peer = server.greet().await;
        settle().await;
        works(&client, &mut peer, &format!("queued: {queued}")).await;
    }
}

#[test]
fn dropping_reader_creation_after_any_poll_closes_its_connection() {
    in_small_steps(async {
        let server = Server::new();
        let (client, mut peer) = server.connect(safe()).await;
        for k in 0.. {
            let mut making = Box::pin(client.reader());
            let mut greeted = Box::pin(server.next());
            let mut ended = false;
            for _ in 0..k {
                ended = poll_once(&mut making).await.is_some();
                if ended {
                    break;
                }
                if let Some(mut other) = poll_once(&mut greeted).await {
                    tokio::spawn(async move {
                        let _ = other.greet_or_end().await;
                        let _ = other.next_request().await;
                    });
                    greeted = Box::pin(server.next());
                }
                yield_now().await;
            }
            drop(making);
            settle().await;
            assert_eq!(server.open(), 1, "after {k} polls");
            works(&client, &mut peer, &format!("{k} polls")).await;
            if ended {
                assert!(k > 1);
                break;
            }
        }
    });
}

#[tokio::test(start_paused = true)]
async fn tail_with_repeatedly_dropped_next_loses_no_entry() {
    let server = Server::new();
    let (client, _peer) = server.connect(safe()).await;
    let mut tail = client.tail("s", ReadFrom::START);
    let feed = async {
        let mut peer = server.greet().await;
        for n in 1..=5 {
            let request = peer.request().await;
            assert!(
                request.ends_with(&format!(
                    "STREAMS s {}",
                    if n == 1 { "0-0".into() } else { format!("{}-1", n - 1) }
                )),
                "{request}"
            );
            sleep(ms(10)).await;
            let id = format!("{n}-1");
            peer.send(format!(
                "%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n{id}\r\n*2\r\n$1\r\nk\r\n$1\r\nv\r\n"
            ))
            .await;
        }
        peer
    };
    let take = async {
        let mut ids = Vec::new();
        while ids.len() < 5 {
            // Each wait is dropped after 3 ms.
            tokio::select! {
                entry = tail.next() => ids.push(entry.unwrap().unwrap().id().ms()),
                () = sleep(ms(3)) => {}
            }
        }
        ids
    };
    let (ids, _peer) = ends(async { tokio::join!(take, feed) }).await;
    assert_eq!(ids, [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_wait_for_an_event_loses_no_event() {
    let server = Server::new();
    let (client, peer) = server.connect(safe()).await;
    let mut events = client.events();
    assert!(matches!(events.next().await, Some(Event::Connected { .. })));
    for _ in 0..3 {
        let mut waiting = Box::pin(events.next());
        assert!(poll_once(&mut waiting).await.is_none());
    }
    drop(peer);
    assert!(matches!(ends(events.next()).await, Some(Event::Disconnected { .. })));
}
