//! More load than a server takes: callers wait or fail, memory stays bounded, and there is no
//! deadlock.

use super::memory::takes_at_most;
use super::peer::{Server, config, ends, ms, poll_once, settle};
use bourn::{Client, Error, Outcome, Raw, WhenFull, XAdd, XLen};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

const CALLS: usize = 100_000;

/// The memory of one caller: its future on the heap, its queue slot, its timer.
const CALLER_BYTES: usize = 512;

/// Runs calls that all end at their own deadlines. Counts the outcomes: not sent, unknown.
async fn calls_time_out(client: &Client, timeout: Duration, spread: Duration) -> (usize, usize) {
    let mut calls = FuturesUnordered::new();
    let step = CALLS / 100;
    let (mut unsent, mut unknown) = (0, 0);
    for n in 0..CALLS {
        calls.push(async {
            let start = Instant::now();
            let result = client.send(XLen::new("a stream")).await;
            (result.expect_err("the server is mute"), start.elapsed())
        });
        if n % step == 0 {
            // Polls all; some results are taken.
            while let Some(Some((error, after))) = poll_once(&mut calls.next()).await {
                count(&error, after, timeout, &mut unsent, &mut unknown);
            }
            sleep(spread / 100).await;
        }
    }
    while let Some((error, after)) = ends(calls.next()).await {
        count(&error, after, timeout, &mut unsent, &mut unknown);
    }
    (unsent, unknown)
}

fn count(
    error: &Error,
    after: Duration,
    timeout: Duration,
    unsent: &mut usize,
    unknown: &mut usize,
) {
    match error.outcome() {
        Outcome::NotSent => *unsent += 1,
        Outcome::Unknown => *unknown += 1,
        Outcome::NotApplied => panic!("{error:?}"),
    }
    // A future that is not polled in between sees its deadline a little later.
    assert!(after >= timeout && after <= timeout + ms(20), "{error:?} after {after:?}");
}

/// Returns the number of requests sent to a peer that has read only its handshake.
async fn sent_requests(mut peer: super::peer::Peer, client: Client) -> usize {
    drop(client);
    let mut requests = 0;
    while ends(peer.next_request()).await.is_some() {
        requests += 1;
    }
    requests
}

#[test]
fn calls_to_a_mute_server_time_out_with_correct_outcomes_and_bounded_memory() {
    let callers = (CALLS * CALLER_BYTES) as u64 >> 20;
    takes_at_most(64 + callers, async || {
        let server = Server::with_buffer(4096);
        let config = config().budget_bytes(4 << 20).command_timeout(ms(500));
        let (client, peer) = server.connect(config).await;
        let (unsent, unknown) = calls_time_out(&client, ms(500), ms(100)).await;
        assert_eq!(unsent + unknown, CALLS);
        // The budget holds about 26,000 of them. Nearly all others were queued.
        assert!(unsent > CALLS / 2, "{unsent} not sent, {unknown} unknown");
        assert!(unknown > 0);
        // Calls reported as not sent were not sent.
        let received = sent_requests(peer, client).await;
        assert!(received <= unknown, "{received} of {unknown}");
    });
}

#[test]
fn calls_without_a_connection_are_not_sent_and_take_bounded_memory() {
    let callers = (CALLS * CALLER_BYTES) as u64 >> 20;
    takes_at_most(64 + callers, async || {
        let server = Server::new();
        let config = config().command_timeout(ms(500));
        let (client, peer) = server.connect(config).await;
        server.plan([super::wire::Plan::Never]);
        drop(peer);
        settle().await;
        let (unsent, unknown) = calls_time_out(&client, ms(500), ms(100)).await;
        assert_eq!((unsent, unknown), (CALLS, 0));
        server.unplan();
        let mut peer = server.greet().await;
        let (next, request) = tokio::join!(client.send(XLen::new("next")), peer.answer(":1\r\n"));
        assert_eq!((next.unwrap(), request.as_str()), (1, "XLEN next"));
    });
}

#[test]
fn calls_that_fail_on_a_full_budget_take_no_memory() {
    takes_at_most(4, async || {
        let server = Server::with_buffer(4096);
        let config = config().budget_bytes(1 << 20).when_full(WhenFull::Fail);
        let (client, _peer) = server.connect(config).await;
        let mut held = Vec::new();
        for n in 0..CALLS {
            let mut call = Box::pin(client.send(XLen::new("a stream")));
            match poll_once(&mut call).await {
                None => held.push(call),
                Some(result) => assert_eq!(result.unwrap_err().outcome(), Outcome::NotSent, "{n}"),
            }
        }
        // 26 bytes and 128 bytes each.
        assert!((6_500..7_000).contains(&held.len()), "{}", held.len());
    });
}

#[test]
fn full_budget_takes_at_most_a_fifth_more_memory() {
    const BUDGET: usize = 20 << 20;
    for bytes in [1_000, 30_000, 200_000, 300_000, 2 << 20] {
        let body = "b".repeat(bytes);
        // A fifth, and the memory of the callers: an XADD is a large command.
        let callers = 2 * BUDGET / bytes;
        let most = BUDGET + BUDGET / 5 + callers * (CALLER_BYTES + 256);
        takes_at_most(most.div_ceil(1 << 20) as u64, async || {
            let server = Server::with_buffer(4096);
            let config = config().budget_bytes(BUDGET).command_timeout(ms(1000));
            let (client, _peer) = server.connect(config).await;
            let mut calls = FuturesUnordered::new();
            for _ in 0..callers {
                calls.push(client.send(XAdd::new("s").field("body", &body)));
            }
            let (mut unsent, mut unknown) = (0, 0);
            while let Some(result) = ends(calls.next()).await {
                match result.unwrap_err().outcome() {
                    Outcome::NotSent => unsent += 1,
                    _ => unknown += 1,
                }
            }
            // Only the bytes passed to the writer in one piece may have left. The rest is taken
            // back.
            let piece = 1 + (256 << 10) / bytes;
            assert!(
                (1..=piece).contains(&unknown),
                "{bytes}: {unsent} not sent, {unknown} unknown"
            );
        });
    }
}

#[tokio::test(start_paused = true)]
async fn megabytes_both_ways_pass_through_a_small_pipe() {
    // The server answers while it receives requests, and reads no more until its answer is read. A
    // client that writes everything before it reads deadlocks.
    const BODY: usize = 1 << 20;
    let server = Server::with_buffer(4096);
    let (client, mut peer) = server.connect(config().command_timeout(ms(60_000))).await;
    let body = "b".repeat(BODY);
    let echo = async {
        // PING with a body is answered with that body, piece by piece as it arrives.
        for _ in 0..4 {
            let head = format!("*2\r\n$4\r\nPING\r\n${BODY}\r\n");
            assert_eq!(peer.take(head.len()).await, head.as_bytes());
            peer.send(format!("${BODY}\r\n")).await;
            let mut left = BODY + 2;
            while left > 0 {
                let piece = peer.take(left.min(1000)).await;
                peer.send(&piece).await;
                left -= piece.len();
            }
        }
    };
    let ping = || client.send(Raw::new("PING").arg(&body));
    let start = Instant::now();
    let (a, b, c, d, ()) = ends(async { tokio::join!(ping(), ping(), ping(), ping(), echo) }).await;
    for reply in [a, b, c, d] {
        assert!(reply.unwrap().as_str() == Some(&body));
    }
    assert_eq!(start.elapsed(), ms(0));
}

#[tokio::test(start_paused = true)]
async fn replies_are_read_while_requests_are_written() {
    // Small requests and large replies in flight: 64 of each. The pipes hold less than one of
    // either.
    let server = Server::with_buffer(512);
    let (client, peer) = server.connect(config().command_timeout(ms(60_000))).await;
    let field = "f".repeat(100_000);
    let adds = (0..64).map(|_| client.send(XAdd::new("s").field("f", &field)));
    let adds = futures_util::future::join_all(adds);
    let request = bourn::command::encode(&XAdd::new("s").field("f", &field)).len();
    let mut stream = peer.into_stream();
    let serve = async {
        let mut buffer = vec![0; request];
        for n in 0..64 {
            stream.read_exact(&mut buffer).await.unwrap();
            let attribute = format!("|1\r\n+note\r\n${}\r\n{field}\r\n", field.len());
            stream.write_all(format!("{attribute}+{n}-1\r\n").as_bytes()).await.unwrap();
        }
    };
    let (ids, ()) = ends(async { tokio::join!(adds, serve) }).await;
    for (n, id) in ids.into_iter().enumerate() {
        assert_eq!(id.unwrap().ms(), n as u64);
    }
}
