//! Moves to the dead-letter stream: the only copy, duplicates, lost replies, a key of another type.

use crate::steps::{
    DEAD, LEASE, STREAM, delivered, enqueue, len, next, owner, requests, run, s, stall, until,
};
use crate::support::on_each_version;
use bourn::EntryId;
use bourn::queue::{Flat, Nack, Queue, Redrive, Retention};
use bourn::testing::{Fault, Server};
use std::time::Duration;
use tokio::time::sleep;

/// Finishes the job as another worker does.
fn finish_elsewhere(server: &Server, id: EntryId) {
    run(server, &format!("XACK email workers {id}"));
    run(server, &format!("XDEL email {id}"));
}

#[test]
fn dead_letter_is_kept_if_the_group_was_created_again() {
    on_each_version(|server| async move {
        let (_queue, _consumer, delivery) = delivered(&server).await;
        run(&server, "XGROUP DESTROY email workers");
        run(&server, "XGROUP CREATE email workers $");
        delivery.nack(Nack::dead("no")).await.unwrap();
        assert_eq!((len(&server, STREAM), len(&server, DEAD)), (0, 1), "the only copy");
    });
}

#[test]
fn job_that_another_worker_finished_is_not_a_dead_letter() {
    on_each_version(|server| async move {
        let (_queue, _consumer, delivery) = delivered(&server).await;
        finish_elsewhere(&server, delivery.id());
        delivery.nack(Nack::dead("no")).await.unwrap();
        assert_eq!(len(&server, DEAD), 0);
    });
}

/// The first worker's move arrives when the second one has moved the job.
#[test]
fn job_that_two_workers_dead_letter_is_one_dead_letter() {
    on_each_version(|server| async move {
        let mut deliveries = Vec::new();
        for after in [0, 1] {
            let client = server.client().await.unwrap();
            let queue = Queue::builder(&client, STREAM).lease(s(1)).open(Flat).await.unwrap();
            if after == 0 {
                enqueue(&queue).await;
            }
            let mut consumer = queue.consumer().start().await.unwrap();
            let delivery = next(&mut consumer, s(3)).await.expect("the job");
            let asked = requests(&server, &["XPENDING"]).len();
            server.set_latency(Duration::from_millis(50));
            let settled = tokio::spawn(delivery.nack(Nack::dead("no")));
            if after == 0 {
                // The first worker owns it, and its move is held back.
                until("it asks", || requests(&server, &["XPENDING"]).len() > asked).await;
                stall(&server, &client, Duration::from_millis(2_500));
            }
            deliveries.push((consumer, settled));
        }
        sleep(s(5)).await;
        // Each worker adds a copy. With IDMP the first one asks for the id of its own by adding it
        // again, before it deletes it.
        let copies = requests(&server, &["XADD", DEAD]).len();
        let asks = requests(&server, &["XADD", DEAD, "IDMP"]).len();
        assert_eq!(copies, if asks > 0 { 3 } else { 2 });
        assert_eq!((len(&server, STREAM), len(&server, DEAD)), (0, 1));
    });
}

#[test]
fn dead_letter_whose_reply_is_lost_is_kept_once() {
    on_each_version(|server| async move {
        let (_queue, _consumer, delivery) = delivered(&server).await;
        server.inject(Fault::lose_reply().on_command("EXEC"));
        delivery.nack(Nack::dead("no")).await.unwrap();
        assert_eq!((len(&server, STREAM), len(&server, DEAD)), (0, 1));
    });
}

#[test]
fn dead_letter_stream_of_two_groups_has_a_copy_for_each() {
    on_each_version(|server| async move {
        let mut deliveries = Vec::new();
        for group in ["a", "b"] {
            let client = server.client().await.unwrap();
            let queue = Queue::builder(&client, STREAM).group(group).dead_letter(DEAD);
            let queue = queue.retention(Retention::KeepUntilAllAcked).open(Flat).await.unwrap();
            if group == "a" {
                enqueue(&queue).await;
            }
            let mut consumer = queue.consumer().start().await.unwrap();
            deliveries.push((next(&mut consumer, s(3)).await.expect("the job"), consumer));
        }
        for (delivery, _consumer) in deliveries {
            delivery.nack(Nack::dead("no")).await.unwrap();
        }
        assert_eq!(len(&server, DEAD), 2);
    });
}

/// In one transaction XACK and XDEL would succeed beside an XADD that fails.
#[test]
fn job_stays_pending_while_the_dead_letter_key_is_not_a_stream() {
    on_each_version(|server| async move {
        let (queue, mut consumer, delivery) = delivered(&server).await;
        let id = delivery.id();
        run(&server, &format!("SET {DEAD} text"));
        let nack = tokio::spawn(delivery.nack(Nack::dead("no")));
        assert!(next(&mut consumer, 3 * LEASE).await.is_none(), "it is not run again");
        assert_eq!(len(&server, STREAM), 1);
        assert!(owner(&server, id).is_some_and(|(_, count)| count > 1_000_000_000));
        run(&server, &format!("DEL {DEAD}"));
        nack.await.unwrap().unwrap();
        assert_eq!((len(&server, STREAM), len(&server, DEAD)), (0, 1));
        drop(queue);
    });
}

#[test]
fn dead_letter_that_another_operator_has_claimed_is_not_redriven() {
    on_each_version(|server| async move {
        let (queue, consumer, delivery) = delivered(&server).await;
        delivery.nack(Nack::dead("no")).await.unwrap();
        consumer.close().await;
        run(&server, &format!("XGROUP CREATE {DEAD} bourn-redrive 0"));
        run(&server, &format!("XREADGROUP GROUP bourn-redrive other STREAMS {DEAD} >"));
        assert_eq!(queue.dead_letters().redrive(Redrive::all()).await.unwrap(), 0);
        assert_eq!((len(&server, STREAM), len(&server, DEAD)), (0, 1));
    });
}
