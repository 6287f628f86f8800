//! Copies in the dead-letter stream that a server loses, or that arrive after the lease.

use crate::steps::requests;
use crate::support::{Email, VERSIONS, in_paused_time, queue};
use bourn::EntryId;
use bourn::queue::{Fail, Job, Queue};
use bourn::testing::{Fault, Server};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);
const DLQ: &str = "{email}:dlq";

fn length(server: &Server, key: &str) -> i64 {
    server.command(&format!("XLEN {key}")).as_integer().unwrap_or(0)
}

async fn enqueue(queue: &Queue<Email>) -> EntryId {
    queue.producer().enqueue(&vec![("n".into(), "1".into())]).await.unwrap()
}

#[test]
fn copy_that_a_crashed_server_lost_is_added_again() {
    for version in VERSIONS {
        for after in (0..45).step_by(5) {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let queue = queue(&server, "email").await;
                let id = enqueue(&queue).await;
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
                let is_removed = length(&server, "email") == 0;
                server.crash();
                let report = running.await.unwrap().unwrap();
                let left = (length(&server, "email"), length(&server, DLQ));
                assert_eq!(left, (0, 1), "{version}, {after} ms");
                // One that was complete, and lost, is reported again.
                assert_eq!(
                    report.dead,
                    1 + u64::from(is_removed),
                    "{version}, {after} ms: {report}"
                );
                let letters = queue.dead_letters().list(None, 9).await.unwrap();
                let letter = (letters[0].original, letters[0].attempts, &*letters[0].reason);
                assert_eq!(letter, (id, 1, "no user"), "{version}, {after} ms");
                let copies = requests(&server, &["XADD", DLQ]).len();
                assert_eq!(copies, 2, "{version}, {after} ms");
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
            let running = tokio::spawn(async move {
                let failing = |_: Job<Email>| async {
                    sleep(1_000 * MS).await;
                    Err::<(), _>(Fail::dead("no user"))
                };
                worker.run(sleep(8 * lease), failing).await
            });
            sleep(900 * MS).await;
            server.set_latency(100 * MS);
            // The copy is made once it is known that nobody else has settled the job.
            let asked =
                || server.requests().iter().filter(|request| request.name() == "XPENDING").count();
            let before = asked();
            while asked() == before {
                sleep(MS).await;
            }
            let sent = server.requests();
            let ids: BTreeSet<i64> = sent.iter().map(|request| request.connection()).collect();
            for id in ids {
                server.inject(Fault::stall_requests(3 * lease).on_connection(id));
            }
            sleep(lease / 2).await;
            let second = queue(&server, "email").await;
            let done = move |_: Job<Email>| async move {
                sleep(lease / 2).await;
                Ok::<_, Fail>(())
            };
            let report = second.worker().run(sleep(8 * lease), done).await.unwrap();
            assert_eq!(report.done, 1, "{version}: {report}");
            running.await.unwrap().unwrap();
            // The copy that was on its way, the same one again to learn its id, and its deletion.
            let sent = [["XADD", DLQ], ["XDEL", DLQ]].map(|words| requests(&server, &words).len());
            assert_eq!(sent, [2, 1], "{version}");
            assert_eq!(length(&server, DLQ), 0, "{version}");
        });
    }
}
