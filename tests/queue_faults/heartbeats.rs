//! Heartbeats and leases: whose job it is, when a lease ends, decisions that overtake a heartbeat.

use crate::steps::{LEASE, STREAM, delivered, enqueue, name, next, owner, run, s, stall};
use crate::support::{in_paused_time, on_each_version, queue};
use bourn::queue::Nack;
use bourn::testing::{Fault, Server};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Refuses heartbeats until they are late: from half of a lease on, the owner is asked first. Ends
/// just before that.
async fn until_the_heartbeat_is_late(server: &Server, start: Instant) {
    server.inject(Fault::error("OOM no memory").on_command("XCLAIM").times(u64::MAX));
    sleep_until(start + LEASE / 2 - Duration::from_millis(200)).await;
    server.clear_faults();
}

#[test]
fn late_heartbeat_does_not_take_a_job_back() {
    on_each_version(|server| async move {
        let start = Instant::now();
        let (_queue, _consumer, delivery) = delivered(&server).await;
        let id = delivery.id();
        until_the_heartbeat_is_late(&server, start).await;
        run(&server, &format!("XCLAIM email workers other 0 {id} JUSTID"));
        sleep(s(3)).await;
        assert_eq!(owner(&server, id).expect("pending").0, "other");
        assert!(delivery.lease().is_lost());
    });
}

#[test]
fn late_heartbeat_renews_the_lease_of_a_job_that_is_still_ours() {
    on_each_version(|server| async move {
        let start = Instant::now();
        let (_queue, consumer, delivery) = delivered(&server).await;
        until_the_heartbeat_is_late(&server, start).await;
        sleep(3 * LEASE).await;
        assert!(!delivery.lease().is_lost());
        assert_eq!(owner(&server, delivery.id()), Some((name(&consumer), 1)));
    });
}

/// Of an in-flight decision and a heartbeat that is due, the heartbeat must not come second.
#[test]
fn heartbeat_does_not_undo_a_decision_in_flight() {
    on_each_version(|server| async move {
        let start = Instant::now();
        let (queue, mut consumer, delivery) = delivered(&server).await;
        sleep_until(start + LEASE / 3 - Duration::from_millis(500)).await;
        stall(&server, queue.client(), s(2));
        delivery.nack(Nack::now()).await.unwrap();
        let again = next(&mut consumer, s(5)).await.expect("it comes at once");
        assert_eq!(again.attempt(), 2);
    });
}

/// The owner was asked, and the job is given back before the answer.
#[test]
fn late_heartbeat_does_not_undo_a_decision_made_since_it_was_due() {
    on_each_version(|server| async move {
        let start = Instant::now();
        let (queue, mut consumer, delivery) = delivered(&server).await;
        until_the_heartbeat_is_late(&server, start).await;
        stall(&server, queue.client(), s(2));
        sleep(Duration::from_millis(1_500)).await;
        delivery.nack(Nack::now()).await.unwrap();
        let again = next(&mut consumer, s(5)).await.expect("it comes at once");
        assert_eq!(again.attempt(), 2);
    });
}

#[test]
fn lease_starts_before_its_command_is_sent() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        let latency = Duration::from_millis(200);
        server.set_latency(latency);
        sleep(s(10)).await;
        run(&server, "XADD email * user 7");
        let delivery = next(&mut consumer, s(60)).await.expect("the job");
        let deadline = delivery.lease().deadline().expect("it is held");
        let left = deadline.duration_since(Instant::now().into_std());
        assert!(left <= LEASE / 4 * 3 - latency, "{left:?}");
    });
}

#[test]
fn buffered_job_whose_lease_is_lost_is_not_handed_out() {
    for version in ["redis-7.0", "redis-8.10"] {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let queue = queue(&server, STREAM).await;
            enqueue(&queue).await;
            let mut consumer = queue.consumer().start().await.unwrap();
            sleep(s(1)).await;
            for command in ["XCLAIM", "XPENDING"] {
                server.inject(Fault::error("OOM no memory").on_command(command).times(u64::MAX));
            }
            sleep(LEASE / 4 * 3).await;
            assert!(next(&mut consumer, s(2)).await.is_none(), "{version}");
        });
    }
}
