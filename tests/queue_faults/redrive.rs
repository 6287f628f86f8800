//! Redrives of many dead letters: how many are read and moved at once.

use crate::steps::{DEAD, STREAM, len, next, requests, run, s};
use crate::support::{Email, VERSIONS, in_paused_time, on_each_version, queue};
use bourn::queue::{Nack, Queue, Redrive};
use bourn::testing::{Fault, Server};
use bourn::{EntryId, XRange};
use std::time::Duration;
use tokio::time::Instant;

/// Adds dead letters of the jobs `1-1`, `2-1` and so on, and returns their ids.
fn add_letters(server: &Server, jobs: std::ops::Range<u32>) -> Vec<EntryId> {
    let add = |n| {
        let letter = format!("_id {n}-1 _stream {STREAM} _group workers _attempt 3 _reason no");
        let added = run(server, &format!("XADD {DEAD} * {letter} _at 1 _token {n} n {n}"));
        EntryId::parse(added.as_bytes().unwrap()).unwrap()
    };
    jobs.map(add).collect()
}

/// Returns the numbers of the jobs in the queue, in their order.
async fn jobs(queue: &Queue<Email>) -> Vec<u32> {
    let entries = queue.client().send(XRange::new(STREAM, ..)).await.unwrap();
    let number = |field: Option<(&[u8], &[u8])>| {
        std::str::from_utf8(field.expect("a field").1).unwrap().parse().unwrap()
    };
    entries.iter().map(|entry| number(entry.fields().next_back())).collect()
}

#[test]
fn many_letters_are_redriven_in_few_round_trips_and_in_their_order() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        add_letters(&server, 1..1_001);
        server.set_latency(Duration::from_millis(10));
        let start = Instant::now();
        assert_eq!(queue.dead_letters().redrive(Redrive::all()).await.unwrap(), 1_000);
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        assert_eq!(jobs(&queue).await, (1..1_001).collect::<Vec<_>>());
        assert_eq!(len(&server, DEAD), 0);
    });
}

#[test]
fn redrive_by_ids_reads_no_other_letters() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        let ids = add_letters(&server, 1..1_001);
        let some = [ids[900], ids[3], EntryId::new(5, 5), ids[3]];
        assert_eq!(queue.dead_letters().redrive(Redrive::ids(some)).await.unwrap(), 2);
        assert_eq!(jobs(&queue).await, [4, 901]);
        let reads = requests(&server, &["XRANGE", DEAD]);
        assert!(reads.iter().all(|read| !read.to_string().contains("COUNT")), "{reads:?}");
        assert_eq!((reads.len(), len(&server, DEAD)), (3, 998));
    });
}

#[test]
fn redrive_keeps_its_rate_and_its_limit() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        add_letters(&server, 1..301);
        for (rate, limit, seconds) in [(1.0, 5, 4), (200.0, 201, 1)] {
            let start = Instant::now();
            let some = Redrive::all().rate(rate).at_most(limit);
            assert_eq!(queue.dead_letters().redrive(some).await.unwrap(), limit);
            let (elapsed, least) = (start.elapsed(), Duration::from_secs(seconds));
            assert!(elapsed >= least * 9 / 10 && elapsed <= least * 11 / 10, "{elapsed:?}");
        }
    });
}

#[test]
fn second_copy_of_a_letter_is_deleted_when_the_first_one_was_moved() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        for _ in 0..2 {
            add_letters(&server, 1..11);
        }
        assert_eq!(queue.dead_letters().redrive(Redrive::all()).await.unwrap(), 10);
        assert_eq!((jobs(&queue).await, len(&server, DEAD)), ((1..11).collect(), 0));
    });
}

/// The claims of letters whose jobs may have been added stay.
#[test]
fn batch_that_loses_its_connection_moves_each_letter_once() {
    for version in VERSIONS {
        for after in 0..60 {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let queue = queue(&server, STREAM).await;
                add_letters(&server, 1..21);
                server.inject(Fault::disconnect().skip(after));
                let redriven = queue.dead_letters().redrive(Redrive::all()).await;
                server.clear_faults();
                tokio::time::sleep(Duration::from_secs(31)).await;
                queue.dead_letters().redrive(Redrive::all()).await.unwrap();
                let mut moved = jobs(&queue).await;
                moved.sort_unstable();
                let row = format!("{version}, {after}: {redriven:?}");
                assert_eq!(moved, (1..21).collect::<Vec<_>>(), "{row}");
                assert_eq!(len(&server, DEAD), 0, "{row}");
            });
        }
    }
}

#[test]
fn letters_that_cannot_be_removed_are_found_as_moved_by_the_next_redrive() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        add_letters(&server, 1..21);
        server.inject(Fault::error("NOPERM no permission").on_command("XACK").times(u64::MAX));
        queue.dead_letters().redrive(Redrive::all()).await.unwrap_err();
        server.clear_faults();
        assert_eq!((jobs(&queue).await.len(), len(&server, DEAD)), (20, 20));
        // With IDMP the server would recognise the copies for 100 s.
        tokio::time::sleep(Duration::from_secs(101)).await;
        assert_eq!(queue.dead_letters().redrive(Redrive::all()).await.unwrap(), 20);
        assert_eq!((jobs(&queue).await, len(&server, DEAD)), ((1..21).collect(), 0));
    });
}

/// A failover brings the letter back, and its job, which was added, fails again.
#[test]
fn letter_of_a_later_failure_is_no_second_copy() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        add_letters(&server, 1..2);
        server.set_latency(Duration::from_millis(5));
        let letters = queue.dead_letters();
        let redrive = tokio::spawn(async move { letters.redrive(Redrive::all()).await });
        while len(&server, STREAM) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.replicate();
        redrive.await.unwrap().unwrap();
        assert_eq!(len(&server, DEAD), 0);
        server.fail_over();
        server.disconnect_all();
        assert_eq!((len(&server, STREAM), len(&server, DEAD)), (1, 1));
        let mut consumer = queue.consumer().start().await.unwrap();
        let delivery = next(&mut consumer, s(9)).await.expect("the job");
        delivery.nack(Nack::dead("no")).await.unwrap();
        assert_eq!((len(&server, STREAM), len(&server, DEAD)), (0, 2));
        // The claim of the first run was brought back as well.
        tokio::time::sleep(s(60)).await;
        queue.dead_letters().redrive(Redrive::all()).await.unwrap();
        next(&mut consumer, s(9)).await.expect("it is not lost").ack().await.unwrap();
        assert_eq!(len(&server, DEAD), 0);
    });
}
