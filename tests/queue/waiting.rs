//! Retries that wait: in place, and parked for longer than a lease; priorities; deduplication.

use crate::office::{GROUP, Job, LEASE, Office, Run, STREAM, job, number, quick, until};
use bourn::queue::{
    Enqueue, Fail, Flat, Jitter, Priority, Queue, QueueError, RetryPolicy, SettingsError, Worker,
};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long each wait for a retry took.
async fn waits(queue: &Queue<Job>, office: &Office, wait: Duration) -> Vec<Duration> {
    office.enqueue(queue, 5).await;
    let begun = Arc::new(Mutex::new(vec![None::<Instant>; 5]));
    let waited = Arc::new(Mutex::new(Vec::new()));
    let run = Run::new(queue.worker(), {
        let (begun, waited) = (Arc::clone(&begun), Arc::clone(&waited));
        move |job: bourn::queue::Job<Job>| {
            let mut begun = begun.lock().unwrap();
            let slot = &mut begun[usize::try_from(number(&job)).unwrap()];
            let first = slot.is_none();
            match slot {
                Some(at) => waited.lock().unwrap().push(at.elapsed()),
                None => *slot = Some(Instant::now()),
            }
            async move { if first { Err(Fail::retry_after(wait, "later")) } else { Ok(()) } }
        }
    });
    until("all are done", || async { office.left() == (0, 0) }).await;
    let (report, seen) = run.stop().await;
    assert_eq!((report.done, report.retried), (5, 5), "{report}");
    assert!(seen.values().all(|attempts| *attempts == [1, 2]), "{seen:?}");
    let waited = waited.lock().unwrap();
    waited.clone()
}

#[tokio::test]
async fn a_short_wait_is_waited_in_place() {
    let office = Office::new().await;
    let queue = office.builder().max_delay(LEASE / 2).open(Flat).await.unwrap();
    for waited in waits(&queue, &office, LEASE / 2).await {
        assert!(waited >= LEASE / 2 - Duration::from_millis(20), "{waited:?}");
        assert!(waited < Duration::from_secs(4), "{waited:?}");
    }
}

#[tokio::test]
async fn a_wait_longer_than_the_lease_is_parked() {
    let office = Office::new().await;
    let queue = office.builder().max_delay(Duration::from_secs(3_600)).open(Flat).await.unwrap();
    let parked = tokio::spawn({
        let queue = queue.clone();
        async move {
            until("they are seen to wait", || async {
                queue.stats().await.is_ok_and(|stats| stats.waiting_retry == 5)
            })
            .await;
            let consumers = bourn::XInfoConsumers::new(STREAM, GROUP);
            queue.client().send(consumers).await.unwrap()
        }
    });
    for waited in waits(&queue, &office, Duration::from_millis(1_500)).await {
        assert!(waited >= Duration::from_millis(1_450), "{waited:?}");
        assert!(waited < Duration::from_secs(6), "{waited:?}");
    }
    let parked = parked.await.unwrap();
    assert!(parked.iter().any(|info| info.name == "~park:5s" && info.pending == 5), "{parked:?}");
}

#[tokio::test]
async fn what_a_dead_worker_left_is_found_where_retries_are_parked() {
    let office = Office::new().await;
    let queue = office.builder().max_delay(Duration::from_secs(60)).open(Flat).await.unwrap();
    office.enqueue(&queue, 7).await;
    office.server.command(&[
        "XREADGROUP",
        "GROUP",
        GROUP,
        "dead",
        "COUNT",
        "7",
        "STREAMS",
        STREAM,
        ">",
    ]);
    let run = Run::new(queue.worker(), |_| async { Ok(()) });
    until("all are done", || async { office.left() == (0, 0) }).await;
    let (_, seen) = run.stop().await;
    assert!(seen.len() == 7 && seen.values().all(|attempts| *attempts == [2]), "{seen:?}");
}

#[tokio::test]
async fn delays_are_cut_to_what_the_queue_allows() {
    let office = Office::new().await;
    let policy = RetryPolicy::exponential(LEASE / 4, LEASE / 4).jitter(Jitter::None);
    let queue = office.builder().retry(policy).open(Flat).await.unwrap();
    for waited in waits(&queue, &office, Duration::from_secs(3_600)).await {
        assert!(waited < Duration::from_secs(4), "{waited:?}");
    }
}

#[tokio::test]
async fn urgent_jobs_come_first() {
    let office = Office::new().await;
    let mut levels = Vec::new();
    for (place, name) in ["{q}:high", "{q}:normal", "{q}:low"].into_iter().enumerate() {
        let builder = Queue::builder(&office.client, name).lease(LEASE).retry(quick(3));
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
        Run::new(
            Worker::merged(&levels, priority).concurrency(4),
            move |job: bourn::queue::Job<Job>| {
                order.lock().unwrap().push(number(&job));
                async { Ok(()) }
            },
        )
    };
    let all = |count| {
        let order = Arc::clone(&order);
        move || {
            let len = order.lock().unwrap().len();
            async move { len == count }
        }
    };
    let run = work(Priority::Strict);
    until("all are done", all(60)).await;
    let report = run.stop().await.0;
    assert_eq!(report.done, 60, "{report}");
    let place = |n: u64| n / 100;
    let order_seen: Vec<u64> = order.lock().unwrap().drain(..).map(place).collect();
    assert!(order_seen.is_sorted(), "{order_seen:?}");

    // With ageing the least urgent is not the last of all.
    for (place, queue) in levels.iter().enumerate() {
        let jobs: Vec<_> = (0..20).map(|n| job(place as u64 * 100 + n)).collect();
        for result in queue.producer().enqueue_all(&jobs).await {
            result.unwrap();
        }
    }
    let run = work(Priority::StrictWithAging(2));
    until("all are done", all(60)).await;
    run.stop().await;
    let order_seen: Vec<u64> = order.lock().unwrap().drain(..).map(place).collect();
    let first_low = order_seen.iter().position(|place| *place == 2).unwrap();
    let last_high = order_seen.iter().rposition(|place| *place == 0).unwrap();
    assert!(first_low < last_high, "{order_seen:?}");

    // And what fails in one of them is tried again there.
    levels[1].producer().enqueue(&job(100)).await.unwrap();
    let run = Run::new(Worker::merged(&levels, Priority::Strict), |job| async move {
        if job.attempt() == 1 { Err(Fail::retry("once")) } else { Ok(()) }
    });
    until("it is done", || async { office.server.command(&["XLEN", "{q}:normal"]) == "0" }).await;
    assert_eq!(run.stop().await.1[&100], [1, 2]);

    let other =
        Queue::builder(&office.client, "{q}:other").group("others").open(Flat).await.unwrap();
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
}

#[tokio::test]
async fn a_unique_job_is_added_once_where_the_server_can() {
    let office = Office::new().await;
    let can = office.server.redis_at_least(8, 6) && !office.server.is_valkey();
    let opened = office.builder().dedupe_window(Duration::from_secs(600), 1_000).open(Flat).await;
    if !can {
        assert!(matches!(opened, Err(QueueError::Settings(SettingsError::TooOld(_)))));
        let queue = office.queue().await;
        let unique = queue.producer().enqueue_with(&job(1), Enqueue::new().unique("a")).await;
        assert!(matches!(unique, Err(QueueError::Settings(SettingsError::TooOld(_)))));
        assert_eq!(office.left(), (0, 0));
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
    assert_eq!(office.left().0, 2);
    let run = Run::new(queue.worker(), |_| async { Ok(()) });
    until("all are done", || async { office.left() == (0, 0) }).await;
    run.stop().await;
    assert_eq!(unique(4, "welcome:1").await, first, "done or not");
    assert_eq!(office.left().0, 0);
}

#[tokio::test]
async fn one_hand_gets_through_many_retries() {
    let office = Office::new().await;
    let queue = office.builder().max_delay(Duration::from_millis(10)).open(Flat).await.unwrap();
    office.enqueue(&queue, 100).await;
    let start = Instant::now();
    let run = Run::new(queue.worker().concurrency(1), |job| async move {
        if job.attempt() == 1 { Err(Fail::retry("once")) } else { Ok(()) }
    });
    until("all are done", || async { office.left() == (0, 0) }).await;
    assert_eq!(run.stop().await.0.done, 100);
    // Not ten of them a second.
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
}
