//! Retentions that keep entries or lose them: ages by the server's clock, lost groups, unread
//! entries that are trimmed.

use crate::support::{Email, VERSIONS, in_paused_time};
use bourn::queue::{Fail, Flat, Job, Queue, QueueEvent, Report, Retention};
use bourn::testing::Server;
use std::future::Future;
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

async fn open(server: &Server, retention: Retention) -> Queue<Email> {
    let client = server.client().await.unwrap();
    Queue::builder(&client, "email").retention(retention).open(Flat).await.unwrap()
}

async fn enqueue(queue: &Queue<Email>, jobs: usize) {
    for added in queue.producer().enqueue_all(&vec![Email::new(); jobs]).await {
        added.unwrap();
    }
}

async fn work(queue: &Queue<Email>, shutdown: impl Future<Output = ()>) -> Report {
    let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
    queue.worker().run(shutdown, done).await.unwrap()
}

#[test]
fn age_of_a_job_is_measured_by_the_servers_clock() {
    for version in VERSIONS {
        for server_is_ahead in [false, true] {
            in_paused_time(async {
                let now = SystemTime::now();
                let time = if server_is_ahead { now + 2 * HOUR } else { now - 2 * HOUR };
                let server = Server::builder().version(version).time(time).build();
                let queue = open(&server, Retention::LossyMaxAge(HOUR)).await;
                enqueue(&queue, 300).await;
                enqueue(&queue, 1).await;
                assert_eq!(server.command("XLEN email").as_integer(), Some(301), "{version}");
                assert_eq!(work(&queue, sleep(30 * SECOND)).await.done, 301, "{version}");
                assert_eq!(server.command("XLEN email").as_integer(), Some(301), "{version}");
                // Those that are really older than an hour are trimmed, by a producer or a worker.
                sleep(2 * HOUR).await;
                if server_is_ahead {
                    enqueue(&queue, 1).await;
                } else {
                    work(&queue, sleep(30 * SECOND)).await;
                }
                let len = server.command("XLEN email").as_integer().unwrap();
                assert!(len < 100, "{version}: {len}");
            });
        }
    }
}

#[test]
fn lost_group_starts_again_after_the_jobs_that_are_known_to_be_done() {
    for version in VERSIONS {
        let retentions = [Retention::LossyMaxLen(1_000), Retention::KeepUntilAllAcked];
        let cases = retentions.map(|retention| [2, 30].map(|seconds| (retention, seconds)));
        for (retention, seconds) in cases.into_iter().flatten() {
            in_paused_time(async {
                let server = Server::builder().version(version).build();
                let queue = open(&server, retention).await;
                // Another group keeps the entries.
                let created = server.command("XGROUP CREATE email other 0");
                assert_eq!(created.as_str(), Some("OK"));
                let mut events = queue.events();
                enqueue(&queue, 50).await;
                let last = queue.producer().enqueue(&Email::new()).await.unwrap();
                let report = work(&queue, async {
                    sleep(seconds * SECOND).await;
                    let destroyed = server.command("XGROUP DESTROY email workers");
                    assert_eq!(destroyed.as_integer(), Some(1));
                    sleep(SECOND).await;
                    enqueue(&queue, 1).await;
                    sleep(30 * SECOND).await;
                })
                .await;
                assert_eq!(report.done, 52, "{version}: {report}");
                let after = loop {
                    if let QueueEvent::Created { after } = events.next().await.unwrap() {
                        break after;
                    }
                };
                assert_eq!(after, last, "{version}");
            });
        }
    }
}

#[test]
fn group_of_a_new_stream_with_lower_ids_starts_at_its_beginning() {
    in_paused_time(async {
        let server = Server::new();
        let queue = open(&server, Retention::LossyMaxLen(1_000)).await;
        enqueue(&queue, 5).await;
        let report = work(&queue, async {
            sleep(30 * SECOND).await;
            server.rewind_clock(HOUR);
            assert_eq!(server.command("DEL email").as_integer(), Some(1));
            sleep(SECOND).await;
            enqueue(&queue, 5).await;
            sleep(30 * SECOND).await;
        })
        .await;
        assert_eq!(report.done, 10, "{report}");
    });
}
