//! Each call has one deadline, from its first poll on, for all its waits: budget, connection, write
//! and reply. It ends at that millisecond, and its error has the outcome.

use super::peer::{Server, config, ends, hello_reply, ms, poll_once, settle};
use super::wire::Plan;
use bourn::{Client, Config, ConnectError, ConnectReason, Error, Outcome, Unsent, XLen};
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A key with which a request costs just over 900 bytes of the budget. 1 KiB has no space for a
/// second one.
fn large() -> String {
    "x".repeat(750)
}

/// A second key, of the same length.
fn other_large() -> String {
    "y".repeat(750)
}

fn tight(timeout: Duration) -> Config {
    config().budget_bytes(1024).command_timeout(timeout)
}

#[track_caller]
fn is_unsent<T: Debug>(result: Result<T, Error>, after: Duration) {
    let error = result.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
    let timed_out = matches!(
        &error,
        Error::Unsent { reason: Unsent::TimedOut { waited, .. }, .. } if *waited == after
    );
    assert!(timed_out, "{error:?}");
}

#[track_caller]
fn is_late<T: Debug>(result: Result<T, Error>, after: Duration) {
    let error = result.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    let timed_out = matches!(&error, Error::TimedOut { waited, .. } if *waited == after);
    assert!(timed_out, "{error:?}");
}

/// Returns the result of a call, and its time.
async fn timed<T>(call: impl Future<Output = T>) -> (T, Instant) {
    let result = ends(call).await;
    (result, Instant::now())
}

#[tokio::test(start_paused = true)]
async fn reply_is_awaited_until_the_deadline() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config().command_timeout(ms(300))).await;
    let start = Instant::now();
    let (result, at) = timed(client.send(XLen::new("s"))).await;
    is_late(result, ms(300));
    assert_eq!((peer.request().await.as_str(), at - start), ("XLEN s", ms(300)));
}

#[tokio::test(start_paused = true)]
async fn budget_is_awaited_until_the_deadline_and_the_command_is_not_sent() {
    let server = Server::new();
    let (client, mut peer) = server.connect(tight(ms(300))).await;
    let (large, other_large) = (large(), other_large());
    let start = Instant::now();
    let ((first, first_at), (second, second_at)) =
        tokio::join!(timed(client.send(XLen::new(&large))), async {
            sleep(ms(100)).await;
            timed(client.send(XLen::new(&other_large))).await
        });
    is_late(first, ms(300));
    is_unsent(second, ms(300));
    assert_eq!((first_at - start, second_at - start), (ms(300), ms(400)));
    // The first call's late reply is discarded. The second command was never sent.
    assert_eq!(peer.answer(":1\r\n").await, format!("XLEN {large}"));
    let (next, request) = tokio::join!(client.send(XLen::new("next")), peer.answer(":2\r\n"));
    assert_eq!((next.unwrap(), request.as_str()), (2, "XLEN next"));
}

#[tokio::test(start_paused = true)]
async fn budget_granted_after_the_deadline_sends_nothing() {
    // The budget is free at last, but the waiting call is not polled before its deadline.
    let server = Server::new();
    let (client, mut peer) = server.connect(tight(ms(300))).await;
    let (large, other_large) = (large(), other_large());
    let mut first = Box::pin(client.send(XLen::new(&large)));
    let mut second = Box::pin(client.send(XLen::new(&other_large)));
    assert!(poll_once(&mut first).await.is_none());
    assert!(poll_once(&mut second).await.is_none());
    sleep(ms(300)).await;
    peer.answer(":1\r\n").await;
    settle().await;
    is_unsent(ends(second).await, ms(300));
    let (next, request) = tokio::join!(client.send(XLen::new("next")), peer.answer(":2\r\n"));
    assert_eq!((next.unwrap(), request.as_str()), (2, "XLEN next"));
}

#[tokio::test(start_paused = true)]
async fn connection_is_awaited_until_the_deadline_and_the_command_is_not_sent() {
    for (plan, is_known) in [(Plan::Refuse, true), (Plan::Never, false)] {
        let server = Server::new();
        let config = config().command_timeout(ms(300)).connect_timeout(ms(2000));
        let (client, peer) = server.connect(config).await;
        server.plan([plan; 1000]);
        drop(peer);
        settle().await;
        let start = Instant::now();
        let (result, at) = timed(client.send(XLen::new("s"))).await;
        let Err(Error::Unsent { reason: Unsent::TimedOut { source, .. }, .. }) = &result else {
            panic!("{result:?}");
        };
        let why = source.as_deref().map(ConnectError::reason);
        assert_eq!(matches!(why, Some(ConnectReason::Io(_))), is_known, "{plan:?}: {why:?}");
        is_unsent(result, ms(300));
        assert_eq!(at - start, ms(300), "{plan:?}");
        server.unplan();
        let mut peer = server.greet().await;
        let (next, request) = tokio::join!(client.send(XLen::new("next")), peer.answer(":2\r\n"));
        assert_eq!((next.unwrap(), request.as_str()), (2, "XLEN next"), "{plan:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn partly_written_command_is_unknown_and_the_next_one_is_not_sent() {
    let server = Server::with_buffer(64);
    let (client, mut peer) = server.connect(config().command_timeout(ms(300))).await;
    let (large, other_large) = (large(), other_large());
    let start = Instant::now();
    let ((first, first_at), (second, second_at)) =
        tokio::join!(timed(client.send(XLen::new(&large))), async {
            // The first command is with the driver, and the pipe is full.
            sleep(ms(50)).await;
            timed(client.send(XLen::new(&other_large))).await
        });
    is_late(first, ms(300));
    is_unsent(second, ms(300));
    assert_eq!((first_at - start, second_at - start), (ms(300), ms(350)));
    assert_eq!(peer.answer(":1\r\n").await, format!("XLEN {large}"));
    let (next, request) = tokio::join!(client.send(XLen::new("next")), peer.answer(":2\r\n"));
    assert_eq!((next.unwrap(), request.as_str()), (2, "XLEN next"));
}

#[tokio::test(start_paused = true)]
async fn one_deadline_covers_budget_connection_write_and_reply() {
    let server = Server::with_buffer(64);
    let config = tight(ms(1000)).reconnect(ms(1), ms(1)).connect_timeout(ms(250));
    let (client, mut peer) = server.connect(config).await;
    let (large, other_large) = (large(), other_large());
    let mut before = Box::pin(client.send(XLen::new(&large)));
    assert!(poll_once(&mut before).await.is_none());
    let start = Instant::now();
    let ((result, at), mut peer) =
        tokio::join!(timed(client.send(XLen::new(&other_large))), async {
            // It waits for budget, which is free when the connection is lost.
            peer.request().await;
            sleep(ms(200)).await;
            server.plan([Plan::Never]);
            drop(peer);
            // It waits for a connection: one attempt fails, the next one succeeds.
            let mut peer = server.greet().await;
            let connected = (Instant::now() - start).as_millis();
            assert!((450..=452).contains(&connected), "{connected}");
            // It is written in part, then completely, and not answered.
            sleep(ms(250)).await;
            assert_eq!(peer.request().await, format!("XLEN {other_large}"));
            peer
        });
    is_late(result, ms(1000));
    assert_eq!(at - start, ms(1000));
    assert!(matches!(ends(before).await, Err(Error::Lost { .. })));
    peer.send(":666\r\n").await;
    let (next, _) = tokio::join!(client.send(XLen::new("next")), peer.answer(":2\r\n"));
    assert_eq!(next.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn late_reply_is_discarded_and_the_next_caller_gets_its_own() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config().command_timeout(ms(300))).await;
    for n in 0..5 {
        let (result, _) = timed(client.send(XLen::new("late"))).await;
        is_late(result, ms(300));
        assert_eq!(peer.request().await, "XLEN late");
        let (on_time, ()) = tokio::join!(client.send(XLen::new("next")), async {
            peer.request().await;
            sleep(ms(100)).await;
            peer.send(format!(":666\r\n:{n}\r\n")).await;
        });
        assert_eq!(on_time.unwrap(), n);
    }
    assert_eq!(server.dials().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn late_batch_delivers_the_replies_that_arrived() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config().command_timeout(ms(300))).await;
    let batch = client.send_all((XLen::new("a"), XLen::new("b"), XLen::new("c")));
    let ((batch, _), ()) = tokio::join!(timed(batch), async {
        peer.requests(3).await;
        peer.send(":1\r\n:2\r\n").await;
    });
    assert_eq!((batch.0.unwrap(), batch.1.unwrap()), (1, 2));
    is_late(batch.2, ms(300));
    let (next, ()) = tokio::join!(client.send(XLen::new("d")), async {
        peer.request().await;
        peer.send(":3\r\n:4\r\n").await;
    });
    assert_eq!(next.unwrap(), 4);
}

#[tokio::test(start_paused = true)]
async fn timed_out_command_in_the_writer_is_not_sent_on_the_next_connection() {
    // The caller's future is kept and not polled, so it has not seen its timeout.
    let server = Server::with_buffer(64);
    let (client, peer) = server.connect(config().command_timeout(ms(300))).await;
    let (large, other_large) = (large(), other_large());
    let mut first = Box::pin(client.send(XLen::new(&large)));
    let mut second = Box::pin(client.send(XLen::new(&other_large)));
    assert!(poll_once(&mut first).await.is_none());
    assert!(poll_once(&mut second).await.is_none());
    sleep(ms(400)).await;
    drop(peer);
    let mut peer = server.greet().await;
    let (next, request) = tokio::join!(client.send(XLen::new("next")), peer.answer(":1\r\n"));
    assert_eq!((next.unwrap(), request.as_str()), (1, "XLEN next"));
    is_late(ends(first).await, ms(300));
    is_late(ends(second).await, ms(300));
}

#[tokio::test(start_paused = true)]
async fn connect_has_one_deadline() {
    // Never dialled; dialled and mute; one byte per second.
    for scene in ["dial", "mute", "drip"] {
        let server = Server::new();
        if scene == "dial" {
            server.plan([Plan::Never]);
        }
        let start = Instant::now();
        let connect = Client::connect_with(config().connect_timeout(ms(1500)), server.dialler());
        let play = async {
            if scene == "dial" {
                return;
            }
            let mut peer = server.accept().await;
            if scene == "drip" {
                for byte in hello_reply(1).bytes().take(10) {
                    peer.send([byte]).await;
                    sleep(ms(1000)).await;
                }
            }
            assert!(!peer.rest().await.is_empty(), "{scene}: HELLO arrived, and then EOF");
        };
        let ((client, at), ()) = tokio::join!(timed(connect), play);
        let error = client.unwrap_err();
        let timed_out = matches!(
            &error,
            Error::Connect(connect)
                if matches!(connect.reason(), ConnectReason::TimedOut { after, .. } if *after == ms(1500))
        );
        assert!(timed_out, "{scene}: {error:?}");
        assert_eq!((error.outcome(), at - start), (Outcome::NotSent, ms(1500)), "{scene}");
        assert_eq!(server.dials().len(), 1, "{scene}");
    }
}
