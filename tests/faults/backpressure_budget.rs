//! The byte budget: it is released however a call ends, and callers get it in first-poll order.

use super::peer::{Server, config, ends, ms, poll_once, settle};
use super::wire::Plan;
use bourn::{Client, Config, Error, Outcome, Unsent, WhenFull, XLen};
use tokio::time::{Instant, sleep};

/// The cost of a request in addition to its bytes, as documented at `Config::budget_bytes`.
const REQUEST: usize = 128;
const BUDGET: usize = 4096;

/// A key with which XLEN takes exactly `cost` bytes of the budget.
fn key_for(cost: usize) -> String {
    let bytes = cost - REQUEST;
    let key = |len: usize| "k".repeat(len);
    let fits = |len: &usize| bourn::command::encode(&XLen::new(key(*len))).len() == bytes;
    key((0..bytes).find(fits).expect("some length fits"))
}

fn failing() -> Config {
    config().budget_bytes(BUDGET).when_full(WhenFull::Fail).command_timeout(ms(300))
}

/// Sends one command that takes the whole budget. It is answered, so the whole budget was free.
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
async fn full_budget_with_when_full_fail_fails_at_once_and_sends_nothing() {
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
async fn command_larger_than_the_budget_is_sent_alone() {
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
async fn budget_is_released_however_a_call_ends() {
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
                    // A request that was sent and timed out still awaits its reply. It keeps its
                    // budget until then.
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
async fn budget_is_granted_in_first_poll_order() {
    // A command that takes nearly all of the budget is not overtaken by small ones. Those keep
    // their order.
    let server = Server::new();
    let (client, mut peer) = server.connect(config().budget_bytes(BUDGET)).await;
    let mut names: Vec<String> = (0..30).map(|n| format!("{n:02}{}", "s".repeat(300))).collect();
    names[12] = format!("12{}", key_for(BUDGET - 200));
    let mut calls: Vec<_> =
        names.iter().map(|name| Box::pin(client.send(XLen::new(name)))).collect();
    for call in &mut calls {
        assert!(poll_once(call).await.is_none());
    }
    // They are polled in reverse: the first poll determines the order.
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
async fn dropping_a_queued_call_admits_the_next_one() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config().budget_bytes(BUDGET)).await;
    let (most, rest) = (key_for(BUDGET - 500), key_for(400));
    let mut first = Box::pin(client.send(XLen::new(&most)));
    let mut large = Box::pin(client.send(XLen::new(&most)));
    assert!(poll_once(&mut first).await.is_none());
    assert!(poll_once(&mut large).await.is_none());
    // A separate task, which only its turn wakes.
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
async fn close_ends_calls_that_wait_for_budget_at_once() {
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
    // Commands in flight complete.
    peer.answer(":1\r\n").await;
    ends(close).await;
    assert_eq!((ends(first).await.unwrap(), start.elapsed()), (1, ms(0)));
    assert!(peer.rest().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn timed_out_queued_call_does_not_block_the_next_one() {
    // The future has completed and is kept, as in a `select!` whose other branch continues.
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
async fn budget_of_dropped_calls_is_released_on_reconnect() {
    // Without a connection, dropped calls are removed at the next connection. Then the queue
    // advances.
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
async fn unpolled_queued_call_blocks_others_only_until_its_deadline() {
    let server = Server::new();
    let config = config().budget_bytes(1024).command_timeout(ms(1000));
    let (client, mut peer) = server.connect(config).await;
    let key = "x".repeat(750);
    let mut first = Box::pin(client.send(XLen::new(&key)));
    assert!(poll_once(&mut first).await.is_none());
    // Queued, and not polled again.
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
