//! The names of consumers: new after a long silence, removed when they are abandoned.

use crate::steps::{LEASE, STREAM, consumer_of_one_job, len, name, next, requests, run, s, until};
use crate::support::{Email, on_each_version, queue};
use bourn::queue::{Flat, Queue, QueueEvent};
use bourn::testing::{Fault, Server};
use std::time::Duration;
use tokio::time::sleep;

/// Returns the names of the group's consumers, as text.
fn names(server: &Server) -> String {
    format!("{:?}", run(server, "XINFO CONSUMERS email workers"))
}

#[test]
fn consumer_that_was_without_a_server_for_ten_leases_has_a_new_name() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        let consumer = queue.consumer().start().await.unwrap();
        sleep(s(5)).await;
        for (leases, is_kept) in [(9, true), (11, false)] {
            let before = consumer.name();
            server.stop();
            sleep(LEASE * leases).await;
            server.start();
            sleep(s(10)).await;
            assert_eq!(consumer.name() == before, is_kept, "{leases} leases");
        }
    });
}

#[test]
fn abandoned_consumer_is_removed_after_twelve_leases_and_those_of_others_are_kept() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        for name in ["bourn-gone", "other"] {
            run(&server, &format!("XGROUP CREATECONSUMER email workers {name}"));
        }
        let _consumer = queue.consumer().start().await.unwrap();
        for (leases, is_kept) in [(11, true), (3, false)] {
            sleep(LEASE * leases).await;
            let names = names(&server);
            assert_eq!(names.contains("bourn-gone"), is_kept, "{leases} leases more");
            assert!(names.contains("other"), "{names}");
        }
    });
}

/// It sees the record of the one that died only once.
#[test]
fn abandoned_consumer_is_removed_by_one_that_lives_for_seconds() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let queue = Queue::builder(&client, STREAM).lease(s(1));
        let queue = queue.open::<Email, _>(Flat).await.unwrap();
        run(&server, "XGROUP CREATECONSUMER email workers bourn-gone");
        run(&server, "XADD {email}:turn * by bourn-gone");
        sleep(s(40)).await;
        let consumer = queue.consumer().start().await.unwrap();
        sleep(s(16)).await;
        let names = names(&server);
        assert!(!names.contains("bourn-gone"), "{names}");
        drop(consumer);
    });
}

#[test]
fn consumer_that_another_one_removes_at_the_same_time_is_reported_by_one_of_them() {
    for is_first in [true, false] {
        on_each_version(|server| async move {
            let queue = queue(&server, STREAM).await;
            run(&server, "XGROUP CREATECONSUMER email workers bourn-gone");
            let mut events = queue.events();
            let consumer = queue.consumer().start().await.unwrap();
            sleep(LEASE * 11).await;
            server.set_latency(s(1));
            while requests(&server, &["XPENDING", "bourn-gone"]).is_empty() {
                sleep(Duration::from_millis(500)).await;
            }
            if !is_first {
                run(&server, "XGROUP DELCONSUMER email workers bourn-gone");
            }
            sleep(s(30)).await;
            assert!(!names(&server).contains("bourn-gone"));
            consumer.close().await;
            drop(queue);
            let mut removed = Vec::new();
            while let Some(event) = events.next().await {
                if let QueueEvent::ConsumerRemoved { name } = event {
                    removed.push(name.to_vec());
                }
            }
            let expected = [b"bourn-gone".to_vec()];
            assert_eq!(removed, if is_first { &expected[..] } else { &[] });
        });
    }
}

#[test]
fn job_delivered_to_a_consumer_while_it_is_removed_is_kept() {
    on_each_version(|server| async move {
        let (queue, mut consumer) = consumer_of_one_job(&server).await;
        next(&mut consumer, s(1)).await.expect("the job").ack().await.unwrap();
        let name = name(&consumer);
        let listed = || requests(&server, &["XPENDING", &name]).len();
        let before = listed();
        server.set_latency(Duration::from_millis(20));
        let closing = tokio::spawn(consumer.close());
        until("nothing is pending for it", || listed() > before).await;
        run(&server, "XADD email * user 8");
        run(&server, &format!("XREADGROUP GROUP workers {name} STREAMS email >"));
        closing.await.unwrap();
        assert!(!names(&server).contains(&name));
        server.set_latency(Duration::ZERO);
        let mut consumer = queue.consumer().start().await.unwrap();
        let delivery = next(&mut consumer, LEASE + s(3)).await.expect("it is kept");
        assert_eq!((delivery.attempt(), len(&server, STREAM)), (2, 1));
    });
}

/// The job is pending for no consumer in between.
#[test]
fn job_delivered_to_a_consumer_while_it_is_removed_is_put_back_after_any_failure() {
    let faults = [
        Fault::error("LOADING the data set").times(20),
        Fault::lose_reply().times(1),
        Fault::disconnect().times(3),
    ];
    for fault in faults {
        on_each_version(|server| {
            let fault = fault.clone().on_command("XCLAIM");
            async move {
                let (queue, mut consumer) = consumer_of_one_job(&server).await;
                next(&mut consumer, s(1)).await.expect("the job").ack().await.unwrap();
                let name = name(&consumer);
                let listed = || requests(&server, &["XPENDING", &name]).len();
                let before = listed();
                server.set_latency(Duration::from_millis(20));
                let closing = tokio::spawn(consumer.close());
                until("nothing is pending for it", || listed() > before).await;
                run(&server, "XADD email * user 8");
                run(&server, &format!("XREADGROUP GROUP workers {name} STREAMS email >"));
                server.inject(fault);
                closing.await.unwrap();
                assert!(!names(&server).contains(&name));
                server.set_latency(Duration::ZERO);
                sleep(s(60)).await;
                server.clear_faults();
                let mut consumer = queue.consumer().start().await.unwrap();
                let delivery = next(&mut consumer, LEASE + s(3)).await.expect("it is kept");
                assert_eq!((delivery.attempt(), len(&server, STREAM)), (2, 1));
            }
        });
    }
}

#[test]
fn name_is_kept_while_a_read_may_still_be_on_its_way() {
    // The time from the end of the read's connection to the end of the consumer.
    for (stall, leases, is_kept) in [(false, 0, false), (true, 0, true), (true, 1, false)] {
        on_each_version(|server| async move {
            let queue = queue(&server, STREAM).await;
            let consumer = queue.consumer().start().await.unwrap();
            sleep(s(1)).await;
            if stall {
                let reads = requests(&server, &["XREADGROUP"]);
                let reader = reads.last().expect("a read").connection();
                server.inject(Fault::stall_requests(s(20)).on_connection(reader));
                sleep(s(3)).await;
                server.disconnect_all();
                sleep(s(3) + LEASE * leases).await;
            }
            let name = name(&consumer);
            consumer.close().await;
            let removed = requests(&server, &["DELCONSUMER", &name]);
            assert_eq!(removed.is_empty(), is_kept, "{leases} leases: {removed:?}");
        });
    }
}
