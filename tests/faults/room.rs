//! The byte budget: it is given back whatever becomes of a call, and room is given in the order of asking.

use super::peer::{Server, config, ends, ms, poll_once, settle};
use super::wire::Plan;
use bourn::{Client, Config, Error, Outcome, Unsent, WhenFull, XLen};
use tokio::time::{Instant, sleep};

/// What a request takes beside its bytes, as `Config::budget_bytes` says.
const REQUEST: usize = 128;
const BUDGET: usize = 4096;

/// A key with which XLEN takes exactly so much of the budget.
fn key_for(cost: usize) -> String {
    let bytes = cost - REQUEST;
    let key = |len: usize| "k".repeat(len);
    let fits = |len: &usize| bourn::command::encode(&XLen::new(key(*len))).len() == bytes;
    key((0..bytes).find(fits).expect("some length fits"))
}

fn failing() -> Config {
    config().budget_bytes(BUDGET).when_full(WhenFull::Fail).command_timeout(ms(300))
}

/// One command that takes the whole budget, which is answered: so there is nothing of anyone else's in it.
async fn whole_budget_is_free(server: &Server, client: &Client, peer: &mut super::peer::Peer) {
    let dials = server.dials().len();
    let (whole, half) = (key_for(BUDGET), key_for(BUDGET / 2));
    let (first, second, _) = ends(async {
        tokio::join!(client.send(XLen::new(&half)), client.send(XLen::new(&half)), async {
            peer.requests(2).await;
            peer.send(":1\r\n:2\r\n").await;
        })
    })
    .await;
    assert_eq!((first.unwrap(), second.unwrap()), (1, 2));
    let (all, more, _) = ends(async {
        tokio::join!(
            client.send(XLen::new(&whole)),
            client.send(XLen::new("more")),
            peer.answer(":3\r\n")
        )
    })
    .await;
    assert_eq!(all.unwrap(), 3);
    assert!(matches!(more, Err(Error::Unsent { reason: Unsent::Full { .. }, .. })), "{more:?}");
    assert_eq!(server.dials().len(), dials);
}

#[tokio::test(start_paused = true)]
async fn who_shall_not_wait_is_told_at_once_and_is_not_sent() {
    let server = Server::new();
    let (client, mut peer) = server.connect(failing()).await;
    let (half, start) = (key_for(BUDGET / 2), Instant::now());
    let mut held: Vec<_> = (0..2).map(|_| Box::pin(client.send(XLen::new(&half)))).collect();
    for call in &mut held {
        assert!(poll_once(call).await.is_none());
    }
    let error = client.send(XLen::new("s")).await.unwrap_err();
    assert!(
        matches!(&error, Error::Unsent { reason: Unsent::Full { limit: BUDGET, .. }, .. }),
        "{error:?}"
    );
    assert_eq!((error.outcome(), start.elapsed()), (Outcome::NotSent, ms(0)));
    peer.requests(2).await;
    peer.send(":1\r\n:2\r\n").await;
    settle().await;
    whole_budget_is_free(&server, &client, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_command_beyond_the_budget_goes_alone() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config().budget_bytes(BUDGET)).await;
    let beyond = "x".repeat(10 * BUDGET);
    let (first, large, last, ()) = ends(async {
        tokio::join!(
            client.send(XLen::new("a")),
            client.send(XLen::new(&beyond)),
            client.send(XLen::new("b")),
            async {
                for (n, len) in [6, 5 + beyond.len(), 6].into_iter().enumerate() {
                    settle().await;
                    assert_eq!(peer.request().await.len(), len);
                    peer.send(format!(":{n}\r\n")).await;
                }
            }
        )
    })
    .await;
    assert_eq!((first.unwrap(), large.unwrap(), last.unwrap()), (0, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn the_budget_is_given_back_whatever_becomes_of_a_call() {
    let key = key_for(BUDGET / 4);
    for end in ["answered", "an error", "late", "dropped", "lost", "dropped unsent", "late unsent"]
    {
        let server = Server::new();
        let (client, mut peer) = server.connect(failing()).await;
        if end.ends_with("unsent") {
            server.plan([Plan::Never]);
            drop(peer);
            settle().await;
            let mut calls: Vec<_> =
                (0..4).map(|_| Box::pin(client.send(XLen::new(&key)))).collect();
            for call in &mut calls {
                assert!(poll_once(call).await.is_none());
            }
            if end == "late unsent" {
                for call in calls {
                    assert_eq!(ends(call).await.unwrap_err().outcome(), Outcome::NotSent);
                }
            } else {
                drop(calls);
            }
            // `Plan::Never` ends with the connect timeout.
            peer = server.greet().await;
            settle().await;
            whole_budget_is_free(&server, &client, &mut peer).await;
            continue;
        }
        for _ in 0..3 {
            let mut calls: Vec<_> =
                (0..4).map(|_| Box::pin(client.send(XLen::new(&key)))).collect();
            for call in &mut calls {
                assert!(poll_once(call).await.is_none(), "{end}");
            }
            peer.requests(4).await;
            match end {
                "answered" => peer.send(":1\r\n:1\r\n:1\r\n:1\r\n").await,
                "an error" => peer.send("-ERR a\r\n-ERR b\r\n-ERR c\r\n-ERR d\r\n").await,
                "late" => {
                    sleep(ms(300)).await;
                    for call in calls.drain(..) {
                        assert!(matches!(call.await, Err(Error::TimedOut { .. })));
                    }
                    // What was sent and has timed out still owes its reply, and keeps its room until then.
                    let full = client.send(XLen::new("s")).await.unwrap_err();
                    assert_eq!(full.outcome(), Outcome::NotSent);
                    peer.send(":1\r\n:1\r\n:1\r\n:1\r\n").await;
                }
                "dropped" => {
                    calls.clear();
                    peer.send(":1\r\n:1\r\n:1\r\n:1\r\n").await;
                }
                _ => {
                    drop(peer);
                    peer = server.greet().await;
                }
            }
            settle().await;
            for call in calls {
                let result = ends(call).await;
                assert_eq!(result.is_ok(), end == "answered", "{end}: {result:?}");
            }
        }
        whole_budget_is_free(&server, &client, &mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn room_is_given_in_the_order_of_asking() {
    // One that takes nearly all of the budget is not overtaken by small ones, and they go in their order.
    let server = Server::new();
    let (client, mut peer) = server.connect(config().budget_bytes(BUDGET)).await;
    let mut names: Vec<String> = (0..30).map(|n| format!("{n:02}{}", "s".repeat(300))).collect();
    names[12] = format!("12{}", key_for(BUDGET - 200));
    let mut calls: Vec<_> =
        names.iter().map(|name| Box::pin(client.send(XLen::new(name)))).collect();
    for call in &mut calls {
        assert!(poll_once(call).await.is_none());
    }
    // They are polled backwards; it is the first poll that counts.
    calls.reverse();
    let all = futures_util::future::join_all(calls);
    let (results, order) = ends(async {
        tokio::join!(all, async {
            let mut order = Vec::new();
            for n in 0..30 {
                order.push(peer.request().await[5..7].parse::<usize>().unwrap());
                peer.send(format!(":{n}\r\n")).await;
            }
            order
        })
    })
    .await;
    assert_eq!(order, (0..30).collect::<Vec<_>>());
    let values: Vec<_> = results.into_iter().rev().map(Result::unwrap).collect();
    assert_eq!(values, (0..30).collect::<Vec<u64>>());
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_line_lets_the_next_one_in() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config().budget_bytes(BUDGET)).await;
    let (most, rest) = (key_for(BUDGET - 500), key_for(400));
    let mut first = Box::pin(client.send(XLen::new(&most)));
    let mut large = Box::pin(client.send(XLen::new(&most)));
    assert!(poll_once(&mut first).await.is_none());
    assert!(poll_once(&mut large).await.is_none());
    // A task of its own, which nothing wakes but its turn.
    let (clone, key) = (client.clone(), rest.clone());
    let small = tokio::spawn(async move { clone.send(XLen::new(&key)).await });
    assert_eq!(peer.request().await.len(), 5 + most.len());
    settle().await;
    drop(large);
    assert_eq!(peer.request().await.len(), 5 + rest.len());
    peer.send(":1\r\n:2\r\n").await;
    assert_eq!((ends(first).await.unwrap(), ends(small).await.unwrap().unwrap()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn who_stands_in_line_when_the_client_is_closed_is_sent_home_at_once() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config().budget_bytes(BUDGET)).await;
    let most = key_for(BUDGET - 100);
    let mut first = Box::pin(client.send(XLen::new(&most)));
    assert!(poll_once(&mut first).await.is_none());
    let start = Instant::now();
    let waiting = [0; 3].map(|_| {
        let (client, key) = (client.clone(), most.clone());
        tokio::spawn(async move { client.send(XLen::new(&key)).await })
    });
    settle().await;
    let mut close = Box::pin(client.close());
    assert!(poll_once(&mut close).await.is_none());
    for call in waiting {
        let error = ends(call).await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Unsent { reason: Unsent::Closed, .. }), "{error:?}");
    }
    // What is under way is still finished.
    peer.answer(":1\r\n").await;
    ends(close).await;
    assert_eq!((ends(first).await.unwrap(), start.elapsed()), (1, ms(0)));
    assert!(peer.rest().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_has_timed_out_in_the_line_stands_in_nobodys_way() {
    // Its future has ended and is kept, as in a `select!` whose other branch goes on.
    let server = Server::new();
    let (client, mut peer) =
        server.connect(config().budget_bytes(BUDGET).command_timeout(ms(300))).await;
    let most = key_for(BUDGET - 100);
    let mut first = Box::pin(client.send(XLen::new(&most)));
    assert!(poll_once(&mut first).await.is_none());
    let mut over = Box::pin(client.send(XLen::new(&most)));
    assert_eq!(ends(&mut over).await.unwrap_err().outcome(), Outcome::NotSent);
    assert_eq!(peer.answer(":1\r\n").await.len(), 5 + most.len());
    settle().await;
    let start = Instant::now();
    let (next, request) =
        ends(async { tokio::join!(client.send(XLen::new("next")), peer.answer(":2\r\n")) }).await;
    assert_eq!((next.unwrap(), request.as_str(), start.elapsed()), (2, "XLEN next", ms(0)));
    drop(over);
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_line_goes_on_when_the_room_of_dropped_calls_is_free() {
    // Without a connection dropped calls are taken out when there is one again: then the line moves.
    let server = Server::new();
    let (client, peer) = server.connect(config().budget_bytes(BUDGET)).await;
    server.plan([Plan::Refuse; 3]);
    drop(peer);
    settle().await;
    let most = key_for(BUDGET - 100);
    let mut dropped = Box::pin(client.send(XLen::new(&most)));
    assert!(poll_once(&mut dropped).await.is_none());
    let mut waits = Box::pin(client.send(XLen::new(&most)));
    assert!(poll_once(&mut waits).await.is_none());
    drop(dropped);
    let start = Instant::now();
    let (result, request) =
        ends(async { tokio::join!(waits, async { server.greet().await.answer(":1\r\n").await }) })
            .await;
    assert_eq!((result.unwrap(), request.len()), (1, 5 + most.len()));
    assert!(start.elapsed() < ms(500), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_is_not_polled_holds_nobody_up_beyond_its_time() {
    let server = Server::new();
    let config = config().budget_bytes(1024).command_timeout(ms(1000));
    let (client, mut peer) = server.connect(config).await;
    let key = "x".repeat(750);
    let mut first = Box::pin(client.send(XLen::new(&key)));
    assert!(poll_once(&mut first).await.is_none());
    // Stands in the line, and is forgotten there.
    let mut forgotten = Box::pin(client.send(XLen::new(&key)));
    assert!(poll_once(&mut forgotten).await.is_none());
    tokio::time::sleep(ms(500)).await;
    peer.answer(":1\r\n").await;
    assert_eq!(ends(first).await.unwrap(), 1);
    let (next, request) =
        ends(async { tokio::join!(client.send(XLen::new("s")), peer.answer(":2\r\n")) }).await;
    assert_eq!((next.unwrap(), request.as_str()), (2, "XLEN s"));
    assert_eq!(ends(forgotten).await.unwrap_err().outcome(), Outcome::NotSent);
}
