//! Silent connections: an idle one is probed. One with an overdue reply gets no new writes, and is
//! replaced if no reply arrives for as long again.

use super::peer::{Server, config, ends, ms, settle};
use bourn::{Config, Disconnect, Error, Event, Outcome, XLen};
use tokio::time::{Instant, sleep};

/// Probes after 10 s; the command timeout is 5 s.
fn probed() -> Config {
    config().probe(Some(ms(10_000)))
}

#[tokio::test(start_paused = true)]
async fn idle_connection_is_probed_periodically() {
    let server = Server::new();
    let (client, mut peer) = server.connect(probed()).await;
    for _ in 0..3 {
        let start = Instant::now();
        assert_eq!(peer.answer("+PONG\r\n").await, "PING");
        let after = start.elapsed();
        assert!(after >= ms(10_000) && after <= ms(10_002), "{after:?}");
    }
    // The PONGs are not delivered to any command.
    let (len, _) = tokio::join!(client.send(XLen::new("s")), peer.answer(":3\r\n"));
    assert_eq!(len.unwrap(), 3);
    assert_eq!(server.dials().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn idle_connection_that_does_not_answer_is_replaced() {
    let server = Server::new();
    let (client, mut peer) = server.connect(probed()).await;
    let (start, mut events) = (Instant::now(), client.events());
    assert!(matches!(events.next().await, Some(Event::Connected { .. })));
    assert_eq!(peer.request().await, "PING");
    let event = ends(events.next()).await;
    let silent = matches!(event, Some(Event::Disconnected { reason: Disconnect::Silent, .. }));
    assert!(silent, "{event:?}");
    // 10 s until the probe, and twice the command timeout.
    let after = start.elapsed();
    assert!(after >= ms(20_000) && after <= ms(20_005), "{after:?}");
    let mut peer = server.greet().await;
    let (len, _) = tokio::join!(client.send(XLen::new("s")), peer.answer(":3\r\n"));
    assert_eq!(len.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn overdue_reply_holds_back_writes_then_replaces_the_connection() {
    let server = Server::new();
    let (client, mut peer) = server.connect(probed()).await;
    sleep(ms(3000)).await;
    let start = Instant::now();
    let error = ends(client.send(XLen::new("s"))).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert_eq!((error.outcome(), start.elapsed()), (Outcome::Unknown, ms(5000)));
    assert_eq!(peer.request().await, "XLEN s");
    // Commands sent in the meantime wait for a connection that answers.
    sleep(ms(1000)).await;
    let other = client.clone();
    let call = tokio::spawn(async move { other.send(XLen::new("t")).await });
    let mut next = server.greet().await;
    let after = start.elapsed();
    assert!(after >= ms(10_000) && after <= ms(10_015), "{after:?}");
    assert_eq!(next.answer(":3\r\n").await, "XLEN t");
    assert_eq!(ends(call).await.unwrap().unwrap(), 3);
    assert!(peer.rest().await.is_empty(), "nothing more was written to the first connection");
}

/// Sends a bulk string of 1 MB, one byte per second.
async fn drip(peer: &mut super::peer::Peer) {
    peer.send("$1000000\r\n").await;
    loop {
        sleep(ms(1000)).await;
        peer.send("x").await;
    }
}

#[tokio::test(start_paused = true)]
async fn slow_dripping_reply_does_not_keep_a_connection() {
    let server = Server::new();
    let (client, mut peer) = server.connect(probed()).await;
    let start = Instant::now();
    let (result, mut next) = tokio::select! {
        both = async {
            let result = ends(client.send(XLen::new("s"))).await;
            (result, server.greet().await)
        } => both,
        () = async { peer.request().await; drip(&mut peer).await } => unreachable!(),
    };
    assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
    let after = start.elapsed();
    assert!(after >= ms(10_000) && after <= ms(10_015), "{after:?}");
    let (len, _) = tokio::join!(client.send(XLen::new("s")), next.answer(":3\r\n"));
    assert_eq!(len.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn reader_whose_reply_drips_gets_a_new_connection_at_its_deadline() {
    let server = Server::new();
    let (client, _peer) = server.connect(config().block_grace(ms(500))).await;
    let (reader, mut peer) = tokio::join!(client.reader(), server.greet());
    let mut reader = reader.unwrap();
    let read = || bourn::XRead::new().stream("s", bourn::EntryId::new(1, 1)).block(ms(1000));
    let start = Instant::now();
    let result = tokio::select! {
        result = reader.read(read()) => result,
        () = async { peer.request().await; drip(&mut peer).await } => unreachable!(),
    };
    assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
    assert_eq!(start.elapsed(), ms(1500));
    let mut next = server.greet().await;
    let (read, _) = tokio::join!(reader.read(read()), next.answer("_\r\n"));
    assert!(read.unwrap().is_empty());
}

/// Answers every request, from now on.
async fn echo(peer: &mut super::peer::Peer) {
    while let Some(request) = peer.next_request().await {
        match request.as_str() {
            "PING" => peer.send("+PONG\r\n").await,
            _ => peer.send(format!("${}\r\n{request}\r\n", request.len())).await,
        }
    }
}

/// Answers every request except the first.
async fn lose_one(peer: &mut super::peer::Peer) {
    peer.request().await;
    echo(peer).await;
}

#[tokio::test(start_paused = true)]
async fn lost_reply_fails_only_its_own_call() {
    let server = Server::new();
    let (client, mut peer) = server.connect(probed()).await;
    let server_side = async {
        lose_one(&mut peer).await;
        echo(&mut server.greet().await).await;
    };
    let calls = async {
        let mut failed = 0;
        for n in 0..40 {
            let text = n.to_string();
            match client.send(bourn::Echo::new(&text)).await {
                Ok(echo) => assert_eq!(echo, format!("ECHO {n}").as_bytes()),
                Err(error) => {
                    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
                    failed += 1;
                }
            }
            sleep(ms(1000)).await;
        }
        failed
    };
    let failed = tokio::select! {
        failed = ends(calls) => failed,
        () = server_side => panic!("the client hung up"),
    };
    assert_eq!(failed, 1, "the one whose reply was lost");
}

#[tokio::test(start_paused = true)]
async fn probe_answered_by_another_reply_ends_the_connection() {
    // An extra reply took the place of an earlier one: each later answer would go to the wrong
    // command.
    for reply in [":1\r\n", "$3\r\nabc\r\n", "_\r\n"] {
        let server = Server::new();
        let (client, mut peer) = server.connect(probed()).await;
        let mut events = client.events();
        assert!(matches!(events.next().await, Some(Event::Connected { .. })));
        assert_eq!(peer.answer(reply).await, "PING");
        let event = ends(events.next()).await;
        let shifted = Disconnect::Protocol(bourn::ProtocolError::Shifted);
        let is = matches!(&event, Some(Event::Disconnected { reason , .. }) if format!("{reason:?}") == format!("{shifted:?}"));
        assert!(is, "{reply:?}: {event:?}");
        server.greet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn large_slow_reply_fails_its_call_and_delays_others_by_a_bounded_time() {
    // 100 MB at 4 MB/s; the command timeout is 5 s.
    let server = Server::new();
    let (client, mut peer) = server.connect(probed()).await;
    let sending = async {
        assert_eq!(peer.request().await, "XLEN large");
        peer.send("$100000000\r\n").await;
        let piece = vec![b'x'; 400_000];
        for _ in 0..250 {
            sleep(ms(100)).await;
            peer.send(&piece).await;
        }
        std::future::pending::<()>().await;
    };
    let start = Instant::now();
    let calls = async {
        let large = client.send(XLen::new("large"));
        let small = async {
            let mut ends = Vec::new();
            for _ in 0..12 {
                let result = client.send(XLen::new("small")).await;
                ends.push((start.elapsed(), result));
                sleep(ms(500)).await;
            }
            ends
        };
        let next = async {
            let mut next = server.greet().await;
            for _ in 0..11 {
                assert_eq!(next.answer(":3\r\n").await, "XLEN small");
            }
        };
        tokio::join!(large, small, next)
    };
    let (large, small, ()) = tokio::select! {
        results = ends(calls) => results,
        () = sending => unreachable!(),
    };
    assert!(matches!(large, Err(Error::TimedOut { .. })), "{large:?}");
    let failed: Vec<_> = small.iter().filter(|(_, result)| result.is_err()).collect();
    // One was sent after it. The next one waits for the new connection, which is made after 10 s.
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed.iter().all(|(at, _)| *at <= ms(10_020)), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn late_reply_is_followed_by_a_probe() {
    // The PONG arrives at once, or is late too.
    for is_slow in [false, true] {
        let server = Server::new();
        let (client, mut peer) = server.connect(probed()).await;
        let call = client.send(XLen::new("s"));
        let (result, ()) = ends(async {
            tokio::join!(call, async {
                peer.request().await;
                sleep(ms(8000)).await;
                peer.send(":1\r\n").await;
            })
        })
        .await;
        assert!(matches!(result, Err(Error::TimedOut { .. })), "{result:?}");
        // Commands sent now are queued after the probe.
        let other = client.clone();
        let call = tokio::spawn(async move { other.send(XLen::new("t")).await });
        assert_eq!(peer.request().await, "PING");
        if is_slow {
            let error = ends(call).await.unwrap().unwrap_err();
            assert_eq!(error.outcome(), Outcome::NotSent, "{error:?}");
            server.greet().await;
        } else {
            peer.send("+PONG\r\n").await;
            assert_eq!(peer.answer(":2\r\n").await, "XLEN t");
            assert_eq!(ends(call).await.unwrap().unwrap(), 2);
        }
        assert_eq!(server.dials().len(), if is_slow { 2 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn blocking_read_is_not_probed() {
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
    // Idle again, it is probed.
    assert_eq!(peer.request().await, "PING");
}

#[tokio::test(start_paused = true)]
async fn disabled_probe_sends_nothing() {
    let server = Server::new();
    let (_client, mut peer) = server.connect(config().probe(None)).await;
    tokio::select! {
        request = peer.next_request() => panic!("{request:?}"),
        () = sleep(ms(600_000)) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn connection_stuck_in_a_write_is_replaced() {
    let server = Server::with_buffer(64);
    let (client, mut peer) = server.connect(config().command_timeout(ms(1000))).await;
    // Two are sent and overdue. One late reply arrives, and then the server stops reading.
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
async fn command_timeout_during_a_blocking_read_keeps_the_connection() {
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
