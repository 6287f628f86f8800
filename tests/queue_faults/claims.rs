//! Entries that are claimed: abandoned ones, those of lost replies, deleted ones.

use crate::steps::{
    LEASE, STREAM, consumer_of_one_job, enqueue, name, next, number, owner, requests, run, s,
    stall, until,
};
use crate::support::{Email, in_paused_time, on_each_version, queue};
use bourn::EntryId;
use bourn::queue::{Flat, Queue, Retention};
use bourn::testing::{Fault, Server};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Adds a job that a crashed worker read just now.
async fn abandoned(server: &Server) -> (Queue<Email>, EntryId) {
    let queue = queue(server, STREAM).await;
    let id = enqueue(&queue).await;
    run(server, "XREADGROUP GROUP workers crashed STREAMS email >");
    (queue, id)
}

/// Returns the number of pending entries.
fn pending(server: &Server) -> i64 {
    let summary = run(server, "XPENDING email workers");
    let summary = summary.as_list().expect("a summary");
    summary.first().and_then(|count| count.as_integer()).expect("a count")
}

#[test]
fn entry_claimed_by_another_worker_meanwhile_is_not_run() {
    for version in ["redis-6.2", "redis-7.0", "redis-8.2", "valkey-9.1"] {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let (queue, id) = abandoned(&server).await;
            let mut consumer = queue.consumer().start().await.unwrap();
            server.set_latency(Duration::from_millis(20));
            sleep(LEASE - s(1)).await;
            let is_claimed = || owner(&server, id).is_some_and(|(owner, _)| owner != "crashed");
            until("it is claimed", is_claimed).await;
            run(&server, &format!("XCLAIM email workers other 0 {id} JUSTID"));
            assert!(next(&mut consumer, s(10)).await.is_none(), "{version}");
        });
    }
}

#[test]
fn claimed_entry_whose_attempts_cannot_be_read_is_recovered_soon() {
    for version in ["redis-6.2", "redis-7.0", "redis-8.2", "valkey-9.1"] {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let (queue, _) = abandoned(&server).await;
            let mut consumer = queue.consumer().start().await.unwrap();
            sleep(LEASE - s(3)).await;
            server.inject(Fault::error("OOM no memory").on_command("XPENDING"));
            let delivery = next(&mut consumer, s(10)).await.expect("it is recovered");
            assert_eq!(delivery.attempt(), 2, "{version}");
        });
    }
}

#[test]
fn entry_of_a_lost_reply_is_recovered_at_once_and_was_no_attempt() {
    on_each_version(|server| async move {
        server.inject(Fault::lose_reply().on_command("XREADGROUP"));
        let (_queue, mut consumer) = consumer_of_one_job(&server).await;
        let delivery = next(&mut consumer, s(5)).await.expect("it is recovered");
        assert_eq!(delivery.attempt(), 1);
        // The server has counted one delivery.
        assert_eq!(owner(&server, delivery.id()), Some((name(&consumer), 1)));
    });
}

#[test]
fn recovery_ends() {
    on_each_version(|server| async move {
        server.inject(Fault::lose_reply().on_command("XREADGROUP"));
        let (queue, mut consumer) = consumer_of_one_job(&server).await;
        server.set_latency(Duration::from_millis(10));
        next(&mut consumer, s(5)).await.expect("it is recovered").ack().await.unwrap();
        enqueue(&queue).await;
        next(&mut consumer, s(5)).await.expect("the next job");
    });
}

/// The claim of a closed consumer would take the entry from the next one.
#[test]
fn closing_consumer_does_not_claim_what_it_has_listed() {
    on_each_version(|server| async move {
        server.inject(Fault::lose_reply().on_command("XREADGROUP"));
        let (_queue, consumer) = consumer_of_one_job(&server).await;
        let name = name(&consumer);
        server.set_latency(Duration::from_millis(20));
        let is_listed = || !requests(&server, &["XPENDING", &name]).is_empty();
        until("the lost reply is looked for", is_listed).await;
        consumer.close().await;
        assert!(requests(&server, &["XCLAIM"]).is_empty());
    });
}

/// Redis 8.4 claims as it reads.
#[test]
fn closing_consumer_ends_its_sweep() {
    for version in ["redis-6.2", "redis-7.0", "redis-8.2", "valkey-9.1"] {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let client = server.client().await.unwrap();
            let queue = Queue::builder(&client, STREAM).retention(Retention::KeepUntilAllAcked);
            let queue: Queue<Email> = queue.open(Flat).await.unwrap();
            enqueue(&queue).await;
            run(&server, "XREADGROUP GROUP workers crashed STREAMS email >");
            let consumer = queue.consumer().start().await.unwrap();
            sleep(s(5)).await;
            server.set_latency(Duration::from_millis(20));
            let listed = || requests(&server, &["XPENDING", "0-0"]).len();
            let claims = || requests(&server, &["XAUTOCLAIM", "30000"]).len();
            let before = listed();
            until("a sweep has begun", || listed() > before).await;
            let before = claims();
            consumer.close().await;
            assert_eq!(claims(), before, "{version}");
        });
    }
}

/// A lossy queue asks for its counts with a read that does not wait. Another one would follow.
#[test]
fn closing_consumer_does_not_begin_to_wait() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let queue = Queue::builder(&client, STREAM).retention(Retention::LossyMaxLen(1_000));
        let queue: Queue<Email> = queue.open(Flat).await.unwrap();
        let consumer = queue.consumer().start().await.unwrap();
        sleep(s(5)).await;
        server.set_latency(Duration::from_millis(20));
        let reads = || requests(&server, &["XREADGROUP"]).len();
        let waits = || requests(&server, &["XREADGROUP", "BLOCK"]).len();
        let before = reads() - waits();
        // Redis 6.2 has no counts: it waits at once.
        let is_read = || reads() - waits() > before || waits() == reads();
        until("it is read without waiting", is_read).await;
        let before = waits();
        consumer.close().await;
        assert_eq!(waits(), before);
    });
}

/// Another consumer may claim it at any moment.
#[test]
fn entry_that_was_idle_for_half_a_lease_is_not_recovered() {
    on_each_version(|server| async move {
        let (queue, id) = abandoned(&server).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        let name = name(&consumer);
        sleep(s(2)).await;
        let idle = (LEASE / 2).as_millis() + 100;
        run(&server, &format!("XCLAIM email workers {name} 0 {id} IDLE {idle} JUSTID"));
        server.disconnect_all();
        assert!(next(&mut consumer, s(10)).await.is_none(), "it is claimed after its lease");
        let delivery = next(&mut consumer, s(10)).await.expect("it is claimed");
        assert_eq!(delivery.attempt(), 2);
    });
}

#[test]
fn entry_listed_a_quarter_of_a_lease_ago_is_not_recovered() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let queue = Queue::builder(&client, STREAM).lease(s(4)).open(Flat).await.unwrap();
        enqueue(&queue).await;
        server.inject(Fault::lose_reply().on_command("XREADGROUP"));
        let mut consumer = queue.consumer().start().await.unwrap();
        let start = Instant::now();
        until("it is read", || !requests(&server, &["XREADGROUP"]).is_empty()).await;
        stall(&server, &client, Duration::from_millis(1_300));
        let delivery = next(&mut consumer, s(20)).await.expect("it is claimed or recovered");
        // The list that was asked for again may be young enough.
        let after = start.elapsed();
        let listed = requests(&server, &["XPENDING", &name(&consumer)]).len();
        assert!(listed > 1 || after >= s(4), "{after:?}");
        assert!(!delivery.lease().is_lost());
    });
}

/// Redis 6.2 claims deleted entries without their ids.
#[test]
fn deleted_entry_of_a_crashed_worker_does_not_stay_pending() {
    on_each_version(|server| async move {
        let (queue, id) = abandoned(&server).await;
        run(&server, &format!("XDEL email {id}"));
        let mut consumer = queue.consumer().start().await.unwrap();
        assert!(next(&mut consumer, 2 * LEASE).await.is_none(), "it has no payload");
        assert_eq!(pending(&server), 0);
    });
}

#[test]
fn running_job_whose_entry_was_deleted_stays_pending_until_it_is_done() {
    in_paused_time(async {
        let server = Server::builder().version("redis-6.2").build();
        let (queue, crashed) = abandoned(&server).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        enqueue(&queue).await;
        sleep(s(5)).await;
        let delivery = next(&mut consumer, s(5)).await.expect("the second job");
        for id in [crashed, delivery.id()] {
            assert_eq!(number(&server, &format!("XDEL email {id}")), 1);
        }
        // Redis 6.2 renews the lease of an entry that is gone.
        sleep(LEASE - s(6)).await;
        until("the other is acknowledged", || owner(&server, crashed).is_none()).await;
        assert_eq!(owner(&server, delivery.id()), Some((name(&consumer), 1)));
    });
}
