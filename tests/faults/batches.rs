//! Large batches are sent in pieces: in order, with commands of other callers in between, and with
//! one result per command.

use super::peer::{Peer, Server, config, ends, in_paused_time, ms, poll_once, settle};
use bourn::{Client, Disconnect, Error, Outcome, XAdd, XLen};
use std::time::Duration;
use tokio::time::Instant;

/// An entry of about 1 KB on the wire.
fn add<'a>(n: usize, pad: &'a str) -> XAdd<'a> {
    XAdd::new("s").field("n", n).field("pad", pad)
}

/// Returns the number of an entry that [`add`] made.
fn number(request: &str) -> Option<usize> {
    request.strip_prefix("XADD s * n ")?.split(' ').next()?.parse().ok()
}

async fn answer(peer: &mut Peer, n: usize) {
    peer.send(format!("$3\r\n{n}-1\r\n").replacen(
        "$3",
        &format!("${}", n.to_string().len() + 2),
        1,
    ))
    .await;
}

#[test]
fn other_commands_are_sent_between_the_pieces_of_a_large_batch() {
    in_paused_time(async {
        let server = Server::new();
        let (client, mut peer) = server.connect(config()).await;
        let pad = "x".repeat(1000);
        let mut batch = client.send_all((0..1000).map(|n| add(n, &pad)));
        assert!(poll_once(&mut batch).await.is_none());
        let mut other = Box::pin(client.send(XLen::new("other")));
        assert!(poll_once(&mut other).await.is_none());
        let server_side = async {
            let (mut next, mut before_other) = (0, None);
            while next < 1000 {
                let request = peer.request().await;
                if let Some(n) = number(&request) {
                    assert_eq!(n, next, "a batch keeps its order");
                    answer(&mut peer, n + 1).await;
                    next += 1;
                } else {
                    assert_eq!(request, "XLEN other");
                    before_other = Some(next);
                    peer.send(":7\r\n").await;
                }
            }
            before_other
        };
        let (results, other, before_other) =
            ends(async { tokio::join!(batch, other, server_side) }).await;
        assert_eq!(other.unwrap(), 7);
        let ids: Vec<u64> = results.into_iter().map(|result| result.unwrap().ms()).collect();
        assert_eq!(ids, (1..=1000).collect::<Vec<u64>>());
        // Four pieces of 64 KiB were in flight when it was sent.
        let before = before_other.expect("it was sent");
        assert!((200..300).contains(&before), "{before}");
    });
}

#[test]
fn lost_connection_fails_only_the_pieces_that_were_written() {
    in_paused_time(async {
        let server = Server::new();
        let (client, mut peer) = server.connect(config()).await;
        let pad = "x".repeat(1000);
        let batch = client.send_all((0..1000).map(|n| add(n, &pad)));
        let server_side = async {
            for n in 0..100 {
                assert_eq!(number(&peer.request().await), Some(n));
                answer(&mut peer, n + 1).await;
            }
            settle().await;
            drop(peer);
            let mut peer = server.greet().await;
            let mut first = None;
            while let Some(request) = peer.next_request().await {
                let n = number(&request).unwrap();
                first.get_or_insert(n);
                answer(&mut peer, n + 1).await;
                if n == 999 {
                    break;
                }
            }
            (first.unwrap(), peer)
        };
        let (results, (first, _peer)) = ends(async { tokio::join!(batch, server_side) }).await;
        let lost = |result: &Result<_, Error>| {
            matches!(result, Err(Error::Lost { reason: Disconnect::Eof, .. }))
        };
        assert!(results[..100].iter().all(Result::is_ok));
        assert!(results[100..first].iter().all(lost), "those that were written");
        assert!(results[first..].iter().all(Result::is_ok), "those that were not");
        assert!(first > 200 && first < 500, "{first}");
    });
}

#[test]
fn pieces_past_the_deadline_are_not_sent() {
    in_paused_time(async {
        let server = Server::new();
        let (client, mut peer) = server.connect(config()).await;
        let pad = "x".repeat(1000);
        let batch = client.send_all((0..1000).map(|n| add(n, &pad))).within(ms(300));
        let (results, ()) = ends(async {
            tokio::join!(batch, async {
                for n in 0..10 {
                    peer.request().await;
                    answer(&mut peer, n + 1).await;
                }
            })
        })
        .await;
        let outcome = |result: &Result<_, Error>| result.as_ref().err().map(Error::outcome);
        assert!(
            results[..10].iter().all(Result::is_ok)
                || outcome(&results[0]) == Some(Outcome::Unknown)
        );
        assert_eq!(outcome(&results[100]), Some(Outcome::Unknown));
        assert_eq!(outcome(&results[999]), Some(Outcome::NotSent));
        let written =
            results.iter().filter(|result| outcome(result) != Some(Outcome::NotSent)).count();
        assert_eq!(peer_requests(&mut peer).await + 10, written);
    });
}

/// Returns the number of requests that were written and not yet read.
async fn peer_requests(peer: &mut Peer) -> usize {
    let mut n = 0;
    while let Ok(Some(_)) = tokio::time::timeout(Duration::ZERO, peer.next_request()).await {
        n += 1;
    }
    n
}

#[test]
fn dropped_batch_sends_no_further_pieces() {
    in_paused_time(async {
        let server = Server::new();
        let (client, mut peer) = server.connect(config()).await;
        let pad = "x".repeat(1000);
        let mut batch = client.send_all((0..1000).map(|n| add(n, &pad)));
        assert!(poll_once(&mut batch).await.is_none());
        drop(batch);
        let mut written = 0;
        let (len, ()) = ends(async {
            tokio::join!(client.send(XLen::new("next")), async {
                loop {
                    let request = peer.request().await;
                    if request == "XLEN next" {
                        return peer.send(":3\r\n").await;
                    }
                    assert_eq!(number(&request), Some(written));
                    written += 1;
                    answer(&mut peer, written).await;
                }
            })
        })
        .await;
        assert_eq!(len.unwrap(), 3);
        assert!(written > 0 && written < 300, "{written}");
    });
}

#[test]
fn tuple_of_large_commands_is_sent_in_pieces() {
    in_paused_time(async {
        let server = Server::with_buffer(1 << 22);
        let (client, mut peer): (Client, Peer) = server.connect(config()).await;
        let pad = "x".repeat(100_000);
        let batch = client.send_all((add(0, &pad), XLen::new("len"), add(1, &pad)));
        let ((a, b, c), ()) = ends(async {
            tokio::join!(batch, async {
                assert_eq!(number(&peer.request().await), Some(0));
                answer(&mut peer, 1).await;
                assert_eq!(peer.answer(":2\r\n").await, "XLEN len");
                assert_eq!(number(&peer.request().await), Some(1));
                answer(&mut peer, 3).await;
            })
        })
        .await;
        assert_eq!((a.unwrap().ms(), b.unwrap(), c.unwrap().ms()), (1, 2, 3));
    });
}

#[tokio::test(start_paused = true)]
async fn replies_that_take_many_reads_are_delivered_without_further_input() {
    let server = Server::with_buffer(8 << 20);
    let (client, mut peer) = server.connect(config()).await;
    let text = "x".repeat(64 << 10);
    let start = Instant::now();
    let replies = async {
        let requests = peer.requests(64).await;
        // 4 MiB in one write: nothing arrives later that would wake the client.
        let reply = format!("${}\r\n{text}\r\n", text.len());
        peer.send(reply.repeat(requests.len())).await;
    };
    let calls = (0..64).map(|_| client.send(bourn::Echo::new("x")));
    let (all, ()) =
        ends(async { tokio::join!(futures_util::future::join_all(calls), replies) }).await;
    for reply in all {
        assert_eq!(reply.unwrap().len(), text.len());
    }
    assert!(start.elapsed() < ms(1000), "{:?}", start.elapsed());
}
