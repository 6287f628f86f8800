//! Queues of several lanes, on one server or over several.

use crate::steps::{len, run, s};
use crate::support::{Email, in_paused_time, on_each_version};
use bourn::queue::{
    Enqueue, Fail, Flat, Health, Job, Partitioned, QueueError, Redrive, RetryPolicy, SettingsError,
};
use bourn::resp::Value;
use bourn::testing::{Fault, Server};
use bourn::{Outcome, Unlink};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const LANES: usize = 4;

fn job(n: usize) -> Email {
    vec![("n".to_owned(), n.to_string())]
}

/// Opens a queue of four lanes over these servers.
async fn over(servers: &[Server]) -> Result<Partitioned<Email>, QueueError> {
    let mut clients = Vec::new();
    for server in servers {
        clients.push(server.client().await.expect("a connection"));
    }
    let retry = RetryPolicy::exponential(s(1), s(1)).max_attempts(2);
    let each = move |lane: bourn::queue::QueueBuilder| lane.retry(retry.clone());
    Partitioned::over(&clients, "orders").lanes(LANES).each(each).open(Flat).await
}

fn servers<const COUNT: usize>(version: &str) -> [Server; COUNT] {
    [(); COUNT].map(|()| Server::builder().version(version).build())
}

/// Returns the number of entries of each lane.
fn lengths(servers: &[Server]) -> Vec<usize> {
    let length = |lane: usize| len(&servers[lane % servers.len()], &format!("{{orders:{lane}}}:0"));
    (0..LANES).map(|lane| usize::try_from(length(lane)).expect("few")).collect()
}

#[test]
fn jobs_of_all_lanes_are_done_within_the_concurrency() {
    for version in ["redis-6.2", "redis-7.0", "redis-8.10", "valkey-9.1"] {
        in_paused_time(async {
            let servers: [Server; 2] = servers(version);
            let queue = over(&servers).await.unwrap();
            let jobs: Vec<_> = (0..200).map(job).collect();
            for added in queue.producer().enqueue_all(&jobs).await {
                added.unwrap();
            }
            for n in 200..240 {
                queue.producer().enqueue(&job(n)).await.unwrap();
            }
            assert_eq!(lengths(&servers), [60; LANES], "{version}");
            let stats = queue.stats().await;
            assert_eq!(
                (stats.length(), stats.ready(), stats.is_complete()),
                (240, Some(240), true)
            );
            let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let peak = Arc::clone(&most);
            let handler = move |job: Job<Email>| {
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                let now = Arc::clone(&now);
                async move {
                    sleep(Duration::from_millis(100)).await;
                    now.fetch_sub(1, Ordering::Relaxed);
                    let fails = job[0].1 == "7";
                    if fails { Err(Fail::retry("it fails")) } else { Ok(()) }
                }
            };
            let worker = queue.worker().concurrency(8).job_timeout(s(5)).grace(s(5));
            let report = worker.run(sleep(s(20)), handler).await.unwrap();
            assert_eq!((report.done, report.retried, report.dead), (239, 1, 1), "{report}");
            assert_eq!(peak.load(Ordering::Relaxed), 8, "{version}");
            let again = queue.redrive(Redrive::all()).await.unwrap();
            assert_eq!((again, queue.stats().await.dead()), (1, 0));
        });
    }
}

#[test]
fn jobs_with_a_key_have_one_lane() {
    in_paused_time(async {
        let servers: [Server; 2] = servers("redis-8.10");
        let queue = over(&servers).await.unwrap();
        let lane = queue.lane_of("customer:7");
        for _ in 0..10 {
            let key = Enqueue::new().key("customer:7");
            queue.producer().enqueue_with(&job(1), key).await.unwrap();
        }
        let id = |_| {
            let producer = queue.producer();
            async move { producer.enqueue_with(&job(2), Enqueue::new().unique("once")).await.unwrap() }
        };
        assert_eq!(id(1).await, id(2).await, "the second one is recognised");
        let once = queue.lane_of("once");
        let mut expected = [0; LANES];
        expected[lane] += 10;
        expected[once] += 1;
        assert_eq!(lengths(&servers), expected);
    });
}

#[test]
fn server_that_is_down_stops_no_producer_and_no_other_lane() {
    for version in ["redis-7.0", "redis-8.10"] {
        in_paused_time(async {
            let servers: [Server; 2] = servers(version);
            let queue = over(&servers).await.unwrap();
            let producer = queue.producer();
            servers[1].stop();
            let begun = Instant::now();
            for n in 0..20 {
                producer.enqueue(&job(n)).await.unwrap();
            }
            let jobs: Vec<_> = (20..40).map(job).collect();
            for added in producer.enqueue_all(&jobs).await {
                added.unwrap();
            }
            // One of them waits for its command timeout, if the connection has not ended yet.
            assert!(begun.elapsed() < s(15), "{version}: {:?}", begun.elapsed());
            let stats = queue.stats().await;
            assert!(!stats.is_complete() && stats.length() == 40, "{version}");
            let Health::Degraded(problems) = queue.health().await else { panic!("it is down") };
            assert!(problems.iter().any(|problem| problem.starts_with("lane 1: ")), "{problems:?}");
            let done = |_: Job<Email>| async { Ok::<(), Fail>(()) };
            let report = queue.worker().run(sleep(s(30)), done).await.unwrap();
            assert_eq!(report.done, 40, "{version}: {report}");
            servers[1].start();
            sleep(s(10)).await;
            for n in 40..44 {
                producer.enqueue(&job(n)).await.unwrap();
            }
            assert_eq!(lengths(&servers), [1; LANES], "{version}");
        });
    }
}

#[test]
fn job_that_may_have_been_added_is_not_added_to_another_lane() {
    in_paused_time(async {
        let servers: [Server; 2] = servers("redis-7.0");
        let queue = over(&servers).await.unwrap();
        for server in &servers {
            server.inject(Fault::lose_reply().on_command("XADD").times(1));
        }
        let error = queue.producer().enqueue(&job(1)).await.expect_err("no reply");
        assert_eq!(error.outcome(), Outcome::Unknown);
        assert_eq!(lengths(&servers).iter().sum::<usize>(), 1);
    });
}

#[test]
fn another_layout_is_refused() {
    on_each_version(|server| async move {
        let other = Server::builder().version("redis-7.0").build();
        let both = [server.clone(), other.clone()];
        over(&both).await.unwrap();
        over(&both).await.expect("the same again");
        let swapped = over(&[other, server.clone()]).await.expect_err("another order");
        let alone = over(std::slice::from_ref(&server)).await.expect_err("fewer servers");
        let client = server.client().await.unwrap();
        let lanes = Partitioned::builder(&client, "other").lanes(3);
        lanes.open::<Email, _>(Flat).await.unwrap();
        let lanes = Partitioned::builder(&client, "other").lanes(5);
        let more = lanes.open::<Email, _>(Flat).await.expect_err("more lanes");
        for error in [&swapped, &alone, &more] {
            let is_layout = matches!(error, QueueError::Settings(SettingsError::Layout(_)));
            assert!(is_layout, "{error}");
        }
        assert_eq!(
            more.to_string(),
            "invalid queue settings: the partitioned queue was opened before with 3 lanes on 1 \
             servers, and now 5 lanes on 1 servers"
        );
        for (name, lanes) in [("", 4), ("a{b}", 4), ("a", 0), ("a", 9_999)] {
            let queue = Partitioned::builder(&client, name).lanes(lanes);
            let error = queue.open_lazy::<Email, _>(Flat).expect_err("it is refused");
            assert!(matches!(error, QueueError::Settings(SettingsError::Value(_))), "{error}");
        }
    });
}

#[test]
fn layout_that_cannot_be_written_is_an_error() {
    in_paused_time(async {
        let [server] = servers("redis-8.10");
        let refused = "ERR not now";
        server.inject(Fault::error(refused).on_command("XADD").times(1));
        let error = over(std::slice::from_ref(&server)).await.expect_err("it is refused");
        assert!(error.to_string().contains(refused) && !error.may_have_run(), "{error}");
        over(std::slice::from_ref(&server)).await.expect("it is written now");
    });
}

#[test]
fn permanent_error_of_a_lane_ends_the_worker() {
    in_paused_time(async {
        let [server] = servers("redis-8.10");
        let queue = over(std::slice::from_ref(&server)).await.unwrap();
        run(&server, "DEL {orders:2}:0");
        run(&server, "SET {orders:2}:0 text");
        let done = |_: Job<Email>| async { Ok::<(), Fail>(()) };
        let begun = Instant::now();
        let error = queue.worker().run(sleep(s(600)), done).await.expect_err("it is no stream");
        assert!(error.to_string().contains("WRONGTYPE"), "{error}");
        assert!(begun.elapsed() < s(60), "{:?}", begun.elapsed());
    });
}

#[test]
fn all_keys_of_a_queue_are_named_with_their_server() {
    for version in ["redis-6.2", "redis-8.10", "valkey-9.1"] {
        in_paused_time(async {
            let servers: [Server; 2] = servers(version);
            let queue = over(&servers).await.unwrap();
            for n in 0..8 {
                queue.producer().enqueue(&job(n)).await.unwrap();
            }
            let fails = |_: Job<Email>| async { Err::<(), _>(Fail::retry("later")) };
            let stop = sleep(Duration::from_millis(500));
            queue.worker().run(stop, fails).await.unwrap();
            for server in &servers {
                assert_ne!(run(server, "DBSIZE"), Value::Integer(0), "{version}");
            }
            for (client, key) in queue.keys() {
                client.send(Unlink::new(key)).await.unwrap();
            }
            for server in &servers {
                assert_eq!(run(server, "DBSIZE"), Value::Integer(0), "{version}");
            }
            // With another number of lanes it is another queue now.
            let clients = queue.lanes().iter().map(|lane| lane.client()).take(1);
            Partitioned::over(clients, "orders").lanes(2).open::<Email, _>(Flat).await.unwrap();
        });
    }
}
