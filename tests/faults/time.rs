//! One deadline for each call, from its first poll on, over all that it waits for: room, a connection, the writing, the
//! reply. It ends then, to the millisecond, and the error says whether the command may have run.

use super::peer::{Server, config, ends, hello_reply, ms, poll_once, settle};
use super::wire::Plan;
use bourn::{Client, Config, ConnectError, ConnectReason, Error, Outcome, Unsent, XLen};
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A key with which a request costs 900 bytes of the budget and some: of 1 KiB it leaves no room for another.
fn large() -> String {
    "x".repeat(750)
}

/// Another one, to be told from it.
fn large_too() -> String {
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

/// The result of a call, and when it came.
async fn timed<T>(call: impl Future<Output = T>) -> (T, Instant) {
    let result = ends(call).await;
    (result, Instant::now())
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_reply_waits_until_the_deadline() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config().command_timeout(ms(300))).await;
    let start = Instant::now();
    let (result, at) = timed(client.send(XLen::new("s"))).await;
    is_late(result, ms(300));
    assert_eq!((peer.request().await.as_str(), at - start), ("XLEN s", ms(300)));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_room_waits_until_the_deadline_and_is_never_sent() {
    let server = Server::new();
    let (client, mut peer) = server.connect(tight(ms(300))).await;
    let (large, large_too) = (large(), large_too());
    let start = Instant::now();
    let ((first, first_at), (second, second_at)) =
        tokio::join!(timed(client.send(XLen::new(&large))), async {
            sleep(ms(100)).await;
            timed(client.send(XLen::new(&large_too))).await
        });
    is_late(first, ms(300));
    is_unsent(second, ms(300));
    assert_eq!((first_at - start, second_at - start), (ms(300), ms(400)));
    // The first one's late reply goes to nobody; the second one was never sent.
    assert_eq!(peer.answer(":1\r\n").await, format!("XLEN {large}"));
    let (next, request) = tokio::join!(client.send(XLen::new("next")), peer.answer(":2\r\n"));
    assert_eq!((next.unwrap(), request.as_str()), (2, "XLEN next"));
}

#[tokio::test(start_paused = true)]
async fn who_finds_room_when_the_time_is_over_is_not_sent() {
    // There is room at last, but whoever waited for it was not polled before its time was over.
    let server = Server::new();
    let (client, mut peer) = server.connect(tight(ms(300))).await;
    let (large, large_too) = (large(), large_too());
    let mut first = Box::pin(client.send(XLen::new(&large)));
    let mut second = Box::pin(client.send(XLen::new(&large_too)));
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
async fn who_waits_for_a_connection_waits_until_the_deadline_and_is_never_sent() {
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
async fn who_is_being_written_may_have_run_and_who_stands_behind_was_not_sent() {
    let server = Server::with_buffer(64);
    let (client, mut peer) = server.connect(config().command_timeout(ms(300))).await;
    let (large, large_too) = (large(), large_too());
    let start = Instant::now();
    let ((first, first_at), (second, second_at)) =
        tokio::join!(timed(client.send(XLen::new(&large))), async {
            // The first one is with the driver by now, and the pipe is full.
            sleep(ms(50)).await;
            timed(client.send(XLen::new(&large_too))).await
        });
    is_late(first, ms(300));
    is_unsent(second, ms(300));
    assert_eq!((first_at - start, second_at - start), (ms(300), ms(350)));
    assert_eq!(peer.answer(":1\r\n").await, format!("XLEN {large}"));
    let (next, request) = tokio::join!(client.send(XLen::new("next")), peer.answer(":2\r\n"));
    assert_eq!((next.unwrap(), request.as_str()), (2, "XLEN next"));
}

#[tokio::test(start_paused = true)]
async fn one_deadline_is_over_room_and_connection_and_writing_and_reply_together() {
    let server = Server::with_buffer(64);
    let config = tight(ms(1000)).reconnect(ms(1), ms(1)).connect_timeout(ms(250));
    let (client, mut peer) = server.connect(config).await;
    let (large, large_too) = (large(), large_too());
    let mut before = Box::pin(client.send(XLen::new(&large)));
    assert!(poll_once(&mut before).await.is_none());
    let start = Instant::now();
    let ((result, at), mut peer) = tokio::join!(timed(client.send(XLen::new(&large_too))), async {
        // It waits for room, which there is when the connection is lost.
        peer.request().await;
        sleep(ms(200)).await;
        server.plan([Plan::Never]);
        drop(peer);
        // It waits for a connection: an attempt that comes to nothing, and one that does not.
        let mut peer = server.greet().await;
        let connected = (Instant::now() - start).as_millis();
        assert!((450..=452).contains(&connected), "{connected}");
        // It is written in part, then as a whole, and not answered.
        sleep(ms(250)).await;
        assert_eq!(peer.request().await, format!("XLEN {large_too}"));
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
async fn a_late_reply_goes_to_nobody_and_the_next_caller_gets_its_own() {
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
async fn of_a_late_batch_the_replies_that_came_are_delivered() {
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
async fn who_timed_out_in_the_writer_is_not_sent_on_the_next_connection() {
    // The caller's future is kept and not polled, so that it has not looked at its end yet.
    let server = Server::with_buffer(64);
    let (client, peer) = server.connect(config().command_timeout(ms(300))).await;
    let (large, large_too) = (large(), large_too());
    let mut first = Box::pin(client.send(XLen::new(&large)));
    let mut second = Box::pin(client.send(XLen::new(&large_too)));
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
async fn to_connect_there_is_one_deadline_too() {
    // Never dialled; dialled and mute; a byte a second.
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
            assert!(!peer.rest().await.is_empty(), "{scene}: HELLO came, and then the end");
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
