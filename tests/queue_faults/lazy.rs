//! A queue that is opened while its server is away.

use crate::test_queue::{Job, Run, STREAM, job, number, on_each, until};
use bourn::queue::{Flat, Health, Queue, QueueError, SettingsError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

#[test]
fn lazy_queue_starts_when_its_server_is_reachable() {
    on_each(async |test| {
        test.server.stop();
        let client = test.server.lazy(test.server.config()).unwrap();
        let queue: Queue<Job> = Queue::builder(&client, STREAM).open_lazy(Flat).unwrap();
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
        test.server.start();
        client.ready(Duration::from_secs(20)).await.unwrap();
        for n in [1, 20, 300] {
            queue.producer().enqueue(&job(n)).await.unwrap();
        }
        until("every job is done", || async { sum.load(Ordering::SeqCst) == 321 }).await;
        run.stop().await;
    });
}

#[test]
fn lazy_queue_reports_invalid_settings_on_first_use() {
    on_each(async |test| {
        test.command("SET jobs text");
        let client = test.server.lazy(test.server.config()).unwrap();
        let queue: Queue<Job> = Queue::builder(&client, STREAM).open_lazy(Flat).unwrap();
        for _ in 0..2 {
            let error = queue.producer().enqueue(&job(1)).await.unwrap_err();
            let wrong = matches!(error, QueueError::Settings(SettingsError::NotAStream(_)));
            assert!(wrong, "{error:?}");
        }
        let all = queue.producer().enqueue_all(&[job(1), job(2)]).await;
        assert_eq!(all.iter().filter(|result| result.is_err()).count(), 2);
        test.command("DEL jobs");
        queue.producer().enqueue(&job(1)).await.unwrap();
    });
}
