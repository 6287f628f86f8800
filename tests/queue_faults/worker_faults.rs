//! A worker: its leases and its connections, its middleware, its shutdown.

use crate::support::{Email, on_each_version, queue};
use bourn::queue::{Acked, Fail, Flat, Job, Queue, QueueEvent, QueueEvents};
use bourn::testing::Fault;
use std::time::Duration;
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

async fn enqueue(queue: &Queue<Email>, jobs: usize) {
    for id in queue.producer().enqueue_all(&vec![Email::new(); jobs]).await {
        id.expect("the job is added");
    }
}

/// Returns the events that were emitted so far.
async fn all(events: &mut QueueEvents) -> Vec<QueueEvent> {
    let mut all = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::ZERO, events.next()).await {
        all.push(event);
    }
    all
}

#[test]
fn producer_that_delays_its_connection_costs_the_worker_no_lease() {
    on_each_version(|server| async move {
        let client = server.client().await.unwrap();
        let builder = Queue::builder(&client, "email").lease(3 * SECOND);
        let queue = builder.open(Flat).await.unwrap();
        enqueue(&queue, 1).await;
        let slow = |_: Job<Email>| async {
            sleep(20 * SECOND).await;
            Ok::<_, Fail>(())
        };
        let worker = tokio::spawn(queue.worker().run(sleep(MINUTE), slow));
        sleep(SECOND).await;
        // The requests of the queue's own client arrive late, as behind a large batch.
        let id = client.connection_id().expect("the server reports it");
        server.inject(Fault::stall_requests(4 * SECOND).on_connection(id));
        let report = worker.await.unwrap().unwrap();
        assert_eq!((report.done, report.lease_lost), (1, 0), "{report}");
    });
}

#[test]
fn job_that_another_client_settled_is_no_lost_lease() {
    for command in ["XACK email workers", "XDEL email"] {
        on_each_version(|server| async move {
            let queue = queue(&server, "email").await;
            let mut events = queue.events();
            let id = queue.producer().enqueue(&Email::new()).await.unwrap();
            let slow = |_: Job<Email>| async {
                sleep(MINUTE).await;
                Ok::<_, Fail>(())
            };
            let worker = tokio::spawn(queue.worker().run(sleep(2 * MINUTE), slow));
            sleep(SECOND).await;
            assert_eq!(server.command(&format!("{command} {id}")).as_integer(), Some(1));
            let report = worker.await.unwrap().unwrap();
            assert_eq!((report.lease_lost, report.retried), (0, 0), "{command}: {report}");
            let all = all(&mut events).await;
            let lost = all.iter().any(|event| matches!(event, QueueEvent::LeaseLost { .. }));
            assert!(!lost, "{command}: {all:?}");
        });
    }
}

#[test]
fn consumer_counts_a_job_once_that_another_client_settled() {
    on_each_version(|server| async move {
        let queue = queue(&server, "email").await;
        let id = queue.producer().enqueue(&Email::new()).await.unwrap();
        let mut consumer = queue.consumer().start().await.unwrap();
        let delivery = consumer.next().await.unwrap().unwrap();
        assert_eq!(server.command(&format!("XACK email workers {id}")).as_integer(), Some(1));
        assert_eq!(server.command(&format!("XDEL email {id}")).as_integer(), Some(1));
        delivery.lease().lost().await;
        assert_eq!(delivery.ack().await.unwrap(), Acked::AlreadyGone);
        let report = consumer.close().await;
        assert_eq!((report.already_gone, report.lease_lost, report.done), (1, 0, 0), "{report}");
    });
}

#[test]
fn dead_letter_move_whose_reply_is_lost_is_no_lost_lease() {
    on_each_version(|server| async move {
        let queue = queue(&server, "email").await;
        let mut events = queue.events();
        enqueue(&queue, 1).await;
        let fail = |_: Job<Email>| async {
            sleep(9 * SECOND).await;
            Err::<(), _>(Fail::dead("no such user"))
        };
        // The entry is moved, and the worker learns it after the next heartbeat.
        server.inject(Fault::lose_reply().on_command("EXEC"));
        for command in ["XADD", "XRANGE"] {
            let busy = Fault::error("LOADING dataset in memory").on_command(command);
            server.inject(busy.skip(u64::from(command == "XADD")).times(30));
        }
        let report = queue.worker().run(sleep(MINUTE), fail).await.unwrap();
        assert_eq!((report.dead, report.lease_lost), (1, 0), "{report}");
        let all = all(&mut events).await;
        let lost = all.iter().any(|event| matches!(event, QueueEvent::LeaseLost { .. }));
        assert!(!lost, "{all:?}");
        assert_eq!(queue.dead_letters().count().await.unwrap(), 1);
    });
}
