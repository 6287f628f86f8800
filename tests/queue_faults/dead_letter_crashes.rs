//! Moves to the dead-letter stream and to other queues: at no point is the only copy gone.

use crate::dial::{config, dialler};
use crate::support::{Email, VERSIONS, in_paused_time, on_each_version, queue};
use bourn::queue::{Acked, Fail, Flat, Job, Nack, Queue};
use bourn::testing::{Fault, Server};
use bourn::{Client, EntryId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);
const DLQ: &str = "{email}:dlq";

fn length(server: &Server, key: &str) -> i64 {
    server.command(&format!("XLEN {key}")).as_integer().unwrap_or(0)
}

async fn enqueue(queue: &Queue<Email>) -> EntryId {
    queue.producer().enqueue(&vec![("n".into(), "1".into())]).await.unwrap()
}

/// Makes the connections that exist now carry nothing any more, as those of a lost machine.
fn lose_connections(server: &Server) {
    let ids: BTreeSet<i64> = server.requests().iter().map(|request| request.connection()).collect();
    for id in ids {
        server.inject(Fault::stall_requests(Duration::MAX).on_connection(id));
    }
}

/// Runs a worker of a new process for some minutes. Returns how many jobs it ran.
async fn run_another(server: &Server) -> u32 {
    let ran = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&ran);
    let failing = move |_: Job<Email>| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { Err::<(), _>(Fail::dead("no such user")) }
    };
    let worker = queue(server, "email").await.worker();
    worker.run(sleep(Duration::from_secs(300)), failing).await.unwrap();
    ran.load(Ordering::Relaxed)
}

#[test]
fn job_stays_in_its_stream_while_the_dead_letter_key_is_no_stream() {
    on_each_version(|server| async move {
        let queue = queue(&server, "email").await;
        let id = enqueue(&queue).await;
        let _ = server.command(&format!("SET {DLQ} x"));
        server.set_latency(5 * MS);
        let worker = queue.worker();
        let running = tokio::spawn(async move {
            let failing = |_: Job<Email>| async { Err::<(), _>(Fail::dead("no such user")) };
            worker.run(sleep(Duration::from_secs(600)), failing).await
        });
        for _ in 0..10_000 {
            sleep(MS).await;
            assert_eq!(length(&server, "email"), 1);
        }
        lose_connections(&server);
        running.abort();
        drop(queue);
        let _ = server.command(&format!("DEL {DLQ}"));
        assert_eq!(run_another(&server).await, 0, "it is moved, not run");
        assert_eq!((length(&server, "email"), length(&server, DLQ)), (0, 1));
        let queue = crate::support::queue(&server, "email").await;
        assert_eq!(queue.dead_letters().list(None, 9).await.unwrap()[0].original, id);
    });
}

#[test]
fn worker_lost_at_any_point_of_a_move_leaves_one_letter() {
    for version in VERSIONS {
        for after in 0..40 {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let queue = queue(&server, "email").await;
                let id = enqueue(&queue).await;
                server.set_latency(5 * MS);
                let worker = queue.worker();
                let begun = Arc::new(Notify::new());
                let begins = Arc::clone(&begun);
                let running = tokio::spawn(async move {
                    let failing = move |_: Job<Email>| {
                        begins.notify_one();
                        async { Err::<(), _>(Fail::dead("no such user")) }
                    };
                    worker.run(sleep(Duration::from_secs(600)), failing).await
                });
                begun.notified().await;
                sleep(after * MS).await;
                lose_connections(&server);
                running.abort();
                drop(queue);
                assert!(
                    length(&server, "email") + length(&server, DLQ) > 0,
                    "{version}, {after} ms"
                );
                run_another(&server).await;
                let left = (length(&server, "email"), length(&server, DLQ));
                assert_eq!(left, (0, 1), "{version}, {after} ms");
                let queue = crate::support::queue(&server, "email").await;
                let letter = queue.dead_letters().list(None, 9).await.unwrap().remove(0);
                let found = (letter.original, letter.attempts, &*letter.reason);
                assert!(letter.attempts <= 2, "{version}, {after} ms: {found:?}");
                assert_eq!((found.0, found.2), (id, "no such user"), "{version}, {after} ms");
            });
        }
    }
}

#[test]
fn lost_replies_of_a_move_leave_one_letter() {
    for skip in 0..2 {
        on_each_version(|server| async move {
            let queue = queue(&server, "email").await;
            enqueue(&queue).await;
            server.inject(Fault::lose_reply().on_command("EXEC").skip(skip));
            let failing = |_: Job<Email>| async { Err::<(), _>(Fail::dead("no such user")) };
            let worker = queue.worker();
            let report = worker.run(sleep(Duration::from_secs(60)), failing).await.unwrap();
            assert_eq!((report.dead, report.already_gone), (1, 0), "{skip}: {report}");
            assert_eq!((length(&server, "email"), length(&server, DLQ)), (0, 1), "{skip}");
        });
    }
}

/// The mark of a move does not check the owner: after a reconnect it is not sent any more.
#[test]
fn move_that_waits_for_a_connection_does_not_take_the_job_from_another_worker() {
    on_each_version(|server| async move {
        let alive = Arc::new(AtomicBool::new(true));
        let dial = dialler(&server, &alive, &Arc::default());
        let client = Client::connect_with(config(), dial).await.unwrap();
        let mut consumers = Vec::new();
        for client in [client, server.client().await.unwrap()] {
            let queue = Queue::builder(&client, "email").lease(Duration::from_secs(1));
            let queue: Queue<Email> = queue.open(Flat).await.unwrap();
            consumers.push((queue.consumer().start().await.unwrap(), queue));
        }
        let (mut other, queue) = consumers.pop().unwrap();
        let (mut slow, slow_queue) = consumers.pop().unwrap();
        other.close().await;
        let id = enqueue(&slow_queue).await;
        let delivery = slow.next().await.expect("it is open").expect("no error");
        alive.store(false, Ordering::Relaxed);
        server.disconnect_all();
        let nack = tokio::spawn(delivery.nack(Nack::dead("no such user")));
        other = queue.consumer().start().await.unwrap();
        let delivery = other.next().await.expect("it is open").expect("no error");
        assert_eq!(delivery.id(), id);
        alive.store(true, Ordering::Relaxed);
        sleep(Duration::from_secs(9)).await;
        assert!(nack.is_finished() && !delivery.lease().is_lost());
        assert_eq!(delivery.ack().await.unwrap(), Acked::Done);
        assert_eq!((length(&server, "email"), length(&server, DLQ)), (0, 0));
    });
}

#[test]
fn job_that_is_finished_elsewhere_during_its_move_leaves_no_letter() {
    on_each_version(|server| async move {
        let queue = queue(&server, "email").await;
        let id = enqueue(&queue).await;
        server.set_latency(5 * MS);
        let worker = queue.worker();
        let running = tokio::spawn(async move {
            let failing = |_: Job<Email>| async { Err::<(), _>(Fail::dead("no such user")) };
            worker.run(sleep(Duration::from_secs(60)), failing).await
        });
        while length(&server, DLQ) == 0 {
            sleep(MS).await;
        }
        let _ = server.command(&format!("XACK email workers {id}"));
        let _ = server.command(&format!("XDEL email {id}"));
        let report = running.await.unwrap().unwrap();
        assert_eq!((report.dead, report.already_gone), (0, 1), "{report}");
        assert_eq!((length(&server, "email"), length(&server, DLQ)), (0, 0));
    });
}
