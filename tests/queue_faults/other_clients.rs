//! Other clients that read the same stream in the same group: they claim, acknowledge and delete
//! entries that a bourn consumer holds.

use crate::steps::{
    DEAD, LEASE, STREAM, delivered, enqueue, len, name, next, owner, requests, run, s, stall, until,
};
use crate::support::{Email, VERSIONS, in_paused_time, on_each_version, queue};
use bourn::queue::{
    Acked, Delivery, Fail, Flat, Job, Nack, Queue, QueueBuilder, QueueError, QueueEvent,
    QueueEvents, Report,
};
use bourn::testing::{Fault, Server};
use futures_util::FutureExt;
use std::time::Duration;
use tokio::time::sleep;

/// Returns the events so far.
fn all(events: &mut QueueEvents) -> Vec<QueueEvent> {
    std::iter::from_fn(|| events.next().now_or_never().flatten()).collect()
}

fn has_lost_its_lease(events: &[QueueEvent]) -> bool {
    events.iter().any(|event| matches!(event, QueueEvent::LeaseLost { .. }))
}

/// Claims the job for another client.
fn claim(server: &Server, delivery: &Delivery<Email>) {
    let id = delivery.id();
    let claimed = run(server, &format!("XCLAIM {STREAM} workers other 1000 {id} JUSTID"));
    assert_eq!(claimed.as_list().map(|ids| ids.len()), Some(1), "it is claimed");
}

/// The ways in which another client settles an entry.
const SETTLES: [&str; 3] = ["XACK", "XDEL", "XACK and XDEL"];

/// Settles the only entry of the stream as another client.
fn settle(server: &Server, how: &str, id: bourn::EntryId) {
    if how.starts_with("XACK") {
        run(server, &format!("XACK {STREAM} workers {id}"));
    }
    if how.ends_with("XDEL") {
        run(server, &format!("XDEL {STREAM} {id}"));
    }
}

#[test]
fn heartbeat_does_not_take_back_what_another_client_claimed() {
    on_each_version(|server| async move {
        let (queue, _consumer, delivery) = delivered(&server).await;
        let mut events = queue.events();
        sleep(s(2)).await;
        claim(&server, &delivery);
        sleep(LEASE / 2).await;
        assert!(delivery.lease().is_lost());
        assert!(has_lost_its_lease(&all(&mut events)));
        sleep(LEASE / 4).await;
        assert_eq!(owner(&server, delivery.id()).expect("pending").0, "other");
    });
}

/// Whenever the other client claims the entry: after the read, before or after a heartbeat.
#[test]
fn heartbeat_does_not_take_back_what_was_claimed_just_before() {
    on_each_version(|server| async move {
        for after in [1_100, 9_000, 9_990, 11_500, 19_000] {
            run(&server, &format!("DEL {STREAM}"));
            let (queue, _consumer, delivery) = delivered(&server).await;
            let mut events = queue.events();
            sleep(Duration::from_millis(after)).await;
            claim(&server, &delivery);
            sleep(LEASE / 2).await;
            let owner = owner(&server, delivery.id()).expect("pending").0;
            assert_eq!(owner, "other", "after {after} ms");
            assert!(has_lost_its_lease(&all(&mut events)), "after {after} ms");
        }
    });
}

#[test]
fn lease_is_renewed_after_the_servers_clock_was_set_back() {
    on_each_version(|server| async move {
        let (queue, consumer, delivery) = delivered(&server).await;
        let mut events = queue.events();
        server.rewind_clock(s(3_600));
        sleep(3 * LEASE).await;
        assert!(!delivery.lease().is_lost());
        assert_eq!(owner(&server, delivery.id()), Some((name(&consumer), 1)));
        assert!(!has_lost_its_lease(&all(&mut events)));
    });
}

#[test]
fn many_leases_are_renewed_together() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        for _ in 0..2_500 {
            run(&server, &format!("XADD {STREAM} * user 7"));
        }
        let mut consumer = queue.consumer().prefetch(2_500).start().await.unwrap();
        let mut jobs = Vec::new();
        while let Some(job) = next(&mut consumer, s(1)).await {
            jobs.push(job);
        }
        assert_eq!(jobs.len(), 2_500);
        run(&server, &format!("XCLAIM {STREAM} workers other 0 {} JUSTID", jobs[1_700].id()));
        sleep(2 * LEASE).await;
        let lost = jobs.iter().filter(|job| job.lease().is_lost());
        assert_eq!(lost.map(|job| job.id()).collect::<Vec<_>>(), [jobs[1_700].id()]);
    });
}

#[test]
fn failed_job_that_another_client_claimed_is_left_to_it() {
    on_each_version(|server| async move {
        for decision in [Nack::now(), Nack::after(s(5)), Nack::release(), Nack::dead("no")] {
            run(&server, &format!("DEL {STREAM}"));
            let (queue, consumer, delivery) = delivered(&server).await;
            let mut events = queue.events();
            let id = delivery.id();
            sleep(s(2)).await;
            claim(&server, &delivery);
            let refused = delivery.nack(decision).await;
            assert!(matches!(refused, Err(QueueError::LeaseLost)), "{refused:?}");
            assert!(has_lost_its_lease(&all(&mut events)));
            assert_eq!(owner(&server, id).expect("pending").0, "other");
            assert_eq!(consumer.report().lease_lost, 1, "{}", consumer.report());
            assert_eq!(len(&server, DEAD), 0);
        }
    });
}

/// Runs one job that another client settles while it runs, and that then ends with `result`.
async fn settled_by_another_client(
    server: &Server,
    how: &str,
    build: impl Fn(QueueBuilder) -> QueueBuilder,
    result: Result<(), &'static str>,
) -> (Report, Vec<QueueEvent>) {
    run(server, &format!("DEL {STREAM}"));
    let client = server.client().await.expect("a connection");
    let queue: Queue<Email> =
        build(Queue::builder(&client, STREAM)).open(Flat).await.expect("the queue opens");
    let mut events = queue.events();
    let id = enqueue(&queue).await;
    let handler = move |_: Job<Email>| async move {
        sleep(s(2)).await;
        result.map_err(|text| if text == "dead" { Fail::dead(text) } else { Fail::retry(text) })
    };
    let worker = tokio::spawn(queue.worker().run(sleep(s(60)), handler));
    sleep(s(1)).await;
    settle(server, how, id);
    let report = worker.await.expect("no panic").expect("no error");
    (report, all(&mut events))
}

#[test]
fn job_that_another_client_settled_is_neither_retried_nor_dead_lettered() {
    for version in VERSIONS {
        in_paused_time(async {
            for how in SETTLES {
                for result in ["dead", "failed"] {
                    for has_letters in [true, false] {
                        let server = Server::builder().version(version).build();
                        let build = |queue: QueueBuilder| {
                            if has_letters { queue } else { queue.no_dead_letter() }
                        };
                        let case = format!("{version}, {how}, {result}, {has_letters}");
                        let (report, events) =
                            settled_by_another_client(&server, how, build, Err(result)).await;
                        let is_dead =
                            |event: &QueueEvent| matches!(event, QueueEvent::DeadLettered { .. });
                        assert!(!events.iter().any(is_dead), "{case}: {events:?}");
                        assert!(!has_lost_its_lease(&events), "{case}: {events:?}");
                        assert_eq!(len(&server, DEAD), 0, "{case}");
                        assert_eq!((report.dead, report.lease_lost), (0, 0), "{case}: {report}");
                        assert_eq!((report.already_gone, report.done), (1, 0), "{case}: {report}");
                        // The first retry waits with the consumer, which looks when it is due.
                        let waits = result == "failed";
                        assert_eq!(report.retried, u64::from(waits), "{case}: {report}");
                        let pending = run(&server, &format!("XPENDING {STREAM} workers - + 9"));
                        assert!(pending.as_list().is_some_and(|list| list.is_empty()), "{case}");
                    }
                }
            }
        });
    }
}

#[test]
fn job_that_another_client_deleted_is_not_put_into_the_wheel() {
    on_each_version(|server| async move {
        let (_queue, mut consumer, delivery) = delivered(&server).await;
        run(&server, &format!("XDEL {STREAM} {}", delivery.id()));
        delivery.nack(Nack::after(s(5))).await.unwrap();
        let report = consumer.report();
        assert_eq!((report.already_gone, report.retried), (1, 0), "{report}");
        assert_eq!(len(&server, "{email}:delay:jobs:1m"), 0);
        assert!(next(&mut consumer, s(60)).await.is_none());
    });
}

#[test]
fn entry_that_another_client_acknowledged_is_deleted_when_the_job_is_done() {
    on_each_version(|server| async move {
        for how in SETTLES {
            let same = |queue| queue;
            let (report, _) = settled_by_another_client(&server, how, same, Ok(())).await;
            assert_eq!(report.done + report.already_gone, 1, "{how}: {report}");
            assert_eq!(len(&server, STREAM), 0, "{how}");
        }
    });
}

/// It acknowledges the entry after the owner was asked, and before the copy is made.
#[test]
fn letter_of_a_job_that_another_client_acknowledged_meanwhile_is_deleted() {
    on_each_version(|server| async move {
        let (_queue, consumer, delivery) = delivered(&server).await;
        let (id, before) = (delivery.id(), requests(&server, &["XPENDING"]).len());
        server.set_latency(Duration::from_millis(100));
        let settled = tokio::spawn(delivery.nack(Nack::dead("no")));
        until("the owner is asked", || requests(&server, &["XPENDING"]).len() > before).await;
        run(&server, &format!("XACK {STREAM} workers {id}"));
        settled.await.unwrap().unwrap();
        let report = consumer.report();
        assert_eq!((report.dead, report.already_gone), (0, 1), "{report}");
        assert_eq!(len(&server, DEAD), 0);
    });
}

#[test]
fn next_job_is_not_added_for_a_job_that_another_client_acknowledged() {
    on_each_version(|server| async move {
        let (queue, _consumer, delivery) = delivered(&server).await;
        let next = Queue::builder(queue.client(), "{email}:next").open(Flat).await.unwrap();
        run(&server, &format!("XACK {STREAM} workers {}", delivery.id()));
        let relayed = delivery.ack_then(&next, &Email::new()).await.unwrap();
        assert_eq!(relayed, (Acked::AlreadyGone, None));
        assert_eq!(len(&server, "{email}:next"), 0);
    });
}

/// Heartbeats are due while the removal is on its way.
#[test]
fn own_dead_letter_move_is_no_lost_lease() {
    on_each_version(|server| async move {
        let (queue, consumer, delivery) = delivered(&server).await;
        let mut events = queue.events();
        // The copy is made at once, and the removal is refused for two leases.
        let refusal = Fault::error("OOM no memory").on_command("XDEL").times(u64::MAX);
        server.inject(refusal);
        let settled = tokio::spawn(delivery.nack(Nack::dead("no")));
        sleep(2 * LEASE).await;
        server.clear_faults();
        settled.await.unwrap().unwrap();
        stall(&server, queue.client(), s(1));
        sleep(LEASE).await;
        assert!(!has_lost_its_lease(&all(&mut events)));
        let report = consumer.report();
        assert_eq!((report.dead, report.lease_lost), (1, 0), "{report}");
        assert_eq!((len(&server, STREAM), len(&server, DEAD)), (0, 1));
    });
}

#[test]
fn entries_that_another_client_acknowledged_are_not_ready() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        for _ in 0..5 {
            enqueue(&queue).await;
        }
        run(&server, &format!("XREADGROUP GROUP workers other COUNT 3 STREAMS {STREAM} >"));
        let entries = run(&server, &format!("XPENDING {STREAM} workers - + 2"));
        for entry in entries.as_list().expect("a list").iter() {
            let id = entry.as_list().expect("an entry")[0].as_bytes().expect("an id").to_vec();
            let id = String::from_utf8(id).expect("text");
            run(&server, &format!("XACK {STREAM} workers {id}"));
        }
        let stats = queue.stats().await.unwrap();
        let is_known = stats.lag.is_some();
        let expected = if is_known { (Some(2), Some(2)) } else { (None, None) };
        assert_eq!((stats.ready, stats.acknowledged), expected, "lag {:?}", stats.lag);
        assert_eq!((stats.in_flight, stats.length), (1, 5));
        run(&server, &format!("XREADGROUP GROUP workers other COUNT 9 STREAMS {STREAM} >"));
        let stats = queue.stats().await.unwrap();
        assert_eq!((stats.ready, stats.acknowledged, stats.in_flight), (Some(0), Some(2), 3));
    });
}

#[cfg(feature = "serde")]
#[test]
fn json_queue_retries_the_entry_of_another_producer_and_keeps_its_fields() {
    use bourn::queue::{Json, RetryPolicy};
    on_each_version(|server| async move {
        let client = server.client().await.expect("a connection");
        let retry = RetryPolicy::exponential(s(1), s(1)).max_attempts(3);
        let queue: Queue<Vec<u8>> =
            Queue::builder(&client, STREAM).retry(retry).open(Json).await.expect("it opens");
        let mut events = queue.events();
        let fields = "order_id ord_123 customer_id cus_456 total 99.99";
        run(&server, &format!("XADD {STREAM} * {fields}"));
        let done = |_: Job<Vec<u8>>| async { Ok::<_, Fail>(()) };
        let report = queue.worker().run(sleep(s(60)), done).await.unwrap();
        assert_eq!((report.retried, report.dead), (2, 1), "{report}");
        let letter = format!("{:?}", run(&server, &format!("XRANGE {DEAD} - +")));
        for word in fields.split(' ') {
            assert!(letter.contains(word), "{word} is missing in {letter}");
        }
        let attempts = all(&mut events).into_iter().find_map(|event| match event {
            QueueEvent::DeadLettered { attempts, .. } => Some(attempts),
            _ => None,
        });
        assert_eq!(attempts, Some(3));
    });
}

#[test]
fn job_that_another_client_failed_is_claimed_after_the_lease() {
    on_each_version(|server| async move {
        let queue = queue(&server, STREAM).await;
        let id = enqueue(&queue).await;
        run(&server, &format!("XREADGROUP GROUP workers worker-1 STREAMS {STREAM} >"));
        let mut consumer = queue.consumer().start().await.unwrap();
        assert!(next(&mut consumer, LEASE - s(2)).await.is_none());
        let delivery = next(&mut consumer, s(9)).await.expect("it is claimed");
        assert_eq!((delivery.id(), delivery.attempt()), (id, 2));
    });
}
