//! A queue that is opened while its server is away.

use crate::support::Server;
use crate::test_queue::{Run, job, number, until};
use bourn::Client;
use bourn::queue::{Flat, Health, Queue, QueueError, SettingsError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn lazy_queue_starts_when_its_server_is_reachable() {
    let mut server = Server::builder().append_only().start();
    server.kill9();
    let client = Client::lazy(server.url()).unwrap();
    let queue: Queue<_> = Queue::builder(&client, "jobs").open_lazy(Flat).unwrap();
    let start = Instant::now();
    let Ok(Health::Degraded(why)) = queue.health().await else { panic!("there is no server") };
    assert!(why.iter().any(|why| why.contains("connection")), "{why:?}");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let sum = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&sum);
    let run = Run::new(queue.worker(), move |job| {
        let seen = Arc::clone(&seen);
        async move {
            seen.fetch_add(number(&job), Ordering::SeqCst);
            Ok(())
        }
    });
    server.restart();
    client.ready(Duration::from_secs(20)).await.unwrap();
    for n in [1, 20, 300] {
        queue.producer().enqueue(&job(n)).await.unwrap();
    }
    until("every job is done", || async { sum.load(Ordering::SeqCst) == 321 }).await;
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lazy_queue_reports_invalid_settings_on_first_use() {
    let server = Server::start();
    server.command(&["SET", "jobs", "text"]);
    let client = Client::lazy(server.url()).unwrap();
    let queue: Queue<_> = Queue::builder(&client, "jobs").open_lazy(Flat).unwrap();
    for _ in 0..2 {
        let error = queue.producer().enqueue(&job(1)).await.unwrap_err();
        let wrong = matches!(error, QueueError::Settings(SettingsError::NotAStream(_)));
        assert!(wrong, "{error:?}");
    }
    let all = queue.producer().enqueue_all(&[job(1), job(2)]).await;
    assert_eq!(all.iter().filter(|result| result.is_err()).count(), 2);
    server.command(&["DEL", "jobs"]);
    queue.producer().enqueue(&job(1)).await.unwrap();
}
