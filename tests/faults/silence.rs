//! A connection can die without a word. An idle one is asked whether anybody is there; one that owes a reply and says nothing
//! is replaced; and none is that says anything at all.

use super::peer::{Server, config, ends, ms, settle};
use bourn::{Config, Disconnect, Error, Event, Outcome, XLen};
use tokio::time::{Instant, sleep};

/// Asked after 10 s; commands have 5 s.
fn probed() -> Config {
    config().probe(Some(ms(10_000)))
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_asked_again_and_again() {
    let server = Server::new();
    let (client, mut peer) = server.connect(probed()).await;
    for _ in 0..3 {
        let start = Instant::now();
        assert_eq!(peer.answer("+PONG\r\n").await, "PING");
        let after = start.elapsed();
        assert!(after >= ms(10_000) && after <= ms(10_002), "{after:?}");
    }
    // The answers were nobody's.
    let (len, _) = tokio::join!(client.send(XLen::new("s")), peer.answer(":3\r\n"));
    assert_eq!(len.unwrap(), 3);
    assert_eq!(server.dials().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_that_does_not_answer_is_replaced_before_it_is_needed() {
    let server = Server::new();
    let (client, mut peer) = server.connect(probed()).await;
    let (start, mut events) = (Instant::now(), client.events());
    assert!(matches!(events.next().await, Some(Event::Connected { .. })));
    assert_eq!(peer.request().await, "PING");
    let event = ends(events.next()).await;
    let silent = matches!(event, Some(Event::Disconnected { reason: Disconnect::Silent }));
    assert!(silent, "{event:?}");
    // 10 s until it is asked, and twice the time of a command.
    let after = start.elapsed();
    assert!(after >= ms(20_000) && after <= ms(20_005), "{after:?}");
    let mut peer = server.greet().await;
    let (len, _) = tokio::join!(client.send(XLen::new("s")), peer.answer(":3\r\n"));
    assert_eq!(len.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_that_owes_a_reply_and_is_silent_is_replaced_after_twice_the_time() {
    let server = Server::new();
    let (client, mut peer) = server.connect(probed()).await;
    sleep(ms(3000)).await;
    let start = Instant::now();
    let error = ends(client.send(XLen::new("s"))).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert_eq!((error.outcome(), start.elapsed()), (Outcome::Unknown, ms(5000)));
    assert_eq!(peer.request().await, "XLEN s");
    // The connection has its chance yet.
    let other = client.clone();
    let call = tokio::spawn(async move { other.send(XLen::new("t")).await });
    assert_eq!(peer.request().await, "XLEN t");
    let _next = server.greet().await;
    let after = start.elapsed();
    assert!(after >= ms(10_000) && after <= ms(10_015), "{after:?}");
    let error = ends(call).await.unwrap().unwrap_err();
    assert!(
        matches!(error, Error::TimedOut { .. } | Error::Lost { reason: Disconnect::Silent, .. }),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_slow_but_says_anything_is_kept() {
    let server = Server::new();
    let (client, mut peer) = server.connect(probed()).await;
    // Each reply comes after 8 s: too late for its caller, and yet.
    for n in 0..4 {
        let call = client.send(XLen::new("s"));
        let (result, ()) = ends(async {
            tokio::join!(call, async {
                peer.request().await;
                sleep(ms(8000)).await;
                peer.send(format!(":{n}\r\n")).await;
                settle().await;
            })
        })
        .await;
        assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
    }
    assert_eq!(server.dials().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_blocks_is_not_disturbed() {
    let server = Server::new();
    let (client, _peer) = server.connect(config()).await;
    drop(client);
    let (client, _peer) = server.connect(probed()).await;
    let (reader, mut peer) = tokio::join!(client.reader(), server.greet());
    let mut reader = reader.unwrap();
    let read = tokio::spawn(async move {
        let read = bourn::XRead::new().stream("s", bourn::EntryId::new(1, 1));
        let streams = reader.read(read.block_forever()).await;
        (reader, streams)
    });
    assert_eq!(peer.request().await, "XREAD BLOCK 0 STREAMS s 1-1");
    tokio::select! {
        request = peer.next_request() => panic!("{request:?}"),
        () = sleep(ms(600_000)) => {}
    }
    peer.send("_\r\n").await;
    let (_reader, streams) = ends(read).await.unwrap();
    assert!(streams.unwrap().is_empty());
    // Idle again, it is asked.
    assert_eq!(peer.request().await, "PING");
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_if_the_settings_say_so() {
    let server = Server::new();
    let (_client, mut peer) = server.connect(config().probe(None)).await;
    tokio::select! {
        request = peer.next_request() => panic!("{request:?}"),
        () = sleep(ms(600_000)) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_stuck_in_a_write_is_given_up() {
    let server = Server::with_buffer(64);
    let (client, mut peer) = server.connect(config().command_timeout(ms(1000))).await;
    // Two are sent and overdue; one of the late replies comes, and then the server is stuck.
    let pad = "k".repeat(200);
    let _ = tokio::join!(client.send(XLen::new("s")), client.send(XLen::new(&pad)), async {
        peer.request().await;
    });
    peer.send(":1\r\n").await;
    let start = Instant::now();
    while server.dials().len() < 2 {
        let _ = client.send(XLen::new("t")).await;
        assert!(start.elapsed() < ms(60_000), "still the same connection");
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_behind_a_read_that_blocks_says_nothing_of_the_server() {
    let server = Server::new();
    let (client, _peer) = server.connect(config()).await;
    let (reader, mut peer) = tokio::join!(client.reader(), server.greet());
    let mut reader = reader.unwrap();
    let read = || bourn::XRead::new().stream("s", bourn::EntryId::new(1, 1));
    {
        let mut dropped = Box::pin(reader.read(read().block(ms(60_000))));
        assert!(super::peer::poll_once(&mut dropped).await.is_none());
    }
    let error = ends(reader.send(XLen::new("s"))).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    sleep(ms(40_000)).await;
    assert_eq!(server.open(), 2);
    peer.send("_\r\n:1\r\n").await;
    settle().await;
    assert_eq!(server.dials().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn pushes_alone_do_not_keep_a_connection() {
    let server = Server::new();
    let (client, mut peer) = server.connect(probed()).await;
    let other = client.clone();
    let call = tokio::spawn(async move { other.send(XLen::new("s")).await });
    peer.request().await;
    let start = Instant::now();
    while server.dials().len() == 1 && start.elapsed() < ms(60_000) {
        peer.send(">1\r\n+x\r\n").await;
        sleep(ms(1000)).await;
    }
    let after = start.elapsed();
    assert!(after >= ms(10_000) && after <= ms(12_000), "{after:?}");
    assert!(ends(call).await.unwrap().is_err());
    drop(client);
}
