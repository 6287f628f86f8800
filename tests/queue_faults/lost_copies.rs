//! Copies in the dead-letter stream that a server loses, or that arrive after the lease.

use crate::support::{Email, VERSIONS, in_paused_time, queue};
use bourn::queue::{Fail, Job, Queue};
use bourn::testing::{Fault, Request, Server};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);
const DLQ: &str = "{email}:dlq";

fn length(server: &Server, key: &str) -> i64 {
    server.command(&format!("XLEN {key}")).as_integer().unwrap_or(0)
}

async fn enqueue(queue: &Queue<Email>) {
    queue.producer().enqueue(&vec![("n".into(), "1".into())]).await.unwrap();
}

#[test]
fn copy_that_a_crashed_server_lost_is_added_again() {
    for version in VERSIONS {
        for after in (0..45).step_by(5) {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let queue = queue(&server, "email").await;
                enqueue(&queue).await;
                server.set_latency(5 * MS);
                let worker = queue.worker();
                let running = tokio::spawn(async move {
                    let failing = |_: Job<Email>| async { Err::<(), _>(Fail::dead("no user")) };
                    worker.run(sleep(Duration::from_secs(90)), failing).await
                });
                // The job, and who has it, are on the disk; what follows is not.
                while server.requests().iter().all(|request| request.name() != "EXEC") {
                    server.sync();
                    sleep(MS).await;
                }
                sleep(after * MS).await;
                server.crash();
                running.await.unwrap().unwrap();
                let left = (length(&server, "email"), length(&server, DLQ));
                assert_eq!(left, (0, 1), "{version}, {after} ms");
            });
        }
    }
}

#[test]
fn copy_that_arrives_after_the_lease_is_withdrawn() {
    // Earlier versions cannot tell that it is on its way.
    for version in ["redis-8.6", "redis-8.10"] {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let first = queue(&server, "email").await;
            enqueue(&first).await;
            let lease = Duration::from_secs(30);
            let worker = first.worker();
            server.set_latency(5 * MS);
            let running = tokio::spawn(async move {
                let failing = move |_: Job<Email>| async { Err::<(), _>(Fail::dead("no user")) };
                worker.run(sleep(8 * lease), failing).await
            });
            // The worker asks whether it still has the job: the copy is sent next.
            let asks = |request: &Request| {
                request.name() == "XPENDING" && request.to_string().ends_with(" 1")
            };
            while !server.requests().iter().any(asks) {
                sleep(MS).await;
            }
            let ids: BTreeSet<i64> =
                server.requests().iter().map(|request| request.connection()).collect();
            for id in ids {
                server.inject(Fault::stall_requests(3 * lease).on_connection(id));
            }
            sleep(lease / 2).await;
            let second = queue(&server, "email").await;
            let done = move |_: Job<Email>| async move {
                sleep(lease * 4).await;
                Ok::<_, Fail>(())
            };
            second.worker().run(sleep(8 * lease), done).await.unwrap();
            running.await.unwrap().unwrap();
            let copies =
                server.requests().iter().filter(|request| request.name() == "XADD").count();
            assert!(copies > 1, "{version}: a copy was sent");
            assert_eq!(length(&server, DLQ), 0, "{version}");
        });
    }
}
