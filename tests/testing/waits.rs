//! Reads that wait, and the server's clock.

use crate::{in_paused_time, settle};
use bourn::testing::Server;
use bourn::{
    Block, ClientPause, ClientUnblock, Code, EntryId, GroupFrom, ReadFrom, Reader, StartAt, Wait,
    XAdd, XClaim, XGroupCreate, XLen, XRange, XRead, XReadGroup,
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

fn add(n: u64) -> XAdd<'static> {
    XAdd::new("k").field("n", n)
}

fn read() -> XReadGroup<'static> {
    XReadGroup::new("g", "a").stream("k", GroupFrom::New).count(1)
}

/// Starts a read, and waits until it waits at the server.
async fn waiting(server: &Server, mut reader: Reader) -> tokio::task::JoinHandle<Option<EntryId>> {
    let before = server.blocked();
    let reading = tokio::spawn(async move {
        let entries = reader.read(read().block_forever()).await.expect("a reply");
        entries.iter().next().map(|entry| entry.id())
    });
    while server.blocked() == before {
        settle().await;
    }
    reading
}

#[test]
fn read_ends_when_its_time_is_over() {
    in_paused_time(async {
        let client = Server::new().client().await.unwrap();
        let mut reader = client.reader().await.unwrap();
        let start = Instant::now();
        let read = XRead::new().stream("k", ReadFrom::START).block(30 * SECOND);
        assert!(reader.read(read).await.unwrap().is_empty());
        assert_eq!(start.elapsed(), 30 * SECOND);
    });
}

#[test]
fn reads_are_served_in_the_order_in_which_they_blocked() {
    in_paused_time(async {
        let server = Server::new();
        let client = server.client().await.unwrap();
        client.send(XGroupCreate::new("k", "g", StartAt::START).mk_stream()).await.unwrap();
        let mut readings = Vec::new();
        for _ in 0..5 {
            readings.push(waiting(&server, client.reader().await.unwrap()).await);
        }
        let mut added = Vec::new();
        for n in 0..5 {
            added.push(Some(client.send(add(n)).await.unwrap()));
        }
        for (reading, added) in readings.into_iter().zip(added) {
            assert_eq!(reading.await.unwrap(), added);
        }
    });
}

#[test]
fn unblock_ends_a_read_of_another_connection() {
    in_paused_time(async {
        let server = Server::new();
        let client = server.client().await.unwrap();
        client.send(XGroupCreate::new("k", "g", StartAt::START).mk_stream()).await.unwrap();
        let reader = client.reader().await.unwrap();
        let id = reader.connection_id().unwrap();
        let reading = waiting(&server, reader).await;
        assert!(client.send(ClientUnblock::new(id)).await.unwrap());
        assert_eq!(reading.await.unwrap(), None);
        assert!(!client.send(ClientUnblock::new(id)).await.unwrap());
    });
}

#[test]
fn claim_takes_an_entry_at_the_moment_when_it_is_old_enough() {
    in_paused_time(async {
        let server = Server::new();
        let client = server.client().await.unwrap();
        client.send(XGroupCreate::new("k", "g", StartAt::START).mk_stream()).await.unwrap();
        client.send(add(1)).await.unwrap();
        assert_eq!(client.send(read()).await.unwrap().len(), 1);
        sleep(SECOND).await;
        let start = Instant::now();
        let claim = XReadGroup::new("g", "b").stream("k", GroupFrom::New).claim(10 * SECOND);
        let mut reader = client.reader().await.unwrap();
        assert_eq!(reader.read(claim.block_forever()).await.unwrap().len(), 1);
        assert_eq!(start.elapsed(), 9 * SECOND);
    });
}

#[test]
fn clock_moves_without_tokio() {
    in_paused_time(async {
        let server = Server::new();
        let client = server.client().await.unwrap();
        client.send(XGroupCreate::new("k", "g", StartAt::START).mk_stream()).await.unwrap();
        let first = client.send(add(1)).await.unwrap();
        client.send(read()).await.unwrap();
        let (start, time) = (Instant::now(), server.time());
        server.advance_clock(60 * SECOND);
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(server.time().duration_since(time).unwrap(), 60 * SECOND);
        let claim = XClaim::new("k", "g", "b", 59 * SECOND, first);
        assert_eq!(client.send(claim).await.unwrap().len(), 1);
        server.rewind_clock(120 * SECOND);
        let second = client.send(add(2)).await.unwrap();
        assert_eq!((second.ms(), second.seq()), (first.ms(), 1), "ids never go back");
        server.advance_clock(60 * SECOND);
        sleep(SECOND).await;
        let third = client.send(add(3)).await.unwrap();
        assert_eq!(third.ms(), first.ms() + 1_000);
    });
}

#[test]
fn moved_clock_ends_and_prolongs_waits() {
    in_paused_time(async {
        let server = Server::new();
        let client = server.client().await.unwrap();
        for (forward, waits) in [(true, SECOND), (false, 31 * SECOND)] {
            let mut reader = client.reader().await.unwrap();
            let start = Instant::now();
            let read = XRead::new().stream("k", ReadFrom::START).block(11 * SECOND);
            let reading = async { reader.read(read).within(60 * SECOND).await.unwrap() };
            let moving = async {
                sleep(SECOND).await;
                if forward {
                    server.advance_clock(20 * SECOND);
                } else {
                    server.rewind_clock(20 * SECOND);
                }
            };
            let (entries, ()) = tokio::join!(reading, moving);
            assert!(entries.is_empty());
            assert_eq!(start.elapsed(), waits, "forward: {forward}");
        }
    });
}

#[test]
fn pause_holds_writes_and_lets_reads_pass() {
    in_paused_time(async {
        let client = Server::new().client().await.unwrap();
        let other = client.clone();
        client.send(ClientPause::new(3 * SECOND).write_only()).await.unwrap();
        let start = Instant::now();
        assert_eq!(client.send(XLen::new("k")).await.unwrap(), 0);
        assert_eq!(start.elapsed(), Duration::ZERO);
        other.send(add(1)).await.unwrap();
        assert_eq!(start.elapsed(), 3 * SECOND);
    });
}

#[test]
fn wait_for_a_missing_replica_ends_in_vain() {
    in_paused_time(async {
        let client = Server::new().client().await.unwrap();
        let mut reader = client.reader().await.unwrap();
        let start = Instant::now();
        assert_eq!(reader.send(Wait::new(1, Block::For(2 * SECOND))).await.unwrap(), 0);
        assert_eq!(start.elapsed(), 2 * SECOND);
    });
}

#[test]
fn expired_key_wakes_a_read_of_its_group() {
    in_paused_time(async {
        let server = Server::new();
        let client = server.client().await.unwrap();
        client.send(XGroupCreate::new("k", "g", StartAt::START).mk_stream()).await.unwrap();
        let _ = server.command("PEXPIRE k 5000");
        let mut reader = client.reader().await.unwrap();
        let start = Instant::now();
        let error = reader.read(read().block_forever()).await.unwrap_err();
        assert_eq!(error.code(), Some(&Code::NoGroup));
        assert_eq!(start.elapsed(), 5 * SECOND);
    });
}

#[test]
fn latency_delays_both_directions() {
    in_paused_time(async {
        let server = Server::new();
        let client = server.client().await.unwrap();
        server.set_latency(Duration::from_millis(20));
        let start = Instant::now();
        client.send(add(1)).await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_millis(40));
        let id = client.send(XRange::new("k", ..)).await.unwrap().iter().next().unwrap().id();
        assert_eq!(start.elapsed(), Duration::from_millis(80));
        assert_eq!(server.time().duration_since(id.time().unwrap()).unwrap().as_millis(), 60);
    });
}
