//! The connection is cut at every byte of a request and of its reply. Complete replies are
//! delivered, commands that may have run are never sent again, and commands of which no byte was
//! sent are sent once on the next connection.

use super::peer::{Server, config, ends, ms};
use super::wire::Plan;
use bourn::command::encode;
use bourn::{Client, Disconnect, Error, Outcome, Unsent, XAdd, XLen};
use tokio::time::Instant;

fn add(value: &str) -> XAdd<'_> {
    XAdd::new("jobs").field("v", value)
}

fn is_lost<T: std::fmt::Debug>(result: &Result<T, Error>) -> bool {
    let lost = matches!(result, Err(Error::Lost { .. }));
    lost && result.as_ref().is_err_and(|error| error.outcome() == Outcome::Unknown)
}

/// On the next connection, only the `expected` requests arrive.
async fn next_requests_are(server: &Server, client: &Client, expected: &[&str], what: &str) {
    let mut peer = server.greet().await;
    for request in expected {
        assert_eq!(peer.answer("$3\r\n1-1\r\n").await, *request, "{what}");
    }
    let (probe, request) = tokio::join!(client.send(XLen::new("probe")), peer.answer(":1\r\n"));
    assert_eq!((probe.expect(what), request.as_str()), (1, "XLEN probe"), "{what}");
}

#[tokio::test(start_paused = true)]
async fn command_is_resent_only_if_none_of_its_bytes_was_sent() {
    let len = encode(&add("a")).len();
    for k in 0..=len {
        let server = Server::new();
        let (client, peer) = server.connect(config()).await;
        peer.valve.reset_after(k);
        let what = format!("reset after {k} bytes");
        let cut = async {
            if k == len {
                // The request is complete; only its reply is missing.
                let mut peer = peer;
                peer.request().await;
            } else {
                assert_eq!(peer.rest().await.len(), k, "{what}");
            }
            let expected: &[&str] = if k == 0 { &["XADD jobs * v a"] } else { &[] };
            next_requests_are(&server, &client, expected, &what).await;
        };
        let (added, ()) = ends(async { tokio::join!(client.send(add("a")), cut) }).await;
        if k == 0 {
            assert_eq!(added.expect(&what).to_string(), "1-1", "{what}");
        } else {
            assert!(is_lost(&added), "{what}: {added:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn cut_between_two_commands_loses_only_what_was_sent() {
    let (first, both) = (encode(&add("a")).len(), encode(&add("a")).len() * 2);
    for k in 0..both {
        let server = Server::new();
        let (client, peer) = server.connect(config()).await;
        peer.valve.reset_after(k);
        let what = format!("reset after {k} bytes");
        let cut = async {
            assert_eq!(peer.rest().await.len(), k, "{what}");
            let expected: &[&str] = match k {
                0 => &["XADD jobs * v a", "XADD jobs * v b"],
                _ if k <= first => &["XADD jobs * v b"],
                _ => &[],
            };
            next_requests_are(&server, &client, expected, &what).await;
        };
        let (a, b, ()) =
            ends(async { tokio::join!(client.send(add("a")), client.send(add("b")), cut) }).await;
        assert_eq!((a.is_ok(), is_lost(&a)), (k == 0, k > 0), "{what}: {a:?}");
        assert_eq!((b.is_ok(), is_lost(&b)), (k <= first, k > first), "{what}: {b:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn cut_in_a_pipe_of_one_byte_loses_only_what_was_sent() {
    let (first, both) = (encode(&add("a")).len(), encode(&add("a")).len() * 2);
    for read in 0..both {
        let server = Server::with_buffer(1);
        let (client, mut peer) = server.connect(config()).await;
        let before = peer.valve.written();
        let valve = peer.valve.clone();
        let what = format!("hung up after reading {read} bytes");
        let cut = async {
            peer.take(read).await;
            // One more byte may be in the pipe.
            super::peer::settle().await;
            drop(peer);
            let left = valve.written() - before;
            assert!(left == read || left == read + 1, "{what}: {left} left");
            let expected: &[&str] = match left {
                0 => &["XADD jobs * v a", "XADD jobs * v b"],
                _ if left <= first => &["XADD jobs * v b"],
                _ => &[],
            };
            next_requests_are(&server, &client, expected, &what).await;
            left
        };
        let (a, b, left) =
            ends(async { tokio::join!(client.send(add("a")), client.send(add("b")), cut) }).await;
        assert_eq!(is_lost(&a), left > 0, "{what}: {a:?}");
        assert_eq!((b.is_ok(), is_lost(&b)), (left <= first, left > first), "{what}: {b:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn pipeline_and_transaction_are_lost_as_a_whole() {
    let pipeline = 3 * encode(&add("a")).len();
    let transaction = pipeline + b"*1\r\n$5\r\nMULTI\r\n*1\r\n$4\r\nEXEC\r\n".len();
    for k in 0..transaction {
        let server = Server::new();
        let (client, peer) = server.connect(config().command_timeout(ms(500))).await;
        peer.valve.reset_after(k);
        let what = format!("reset after {k} bytes of a transaction");
        let mut expected = vec![];
        if k == 0 {
            expected =
                vec!["MULTI", "XADD jobs * v a", "XADD jobs * v b", "XADD jobs * v c", "EXEC"];
        }
        let cut = async {
            assert_eq!(peer.rest().await.len(), k, "{what}");
            next_requests_are(&server, &client, &expected, &what).await;
        };
        let all = client.transact([add("a"), add("b"), add("c")]);
        let (all, ()) = ends(async { tokio::join!(all, cut) }).await;
        // The peer answers MULTI with ids, which is wrong: what matters is that it was sent once.
        let is_answered = matches!(all, Err(Error::Decode { command: "MULTI", .. }));
        assert_eq!((is_answered, is_lost(&all)), (k == 0, k > 0), "{what}: {all:?}");

        if k >= pipeline {
            continue;
        }
        let server = Server::new();
        let (client, peer) = server.connect(config()).await;
        peer.valve.reset_after(k);
        let what = format!("reset after {k} bytes of a pipeline");
        let expected = if k == 0 { expected[1..4].to_vec() } else { vec![] };
        let cut = async {
            assert_eq!(peer.rest().await.len(), k, "{what}");
            next_requests_are(&server, &client, &expected, &what).await;
        };
        let all = client.send_all([add("a"), add("b"), add("c")]);
        let (all, ()) = ends(async { tokio::join!(all, cut) }).await;
        for one in &all {
            assert_eq!((one.is_ok(), is_lost(one)), (k == 0, k > 0), "{what}: {one:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn complete_replies_are_delivered_and_the_rest_are_lost() {
    let replies = [":1\r\n", "$3\r\n1-2\r\n", "-OOM no memory\r\n"];
    let all = replies.concat();
    // The number of complete replies after `k` bytes.
    let complete = |k: usize| (1..=3).filter(|n| replies[..*n].concat().len() <= k).count();
    for k in 0..=all.len() {
        let what = format!("hung up after {k} bytes of the replies");
        // Each command in a request of its own, and all in one request.
        for together in [false, true] {
            let server = Server::new();
            let (client, mut peer) = server.connect(config()).await;
            let cut = async {
                peer.requests(3).await;
                peer.send(&all[..k]).await;
                drop(peer);
                next_requests_are(&server, &client, &[], &what).await;
            };
            let commands = (XLen::new("s"), add("a"), XLen::new("t"));
            let (results, ()) = if together {
                ends(async { tokio::join!(client.send_all(commands), cut) }).await
            } else {
                let (len, id, error, ()) = ends(async {
                    tokio::join!(
                        client.send(commands.0),
                        client.send(commands.1),
                        client.send(commands.2),
                        cut
                    )
                })
                .await;
                ((len, id, error), ())
            };
            let (len, id, error) = results;
            assert_eq!((len.is_ok(), is_lost(&len)), (complete(k) > 0, complete(k) < 1), "{what}");
            assert_eq!((id.is_ok(), is_lost(&id)), (complete(k) > 1, complete(k) < 2), "{what}");
            assert_eq!(
                error.as_ref().is_err_and(|e| e.code().is_some()),
                complete(k) > 2,
                "{what}"
            );
            assert_eq!(is_lost(&error), complete(k) < 3, "{what}: {error:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn transaction_cut_in_its_reply_has_an_unknown_outcome() {
    let reply = "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:2\r\n";
    for k in 0..=reply.len() {
        let server = Server::new();
        let (client, mut peer) = server.connect(config()).await;
        let what = format!("hung up after {k} bytes of the reply");
        let cut = async {
            peer.requests(4).await;
            peer.send(&reply[..k]).await;
            drop(peer);
            next_requests_are(&server, &client, &[], &what).await;
        };
        let both = client.transact((XLen::new("a"), XLen::new("b")));
        let (both, ()) = ends(async { tokio::join!(both, cut) }).await;
        assert_eq!((both.is_ok(), is_lost(&both)), (k == reply.len(), k < reply.len()), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn unsent_command_without_a_connection_by_its_deadline_is_not_sent() {
    let server = Server::new();
    let (client, peer) = server.connect(config().command_timeout(ms(700))).await;
    peer.valve.reset_after(0);
    server.plan([Plan::Refuse; 100]);
    let start = Instant::now();
    let error = ends(client.send(add("a"))).await.unwrap_err();
    assert_eq!((error.outcome(), start.elapsed()), (Outcome::NotSent, ms(700)));
    assert!(
        matches!(&error, Error::Unsent { reason: Unsent::TimedOut { source: Some(_), .. }, .. }),
        "{error:?}"
    );
    // It is not sent later.
    next_requests_are(&server, &client, &[], "after its time").await;
}

#[tokio::test(start_paused = true)]
async fn bytes_accepted_by_a_buffering_stream_count_as_sent() {
    // Like TLS, the stream accepts bytes, sends some, and fails on flush.
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    peer.valve.fail_flushes();
    let cut = async {
        assert_eq!(peer.request().await, "XADD jobs * v a");
        drop(peer);
        next_requests_are(&server, &client, &[], "taken and not flushed").await;
    };
    let (added, ()) = ends(async { tokio::join!(client.send(add("a")), cut) }).await;
    assert!(is_lost(&added), "{added:?}");
    assert!(matches!(added, Err(Error::Lost { reason: Disconnect::Io(_) | Disconnect::Eof, .. })));
}
