//! A worker: success, failure, panic, time-outs, shutdown.

use crate::office::{Office, job, number, until};
use bourn::queue::{Fail, Job};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_job_is_done_once_and_nothing_is_left() {
    let office = Office::new().await;
    let queue = office.queue().await;
    let jobs: Vec<_> = (0..2_000).map(job).collect();
    for result in queue.producer().enqueue_all(&jobs).await {
        result.expect("an id");
    }
    let seen = Arc::new(Mutex::new(HashMap::new()));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(queue.worker().concurrency(64).run(stopped, {
        let seen = Arc::clone(&seen);
        move |job: Job<Vec<(String, String)>>| {
            let seen = Arc::clone(&seen);
            async move {
                *seen.lock().unwrap().entry(number(&job)).or_insert(0) += 1;
                Ok::<(), Fail>(())
            }
        }
    }));
    until("all are done", || async { office.left() == (0, 0) }).await;
    stop.send(()).unwrap();
    let report = worker.await.unwrap().unwrap();
    assert_eq!(report.done, 2_000, "{report}");
    assert!(seen.lock().unwrap().values().all(|times| *times == 1));
    assert_eq!(seen.lock().unwrap().len(), 2_000);
}
