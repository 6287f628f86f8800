//! The queue on the in-memory server: retries, dead letters, redrive, abandoned jobs.

use crate::in_paused_time;
use bourn::queue::{Fail, Flat, Job, Queue, Redrive, RetryPolicy};
use bourn::testing::{Fault, Server};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
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
            let report = queue.worker().run(sleep(MINUTE), failing).await.unwrap();
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
fn job_of_a_lost_machine_is_run_by_another_after_a_lease() {
    in_paused_time(async {
        for version in Server::VERSIONS {
            let server = Server::builder().version(version).build();
            let lost = queue(&server).await;
            lost.producer().enqueue(&email()).await.unwrap();
            let stuck = |_: Job<Email>| async { std::future::pending::<Result<(), Fail>>().await };
            let worker = lost.worker();
            let running = tokio::spawn(async move { worker.run(sleep(60 * MINUTE), stuck).await });
            sleep(Duration::from_secs(5)).await;
            // Its connections stay open and carry nothing from now on.
            let ids: BTreeSet<i64> =
                server.requests().iter().map(|request| request.connection()).collect();
            for id in ids {
                server.inject(Fault::stall_requests(Duration::MAX).on_connection(id));
            }
            running.abort();
            let _ = running.await;
            drop(lost);
            let start = Instant::now();
            let ran = Arc::new(Mutex::new(None));
            let note = Arc::clone(&ran);
            let done = move |job: Job<Email>| {
                let note = Arc::clone(&note);
                async move {
                    *note.lock().unwrap() = Some((job.attempt(), start.elapsed().as_secs()));
                    Ok::<_, Fail>(())
                }
            };
            let other = queue(&server).await;
            let report = other.worker().run(sleep(2 * MINUTE), done).await.unwrap();
            assert_eq!(report.done, 1, "{version}: {report}");
            let (attempt, after) = ran.lock().unwrap().expect("it ran");
            assert!(attempt == 2 && (20..40).contains(&after), "{version}: {attempt}, {after} s");
        }
    });
}
