//! Delayed retries of a busy worker; priorities; deduplication. Exactness is in `wheel`.

use crate::test_queue::{HandlerJob, Job, LEASE, Run, job, number, on_each, quick, until};
use bourn::queue::{Enqueue, Fail, Flat, Priority, Queue, QueueError, SettingsError, Worker};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

#[test]
fn urgent_jobs_run_first() {
    on_each(async |test| {
        let mut levels = Vec::new();
        for (place, name) in ["{q}:high", "{q}:normal", "{q}:low"].into_iter().enumerate() {
            let builder = Queue::builder(&test.client, name).lease(LEASE).retry(quick(3));
            let queue: Queue<Job> = builder.open(Flat).await.unwrap();
            let jobs: Vec<_> = (0..20).map(|n| job(place as u64 * 100 + n)).collect();
            for result in queue.producer().enqueue_all(&jobs).await {
                result.unwrap();
            }
            levels.push(queue);
        }
        let order = Arc::new(Mutex::new(Vec::new()));
        let work = |priority| {
            let order = Arc::clone(&order);
            Run::new(Worker::merged(&levels, priority).concurrency(4), move |job: HandlerJob| {
                order.lock().unwrap().push(number(&job));
                async { Ok(()) }
            })
        };
        let all = |count| {
            let order = Arc::clone(&order);
            move || {
                let len = order.lock().unwrap().len();
                async move { len == count }
            }
        };
        let run = work(Priority::Strict);
        until("every job is done", all(60)).await;
        let report = run.stop().await.0;
        assert_eq!(report.done, 60, "{report}");
        let place = |n: u64| n / 100;
        let order_seen: Vec<u64> = order.lock().unwrap().drain(..).map(place).collect();
        assert!(order_seen.is_sorted(), "{order_seen:?}");

        // With ageing, the least urgent job is not the last one.
        for (place, queue) in levels.iter().enumerate() {
            let jobs: Vec<_> = (0..20).map(|n| job(place as u64 * 100 + n)).collect();
            for result in queue.producer().enqueue_all(&jobs).await {
                result.unwrap();
            }
        }
        let run = work(Priority::StrictWithAging(2));
        until("every job is done", all(60)).await;
        run.stop().await;
        let order_seen: Vec<u64> = order.lock().unwrap().drain(..).map(place).collect();
        let first_low = order_seen.iter().position(|place| *place == 2).unwrap();
        let last_high = order_seen.iter().rposition(|place| *place == 0).unwrap();
        assert!(first_low < last_high, "{order_seen:?}");

        // A job that fails in one of the queues is retried there.
        levels[1].producer().enqueue(&job(100)).await.unwrap();
        let run = Run::new(Worker::merged(&levels, Priority::Strict), |job| async move {
            if job.attempt() == 1 { Err(Fail::retry("once")) } else { Ok(()) }
        });
        until("it is done", || async { test.command("XLEN {q}:normal") == "0" }).await;
        assert_eq!(run.stop().await.1[&100], [1, 2]);

        let other =
            Queue::builder(&test.client, "{q}:other").group("others").open(Flat).await.unwrap();
        let refused = Worker::merged([&levels[0], &other], Priority::Strict)
            .run(std::future::ready(()), |_| async { Ok::<(), Fail>(()) })
            .await;
        assert!(matches!(refused, Err(QueueError::Settings(SettingsError::Differ("group")))));
        let twice = Worker::merged([&levels[0], &levels[1], &levels[0]], Priority::Strict)
            .run(std::future::ready(()), |_| async { Ok::<(), Fail>(()) })
            .await;
        let Err(QueueError::Settings(SettingsError::SameStream(stream))) = twice else {
            panic!("{twice:?}");
        };
        assert_eq!(stream.as_bytes(), levels[0].stream());
    });
}

#[test]
fn unique_job_is_added_once_where_the_server_has_idmp() {
    on_each(async |test| {
        let can = test.redis_at_least(8, 6);
        let opened = test.builder().dedupe_window(Duration::from_secs(600), 1_000).open(Flat).await;
        if !can {
            assert!(matches!(opened, Err(QueueError::Settings(SettingsError::TooOld(_)))));
            let queue = test.queue().await;
            let unique = queue.producer().enqueue_with(&job(1), Enqueue::new().unique("a")).await;
            assert!(matches!(unique, Err(QueueError::Settings(SettingsError::TooOld(_)))));
            assert_eq!(test.left(), (0, 0));
            return;
        }
        let queue: Queue<Job> = opened.unwrap();
        let unique = |n, key: &'static str| {
            let producer = queue.producer();
            async move { producer.enqueue_with(&job(n), Enqueue::new().unique(key)).await.unwrap() }
        };
        let first = unique(1, "welcome:1").await;
        assert_eq!(unique(2, "welcome:1").await, first);
        assert_ne!(unique(3, "welcome:2").await, first);
        assert_eq!(test.left().0, 2);
        let run = Run::new(queue.worker(), |_| async { Ok(()) });
        until("every job is done", || async { test.left() == (0, 0) }).await;
        run.stop().await;
        assert_eq!(unique(4, "welcome:1").await, first, "done or not");
        assert_eq!(test.left().0, 0);
    });
}

#[test]
fn one_slot_works_through_many_retries() {
    on_each(async |test| {
        let queue = test.builder().open(Flat).await.unwrap();
        test.enqueue(&queue, 100).await;
        let start = Instant::now();
        let run = Run::new(queue.worker().concurrency(1), |job| async move {
            if job.attempt() == 1 { Err(Fail::retry("once")) } else { Ok(()) }
        });
        until("every job is done", || async { test.left() == (0, 0) }).await;
        assert_eq!(run.stop().await.0.done, 100);
        // Far more than ten retries a second.
        assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    });
}
