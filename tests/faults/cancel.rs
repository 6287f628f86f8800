//! Futures that are polled k times and dropped, for every k: no reply is misdelivered, nothing
//! leaks, and no entry is lost.

use super::echo;
use super::peer::{Server, config, ends, in_small_steps, ms, poll_once, settle};
use bourn::{Client, EntryId, Error, Outcome, ReadFrom, Reader, Unsent, WhenFull, XLen, XRead};
use fastrand::Rng;
use std::future::Future;
use std::pin::Pin;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

/// A pipe so small that reads and writes take many polls. A future can be dropped at each of them.
const SMALL_PIPE: usize = 8;

type Ended<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Polls k times, lets the other tasks take one step after each poll, and drops the future. Returns
/// true if it completed before that.
async fn poll_then_drop(mut call: Ended<'_>, k: usize) -> bool {
    for _ in 0..k {
        if poll_once(&mut call).await.is_some() {
            return true;
        }
        yield_now().await;
    }
    drop(call);
    false
}

/// Checks that two concurrent callers get their own replies.
async fn check_own_replies(client: &Client, nonce: u64) {
    let (a, b) = (format!("9{nonce}1"), format!("9{nonce}2"));
    let (one, two) =
        ends(async { tokio::join!(client.send(XLen::new(&a)), client.send(XLen::new(&b))) }).await;
    assert_eq!(one.unwrap().to_string(), a);
    assert_eq!(two.unwrap().to_string(), b);
}

/// Drops the future of `call` after every number of polls, until it completes. The server gets each
/// number of `call`'s argument once, except for the call that was never polled.
async fn drop_after_every_poll(call: impl for<'a> Fn(&'a Client, &'a [String; 3]) -> Ended<'a>) {
    let server = Server::with_buffer(SMALL_PIPE);
    let log = echo::spawn(&server);
    let client = ends(Client::connect_with(config(), server.dialler())).await.unwrap();
    for k in 0.. {
        let n = 1000 * (k as u64 + 1);
        let names = [n, n + 1, n + 2].map(|n| n.to_string());
        // One command is queued before it, others after it.
        let before = format!("9{n}3");
        let mut first = Box::pin(client.send(XLen::new(&before)));
        assert!(poll_once(&mut first).await.is_none());
        let has_ended = poll_then_drop(call(&client, &names), k).await;
        check_own_replies(&client, n).await;
        assert_eq!(ends(first).await.unwrap().to_string(), before, "k = {k}");
        for name in names {
            assert_eq!(log.count(&name), usize::from(k > 0), "{name} after {k} polls");
        }
        if has_ended {
            assert!(k > 3, "the pipe is not small: {k} polls were enough");
            break;
        }
    }
    assert_eq!(server.dials().len(), 1);
}

#[test]
fn dropping_a_pipeline_after_any_poll_leaves_other_replies_intact() {
    in_small_steps(async {
        drop_after_every_poll(|client, names| {
            let all = client.send_all(names.iter().map(XLen::new));
            Box::pin(async {
                let results = all.await;
                let values = results.into_iter().map(|value| value.unwrap().to_string());
                assert!(values.eq(names.iter().cloned()));
            })
        })
        .await;
    });
}

#[test]
fn dropping_a_command_after_any_poll_leaves_other_replies_intact() {
    in_small_steps(async {
        drop_after_every_poll(|client, names| {
            let [a, b, c] = names.each_ref().map(|name| client.send(XLen::new(name)));
            Box::pin(async {
                let (a, b, c) = tokio::join!(a, b, c);
                let values = [a, b, c].map(|value| value.unwrap().to_string());
                assert_eq!(values, *names);
            })
        })
        .await;
    });
}

#[test]
fn dropping_a_transaction_after_any_poll_leaves_other_replies_intact() {
    in_small_steps(async {
        drop_after_every_poll(|client, names| {
            let all = client.transact(names.iter().map(XLen::new));
            Box::pin(async {
                let results = all.await.unwrap();
                let values = results.into_iter().map(|value| value.unwrap().to_string());
                assert!(values.eq(names.iter().cloned()));
            })
        })
        .await;
    });
}

#[test]
fn dropping_connect_after_any_poll_closes_the_connection() {
    in_small_steps(async {
        for k in 0.. {
            let server = Server::with_buffer(SMALL_PIPE);
            echo::spawn(&server);
            let connect = Client::connect_with(config(), server.dialler());
            let call: Ended<'_> = Box::pin(async {
                connect.await.unwrap();
            });
            let has_ended = poll_then_drop(call, k).await;
            settle().await;
            assert_eq!(server.dials().len(), usize::from(k > 0), "k = {k}");
            assert_eq!(server.open(), 0, "k = {k}: no connection is left");
            if has_ended {
                break;
            }
        }
    });
}

/// The ids that a read returned.
fn ids(read: Result<bourn::Streams, Error>) -> Vec<u64> {
    read.unwrap().iter().map(|entry| entry.id().ms()).collect()
}

fn read(after: &str) -> bourn::Blocking<XRead<'static>> {
    let id: EntryId = after.parse().unwrap();
    XRead::new().stream("s", ReadFrom::After(id)).block(ms(1000))
}

async fn reader(server: &Server) -> (Client, Reader) {
    ends(async {
        let client = Client::connect_with(config(), server.dialler()).await.unwrap();
        let reader = client.reader().await.unwrap();
        (client, reader)
    })
    .await
}

#[test]
fn next_read_returns_the_reply_of_a_dropped_read() {
    in_small_steps(async {
        let server = Server::with_buffer(SMALL_PIPE);
        let log = echo::spawn(&server);
        let (_client, mut reader) = reader(&server).await;
        for k in 0u64.. {
            let (this, next) = (10 * k + 1, 10 * k + 2);
            let (this_id, next_id) = (format!("{this}-0"), format!("{next}-0"));
            let call: Ended<'_> = Box::pin(async {
                assert_eq!(ids(reader.read(read(&this_id)).await), [this]);
            });
            let has_ended = poll_then_drop(call, usize::try_from(k).unwrap()).await;
            assert_eq!(reader.is_reading(), k > 0 && !has_ended, "k = {k}");
            let expected = if reader.is_reading() { this } else { next };
            assert_eq!(ids(ends(reader.read(read(&next_id))).await), [expected], "k = {k}");
            assert!(!reader.is_reading());
            assert_eq!(log.count(&this_id), usize::from(k > 0), "k = {k}");
            assert_eq!(log.count(&next_id), usize::from(expected == next), "k = {k}");
            if has_ended {
                assert!(k > 3, "the pipe is not small: {k} polls were enough");
                break;
            }
        }
    });
}

#[test]
fn repeatedly_dropped_reads_lose_no_entry() {
    in_small_steps(async {
        let server = Server::with_buffer(SMALL_PIPE);
        let log = echo::spawn(&server);
        let (_client, mut reader) = reader(&server).await;
        let mut rng = Rng::with_seed(5);
        let mut received = Vec::new();
        while received.len() < 100 {
            let after = format!("{}-0", log.requests().len() + 1);
            let mut call = Box::pin(reader.read(read(&after)));
            for _ in 0..rng.usize(0..40) {
                if let Some(streams) = poll_once(&mut call).await {
                    received.extend(ids(streams));
                    break;
                }
                yield_now().await;
            }
        }
        assert_eq!(received, (1..=100).collect::<Vec<u64>>());
    });
}

#[test]
fn dropped_close_closes_if_it_was_polled() {
    in_small_steps(async {
        for k in 0.. {
            let server = Server::with_buffer(SMALL_PIPE);
            echo::spawn(&server);
            let client = ends(Client::connect_with(config(), server.dialler())).await.unwrap();
            let mut in_flight = Box::pin(client.send(XLen::new("7")));
            assert!(poll_once(&mut in_flight).await.is_none());
            let has_ended = poll_then_drop(Box::pin(client.close()), k).await;
            // Commands in flight complete.
            assert_eq!(ends(in_flight).await.unwrap(), 7, "k = {k}");
            let late = ends(client.send(XLen::new("8"))).await;
            if k == 0 {
                assert_eq!(late.unwrap(), 8);
            } else {
                let error = late.unwrap_err();
                let closed = matches!(error, Error::Unsent { reason: Unsent::Closed, .. });
                assert!(closed, "k = {k}: {error:?}");
                assert_eq!(error.outcome(), Outcome::NotSent);
                settle().await;
                assert_eq!(server.open(), 0, "k = {k}: the socket is closed");
                ends(client.close()).await;
            }
            if has_ended {
                break;
            }
        }
    });
}

#[tokio::test(start_paused = true)]
async fn close_waits_for_dropped_commands_until_their_deadline() {
    for (answered, ended) in [(true, ms(100)), (false, ms(300))] {
        let server = Server::new();
        let (client, mut peer) = server.connect(config().command_timeout(ms(300))).await;
        let mut dropped = Box::pin(client.send(XLen::new("a")));
        assert!(poll_once(&mut dropped).await.is_none());
        drop(dropped);
        let start = Instant::now();
        let ((), ()) = ends(async {
            tokio::join!(client.close(), async {
                assert_eq!(peer.request().await, "XLEN a");
                if answered {
                    sleep(ms(100)).await;
                    peer.send(":1\r\n").await;
                }
            })
        })
        .await;
        assert_eq!((start.elapsed(), server.open()), (ended, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_dropped_calls_release_the_whole_budget() {
    const BUDGET: usize = 16 << 10;
    for seed in 0..5 {
        let mut rng = Rng::with_seed(seed);
        let server = Server::with_buffer(if seed % 2 == 0 { SMALL_PIPE } else { 1 << 16 });
        echo::spawn(&server);
        let config = config().budget_bytes(BUDGET);
        let wait = if seed < 3 { WhenFull::Wait } else { WhenFull::Fail };
        let dialler = server.dialler();
        let client = ends(Client::connect_with(config.when_full(wait), dialler)).await.unwrap();
        let names: Vec<String> =
            (0..1000).map(|n| format!("{n:0w$}", w = rng.usize(4..600))).collect();
        let mut calls: Vec<Ended<'_>> = Vec::new();
        for name in &names {
            let call = client.send(XLen::new(name));
            calls.push(Box::pin(async {
                if let Ok(value) = call.await {
                    assert_eq!(value, name.parse::<u64>().unwrap());
                }
            }));
            for _ in 0..rng.usize(0..3) {
                let any = rng.usize(0..calls.len());
                let mut call = calls.swap_remove(any);
                if rng.bool() && poll_once(&mut call).await.is_none() && rng.u8(0..4) > 0 {
                    calls.push(call);
                }
                if rng.bool() {
                    yield_now().await;
                }
                if calls.is_empty() {
                    break;
                }
            }
        }
        drop(calls);
        // All callers are gone. After the replies to the sent commands, a command that takes the
        // whole budget fits.
        let start = Instant::now();
        let nonce =
            format!("{:0w$}", 77, w = BUDGET - 128 - "*2\r\n$4\r\nXLEN\r\n$16223\r\n\r\n".len());
        let mut all = ends(client.send(XLen::new(&nonce))).await;
        while wait == WhenFull::Fail && all.is_err() && start.elapsed() < ms(1000) {
            sleep(ms(1)).await;
            all = ends(client.send(XLen::new(&nonce))).await;
        }
        assert_eq!(all.unwrap(), 77, "seed {seed}");
        assert!(start.elapsed() < ms(1000), "seed {seed}: {:?}", start.elapsed());
        assert_eq!(server.dials().len(), 1);
    }
}
