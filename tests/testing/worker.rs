//! The queue on the in-memory server: retries, dead letters, redrive, abandoned jobs.

use crate::in_paused_time;
use bourn::queue::{Fail, Flat, Job, Queue, Redrive, RetryPolicy};
use bourn::testing::{Fault, Server};
use std::time::Duration;
use tokio::time::{Instant, sleep};

type Email = Vec<(String, String)>;

const MINUTE: Duration = Duration::from_secs(60);

fn email() -> Email {
    vec![("template".into(), "welcome".into())]
}

async fn queue(server: &Server) -> Queue<Email> {
    let client = server.client().await.unwrap();
    let retry = RetryPolicy::exponential(Duration::from_secs(1), MINUTE).max_attempts(3);
    Queue::builder(&client, "email").retry(retry).open(Flat).await.unwrap()
}

#[test]
fn job_is_retried_dead_lettered_and_redriven_on_every_version() {
    in_paused_time(async {
        for version in Server::VERSIONS {
            let server = Server::builder().version(version).build();
            let queue = queue(&server).await;
            queue.producer().enqueue(&email()).await.unwrap();

            let failing = |job: Job<Email>| async move {
                Err::<(), _>(Fail::retry(format!("attempt {} failed", job.attempt())))
            };
            let report = queue.worker().run(sleep(10 * MINUTE), failing).await.unwrap();
            assert_eq!((report.retried, report.dead), (2, 1), "{version}: {report}");
            let letters = queue.dead_letters().list(None, 10).await.unwrap();
            assert_eq!(letters[0].reason, "attempt 3 failed", "{version}");

            queue.dead_letters().redrive(Redrive::all()).await.unwrap();
            let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
            let report = queue.worker().run(sleep(MINUTE), done).await.unwrap();
            assert_eq!((report.done, report.dead), (1, 0), "{version}: {report}");
        }
    });
}

#[test]
fn job_of_a_crashed_worker_is_run_by_another_after_a_lease() {
    in_paused_time(async {
        for version in Server::VERSIONS {
            let server = Server::builder().version(version).build();
            let (crashing, other) = (queue(&server).await, queue(&server).await);
            crashing.producer().enqueue(&email()).await.unwrap();
            let stuck = |_: Job<Email>| async { std::future::pending::<Result<(), Fail>>().await };
            let worker = crashing.worker();
            let running = tokio::spawn(async move { worker.run(sleep(60 * MINUTE), stuck).await });
            sleep(Duration::from_secs(5)).await;
            // Its connections stay open and carry nothing, as when a machine is lost.
            server.inject(Fault::stall_requests(Duration::MAX));
            running.abort();
            let _ = running.await;
            drop(crashing);
            server.clear_faults();
            let start = Instant::now();
            let done = |job: Job<Email>| async move {
                assert_eq!(job.attempt(), 2);
                Ok::<_, Fail>(())
            };
            let report = other.worker().run(sleep(5 * MINUTE), done).await.unwrap();
            assert_eq!(report.done, 1, "{version}: {report}");
            assert_eq!(start.elapsed(), 5 * MINUTE, "{version}");
        }
    });
}
