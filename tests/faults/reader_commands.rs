//! Commands on a reader's own connection: each gets its own reply or none, whatever was dropped
//! before it. An overdue connection is closed, unless the server may still be blocked in a read.

use super::echo::entry;
use super::peer::{Peer, Server, config, ends, ms, poll_once, settle};
use super::wire::Plan;
use bourn::command::encode;
use bourn::{
    Auth, Block, Blocking, Client, Code, DedicatedCommand, Error, Hello, Outcome, ReadFrom, Reader,
    Streams, Unsent, Wait, WaitAof, XAdd, XLen, XRead,
};
use std::fmt::Debug;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const DAY: Duration = ms(86_400_000);

/// A reader, and the peer of its connection: the client's connection is the first, this one the
/// second.
async fn reader(server: &Server, config: bourn::Config) -> ((Client, Peer), Reader, Peer) {
    let client = server.connect(config).await;
    let (reader, peer) = ends(async { tokio::join!(client.0.reader(), server.greet()) }).await;
    settle().await;
    (client, reader.unwrap(), peer)
}

/// A read that blocks for 200 ms.
fn read() -> Blocking<XRead<'static>> {
    XRead::new().stream("s", ReadFrom::START).block(ms(200))
}

const READ: &str = "XREAD BLOCK 200 STREAMS s 0-0";

fn ids(streams: &Streams) -> Vec<u64> {
    streams.iter().map(|entry| entry.id().ms()).collect()
}

/// Sends a command and drops it once it is queued or waits for budget.
async fn drop_send(reader: &mut Reader, command: impl DedicatedCommand<DedicatedReply: Debug>) {
    let mut dropped = Box::pin(reader.send(command));
    assert!(poll_once(&mut dropped).await.is_none());
}

/// Starts a read and drops it.
async fn drop_read(reader: &mut Reader, read: Blocking<XRead<'_>>) {
    let mut dropped = Box::pin(reader.read(read));
    assert!(poll_once(&mut dropped).await.is_none());
}

/// Checks that the next command and the next read use this connection, and get their own replies.
async fn check_next(reader: &mut Reader, peer: &mut Peer, scene: &str) {
    let (len, request) =
        ends(async { tokio::join!(reader.send(XLen::new("next")), peer.answer(":9\r\n")) }).await;
    assert_eq!((len.expect(scene), request.as_str()), (9, "XLEN next"), "{scene}");
    let (streams, request) =
        ends(async { tokio::join!(reader.read(read()), peer.answer(entry(9))) }).await;
    assert_eq!((ids(&streams.expect(scene)), request.as_str()), (vec![9], READ), "{scene}");
}

#[track_caller]
fn is_late<T: Debug>(result: Result<T, Error>, after: Duration, scene: &str) {
    let error = result.expect_err(scene);
    let late = matches!(&error, Error::TimedOut { waited, .. } if *waited == after);
    assert!(late && error.outcome() == Outcome::Unknown, "{scene}: {error:?}");
}

fn is_lost<T>(result: &Result<T, Error>) -> bool {
    let lost = matches!(result, Err(Error::Lost { .. }));
    lost && result.as_ref().is_err_and(|error| error.outcome() == Outcome::Unknown)
}

#[tokio::test(start_paused = true)]
async fn reply_of_a_dropped_command_is_discarded() {
    // The reply of the dropped command arrives before the next command is queued, while that waits,
    // or together with its reply.
    for scene in ["before", "while", "with"] {
        let server = Server::new();
        let (_client, mut reader, mut peer) = reader(&server, config()).await;
        drop_send(&mut reader, XLen::new("dropped")).await;
        assert_eq!(peer.request().await, "XLEN dropped", "{scene}");
        if scene == "before" {
            peer.send(":666\r\n").await;
            settle().await;
        }
        let (len, ()) = ends(async {
            tokio::join!(reader.send(XLen::new("own")), async {
                assert_eq!(peer.request().await, "XLEN own", "{scene}");
                if scene == "while" {
                    peer.send(":666\r\n").await;
                    settle().await;
                }
                peer.send(if scene == "with" { ":666\r\n:2\r\n" } else { ":2\r\n" }).await;
            })
        })
        .await;
        assert_eq!(len.expect(scene), 2, "{scene}");
        // The same with a read after it: entries for a dropped command are not the read's.
        drop_send(&mut reader, XRead::new().stream("dropped", ReadFrom::START)).await;
        assert!(!reader.is_reading(), "{scene}: a command is not a read");
        let (streams, requests) = ends(async {
            tokio::join!(reader.read(read()), async {
                [peer.answer(entry(666)).await, peer.answer(entry(3)).await]
            })
        })
        .await;
        assert_eq!(ids(&streams.expect(scene)), [3], "{scene}");
        assert_eq!(requests, ["XREAD STREAMS dropped 0-0", READ], "{scene}");
        check_next(&mut reader, &mut peer, scene).await;
        assert_eq!(server.dials().len(), 2, "{scene}");
    }
}

#[tokio::test(start_paused = true)]
async fn command_after_a_dropped_wait_is_answered_when_the_wait_ends() {
    let server = Server::new();
    let (_client, mut reader, mut peer) = reader(&server, config().command_timeout(ms(700))).await;
    drop_send(&mut reader, Wait::new(1, Block::Forever)).await;
    assert_eq!(peer.request().await, "WAIT 1 0");
    sleep(DAY).await;
    let start = Instant::now();
    let (len, ()) = ends(async {
        tokio::join!(reader.send(XLen::new("s")), async {
            assert_eq!(peer.request().await, "XLEN s");
            sleep(ms(699)).await;
            peer.send(":1\r\n:2\r\n").await;
        })
    })
    .await;
    assert_eq!((len.unwrap(), start.elapsed()), (2, ms(699)));
    check_next(&mut reader, &mut peer, "it ended").await;
    // The wait does not end in time and its caller is gone: another connection is made.
    drop_send(&mut reader, Wait::new(1, Block::Forever)).await;
    let start = Instant::now();
    is_late(ends(reader.send(XLen::new("s"))).await, ms(700), "after a wait");
    assert_eq!(start.elapsed(), ms(700));
    assert!(!peer.rest().await.is_empty());
    let mut peer = server.greet().await;
    check_next(&mut reader, &mut peer, "it did not end").await;
}

#[tokio::test(start_paused = true)]
async fn wait_after_a_reconnect_is_visible_in_the_connection_id() {
    let server = Server::new();
    let (_client, mut reader, mut peer) = reader(&server, config()).await;
    let add = XAdd::new("jobs").field("v", "a");
    let (id, _) = ends(async { tokio::join!(reader.send(add), peer.answer("+1-1\r\n")) }).await;
    assert_eq!(id.unwrap().to_string(), "1-1");
    let before = reader.connection_id();
    drop(peer);
    settle().await;
    let wait = Wait::new(1, Block::For(ms(100)));
    let (replicas, mut peer) = ends(async {
        tokio::join!(reader.send(wait), async {
            let mut peer = server.greet().await;
            assert_eq!(peer.answer(":3\r\n").await, "WAIT 1 100");
            peer
        })
    })
    .await;
    assert_eq!(replicas.unwrap(), 3);
    assert_eq!((before, reader.connection_id()), (Some(2), Some(3)));
    check_next(&mut reader, &mut peer, "on the next one").await;
    assert_eq!(reader.connection_id(), Some(3));
}

#[tokio::test(start_paused = true)]
async fn command_dropped_or_timed_out_while_it_waits_for_budget_is_not_sent() {
    // As documented at `Config::budget_bytes`, a request costs 128 bytes in addition to its own: 1
    // KiB fits one of these.
    let keys = ["x", "y"].map(|letter| letter.repeat(750));
    for scene in ["dropped", "late"] {
        let server = Server::new();
        let config = config().budget_bytes(1024).command_timeout(ms(300));
        let (_client, mut reader, mut peer) = reader(&server, config).await;
        drop_read(&mut reader, XRead::new().stream(&keys[0], ReadFrom::START).block_forever())
            .await;
        if scene == "dropped" {
            drop_send(&mut reader, XLen::new(&keys[1])).await;
        } else {
            let start = Instant::now();
            let error = ends(reader.send(XLen::new(&keys[1]))).await.unwrap_err();
            let unsent = matches!(error, Error::Unsent { reason: Unsent::TimedOut { .. }, .. });
            assert!(unsent && error.outcome() == Outcome::NotSent, "{error:?}");
            assert_eq!(start.elapsed(), ms(300));
        }
        let request = peer.answer(entry(1)).await;
        assert_eq!(request, format!("XREAD BLOCK 0 STREAMS {} 0-0", keys[0]), "{scene}");
        assert_eq!(ids(&ends(reader.read(read())).await.unwrap()), [1], "{scene}");
        check_next(&mut reader, &mut peer, scene).await;
        assert_eq!(server.dials().len(), 2, "{scene}");
    }
}

#[tokio::test(start_paused = true)]
async fn overdue_connection_is_closed_unless_a_read_may_still_block() {
    // When the command is sent (it ends 100 ms later), and whether the read, which has 300 ms, is
    // overdue by then.
    let rows = [(0, false), (100, false), (199, false), (200, true), (201, true), (1800, true)];
    for (sent, is_over) in rows {
        let scene = format!("sent after {sent} ms");
        let server = Server::new();
        let config = config().block_grace(ms(100)).command_timeout(ms(100));
        let (_client, mut reader, mut peer) = reader(&server, config).await;
        drop_read(&mut reader, read()).await;
        sleep(ms(sent)).await;
        let start = Instant::now();
        is_late(ends(reader.send(XLen::new("late"))).await, ms(100), &scene);
        assert_eq!(start.elapsed(), ms(100), "{scene}");
        settle().await;
        assert_eq!(server.open(), if is_over { 1 } else { 2 }, "{scene}");
        assert_eq!(peer.requests(2).await, [READ, "XLEN late"], "{scene}");
        if is_over {
            let mut peer = server.greet().await;
            is_late(ends(reader.read(read())).await, ms(300), &scene);
            check_next(&mut reader, &mut peer, &scene).await;
        } else {
            peer.send(entry(1) + ":666\r\n").await;
            assert_eq!(ids(&ends(reader.read(read())).await.unwrap()), [1], "{scene}");
            check_next(&mut reader, &mut peer, &scene).await;
            assert_eq!(server.dials().len(), 2, "{scene}");
        }
    }
    // A read with `BLOCK 0` is never overdue.
    let server = Server::new();
    let (_client, mut reader, mut peer) = reader(&server, config().command_timeout(ms(100))).await;
    drop_read(&mut reader, XRead::new().stream("s", ReadFrom::START).block_forever()).await;
    sleep(DAY).await;
    is_late(ends(reader.send(XLen::new("late"))).await, ms(100), "block 0");
    peer.requests(2).await;
    peer.send(entry(1) + ":666\r\n").await;
    assert_eq!(ids(&ends(reader.read(read())).await.unwrap()), [1]);
    check_next(&mut reader, &mut peer, "block 0").await;
}

#[tokio::test(start_paused = true)]
async fn timeout_of_an_earlier_connection_does_not_close_the_next_one() {
    let server = Server::new();
    let config = config().block_grace(ms(100)).command_timeout(ms(100));
    let (_client, mut reader, peer) = reader(&server, config).await;
    drop_read(&mut reader, read()).await;
    // The server hangs up only after the read's deadline.
    sleep(ms(500)).await;
    drop(peer);
    let mut peer = server.greet().await;
    let dials = server.dials().len();
    let (len, _) =
        ends(async { tokio::join!(reader.send(XLen::new("s")), peer.answer(":7\r\n")) }).await;
    assert_eq!(len.unwrap(), 7);
    is_late(ends(reader.read(read())).await, ms(300), "the read that was dropped");
    settle().await;
    assert_eq!((server.dials().len(), server.open()), (dials, 2));
    check_next(&mut reader, &mut peer, "after it").await;
}

#[tokio::test(start_paused = true)]
async fn received_reply_of_a_dropped_read_survives_its_connection() {
    // An overdue command closes the connection, or the server does.
    for scene in ["overdue", "hung up"] {
        let server = Server::new();
        let config = config().command_timeout(ms(100));
        let (_client, mut reader, mut peer) = reader(&server, config).await;
        drop_read(&mut reader, read()).await;
        assert_eq!(peer.answer(entry(1)).await, READ, "{scene}");
        settle().await;
        if scene == "overdue" {
            is_late(ends(reader.send(XLen::new("late"))).await, ms(100), scene);
            assert!(!peer.rest().await.is_empty(), "{scene}");
        } else {
            let (lost, ()) = ends(async {
                tokio::join!(reader.send(XLen::new("lost")), async {
                    peer.request().await;
                    drop(peer);
                })
            })
            .await;
            assert!(is_lost(&lost), "{scene}: {lost:?}");
        }
        let mut peer = server.greet().await;
        assert!(reader.is_reading(), "{scene}");
        assert_eq!(ids(&ends(reader.read(read())).await.expect(scene)), [1], "{scene}");
        check_next(&mut reader, &mut peer, scene).await;
    }
}

fn add() -> XAdd<'static> {
    XAdd::new("jobs").field("v", "a")
}

#[tokio::test(start_paused = true)]
async fn cut_command_is_unknown_and_unsent_command_is_sent_once() {
    let len = encode(&add()).len();
    for k in 0..=len {
        let scene = format!("reset after {k} bytes");
        let server = Server::new();
        let (_client, mut reader, mut peer) = reader(&server, config()).await;
        peer.valve.reset_after(k);
        let cut = async {
            if k == len {
                peer.request().await;
                drop(peer);
            } else {
                assert_eq!(peer.rest().await.len(), k, "{scene}");
            }
            let mut peer = server.greet().await;
            if k == 0 {
                assert_eq!(peer.answer("+1-1\r\n").await, "XADD jobs * v a", "{scene}");
            }
            peer
        };
        let (added, mut peer) = ends(async { tokio::join!(reader.send(add()), cut) }).await;
        assert_eq!((added.is_ok(), is_lost(&added)), (k == 0, k > 0), "{scene}: {added:?}");
        check_next(&mut reader, &mut peer, &scene).await;
    }
    // The reply is cut at every byte too.
    let reply = "$3\r\n1-1\r\n";
    for k in 0..=reply.len() {
        let scene = format!("hung up after {k} bytes of the reply");
        let server = Server::new();
        let (_client, mut reader, mut peer) = reader(&server, config()).await;
        let cut = async {
            peer.answer(&reply[..k]).await;
            drop(peer);
            server.greet().await
        };
        let (added, mut peer) = ends(async { tokio::join!(reader.send(add()), cut) }).await;
        let whole = k == reply.len();
        assert_eq!((added.is_ok(), is_lost(&added)), (whole, !whole), "{scene}: {added:?}");
        check_next(&mut reader, &mut peer, &scene).await;
    }
}

#[tokio::test(start_paused = true)]
async fn command_without_a_connection_is_not_sent() {
    for (wait, after) in [(None, ms(700)), (Some(ms(200)), ms(300))] {
        let server = Server::new();
        let config = config().command_timeout(ms(700)).block_grace(ms(100));
        let (_client, mut reader, peer) = reader(&server, config).await;
        server.plan([Plan::Refuse; 1000]);
        drop(peer);
        settle().await;
        let start = Instant::now();
        let error = match wait {
            None => ends(reader.send(add())).await.unwrap_err(),
            Some(time) => ends(reader.send(Wait::new(1, Block::For(time)))).await.unwrap_err(),
        };
        let unsent = matches!(
            &error,
            Error::Unsent { reason: Unsent::TimedOut { waited, source: Some(_) , .. }, .. }
                if *waited == after
        );
        assert!(unsent && error.outcome() == Outcome::NotSent, "{error:?}");
        assert_eq!(start.elapsed(), after);
        server.unplan();
        let mut peer = server.greet().await;
        check_next(&mut reader, &mut peer, "after a reconnect").await;
    }
}

/// Returns the result of a command without its type.
async fn outcome(reader: &mut Reader, name: &str) -> Result<(), Error> {
    match name {
        "WAIT" => reader.send(Wait::new(1, Block::Forever)).await.map(drop),
        "WAITAOF" => reader.send(WaitAof::new(true, 0, Block::Forever)).await.map(drop),
        "AUTH" => reader.send(Auth::new("sesame")).await,
        "HELLO" => reader.send(Hello::new()).await.map(drop),
        "XADD" => reader.send(add()).await.map(drop),
        _ => reader.send(XLen::new("s")).await.map(drop),
    }
}

#[tokio::test(start_paused = true)]
async fn reply_of_another_type_fails_only_its_command() {
    let server = Server::new();
    let (_client, mut reader, mut peer) = reader(&server, config()).await;
    let rows = [
        ("WAIT", ["+OK\r\n", "_\r\n", "*1\r\n:1\r\n", ":-1\r\n"]),
        ("WAITAOF", [":1\r\n", "*1\r\n:1\r\n", "*2\r\n+a\r\n:0\r\n", "_\r\n"]),
        ("AUTH", [":1\r\n", "_\r\n", "*1\r\n+OK\r\n", "+no\r\n"]),
        ("HELLO", ["+OK\r\n", ":3\r\n", "*1\r\n+server\r\n", "_\r\n"]),
        ("XADD", [":1\r\n", "+x\r\n", "*0\r\n", "%1\r\n+1-1\r\n+1-1\r\n"]),
        ("XLEN", ["+OK\r\n", "_\r\n", "*0\r\n", ":-1\r\n"]),
    ];
    for (name, shapes) in rows {
        for shape in shapes {
            let scene = format!("{name}: {shape:?}");
            // A read comes before it, and keeps its reply.
            drop_read(&mut reader, read()).await;
            let (result, ()) = ends(async {
                tokio::join!(outcome(&mut reader, name), async {
                    peer.requests(2).await;
                    peer.send(entry(1) + shape).await;
                })
            })
            .await;
            let error = result.expect_err(&scene);
            let decode = matches!(&error, Error::Decode { command, .. } if *command == name);
            assert!(decode && error.outcome() == Outcome::Unknown, "{scene}: {error:?}");
            assert_eq!(ids(&ends(reader.read(read())).await.expect(&scene)), [1], "{scene}");
            check_next(&mut reader, &mut peer, &scene).await;
        }
        let refused = peer.answer("-NOPERM no\r\n");
        let (result, _) = ends(async { tokio::join!(outcome(&mut reader, name), refused) }).await;
        assert_eq!(result.unwrap_err().code(), Some(&Code::NoPerm), "{name}");
        check_next(&mut reader, &mut peer, name).await;
    }
    assert_eq!(server.dials().len(), 2);
}

/// Returns the time after which a command is overdue and its connection is closed.
async fn deadline(
    command: impl DedicatedCommand<DedicatedReply: Debug>,
    grace: Duration,
) -> Duration {
    let server = Server::new();
    let config = config().command_timeout(ms(700)).block_grace(grace);
    let (_client, mut reader, mut peer) = reader(&server, config).await;
    let start = Instant::now();
    let (late, _) = ends(async { tokio::join!(reader.send(command), peer.request()) }).await;
    let after = start.elapsed();
    is_late(late, after, "a mute server");
    assert!(peer.rest().await.is_empty());
    let mut peer = server.greet().await;
    check_next(&mut reader, &mut peer, "after a mute server").await;
    after
}

#[tokio::test(start_paused = true)]
async fn wait_deadline_is_its_timeout_plus_grace_and_others_have_the_command_timeout() {
    let waits = Block::For(ms(2000));
    for grace in [ms(0), ms(1), ms(300)] {
        assert_eq!(deadline(Wait::new(1, waits), grace).await, ms(2000) + grace);
        assert_eq!(deadline(WaitAof::new(true, 0, waits), grace).await, ms(2000) + grace);
        assert_eq!(deadline(Auth::new("sesame"), grace).await, ms(700));
        assert_eq!(deadline(Hello::new(), grace).await, ms(700));
        assert_eq!(deadline(add(), grace).await, ms(700));
    }
    // There is no deadline for `Block::Forever`, nor for a duration beyond the range of the clock.
    for wait in [Block::Forever, Block::For(Duration::MAX)] {
        let server = Server::new();
        let (_client, mut reader, mut peer) = reader(&server, config()).await;
        let (replicas, ()) = tokio::join!(reader.send(Wait::new(2, wait)), async {
            peer.request().await;
            sleep(DAY).await;
            peer.send(":2\r\n").await;
        });
        assert_eq!(replicas.unwrap(), 2);
        check_next(&mut reader, &mut peer, "after a day").await;
    }
}
