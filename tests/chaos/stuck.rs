//! The server stops reading, stops answering, or is halted: callers get true results in time, and
//! the byte budget bounds memory.
//!
//! | the server | within the budget | beyond it |
//! |---|---|---|
//! | stops reading | unknown if a byte of it may have left, else not sent | not sent |
//! | stops answering | unknown | not sent |

use crate::alone::{alone, peak, reset_peak, resident};
use crate::proxy::{Proxy, Upstream};
use crate::schedule::Way;
use crate::support::Server;
use bourn::{
    Client, Error, GroupFrom, Outcome, StartAt, XAdd, XGroupCreate, XLen, XRange, XReadGroup,
};
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const TIME: Duration = Duration::from_secs(1);

/// The tolerance of the callers' deadline.
const TENTH: Duration = Duration::from_millis(100);

const BUDGET: usize = 32 << 20;

/// The limit of resident memory. At most a fifth more than the budget is allocated, as the fault
/// tests count; but the allocator has an arena per thread, and does not share their free memory.
const MOST: u64 = 2 * BUDGET as u64;

/// Twice as many as fit the budget.
const CALLERS: usize = 256;
const VALUE: usize = 256 << 10;

/// The limit for recovery after the server resumes.
const RECOVERY: Duration = Duration::from_secs(5);

/// The buffer size of the proxy's sockets, so that the kernel does not take everything.
const BUFFERS: usize = 16 << 10;

#[test]
fn server_that_stops_reading_costs_bounded_time_and_memory() {
    let server = Server::start();
    stuck(&server, |proxy| proxy.stall(Way::Up), Proxy::go_on);
}

#[test]
fn server_that_stops_answering_costs_bounded_time_and_memory() {
    let server = Server::start();
    stuck(&server, |proxy| proxy.stall(Way::Down), Proxy::go_on);
}

#[test]
fn halted_server_costs_bounded_time_and_memory() {
    let server = Server::start();
    stuck(&server, |_| server.pause(), |_| server.resume());
}

fn stuck(server: &Server, stop: impl Fn(&Proxy), go_on: impl Fn(&Proxy)) {
    alone(async {
        let admin = Client::connect(server.unix_url()).await.expect("the server is there");
        let group = XGroupCreate::new("s", "g", StartAt::START).mk_stream();
        admin.send(group).await.expect("it is the first");
        let proxy = Proxy::with_buffers(Upstream::Tcp(server.port()), Some(BUFFERS)).await;
        let config = proxy.config().command_timeout(TIME).budget_bytes(BUDGET);
        let client = Client::connect(config.block_grace(TIME / 2)).await.expect("it is there");
        let mut reader = client.reader().await.expect("it is there");

        let value: &'static [u8] = vec![b'v'; VALUE].leak();
        stop(&proxy);
        let before = resident().expect("Linux reports it");
        reset_peak().expect("Linux can reset it");
        let adds = (0..CALLERS).map(|n| {
            let client = client.clone();
            tokio::spawn(async move {
                let start = Instant::now();
                let add = XAdd::new("s").field("n", n as u64).field("value", value);
                let result = client.send(add).await;
                (result.expect_err("the server does not answer"), start.elapsed())
            })
        });
        let adds = join_all(adds.collect::<Vec<_>>());
        // Other commands end in time, too.
        let others = async {
            let start = Instant::now();
            let block = XReadGroup::new("g", "c").stream("s", GroupFrom::New).block(TIME / 2);
            let read = reader.read(block).await.expect_err("the server does not answer");
            in_time(&read, start.elapsed());
            let start = Instant::now();
            let len = client.send(XLen::new("s")).await.expect_err("the server does not answer");
            in_time(&len, start.elapsed());
        };
        let (adds, ()) = tokio::join!(adds, others);
        let more = peak().expect("Linux reports it").saturating_sub(before);

        let (mut unsent, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        for (n, add) in adds.into_iter().enumerate() {
            let (error, after) = add.expect("it does not panic");
            in_time(&error, after);
            match error.outcome() {
                Outcome::NotSent => unsent.insert(n),
                Outcome::Unknown => unknown.insert(n),
                Outcome::NotApplied => panic!("{error:?}"),
            };
        }

        go_on(&proxy);
        let start = Instant::now();
        while let Err(error) = client.send(XLen::new("s")).await {
            assert!(start.elapsed() < RECOVERY, "{error:?}");
        }
        let again = start.elapsed();
        drop((client, reader));
        proxy.settled(0).await;
        let mut stored = BTreeSet::new();
        for entry in &admin.send(XRange::new("s", ..)).await.expect("it is a stream") {
            let n = entry.get_str("n").ok().flatten().and_then(|n| n.parse::<usize>().ok());
            assert!(stored.insert(n.expect("it is a number")), "{n:?} is there twice");
        }
        println!(
            "{} not sent, {} unknown, {} of these ran; {} KiB more; recovered after {again:?}",
            unsent.len(),
            unknown.len(),
            stored.len(),
            more >> 10
        );
        assert!(stored.is_subset(&unknown), "{:?}", stored.difference(&unknown));
        assert!(unsent.len() >= CALLERS / 2, "they exceed the budget");
        assert!(!unknown.is_empty());
        assert!(more < MOST, "{} KiB", more >> 10);
    });
}

#[track_caller]
fn in_time(error: &Error, after: Duration) {
    assert!(after >= TIME - TENTH && after <= TIME + TENTH, "{error:?} after {after:?}");
}
