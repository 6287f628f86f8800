//! Acknowledgements: their order, lost replies, servers that refuse them, other workers' results.

use crate::steps::{LEASE, STREAM, delivered, enqueue, len, next, number, requests, run, s};
use crate::support::{Email, in_paused_time, on_each_version, queue};
use bourn::queue::{Acked, Consumer, Delivery, Flat, Queue, Retention};
use bourn::testing::{Fault, Server};
use tokio::time::{Instant, sleep, timeout};

/// The command that acknowledges with this version.
fn command(server: &Server) -> &'static str {
    if requests(server, &["XACKDEL"]).is_empty() { "XACK" } else { "XACKDEL" }
}

/// Makes acknowledgements fail.
fn refuse(server: &Server, error: &str, times: u64) {
    for command in ["XACKDEL", "XACK"] {
        server.inject(Fault::error(error).on_command(command).times(times));
    }
}

async fn with_retention(server: &Server, group: &str, retention: Retention) -> Queue<Email> {
    let client = server.client().await.unwrap();
    Queue::builder(&client, STREAM).group(group).retention(retention).open(Flat).await.unwrap()
}

/// An acknowledgement that is cut in the middle must leave an entry without a payload, which cannot
/// run twice.
#[test]
fn entry_is_deleted_before_it_is_acknowledged() {
    for version in ["redis-6.2", "redis-7.0", "valkey-9.1"] {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let (_queue, _consumer, delivery) = delivered(&server).await;
            server.inject(Fault::disconnect().on_command("XACK"));
            server.inject(Fault::refuse_connection().times(1_000));
            drop(delivery.ack());
            crate::steps::until("it is cut", || !requests(&server, &["XACK"]).is_empty()).await;
            assert_eq!((len(&server, STREAM), number(&server, "EXISTS email")), (0, 1));
        });
    }
}

#[test]
fn acknowledgement_is_sent_again_after_a_lost_reply() {
    on_each_version(|server| async move {
        let (_queue, _consumer, delivery) = delivered(&server).await;
        for command in ["XACKDEL", "XACK"] {
            server.inject(Fault::lose_reply().on_command(command));
        }
        // The first one was applied.
        assert_eq!(delivery.ack().await.unwrap(), Acked::AlreadyGone);
        assert_eq!(requests(&server, &[command(&server)]).len(), 2);
    });
}

#[test]
fn refused_acknowledgement_fails_at_once() {
    on_each_version(|server| async move {
        let (_queue, _consumer, delivery) = delivered(&server).await;
        refuse(&server, "ERR no", 1);
        assert!(timeout(s(1), delivery.ack()).await.expect("at once").is_err());
    });
}

#[test]
fn acknowledgement_is_repeated_for_a_lease() {
    on_each_version(|server| async move {
        let (_queue, _consumer, delivery) = delivered(&server).await;
        refuse(&server, "OOM no memory", u64::MAX);
        let start = Instant::now();
        assert!(timeout(2 * LEASE, delivery.ack()).await.expect("it ends").is_err());
        assert!(
            start.elapsed() >= LEASE && start.elapsed() < LEASE + s(1),
            "{:?}",
            start.elapsed()
        );
    });
}

#[test]
fn closed_consumer_does_not_wait_for_acknowledgements_that_fail() {
    on_each_version(|server| async move {
        let (_queue, consumer, delivery) = delivered(&server).await;
        refuse(&server, "OOM no memory", u64::MAX);
        let ack = tokio::spawn(delivery.ack());
        timeout(LEASE / 2, consumer.close()).await.expect("it ends");
        let acked = timeout(s(3), ack).await.expect("it ends").unwrap();
        assert!(acked.is_err(), "{acked:?}");
    });
}

#[test]
fn job_that_another_worker_finished_is_already_gone() {
    on_each_version(|server| async move {
        let (_queue, _consumer, delivery) = delivered(&server).await;
        let id = delivery.id();
        run(&server, &format!("XACK email workers {id}"));
        run(&server, &format!("XDEL email {id}"));
        assert_eq!(delivery.ack().await.unwrap(), Acked::AlreadyGone);
    });
}

#[test]
fn entry_is_kept_until_each_group_has_acknowledged_it() {
    for version in ["redis-8.2", "redis-8.10"] {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let mut left = Vec::new();
            let mut deliveries = Vec::new();
            for group in ["a", "b"] {
                let queue = with_retention(&server, group, Retention::KeepUntilAllAcked).await;
                if group == "a" {
                    enqueue(&queue).await;
                }
                let mut consumer = queue.consumer().start().await.unwrap();
                let delivery = next(&mut consumer, s(1)).await.expect("the job");
                deliveries.push((consumer, delivery));
            }
            for (_consumer, delivery) in deliveries {
                delivery.ack().await.unwrap();
                left.push(len(&server, STREAM));
            }
            assert_eq!(left, [1, 0], "{version}");
        });
    }
}

#[test]
fn lossy_queue_keeps_acknowledged_entries() {
    on_each_version(|server| async move {
        let queue = with_retention(&server, "workers", Retention::LossyMaxLen(1_000)).await;
        enqueue(&queue).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        let delivery = next(&mut consumer, s(1)).await.expect("the job");
        assert_eq!(delivery.ack().await.unwrap(), Acked::Done);
        assert_eq!(len(&server, STREAM), 1);
    });
}

#[test]
fn job_that_could_not_be_acknowledged_is_not_run_again() {
    on_each_version(|server| async move {
        let (_queue, mut consumer, delivery) = delivered(&server).await;
        refuse(&server, "OOM no memory", u64::MAX);
        assert!(delivery.ack().await.is_err());
        server.clear_faults();
        assert!(next(&mut consumer, 2 * LEASE).await.is_none(), "it is done");
        assert_eq!(len(&server, STREAM), 0);
    });
}

#[test]
fn at_most_once_entry_is_deleted_before_it_is_delivered() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let queue = Queue::builder(&client, STREAM).at_most_once().open(Flat).await.unwrap();
        enqueue(&queue).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        let _delivery = next(&mut consumer, s(1)).await.expect("the job");
        assert_eq!(len(&server, STREAM), 0);
    });
}

#[test]
fn queue_that_deletes_is_not_opened_beside_another_group() {
    on_each_version(|server| async move {
        let _ = queue(&server, STREAM).await;
        let client = server.client().await.unwrap();
        let other = Queue::builder(&client, STREAM).group("other").open::<Email, _>(Flat).await;
        assert!(other.is_err(), "it would delete entries that the first group needs");
    });
}

/// Adds two jobs, which the consumer takes.
async fn two_jobs(queue: &Queue<Email>, consumer: &mut Consumer<Email>) -> [Delivery<Email>; 2] {
    enqueue(queue).await;
    enqueue(queue).await;
    let one = next(consumer, s(3)).await.expect("a job");
    [one, next(consumer, s(3)).await.expect("a job")]
}

/// Settles the job as another client.
fn finish_elsewhere(server: &Server, delivery: &Delivery<Email>) {
    for command in ["XACK email workers", "XDEL email"] {
        run(server, &format!("{command} {}", delivery.id()));
    }
}

#[test]
fn job_whose_lease_was_lost_does_not_change_the_result_of_others() {
    for retention in [Retention::DeleteOnAck, Retention::LossyMaxLen(1_000)] {
        on_each_version(|server| async move {
            let queue = with_retention(&server, "workers", retention).await;
            let mut consumer = queue.consumer().prefetch(2).start().await.unwrap();
            let [one, two] = two_jobs(&queue, &mut consumer).await;
            sleep(s(2)).await;
            run(&server, &format!("XCLAIM email workers other 1000 {} JUSTID", one.id()));
            one.lease().lost().await;
            finish_elsewhere(&server, &one);
            let (one, two) = tokio::join!(one.ack(), two.ack());
            assert_eq!((one.unwrap(), two.unwrap()), (Acked::AlreadyGone, Acked::Done));
        });
    }
}

/// Only the jobs that are acknowledged together with the first such job may get its result.
#[test]
fn job_that_another_client_settles_changes_the_result_of_others_once() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        let mut consumer = queue.consumer().prefetch(2).start().await.unwrap();
        for is_first in [true, false, false] {
            let [one, two] = two_jobs(&queue, &mut consumer).await;
            finish_elsewhere(&server, &one);
            let (one, two) = tokio::join!(one.ack(), two.ack());
            assert_eq!(one.unwrap(), Acked::AlreadyGone);
            let is_exact = !requests(&server, &["XACKDEL"]).is_empty();
            let two = two.unwrap();
            let expected = if is_first && !is_exact { Acked::AlreadyGone } else { Acked::Done };
            assert_eq!(two, expected, "is_first: {is_first}");
        }
    });
}
