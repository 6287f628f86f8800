//! A reader has its own connection. The deadline of a read is its block time plus the grace.

use super::echo::entry;
use super::peer::{Peer, Server, config, ends, ms, poll_once, settle};
use super::wire::Plan;
use bourn::{
    Blocking, Client, Code, Disconnect, Error, GroupFrom, Outcome, ReadFrom, Reader, Streams,
    Unsent, XRead, XReadGroup,
};
use tokio::time::{Instant, sleep};

/// A reader, and the peer of its connection: the client's connection is the first, this one the
/// second.
async fn reader(server: &Server, config: bourn::Config) -> ((Client, Peer), Reader, Peer) {
    let client = server.connect(config).await;
    let (reader, peer) = ends(async { tokio::join!(client.0.reader(), server.greet()) }).await;
    settle().await;
    (client, reader.unwrap(), peer)
}

fn read() -> Blocking<XRead<'static>> {
    XRead::new().stream("s", ReadFrom::START).block(ms(200))
}

const READ: &str = "XREAD BLOCK 200 STREAMS s 0-0";

fn ids(streams: &Streams) -> Vec<u64> {
    streams.iter().map(|entry| entry.id().ms()).collect()
}

/// Checks that the next read uses this connection and returns its entries.
async fn check_next_read(reader: &mut Reader, peer: &mut Peer) {
    let (streams, request) =
        ends(async { tokio::join!(reader.read(read()), peer.answer(entry(9))) }).await;
    assert_eq!((ids(&streams.unwrap()), request.as_str()), (vec![9], READ));
}

#[tokio::test(start_paused = true)]
async fn connection_to_a_mute_server_is_closed_after_block_and_grace() {
    for grace in [ms(0), ms(1), ms(300)] {
        let server = Server::new();
        let (_client, mut reader, mut peer) = reader(&server, config().block_grace(grace)).await;
        let start = Instant::now();
        let (late, request) =
            ends(async { tokio::join!(reader.read(read()), peer.request()) }).await;
        let error = late.unwrap_err();
        assert!(matches!(error, Error::TimedOut { command: "XREAD", .. }), "{error:?}");
        assert_eq!((error.outcome(), start.elapsed()), (Outcome::Unknown, ms(200) + grace));
        assert_eq!(request, READ);
        // The connection is closed and replaced. Its reply is discarded.
        assert!(peer.rest().await.is_empty());
        let mut peer = server.greet().await;
        check_next_read(&mut reader, &mut peer).await;
        assert_eq!(server.dials().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn read_without_block_has_the_command_timeout() {
    let server = Server::new();
    let (_client, mut reader, mut peer) = reader(&server, config().command_timeout(ms(700))).await;
    let start = Instant::now();
    let read = XRead::new().stream("s", ReadFrom::START);
    let (late, request) = ends(async { tokio::join!(reader.read(read), peer.request()) }).await;
    assert!(matches!(late, Err(Error::TimedOut { .. })), "{late:?}");
    assert_eq!((start.elapsed(), request.as_str()), (ms(700), "XREAD STREAMS s 0-0"));
}

#[tokio::test(start_paused = true)]
async fn read_with_block_0_has_no_deadline() {
    let server = Server::new();
    let (_client, mut reader, mut peer) = reader(&server, config()).await;
    let read = XReadGroup::new("g", "c").stream("s", GroupFrom::New).block_forever();
    let day = ms(86_400_000);
    let (streams, ()) = tokio::join!(reader.read(read), async {
        assert_eq!(peer.request().await, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
        sleep(day).await;
        peer.send(entry(7)).await;
    });
    assert_eq!(ids(&streams.unwrap()), [7]);
}

#[tokio::test(start_paused = true)]
async fn read_whose_block_time_ends_returns_no_entries() {
    let server = Server::new();
    let (_client, mut reader, mut peer) = reader(&server, config()).await;
    for nothing in ["_\r\n", "*-1\r\n", "$-1\r\n", "*0\r\n", "%0\r\n", "%1\r\n+s\r\n*0\r\n"] {
        let (streams, _) =
            ends(async { tokio::join!(reader.read(read()), peer.answer(nothing)) }).await;
        assert!(streams.unwrap().is_empty(), "{nothing:?}");
    }
    check_next_read(&mut reader, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn reply_of_another_type_is_a_decode_error_and_keeps_the_connection() {
    let server = Server::new();
    let (_client, mut reader, mut peer) = reader(&server, config()).await;
    let shapes = [
        ":7\r\n",
        "+OK\r\n",
        "$5\r\nhello\r\n",
        ",7.5\r\n",
        "#t\r\n",
        "(7\r\n",
        "=7\r\ntxt:1-2\r\n",
        "~1\r\n+s\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*1\r\n+s\r\n",
        "*1\r\n*2\r\n+s\r\n:1\r\n",
        "*1\r\n*2\r\n+s\r\n*1\r\n*2\r\n+x\r\n*0\r\n",
        "*1\r\n*2\r\n+s\r\n*1\r\n*2\r\n+1-1\r\n*1\r\n+odd\r\n",
        "%1\r\n+s\r\n%1\r\n+1-1\r\n*0\r\n",
        "%1\r\n:1\r\n*0\r\n",
        "*?\r\n.\r\n",
        "%?\r\n+s\r\n*0\r\n.\r\n",
        "$?\r\n;0\r\n",
    ];
    for shape in shapes {
        let (streams, _) =
            ends(async { tokio::join!(reader.read(read()), peer.answer(shape)) }).await;
        let error = streams.expect_err(shape);
        assert!(matches!(error, Error::Decode { command: "XREAD", .. }), "{shape:?}: {error:?}");
        assert_eq!(error.outcome(), Outcome::Unknown, "{shape:?}");
        check_next_read(&mut reader, &mut peer).await;
    }
    for (reply, code) in [("-UNBLOCKED a\r\n", Code::Unblocked), ("-NOGROUP b\r\n", Code::NoGroup)]
    {
        let (streams, _) =
            ends(async { tokio::join!(reader.read(read()), peer.answer(reply)) }).await;
        assert_eq!(streams.unwrap_err().code(), Some(&code));
        check_next_read(&mut reader, &mut peer).await;
    }
    assert_eq!(server.dials().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn reply_of_a_dropped_read_is_returned_before_the_next_read_is_sent() {
    let server = Server::new();
    let (_client, mut reader, mut peer) = reader(&server, config()).await;
    let mut dropped = Box::pin(reader.read(read()));
    assert!(poll_once(&mut dropped).await.is_none());
    drop(dropped);
    assert_eq!(peer.request().await, READ);
    let other = || XRead::new().stream("t", ReadFrom::START);
    // The reply had entries: the read passed to this call is not sent.
    peer.send(entry(1)).await;
    let first = ends(reader.read(other())).await.unwrap();
    assert_eq!((ids(&first), reader.is_reading()), (vec![1], false));
    let (second, request) =
        ends(async { tokio::join!(reader.read(other()), peer.answer(entry(2))) }).await;
    assert_eq!((ids(&second.unwrap()), request.as_str()), (vec![2], "XREAD STREAMS t 0-0"));
    // The reply had none: the read is sent.
    let mut dropped = Box::pin(reader.read(read()));
    assert!(poll_once(&mut dropped).await.is_none());
    drop(dropped);
    let (third, requests) = ends(async {
        tokio::join!(reader.read(other()), async {
            [peer.answer("_\r\n").await, peer.answer(entry(3)).await]
        })
    })
    .await;
    assert_eq!(ids(&third.unwrap()), [3]);
    assert_eq!(requests, [READ, "XREAD STREAMS t 0-0"]);
    // The reply was an error: it is returned once.
    let mut dropped = Box::pin(reader.read(read()));
    assert!(poll_once(&mut dropped).await.is_none());
    drop(dropped);
    peer.answer("-NOGROUP no\r\n").await;
    assert_eq!(ends(reader.read(other())).await.unwrap_err().code(), Some(&Code::NoGroup));
    check_next_read(&mut reader, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn dropped_read_keeps_its_deadline() {
    let server = Server::new();
    let (_client, mut reader, mut peer) = reader(&server, config().block_grace(ms(100))).await;
    let mut dropped = Box::pin(reader.read(read()));
    assert!(poll_once(&mut dropped).await.is_none());
    drop(dropped);
    peer.request().await;
    sleep(ms(1500)).await;
    let start = Instant::now();
    let error = ends(reader.read(read())).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert_eq!(start.elapsed(), ms(0));
    assert!(peer.rest().await.is_empty());
    let mut peer = server.greet().await;
    check_next_read(&mut reader, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn read_whose_connection_ends_is_lost_and_not_sent_again() {
    // While the read is awaited, and after it was dropped.
    for dropped in [false, true] {
        for reply in ["", "%1\r\n$1\r\ns\r\n*1\r\n"] {
            let server = Server::new();
            let (_client, mut reader, mut peer) = reader(&server, config()).await;
            let mut call = Box::pin(reader.read(read()));
            assert!(poll_once(&mut call).await.is_none());
            assert_eq!(peer.request().await, READ);
            peer.send(reply).await;
            drop(peer);
            let result = if dropped {
                drop(call);
                let mut peer = server.greet().await;
                let result = ends(reader.read(read())).await;
                check_next_read(&mut reader, &mut peer).await;
                result
            } else {
                let result = ends(call).await;
                let mut peer = server.greet().await;
                check_next_read(&mut reader, &mut peer).await;
                result
            };
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Lost { reason: Disconnect::Eof, .. }), "{error:?}");
            assert_eq!(error.outcome(), Outcome::Unknown);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn read_without_a_connection_is_not_sent() {
    let server = Server::new();
    let (_client, mut reader, peer) = reader(&server, config().block_grace(ms(100))).await;
    server.plan([Plan::Refuse; 1000]);
    drop(peer);
    settle().await;
    let start = Instant::now();
    let error = ends(reader.read(read())).await.unwrap_err();
    let unsent = matches!(error, Error::Unsent { reason: Unsent::TimedOut { .. }, .. });
    assert!(unsent, "{error:?}");
    assert_eq!(start.elapsed(), ms(300));
    server.unplan();
    let mut peer = server.greet().await;
    check_next_read(&mut reader, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn two_readers_and_the_client_do_not_block_each_other() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    let (one, mut one_peer) = tokio::join!(client.reader(), server.greet());
    let (two, mut two_peer) = tokio::join!(client.reader(), server.greet());
    let (mut one, mut two) = (one.unwrap(), two.unwrap());
    let start = Instant::now();
    let (first, second, len, ()) = ends(async {
        tokio::join!(
            one.read(read()),
            two.read(read()),
            client.send(bourn::XLen::new("s")),
            async {
                one_peer.request().await;
                two_peer.request().await;
                peer.answer(":3\r\n").await;
                two_peer.send(entry(2)).await;
                one_peer.send(entry(1)).await;
            }
        )
    })
    .await;
    assert_eq!((ids(&first.unwrap()), ids(&second.unwrap()), len.unwrap()), (vec![1], vec![2], 3));
    assert_eq!(start.elapsed(), ms(0));
}

#[tokio::test(start_paused = true)]
async fn dropped_reader_closes_its_connection_at_once() {
    // Idle, with a read in flight, and without a connection.
    for scene in ["idle", "reading", "connecting"] {
        let server = Server::new();
        let (client, mut reader, mut peer) = reader(&server, config()).await;
        if scene == "reading" {
            let mut call = Box::pin(reader.read(read()));
            assert!(poll_once(&mut call).await.is_none());
            peer.request().await;
        }
        if scene == "connecting" {
            server.plan([Plan::Never; 3]);
            drop(peer);
            settle().await;
        }
        let start = Instant::now();
        drop(reader);
        settle().await;
        assert_eq!(
            (server.open(), start.elapsed()),
            (1, ms(0)),
            "{scene}: the client's connection is left"
        );
        let dials = server.dials().len();
        sleep(ms(60_000)).await;
        assert_eq!(server.dials().len(), dials, "{scene}");
        drop(client);
    }
}
