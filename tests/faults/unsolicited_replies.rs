//! A reply is delivered to its own command or discarded: unsolicited replies, and pushes and
//! attributes between replies.

use super::peer::{Peer, Server, config, ends, hello_reply, ms, poll_once, settle};
use bourn::{Client, ConnectReason, EntryId, Error, Raw, XLen, XRead, resp::ProtocolError};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};
use tokio::time::{Instant, sleep};

/// Checks that the next command gets its own reply on a new connection.
async fn next_works_on_a_new_connection(server: &Server, client: &Client, what: &str) -> Peer {
    let answer = async {
        let mut peer = server.greet().await;
        let request = peer.answer(":7\r\n").await;
        assert_eq!(request, "XLEN next", "{what}");
        peer
    };
    let (next, peer) = ends(async { tokio::join!(client.send(XLen::new("next")), answer) }).await;
    assert_eq!(next.expect(what), 7, "{what}");
    assert_eq!((peer.number, server.dials().len()), (2, 2), "{what}");
    peer
}

#[tokio::test(start_paused = true)]
async fn extra_reply_after_a_reply_ends_the_connection() {
    for piece in [usize::MAX, 1] {
        let server = Server::new();
        let (client, mut peer) = server.connect(config()).await;
        let (result, ()) = tokio::join!(client.send(XLen::new("a")), async {
            peer.request().await;
            peer.send_in_pieces(b":1\r\n:666\r\n", piece).await;
        });
        assert_eq!(result.unwrap(), 1);
        assert!(peer.rest().await.is_empty());
        next_works_on_a_new_connection(&server, &client, "after a reply").await;
    }
}

#[tokio::test(start_paused = true)]
async fn extra_reply_after_a_batch_ends_the_connection() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    let (result, ()) = tokio::join!(client.send_all((XLen::new("a"), XLen::new("b"))), async {
        peer.requests(2).await;
        peer.send(":1\r\n:2\r\n:666\r\n").await;
    });
    assert_eq!((result.0.unwrap(), result.1.unwrap()), (1, 2));
    next_works_on_a_new_connection(&server, &client, "after a batch").await;
}

#[tokio::test(start_paused = true)]
async fn reply_on_an_idle_connection_ends_it() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    peer.send(":666\r\n").await;
    settle().await;
    next_works_on_a_new_connection(&server, &client, "while idle").await;
}

#[tokio::test(start_paused = true)]
async fn reply_received_before_a_command_is_sent_is_not_delivered_to_it() {
    // The reply is in the socket when the command is queued, and is read before the command is
    // written.
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    peer.send(":666\r\n").await;
    next_works_on_a_new_connection(&server, &client, "just before").await;
}

/// Returns the reply: the key's name as the stream's length, or PONG.
fn len_of(request: &str) -> String {
    match request.strip_prefix("XLEN ") {
        Some(key) => format!(":{key}\r\n"),
        None => "+PONG\r\n".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn extra_reply_on_a_connection_that_is_never_idle_ends_it_within_the_probe_interval() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config().probe(Some(ms(10_000)))).await;
    // Two requests are always in flight; each reply takes 100 ms.
    let answers = async {
        let first = peer.requests(2).await;
        peer.send(":666\r\n").await;
        for request in first {
            sleep(ms(100)).await;
            peer.send(len_of(&request)).await;
        }
        while let Some(request) = peer.next_request().await {
            sleep(ms(100)).await;
            peer.send(len_of(&request)).await;
        }
        let mut next = server.greet().await;
        while let Some(request) = next.next_request().await {
            next.send(len_of(&request)).await;
        }
    };
    let wrong = std::cell::Cell::new(Instant::now());
    let caller = async |first: u64| {
        for n in (first..300).step_by(2) {
            if client.send(XLen::new(n.to_string())).await.is_ok_and(|len| len != n) {
                wrong.set(Instant::now());
            }
        }
    };
    let start = Instant::now();
    tokio::select! {
        _ = ends(async { tokio::join!(caller(0), caller(1)) }) => {}
        () = answers => unreachable!(),
    }
    let until = wrong.get() - start;
    assert!(until > ms(5000) && until < ms(10_500), "wrong replies until {until:?}");
    assert_eq!(server.dials().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn half_a_reply_on_an_idle_connection_ends_it() {
    for half in [":6", ":", "$3\r\n66", "*1\r\n"] {
        let server = Server::new();
        let (client, mut peer) = server.connect(config()).await;
        peer.send(half).await;
        settle().await;
        next_works_on_a_new_connection(&server, &client, half).await;
    }
}

#[tokio::test(start_paused = true)]
async fn extra_reply_after_the_handshake_is_not_delivered() {
    for stray in [":666\r\n", ":66", "-ERR too late\r\n"] {
        let server = Server::new();
        let answer = async {
            let mut peer = server.accept().await;
            peer.requests(3).await;
            peer.send(hello_reply(1) + "+OK\r\n+OK\r\n" + stray).await;
            peer
        };
        let (client, peer) =
            ends(async { tokio::join!(Client::connect_with(config(), server.dialler()), answer) })
                .await;
        match client {
            Ok(client) => {
                // No command is ever sent on this connection.
                next_works_on_a_new_connection(&server, &client, stray).await;
                assert!(peer.rest().await.is_empty(), "{stray:?}");
            }
            Err(Error::Connect(connect)) => {
                let unasked = ConnectReason::Protocol(ProtocolError::Unasked);
                assert_eq!(connect.reason().to_string(), unasked.to_string(), "{stray:?}");
            }
            Err(other) => panic!("{stray:?}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pushes_between_replies_are_not_delivered_to_any_command() {
    let pushes = [
        ">0\r\n",
        ">1\r\n+x\r\n",
        ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
        ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$9\r\n:1\r\n:2\r\n3\r\n",
        ">1\r\n-ERR not an error\r\n",
        ">1\r\n_\r\n",
    ];
    for push in pushes {
        for piece in [usize::MAX, 3, 1] {
            let server = Server::new();
            let (client, mut peer) = server.connect(config()).await;
            peer.send_in_pieces(push.as_bytes(), piece).await;
            let (batch, single, ()) = ends(async {
                tokio::join!(
                    client.send_all((XLen::new("a"), XLen::new("b"))),
                    client.send(XLen::new("c")),
                    async {
                        peer.requests(3).await;
                        let bytes = format!("{push}:1\r\n{push}{push}:2\r\n{push}:3\r\n{push}");
                        peer.send_in_pieces(bytes.as_bytes(), piece).await;
                    }
                )
            })
            .await;
            assert_eq!((batch.0.unwrap(), batch.1.unwrap(), single.unwrap()), (1, 2, 3), "{push}");
            let (next, _) = tokio::join!(client.send(XLen::new("d")), peer.answer(":4\r\n"));
            assert_eq!((next.unwrap(), server.dials().len()), (4, 1), "{push}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn endless_push_does_not_move_a_deadline() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config().command_timeout(ms(200))).await;
    let start = Instant::now();
    let (late, ()) = tokio::join!(client.send(XLen::new("a")), async {
        peer.request().await;
        peer.send(">1000\r\n").await;
        for _ in 0..300 {
            peer.send("+x\r\n").await;
            sleep(ms(1)).await;
        }
    });
    assert!(matches!(late, Err(Error::TimedOut { .. })), "{late:?}");
    assert_eq!(start.elapsed(), ms(300), "the peer went on for 300 ms, the call ended at 200");
}

#[tokio::test(start_paused = true)]
async fn attributes_belong_to_the_reply_after_them() {
    let rows = [
        ("|1\r\n+k\r\n+v\r\n:5\r\n", 5),
        ("|0\r\n:5\r\n", 5),
        ("|1\r\n+k\r\n|1\r\n+a\r\n+b\r\n+v\r\n|1\r\n+c\r\n+d\r\n:5\r\n", 5),
        ("|2\r\n+k\r\n*2\r\n:1\r\n:2\r\n+l\r\n%1\r\n:1\r\n:2\r\n:5\r\n", 5),
    ];
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    for (reply, length) in rows {
        let both = format!("{reply}:6\r\n");
        let (first, second, ()) = ends(async {
            tokio::join!(client.send(XLen::new("a")), client.send(XLen::new("b")), async {
                peer.requests(2).await;
                peer.send_in_pieces(both.as_bytes(), 1).await;
            })
        })
        .await;
        assert_eq!((first.unwrap(), second.unwrap()), (length, 6), "{reply:?}");
    }
    let (error, _) = tokio::join!(
        client.send(XLen::new("a")),
        peer.answer("|1\r\n+k\r\n+v\r\n-NOAUTH Authentication required.\r\n")
    );
    assert_eq!(error.unwrap_err().code().map(|code| code.as_str()), Some("NOAUTH"));
    assert_eq!(server.dials().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn streamed_replies_end_at_their_end_however_they_are_cut() {
    // Nothing follows the reply: a parser that waits for more than its end would never return.
    let replies = [
        "$?\r\n;0\r\n",
        "$?\r\n;2\r\nab\r\n;1\r\nc\r\n;0\r\n",
        "*?\r\n.\r\n",
        "*?\r\n:1\r\n.\r\n",
        "*?\r\n$3\r\nabc\r\n.\r\n",
        "*?\r\n*?\r\n.\r\n.\r\n",
        "~?\r\n:1\r\n:2\r\n.\r\n",
        "%?\r\n.\r\n",
        "%?\r\n+k\r\n:1\r\n.\r\n",
        "*2\r\n*?\r\n:1\r\n.\r\n:2\r\n",
        "*1\r\n%?\r\n+k\r\n*0\r\n.\r\n",
        "|1\r\n+k\r\n*?\r\n.\r\n*?\r\n.\r\n",
    ];
    for reply in replies {
        for cut in 0..reply.len() {
            let server = Server::new();
            let (client, mut peer) = server.connect(config()).await;
            let start = Instant::now();
            let (value, ()) = tokio::join!(client.send(Raw::new("ANY")), async {
                peer.request().await;
                peer.send(&reply[..cut]).await;
                settle().await;
                peer.send(&reply[cut..]).await;
            });
            assert!(value.is_ok(), "{reply:?} cut at {cut}: {value:?}");
            assert_eq!(start.elapsed(), ms(0), "{reply:?} cut at {cut}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn empty_batch_completes_at_once_and_takes_no_reply() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    let start = Instant::now();
    let (before, nothing, after, _) = ends(async {
        tokio::join!(
            client.send(XLen::new("a")),
            client.send_all(Vec::<XLen<'_>>::new()),
            client.send(XLen::new("b")),
            async {
                peer.requests(2).await;
                peer.send(":1\r\n:2\r\n").await;
            }
        )
    })
    .await;
    assert_eq!((before.unwrap(), nothing.len(), after.unwrap()), (1, 0, 2));
    let (none, request) = ends(async {
        tokio::join!(client.transact(Vec::<XLen<'_>>::new()), async {
            let requests = peer.requests(2).await;
            peer.send("+OK\r\n*0\r\n").await;
            requests
        })
    })
    .await;
    assert_eq!((none.unwrap().len(), request.join(" ")), (0, "MULTI EXEC".to_owned()));
    assert_eq!((start.elapsed(), server.dials().len()), (ms(0), 1));
}

#[tokio::test(start_paused = true)]
async fn future_polled_after_completion_takes_no_reply() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    let mut over = Box::pin(client.send(XLen::new("a")));
    let (ended, _) = tokio::join!(&mut over, peer.answer(":1\r\n"));
    assert_eq!(ended.unwrap(), 1);
    let mut next = Box::pin(client.send(XLen::new("b")));
    assert!(poll_once(&mut next).await.is_none());
    peer.answer(":2\r\n").await;
    settle().await;
    // It may panic, as the futures of async functions do, or stay pending.
    let mut cx = Context::from_waker(Waker::noop());
    let again = catch_unwind(AssertUnwindSafe(|| over.as_mut().poll(&mut cx)));
    assert!(!matches!(again, Ok(Poll::Ready(_))), "{again:?}");
    assert_eq!(ends(next).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn reply_too_many_on_a_reader_ends_its_connection() {
    for (replies, entries) in [
        ("%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n2-1\r\n*2\r\n+a\r\n+b\r\n:666\r\n", 1),
        ("_\r\n:666\r\n", 0),
    ] {
        let server = Server::new();
        let (client, _peer) = server.connect(config()).await;
        let (reader, mut peer) = tokio::join!(client.reader(), server.greet());
        let mut reader = reader.unwrap();
        let read = || XRead::new().stream("s", EntryId::new(1, 1)).block(ms(1000));
        let (streams, _) =
            ends(async { tokio::join!(reader.read(read()), peer.answer(replies)) }).await;
        assert_eq!(streams.unwrap().iter().count(), entries);
        // The next read is on a new connection, and gets its own reply.
        let mut next = server.greet().await;
        assert!(peer.rest().await.is_empty());
        let (streams, _) =
            ends(async { tokio::join!(reader.read(read()), next.answer("_\r\n")) }).await;
        assert!(streams.unwrap().is_empty());
    }
}
