//! Commands on a reader's own connection: each gets its own reply or none, whatever was dropped before it, and a server
//! that is overdue is given up, unless it may rightly still be at a read.

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

/// A reader, and the other end of its connection: the client's is the first, this one the second.
async fn reader(server: &Server, config: bourn::Config) -> ((Client, Peer), Reader, Peer) {
    let client = server.connect(config).await;
    let (reader, peer) = ends(async { tokio::join!(client.0.reader(), server.greet()) }).await;
    settle().await;
    (client, reader.unwrap(), peer)
}

/// A read that waits for 200 ms.
fn read() -> Blocking<XRead<'static>> {
    XRead::new().stream("s", ReadFrom::START).block(ms(200))
}

const READ: &str = "XREAD BLOCK 200 STREAMS s 0-0";

fn ids(streams: &Streams) -> Vec<u64> {
    streams.iter().map(|entry| entry.id().ms()).collect()
}

/// Sends a command and drops it, once it is queued or in the line for room.
async fn drop_send(reader: &mut Reader, command: impl DedicatedCommand<DedicatedReply: Debug>) {
    let mut dropped = Box::pin(reader.send(command));
    assert!(poll_once(&mut dropped).await.is_none());
}

/// Begins a read and drops it.
async fn drop_read(reader: &mut Reader, read: Blocking<XRead<'_>>) {
    let mut dropped = Box::pin(reader.read(read));
    assert!(poll_once(&mut dropped).await.is_none());
}

/// The next command and the next read go to this connection, and each brings what it answers.
async fn next_ones_work(reader: &mut Reader, peer: &mut Peer, scene: &str) {
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
async fn a_dropped_commands_reply_goes_to_nobody() {
    // Its reply comes before the next command is queued, while that waits, and with that one's.
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
        // The same with a read behind it: entries for one who has gone are not the read's.
        drop_send(&mut reader, XRead::new().stream("dropped", ReadFrom::START)).await;
        assert!(!reader.is_under_way(), "{scene}: a command is no read");
        let (streams, requests) = ends(async {
            tokio::join!(reader.read(read()), async {
                [peer.answer(entry(666)).await, peer.answer(entry(3)).await]
            })
        })
        .await;
        assert_eq!(ids(&streams.expect(scene)), [3], "{scene}");
        assert_eq!(requests, ["XREAD STREAMS dropped 0-0", READ], "{scene}");
        next_ones_work(&mut reader, &mut peer, scene).await;
        assert_eq!(server.dials().len(), 2, "{scene}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_behind_a_dropped_wait_waits_for_its_end() {
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
    next_ones_work(&mut reader, &mut peer, "it ended").await;
    // It does not end in time, and nobody waits for it any more: another connection is made.
    drop_send(&mut reader, Wait::new(1, Block::Forever)).await;
    let start = Instant::now();
    is_late(ends(reader.send(XLen::new("s"))).await, ms(700), "behind a wait");
    assert_eq!(start.elapsed(), ms(700));
    assert!(!peer.rest().await.is_empty());
    let mut peer = server.greet().await;
    next_ones_work(&mut reader, &mut peer, "it did not end").await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_after_the_connection_was_lost_goes_to_another_one_and_the_id_tells() {
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
    next_ones_work(&mut reader, &mut peer, "on the next one").await;
    assert_eq!(reader.connection_id(), Some(3));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_room_and_is_dropped_or_late_is_never_sent() {
    // As `Config::budget_bytes` says a request takes 128 bytes beside its own: 1 KiB is room for one of these.
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
        next_ones_work(&mut reader, &mut peer, scene).await;
        assert_eq!(server.dials().len(), 2, "{scene}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_overdue_server_is_given_up_unless_it_may_still_be_at_a_read() {
    // When the command is sent, which ends 100 ms later, and whether the read, which has 300 ms, is then over.
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
            next_ones_work(&mut reader, &mut peer, &scene).await;
        } else {
            peer.send(entry(1) + ":666\r\n").await;
            assert_eq!(ids(&ends(reader.read(read())).await.unwrap()), [1], "{scene}");
            next_ones_work(&mut reader, &mut peer, &scene).await;
            assert_eq!(server.dials().len(), 2, "{scene}");
        }
    }
    // A read for ever is never overdue.
    let server = Server::new();
    let (_client, mut reader, mut peer) = reader(&server, config().command_timeout(ms(100))).await;
    drop_read(&mut reader, XRead::new().stream("s", ReadFrom::START).block_forever()).await;
    sleep(DAY).await;
    is_late(ends(reader.send(XLen::new("late"))).await, ms(100), "for ever");
    peer.requests(2).await;
    peer.send(entry(1) + ":666\r\n").await;
    assert_eq!(ids(&ends(reader.read(read())).await.unwrap()), [1]);
    next_ones_work(&mut reader, &mut peer, "for ever").await;
}

#[tokio::test(start_paused = true)]
async fn a_time_out_of_an_earlier_connection_does_not_cost_the_next_one() {
    let server = Server::new();
    let config = config().block_grace(ms(100)).command_timeout(ms(100));
    let (_client, mut reader, peer) = reader(&server, config).await;
    drop_read(&mut reader, read()).await;
    // The read's own time is over; only then does the server hang up.
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
    next_ones_work(&mut reader, &mut peer, "behind it").await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_reads_reply_that_had_come_survives_the_connection() {
    // An overdue command gives the connection up; or the server does.
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
        assert!(reader.is_under_way(), "{scene}");
        assert_eq!(ids(&ends(reader.read(read())).await.expect(scene)), [1], "{scene}");
        next_ones_work(&mut reader, &mut peer, scene).await;
    }
}

fn add() -> XAdd<'static> {
    XAdd::new("jobs").field("v", "a")
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_cut_may_have_run_and_one_that_never_left_goes_out_once() {
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
        next_ones_work(&mut reader, &mut peer, &scene).await;
    }
    // And the reply, at every byte of it.
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
        next_ones_work(&mut reader, &mut peer, &scene).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_finds_no_connection_was_not_sent() {
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
        next_ones_work(&mut reader, &mut peer, "a server again").await;
    }
}

/// What a command on its own connection came to, without its type.
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
async fn a_reply_of_another_shape_concerns_its_command_alone() {
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
            // A read stands before it, and keeps its reply.
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
            next_ones_work(&mut reader, &mut peer, &scene).await;
        }
        let refused = peer.answer("-NOPERM no\r\n");
        let (result, _) = ends(async { tokio::join!(outcome(&mut reader, name), refused) }).await;
        assert_eq!(result.unwrap_err().code(), Some(&Code::NoPerm), "{name}");
        next_ones_work(&mut reader, &mut peer, name).await;
    }
    assert_eq!(server.dials().len(), 2);
}

/// The time after which a command is overdue, and the connection then given up.
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
    next_ones_work(&mut reader, &mut peer, "after a mute server").await;
    after
}

#[tokio::test(start_paused = true)]
async fn a_wait_has_its_own_time_and_the_grace_and_other_commands_the_command_timeout() {
    let waits = Block::For(ms(2000));
    for grace in [ms(0), ms(1), ms(300)] {
        assert_eq!(deadline(Wait::new(1, waits), grace).await, ms(2000) + grace);
        assert_eq!(deadline(WaitAof::new(true, 0, waits), grace).await, ms(2000) + grace);
        assert_eq!(deadline(Auth::new("sesame"), grace).await, ms(700));
        assert_eq!(deadline(Hello::new(), grace).await, ms(700));
        assert_eq!(deadline(add(), grace).await, ms(700));
    }
    // There is none for a wait for ever, nor for one beyond what a clock can say.
    for wait in [Block::Forever, Block::For(Duration::MAX)] {
        let server = Server::new();
        let (_client, mut reader, mut peer) = reader(&server, config()).await;
        let (replicas, ()) = tokio::join!(reader.send(Wait::new(2, wait)), async {
            peer.request().await;
            sleep(DAY).await;
            peer.send(":2\r\n").await;
        });
        assert_eq!(replicas.unwrap(), 2);
        next_ones_work(&mut reader, &mut peer, "after a day").await;
    }
}
