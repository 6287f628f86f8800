//! A worker: its leases and its connections, its middleware, its shutdown.

use crate::support::{Email, in_paused_time, on_each_version, queue};
use bourn::queue::{
    Acked, Fail, Flat, Job, JobInfo, Middleware, Queue, QueueEvent, QueueEvents, RateLimit,
};
use bourn::testing::{Fault, Server};
use bourn::{BoxFuture, Client};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

async fn enqueue(queue: &Queue<Email>, jobs: usize) {
    for id in queue.producer().enqueue_all(&vec![Email::new(); jobs]).await {
        id.expect("the job is added");
    }
}

/// A client that connects in the background.
fn lazy(server: &Server) -> Client {
    server.lazy(server.config()).expect("valid settings")
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
fn job_that_waits_for_the_rate_limit_uses_none_of_its_time() {
    in_paused_time(async {
        let queue = queue(&Server::new(), "email").await;
        enqueue(&queue, 10).await;
        let worker = queue.worker().job_timeout(SECOND / 2).with(RateLimit::per_second(1.0));
        let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
        let report = worker.run(sleep(MINUTE), done).await.unwrap();
        assert_eq!((report.done, report.timed_out), (10, 0), "{report}");
    });
}

#[test]
fn jobs_that_wait_for_the_rate_limit_are_released_at_shutdown() {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    in_paused_time(async {
        let queue = queue(&Server::new(), "email").await;
        enqueue(&queue, 10).await;
        let count = |_: Job<Email>| async {
            STARTED.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Fail>(())
        };
        let worker = queue.worker().with(RateLimit::per_second(1.0));
        let start = Instant::now();
        let report = worker.run(sleep(SECOND * 5 / 2), count).await.unwrap();
        assert!(start.elapsed() < 3 * SECOND, "{:?}", start.elapsed());
        assert_eq!((report.done, STARTED.load(Ordering::Relaxed)), (3, 3), "{report}");
        assert_eq!((report.retried, report.dropped), (0, 0), "{report}");
        // They count as never delivered.
        let first = |job: Job<Email>| async move {
            assert_eq!(job.attempt(), 1);
            Ok::<_, Fail>(())
        };
        let report = queue.worker().run(sleep(MINUTE), first).await.unwrap();
        assert_eq!((report.done, report.panicked), (7, 0), "{report}");
    });
}

#[test]
fn worker_heeds_shutdown_before_it_has_a_connection() {
    in_paused_time(async {
        let server = Server::new();
        server.stop();
        let queue = Queue::builder(&lazy(&server), "email").open_lazy(Flat).unwrap();
        let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
        let run = queue.worker().run(sleep(SECOND), done);
        let report = timeout(MINUTE, run).await.expect("it ends").unwrap();
        assert_eq!(report.done, 0);
    });
}

#[test]
fn shutdown_ends_within_the_grace_when_the_server_does_not_answer() {
    on_each_version(|server| async move {
        let queue = queue(&server, "email").await;
        enqueue(&queue, 20).await;
        let stuck = |_: Job<Email>| async { pending::<Result<(), Fail>>().await };
        let worker = queue.worker().grace(10 * SECOND);
        let worker = tokio::spawn(worker.run(sleep(5 * SECOND), stuck));
        sleep(4 * SECOND).await;
        server.inject(Fault::stall_requests(Duration::MAX));
        sleep(SECOND).await;
        let shutdown = Instant::now();
        worker.await.unwrap().unwrap();
        assert!(shutdown.elapsed() <= 10 * SECOND, "{:?}", shutdown.elapsed());
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

/// Holds the first job back for ever.
#[derive(Default)]
struct HoldFirst(AtomicU32);

impl Middleware for HoldFirst {
    fn before<'a>(&'a self, _: &'a JobInfo) -> BoxFuture<'a, ()> {
        let is_first = self.0.fetch_add(1, Ordering::Relaxed) == 0;
        Box::pin(async move {
            if is_first {
                pending().await
            }
        })
    }

    fn around<'a>(
        &'a self,
        _: &'a JobInfo,
        run: BoxFuture<'a, Result<(), Fail>>,
    ) -> BoxFuture<'a, Result<(), Fail>> {
        run
    }
}

#[test]
fn job_that_waits_to_start_leaves_its_place_when_its_lease_ends() {
    in_paused_time(async {
        let server = Server::new();
        let queue = queue(&server, "email").await;
        let id = queue.producer().enqueue(&Email::new()).await.unwrap();
        enqueue(&queue, 1).await;
        let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
        let worker = queue.worker().concurrency(1).with(HoldFirst::default());
        let worker = tokio::spawn(worker.run(sleep(2 * MINUTE), done));
        sleep(SECOND).await;
        assert_eq!(server.command(&format!("XDEL email {id}")).as_integer(), Some(1));
        assert_eq!(worker.await.unwrap().unwrap().done, 1);
    });
}

#[test]
fn waiting_handler_is_dropped_when_another_client_settles_its_job() {
    on_each_version(|server| async move {
        let queue = queue(&server, "email").await;
        let id = queue.producer().enqueue(&Email::new()).await.unwrap();
        let held = Arc::new(());
        let running = Arc::clone(&held);
        let stuck = move |_: Job<Email>| {
            let running = Arc::clone(&running);
            async move {
                pending::<()>().await;
                drop(running);
                Ok::<_, Fail>(())
            }
        };
        let worker = tokio::spawn(queue.worker().run(sleep(2 * MINUTE), stuck));
        sleep(SECOND).await;
        assert_eq!(Arc::strong_count(&held), 3, "it runs");
        assert_eq!(server.command(&format!("XACK email workers {id}")).as_integer(), Some(1));
        // A heartbeat finds it.
        sleep(MINUTE / 3).await;
        assert_eq!(Arc::strong_count(&held), 2, "it was dropped");
        let report = worker.await.unwrap().unwrap();
        assert_eq!((report.already_gone, report.lease_lost), (1, 0), "{report}");
    });
}

#[test]
fn handler_that_wakes_after_its_lease_has_ended_does_nothing_more() {
    static STEPS: AtomicU32 = AtomicU32::new(0);
    in_paused_time(async {
        let client = Server::new().client().await.unwrap();
        let builder = Queue::builder(&client, "email").lease(3 * SECOND);
        let queue = builder.open(Flat).await.unwrap();
        enqueue(&queue, 1).await;
        let stalls_once = |job: Job<Email>| async move {
            if job.attempt() == 1 {
                // As after a stall of the process, all its timers are due at once.
                tokio::time::advance(4 * SECOND).await;
            }
            STEPS.fetch_add(job.attempt(), Ordering::Relaxed);
            Ok::<_, Fail>(())
        };
        let report = queue.worker().run(sleep(MINUTE), stalls_once).await.unwrap();
        assert_eq!((report.done, report.lease_lost), (1, 1), "{report}");
        assert_eq!(STEPS.load(Ordering::Relaxed), 2, "only the second attempt came so far");
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
