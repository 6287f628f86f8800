//! Jobs that are acknowledged with the next one: duplicates, lost replies, targets of another type.

use crate::steps::{STREAM, delivered, enqueue, len, next, owner, requests, run, s};
use crate::support::{Email, on_each_version, queue};
use bourn::queue::{Acked, Flat, Queue, Retention};
use bourn::testing::Fault;
use std::time::Duration;
use tokio::time::sleep;

/// The key of the next queue.
const NEXT: &str = "next";

#[test]
fn two_groups_of_one_stream_add_a_next_job_each() {
    on_each_version(|server| async move {
        let out = queue(&server, NEXT).await;
        for group in ["a", "b"] {
            let client = server.client().await.unwrap();
            let queue = Queue::builder(&client, STREAM).group(group);
            let queue: Queue<Email> =
                queue.retention(Retention::KeepUntilAllAcked).open(Flat).await.unwrap();
            if group == "a" {
                enqueue(&queue).await;
            }
            let mut consumer = queue.consumer().start().await.unwrap();
            let delivery = next(&mut consumer, s(3)).await.expect("the job");
            let (acked, id) = delivery.ack_then(&out, &Email::new()).await.unwrap();
            assert!(acked == Acked::Done && id.is_some(), "{group}");
        }
        assert_eq!(len(&server, NEXT), 2);
    });
}

#[test]
fn next_job_is_kept_if_the_group_was_created_again() {
    on_each_version(|server| async move {
        let out = queue(&server, NEXT).await;
        let (_queue, _consumer, delivery) = delivered(&server).await;
        run(&server, "XGROUP DESTROY email workers");
        run(&server, "XGROUP CREATE email workers $");
        let (acked, id) = delivery.ack_then(&out, &Email::new()).await.unwrap();
        assert!(acked == Acked::Done && id.is_some(), "it was in the stream");
        assert_eq!((len(&server, STREAM), len(&server, NEXT)), (0, 1));
    });
}

/// With IDMP it is the entry that the other worker added, if it did.
#[test]
fn job_that_another_worker_finished_has_no_second_next_job() {
    on_each_version(|server| async move {
        let out = queue(&server, NEXT).await;
        let (_queue, _consumer, delivery) = delivered(&server).await;
        let id = delivery.id();
        run(&server, &format!("XACK email workers {id}"));
        run(&server, &format!("XDEL email {id}"));
        let (acked, added) = delivery.ack_then(&out, &Email::new()).await.unwrap();
        assert_eq!(acked, Acked::AlreadyGone);
        let idmp = !requests(&server, &["XADD", NEXT, "IDMP"]).is_empty();
        assert_eq!((added.is_some(), len(&server, NEXT)), (idmp, i64::from(idmp)));
    });
}

#[test]
fn acknowledgement_with_a_next_job_is_sent_again_after_a_lost_reply() {
    on_each_version(|server| async move {
        let out = queue(&server, NEXT).await;
        let (_queue, _consumer, delivery) = delivered(&server).await;
        server.inject(Fault::disconnect().on_command("EXEC"));
        let (acked, id) = delivery.ack_then(&out, &Email::new()).await.unwrap();
        assert!(acked == Acked::Done && id.is_some());
        assert_eq!((len(&server, STREAM), len(&server, NEXT)), (0, 1));
    });
}

/// In one transaction XACK and XDEL would succeed beside an XADD that fails.
#[test]
fn job_is_kept_if_the_next_key_is_not_a_stream() {
    on_each_version(|server| async move {
        let out = queue(&server, NEXT).await;
        let (_queue, _consumer, delivery) = delivered(&server).await;
        run(&server, &format!("DEL {NEXT}"));
        run(&server, &format!("SET {NEXT} text"));
        let id = delivery.id();
        assert!(delivery.ack_then(&out, &Email::new()).await.is_err());
        assert_eq!(len(&server, STREAM), 1);
        assert!(owner(&server, id).is_some(), "it is the same entry, and pending");
    });
}

#[test]
fn job_whose_next_key_changes_its_type_in_between_is_put_back_with_its_key() {
    on_each_version(|server| async move {
        let out = queue(&server, NEXT).await;
        let (_queue, mut consumer, delivery) = delivered(&server).await;
        let key = delivery.idempotency_key();
        server.set_latency(Duration::from_millis(5));
        let checks = requests(&server, &["XLEN", NEXT]).len();
        let relay = delivery.ack_then(&out, &Email::new());
        let relay = tokio::spawn(relay);
        while requests(&server, &["XLEN", NEXT]).len() == checks {
            sleep(Duration::from_millis(1)).await;
        }
        run(&server, &format!("DEL {NEXT}"));
        run(&server, &format!("SET {NEXT} text"));
        assert!(relay.await.unwrap().is_err());
        let again = next(&mut consumer, s(60)).await.expect("it is delivered again");
        assert_eq!(again.idempotency_key(), key);
        assert_eq!(len(&server, STREAM), 1);
    });
}
