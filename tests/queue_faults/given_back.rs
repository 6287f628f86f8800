//! Jobs that are given back: attempts, delays, unknown outcomes, lost leases.

use crate::steps::{
    DEAD, LEASE, STREAM, delivered, enqueue, len, name, next, number, owner, requests, run, s,
};
use crate::support::{in_paused_time, on_each_version, queue};
use bourn::queue::{Nack, QueueError};
use bourn::testing::{Fault, Server};
use tokio::time::sleep;

/// Returns how often an entry was given back.
fn given_back(server: &Server) -> usize {
    let claims = requests(server, &["XCLAIM", "~retry"]).len();
    claims + requests(server, &["XNACK"]).len()
}

/// Makes a command fail that gives an entry back.
fn inject(server: &Server, fault: &Fault) {
    for command in ["XNACK", "XCLAIM"] {
        server.inject(fault.clone().on_command(command));
    }
}

/// The command does not check the owner: another worker may have the job by then.
#[test]
fn give_back_with_unknown_outcome_is_not_repeated() {
    on_each_version(|server| async move {
        let (_queue, _consumer, delivery) = delivered(&server).await;
        inject(&server, &Fault::lose_reply());
        assert!(delivery.nack(Nack::now()).await.is_err());
        assert_eq!(given_back(&server), 1);
    });
}

#[test]
fn job_whose_give_back_has_an_unknown_outcome_counts_as_run() {
    on_each_version(|server| async move {
        let (_queue, mut consumer, delivery) = delivered(&server).await;
        inject(&server, &Fault::disconnect());
        assert!(delivery.nack(Nack::now()).await.is_err());
        server.clear_faults();
        // The new connection recovers what it was not run.
        server.disconnect_all();
        let again = next(&mut consumer, 2 * LEASE).await.expect("it comes again");
        assert_eq!(again.attempt(), 2);
    });
}

#[test]
fn job_whose_lease_is_lost_is_neither_given_back_nor_dead_lettered() {
    for nack in [Nack::now(), Nack::dead("no")] {
        on_each_version(|server| {
            let nack = nack.clone();
            async move {
                let (_queue, consumer, delivery) = delivered(&server).await;
                for command in ["XCLAIM", "XPENDING"] {
                    server.inject(Fault::error("OOM no").on_command(command).times(u64::MAX));
                }
                delivery.lease().lost().await;
                server.clear_faults();
                let (id, before) = (delivery.id(), given_back(&server));
                let error = delivery.nack(nack).await.expect_err("the lease is lost");
                assert!(matches!(error, QueueError::LeaseLost), "{error}");
                assert_eq!(given_back(&server), before);
                assert_eq!(owner(&server, id).expect("pending").0, name(&consumer));
                assert_eq!(number(&server, &format!("EXISTS {DEAD}")), 0);
            }
        });
    }
}

#[test]
fn released_job_does_not_count_as_an_attempt() {
    on_each_version(|server| async move {
        let (_queue, mut consumer, delivery) = delivered(&server).await;
        delivery.nack(Nack::release()).await.unwrap();
        let again = next(&mut consumer, s(5)).await.expect("it comes at once");
        assert_eq!(again.attempt(), 1);
    });
}

/// Setting an idle time walks past all younger pending entries, from Redis 8.4 on.
#[test]
fn no_idle_time_is_set_among_many_pending_entries() {
    for (entries, expected) in [(100, 1), (10_001, 0)] {
        in_paused_time(async {
            let server = Server::builder().version("redis-8.6").build();
            let (_queue, _consumer, delivery) = delivered(&server).await;
            for _ in 0..entries {
                run(&server, "XADD email * user 7");
            }
            run(&server, "XREADGROUP GROUP workers other COUNT 100000 STREAMS email >");
            delivery.nack(Nack::now()).await.unwrap();
            assert_eq!(requests(&server, &["XCLAIM", "IDLE"]).len(), expected, "{entries}");
            assert_eq!(requests(&server, &["XCLAIM", "~retry"]).len(), 1);
        });
    }
}

/// XNACK makes an entry older than any idle time.
#[test]
fn job_that_was_given_back_is_not_kept_by_maintenance() {
    in_paused_time(async {
        let server = Server::builder().version("redis-8.10").build();
        let queue = queue(&server, STREAM).await;
        let id = enqueue(&queue).await;
        run(&server, "XREADGROUP GROUP workers other STREAMS email >");
        // The only consumer has no room while it is given back.
        enqueue(&queue).await;
        let mut consumer = queue.consumer().start().await.unwrap();
        sleep(s(1)).await;
        run(&server, &format!("XNACK email workers SILENT IDS 1 {id}"));
        sleep(s(25)).await;
        let delivery = next(&mut consumer, s(1)).await.expect("the other one");
        delivery.ack().await.unwrap();
        let again = next(&mut consumer, s(2)).await.expect("it comes at once");
        assert_eq!((again.id(), again.attempt()), (id, 1));
        // For our own name it would look like a lost delivery at that moment.
        let scans = requests(&server, &["XAUTOCLAIM", "9000000000000000"]);
        assert!(!scans.is_empty(), "it is scanned for");
        assert!(scans.iter().all(|scan| scan.to_string().contains(" ~retry ")), "{scans:?}");
    });
}

#[test]
fn job_delivered_too_often_is_dead_lettered_without_a_run() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        let id = enqueue(&queue).await;
        // 25 workers crashed with it, and one that ran it alone.
        run(&server, "XREADGROUP GROUP workers crashed STREAMS email >");
        let claim = format!("XCLAIM email workers crashed 0 {id} RETRYCOUNT 250000026");
        run(&server, &format!("{claim} IDLE 29000 JUSTID"));
        let mut consumer = queue.consumer().start().await.unwrap();
        assert!(next(&mut consumer, LEASE).await.is_none(), "it is not run");
        assert_eq!((len(&server, STREAM), len(&server, DEAD)), (0, 1));
        let letters = queue.dead_letters().list(None, 1).await.unwrap();
        assert_eq!(letters[0].attempts, 26);
    });
}

/// It makes the entry pending for its consumer again, which looks like a delivery whose reply was
/// lost. The consumer has no room when the job is given back.
#[test]
fn job_given_back_before_a_late_heartbeat_arrives_counts_as_run() {
    on_each_version(|server| async move {
        for nack in [Nack::now(), Nack::after(s(1))] {
            run(&server, "DEL email");
            let queue = queue(&server, STREAM).await;
            let id = enqueue(&queue).await;
            let mut consumer = queue.consumer().start().await.unwrap();
            let delivery = next(&mut consumer, s(1)).await.expect("the job");
            enqueue(&queue).await;
            // The reply to a heartbeat is lost.
            server.inject(Fault::lose_reply().on_command("XCLAIM"));
            sleep(s(15)).await;
            delivery.nack(nack).await.unwrap();
            sleep(s(2)).await;
            let name = name(&consumer);
            assert_ne!(owner(&server, id).map(|(owner, _)| owner), Some(name.clone()));
            run(&server, &format!("XCLAIM email workers {name} 0 {id} JUSTID"));
            server.disconnect_all();
            sleep(s(2)).await;
            next(&mut consumer, s(1)).await.expect("the other job").ack().await.unwrap();
            let again = next(&mut consumer, 2 * LEASE).await.expect("it comes again");
            assert_eq!((again.id(), again.attempt()), (id, 2));
            again.ack().await.unwrap();
            consumer.close().await;
        }
    });
}
