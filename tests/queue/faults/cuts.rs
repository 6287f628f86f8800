//! A worker's connections are cut, in each direction, with FIN and with RST, at any byte.
//!
//! Each session has the same six jobs: four are done, one fails once, one is dead-lettered at once.
//! The cut may hit a read, an acknowledgement, a retry or the transaction that moves a dead letter.
//! Each job is settled, no attempt runs twice, and there is one dead letter.

use crate::proxy::{Proxy, Seen, Upstream};
use crate::schedule::{Cut, Plan, Way};
use crate::support::Server;
use crate::test_queue::{GROUP, Job, Run, STREAM, TestQueue, number, quick, until};
use bourn::queue::{Consumer, Delivery, Fail, Flat, Queue, QueueBuilder};
use bourn::{Client, XAdd, XLen, XPending};
use futures_util::future::join_all;
use std::cell::RefCell;
use std::time::Duration;

/// The connections, in the order in which they are opened.
const CLIENT: u64 = 0;
const READER: u64 = 1;

/// Later connections' ids have more digits, and the server's greeting contains the id.
const DIGITS: u64 = 5;

/// The number of concurrent sessions.
const LANES: usize = 24;

/// The number of cuts per connection, direction and kind.
const CUTS: usize = 20;

/// The limit after which a session counts as hung.
const LIMIT: Duration = Duration::from_secs(20);

/// One session's cut: the connection, the direction, the number of bytes, FIN or RST.
#[derive(Debug, Clone, Copy)]
struct At(u64, Way, u64, Cut);

#[tokio::test]
async fn worker_cut_at_any_byte_settles_every_job() {
    let server = Server::start();
    let admin = Client::connect(server.unix_url()).await.expect("the server is there");
    let proxy = Proxy::start(Upstream::Unix(server.socket_path())).await;
    let greeted = session(&admin, &proxy, "greeting", 0).await;
    proxy.plan(|_| Plan::default());
    let uncut = session(&admin, &proxy, "uncut", 6).await;
    let mut all = Vec::new();
    for connection in [CLIENT, READER] {
        let nth = usize::try_from(connection).expect("it is small");
        let (before, after) = (&greeted[nth], &uncut[nth]);
        let down = (Way::Down, before.down + DIGITS, after.down);
        for (way, from, to) in [(Way::Up, before.up, after.up), down] {
            println!("connection {connection}, {way:?}: {from} to {to}");
            let step = usize::try_from((to - from) / CUTS as u64).expect("it is small").max(1);
            for (cut, shift) in [(Cut::Fin, 0), (Cut::Rst, step as u64 / 2)] {
                let offsets = (from + 1 + shift..to).step_by(step);
                all.extend(offsets.map(|after| At(connection, way, after, cut)));
            }
        }
    }
    let next = RefCell::new(all.iter().zip(0..));
    let lanes = (0..LANES).map(|_| lane(&admin, &server, &next));
    let cut: usize = join_all(lanes).await.into_iter().sum();
    println!("{cut} of {} were cut", all.len());
    assert!(cut * 4 >= all.len() * 3, "{cut} of {}", all.len());
}

/// A consumer with one job in flight, one fetched, and three in lost replies. Then its connection
/// is lost.
async fn with_lost_replies(spoil: impl Fn(&TestQueue, &str, &str)) -> (TestQueue, Consumer<Job>) {
    let test = TestQueue::new().await;
    let queue = test.queue().await;
    test.enqueue(&queue, 5).await;
    let mut consumer = queue.consumer().start().await.unwrap();
    let first = consumer.next().await.unwrap().unwrap();
    until("another is fetched", || async { test.left() == (5, 2) }).await;
    let name = consumer.name();
    let name = std::str::from_utf8(&name).unwrap();
    test.server.command(&["XREADGROUP", "GROUP", GROUP, name, "STREAMS", STREAM, ">"]);
    let ids = test.server.command(&["XRANGE", STREAM, "-", "+"]);
    for id in ids.lines().filter(|line| line.contains('-')).skip(2) {
        spoil(&test, name, id);
    }
    test.server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    first.ack().await.unwrap();
    (test, consumer)
}

/// Returns the next job.
async fn next(consumer: &mut Consumer<Job>) -> Delivery<Job> {
    let next = tokio::time::timeout(LIMIT, consumer.next()).await.expect("it comes");
    next.expect("not closed").expect("no error")
}

#[tokio::test]
async fn more_lost_replies_than_capacity_do_not_block_the_queue() {
    // The entries look idle for longer than the consumer can be sure of.
    let (test, mut consumer) = with_lost_replies(|test, name, id| {
        let old = ["XCLAIM", STREAM, GROUP, name, "0", id, "IDLE", "600000", "JUSTID"];
        test.server.command(&old);
    })
    .await;
    for n in 1..5 {
        let delivery = next(&mut consumer).await;
        assert_eq!(number(delivery.payload()), n);
        delivery.ack().await.unwrap();
    }
    assert_eq!(consumer.close().await.done, 5);
    assert_eq!(test.left(), (0, 0));
}

#[tokio::test]
async fn lost_replies_with_deleted_entries_do_not_block_the_queue() {
    let (test, mut consumer) = with_lost_replies(|test, _, id| {
        test.server.command(&["XDEL", STREAM, id]);
    })
    .await;
    next(&mut consumer).await.ack().await.unwrap();
    test.server.command(&["XADD", STREAM, "*", "n", "5"]);
    let last = next(&mut consumer).await;
    assert_eq!(number(last.payload()), 5);
    last.ack().await.unwrap();
    until("nothing is pending", || async { test.left() == (0, 0) }).await;
    assert_eq!(consumer.close().await.done, 3);
}

/// Runs sessions until none is left; returns how many were cut.
async fn lane(
    admin: &Client,
    server: &Server,
    next: &RefCell<impl Iterator<Item = (&At, u64)>>,
) -> usize {
    let proxy = Proxy::start(Upstream::Unix(server.socket_path())).await;
    let mut cuts = 0;
    loop {
        let Some((at, nth)) = next.borrow_mut().next() else { return cuts };
        let At(connection, way, after, cut) = *at;
        proxy.plan(
            move |nth| {
                if nth == connection { Plan::cut(way, after, cut) } else { Plan::default() }
            },
        );
        let key = format!("{nth:05}");
        let session = tokio::time::timeout(LIMIT, session(admin, &proxy, &key, 6)).await;
        let seen = session.unwrap_or_else(|_| panic!("{key}, {at:?}, hangs"));
        cuts += usize::from(seen.iter().any(|seen| seen.cut));
    }
}

fn build(client: &Client, key: &str) -> QueueBuilder {
    let lease = Duration::from_millis(1_500);
    Queue::builder(client, key).group(GROUP).lease(lease).retry(quick(5))
}

/// Runs a worker on this many jobs, behind the proxy.
async fn session(admin: &Client, proxy: &Proxy, key: &str, jobs: u64) -> Vec<Seen> {
    let seen = {
        let config = proxy.config().reconnect(Duration::from_millis(1), Duration::from_millis(5));
        let client = Client::connect(config).await.expect("it is cut later");
        let queue = build(&client, key).open(Flat).await.expect("it is cut later");
        if jobs == 0 {
            drop(client.reader().await.expect("it is cut later"));
            return proxy.seen();
        }
        let run = Run::new(queue.worker().concurrency(3), |job| async move {
            match (number(&job), job.attempt()) {
                (4, 1) => Err(Fail::retry("not yet")),
                (5, _) => Err(Fail::dead("it is wrong")),
                _ => Ok(()),
            }
        });
        let add = |n: u64| XAdd::new(key).field("n", n);
        // The worker is running before the jobs are added.
        for n in 0..jobs {
            admin.send(add(n)).await.expect("the server is there");
        }
        while admin.send(XLen::new(key)).await.expect("the server is there") > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        run.stop().await.1
    };
    let pending = admin.send(XPending::new(key, GROUP)).await.expect("there is a group");
    assert_eq!(pending.count, 0, "{key}");
    let queue = build(admin, key).open(Flat).await.expect("it is there");
    assert_eq!(super::dead(&queue).await, [5], "{key}");
    assert_eq!(seen.len() as u64, jobs, "{key}: {seen:?}");
    for (n, attempts) in seen {
        assert!(attempts.windows(2).all(|two| two[0] < two[1]), "{key}, job {n}: {attempts:?}");
        assert!(attempts.len() <= if n < 4 { 1 } else { 5 }, "{key}, job {n}: {attempts:?}");
    }
    proxy.seen()
}
