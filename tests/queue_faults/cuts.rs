//! A worker's connections are cut, in each direction, with FIN and with RST, at any byte.
//!
//! Each session has the same six jobs: four are done, one fails once, one is dead-lettered at once.
//! The cut may hit a read, an acknowledgement, a retry or the transaction that moves a dead letter.
//! Each job is settled, no attempt runs twice, and there is one dead letter.

use crate::process::dead;
use crate::support::{VERSIONS, in_paused_time};
use crate::test_queue::{GROUP, Job, Run, STREAM, TestQueue, number, on_each, quick, until};
use bourn::queue::{Consumer, Delivery, Fail, Flat};
use bourn::testing::Fault;
use std::time::Duration;

/// The distance between two cuts. The versions begin at different bytes.
const STEP: u64 = 97;

#[test]
fn worker_cut_at_any_byte_settles_every_job() {
    let mut cuts = 0;
    for (nth, version) in (0..).zip(VERSIONS) {
        for reader in [false, true] {
            for cut in [Fault::cut_requests, Fault::cut_replies] {
                let mut after = nth * STEP / 6;
                let is_cut = |after| {
                    let fault = |reset| if reset { cut(after).reset() } else { cut(after) };
                    let one = session(version, reader, fault(false));
                    one && session(version, reader, fault(true))
                };
                // Until the session has no more bytes.
                while is_cut(after) {
                    after += STEP;
                    cuts += 2;
                }
            }
        }
    }
    println!("{cuts} cuts");
    assert!(cuts > 300, "{cuts} cuts");
}

/// Runs a worker on six jobs, with a fault on the connection of its reads, or of its other commands.
/// Returns whether a connection was cut.
fn session(version: &'static str, reader: bool, fault: Fault) -> bool {
    let mut cut = false;
    println!("{version}, {fault:?}, reader {reader}");
    in_paused_time(async {
        let test = TestQueue::new(version).await;
        let client = test.client.connection_id().expect("HELLO reports it");
        let retry = test.builder().lease(Duration::from_millis(1_500)).retry(quick(5));
        let queue = retry.open(Flat).await.expect("it is cut later");
        // The worker's connections come after the client's.
        test.server.inject(fault.on_connection(client + 1 + i64::from(reader)));
        let run = Run::new(queue.worker().concurrency(3), |job| async move {
            match (number(&job), job.attempt()) {
                (4, 1) => Err(Fail::retry("not yet")),
                (5, _) => Err(Fail::dead("it is wrong")),
                _ => Ok(()),
            }
        });
        until("the worker waits for jobs", || async { test.server.blocked() > 0 }).await;
        for n in 0..6 {
            test.command(&format!("XADD {STREAM} * n {n}"));
        }
        until("every job is settled", || async { test.left() == (0, 0) }).await;
        let seen = run.stop().await.1;
        assert_eq!(dead(&queue).await, [5]);
        assert_eq!(seen.len(), 6, "{seen:?}");
        for (n, attempts) in seen {
            assert!(attempts.windows(2).all(|two| two[0] < two[1]), "job {n}: {attempts:?}");
            assert!(attempts.len() <= if n < 4 { 1 } else { 5 }, "job {n}: {attempts:?}");
        }
        cut = test.server.requests().iter().any(|request| request.connection() > client + 2);
    });
    cut
}

/// A consumer with one job in flight, one fetched, and three in lost replies. Then its connection
/// is lost.
async fn with_lost_replies(
    test: &TestQueue,
    spoil: impl Fn(&TestQueue, &str, &str),
) -> Consumer<Job> {
    let queue = test.queue().await;
    test.enqueue(&queue, 5).await;
    let mut consumer = queue.consumer().start().await.unwrap();
    let first = consumer.next().await.unwrap().unwrap();
    until("another is fetched", || async { test.left() == (5, 2) }).await;
    let name = consumer.name();
    let name = std::str::from_utf8(&name).unwrap();
    test.command(&format!("XREADGROUP GROUP {GROUP} {name} STREAMS {STREAM} >"));
    for id in test.ids().iter().skip(2) {
        spoil(test, name, id);
    }
    test.command("CLIENT KILL TYPE normal");
    first.ack().await.unwrap();
    consumer
}

/// Returns the next job.
async fn next(consumer: &mut Consumer<Job>) -> Delivery<Job> {
    consumer.next().await.expect("not closed").expect("no error")
}

#[test]
fn more_lost_replies_than_capacity_do_not_block_the_queue() {
    on_each(async |test| {
        // The entries look idle for longer than the consumer can be sure of.
        let mut consumer = with_lost_replies(&test, |test, name, id| {
            test.command(&format!("XCLAIM {STREAM} {GROUP} {name} 0 {id} IDLE 600000 JUSTID"));
        })
        .await;
        for n in 1..5 {
            let delivery = next(&mut consumer).await;
            assert_eq!(number(delivery.payload()), n);
            delivery.ack().await.unwrap();
        }
        assert_eq!(consumer.close().await.done, 5);
        assert_eq!(test.left(), (0, 0));
    });
}

#[test]
fn lost_replies_with_deleted_entries_do_not_block_the_queue() {
    on_each(async |test| {
        let mut consumer = with_lost_replies(&test, |test, _, id| {
            test.command(&format!("XDEL {STREAM} {id}"));
        })
        .await;
        next(&mut consumer).await.ack().await.unwrap();
        test.command(&format!("XADD {STREAM} * n 5"));
        let last = next(&mut consumer).await;
        assert_eq!(number(last.payload()), 5);
        last.ack().await.unwrap();
        until("nothing is pending", || async { test.left() == (0, 0) }).await;
        assert_eq!(consumer.close().await.done, 3);
    });
}
