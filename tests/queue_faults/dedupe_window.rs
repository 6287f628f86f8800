//! The window in which a stream recognises a job that is sent again: it is never too small.

use crate::steps::{STREAM, len, run, until};
use crate::support::{Email, VERSIONS, in_paused_time};
use bourn::queue::{
    Enqueue, Fail, Flat, Health, Job, Queue, QueueBuilder, QueueError, QueueEvent, SettingsError,
};
use bourn::resp::Value;
use bourn::testing::{Fault, Server};
use bourn::{Client, Config, EntryId};
use std::time::Duration;
use tokio::time::sleep;

/// The versions that have IDMP.
const WITH_IDMP: [&str; 2] = ["redis-8.6", "redis-8.10"];

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn on_each_with_idmp<F: Future<Output = ()>>(test: impl Fn(Server) -> F) {
    for version in WITH_IDMP {
        println!("{version}");
        in_paused_time(test(Server::builder().version(version).build()));
    }
}

/// Creates the stream, with this window.
fn create(server: &Server, seconds: u64, ids: u64) {
    run(server, "XGROUP CREATE email workers 0 MKSTREAM");
    run(server, &format!("XCFGSET email IDMP-DURATION {seconds} IDMP-MAXSIZE {ids}"));
}

/// Returns the stream's window.
fn window(server: &Server) -> (i64, i64) {
    let info = run(server, "XINFO STREAM email");
    let words: Vec<&Value> = info.as_list().expect("pairs").iter().collect();
    let field = |name: &str| {
        let pair = words.chunks_exact(2).find(|pair| pair[0].as_str() == Some(name));
        pair.and_then(|pair| pair[1].as_integer()).expect("a number")
    };
    (field("idmp-duration"), field("idmp-maxsize"))
}

async fn lazy(server: &Server, with: impl Fn(QueueBuilder) -> QueueBuilder) -> Queue<Email> {
    let client = server.client().await.unwrap();
    with(Queue::builder(&client, STREAM)).open_lazy(Flat).unwrap()
}

/// Loses the replies to what is sent on the queue's present connection.
fn lose_replies(server: &Server, queue: &Queue<Email>) {
    let connection = queue.client().connection_id().expect("it is connected");
    server.inject(Fault::stall_replies(Duration::MAX).on_connection(connection));
}

/// Adds fifty jobs whose first replies are lost.
async fn enqueue(server: &Server, queue: &Queue<Email>) -> Vec<Result<EntryId, QueueError>> {
    lose_replies(server, queue);
    queue.producer().enqueue_all(&vec![Email::new(); 50]).await
}

#[test]
fn dedupe_window_that_is_too_small_or_too_large_is_refused() {
    let rows = [
        (s(1), 100, "at least 100 s and 100 keys"),
        (s(99), 100, "at least 100 s and 100 keys"),
        (s(100), 99, "at least 100 s and 100 keys"),
        (s(86_401), 100, "at most 24 h and 10,000 keys"),
        (s(100), 10_001, "at most 24 h and 10,000 keys"),
    ];
    for version in VERSIONS {
        in_paused_time(async {
            let server = Server::builder().version(version).build();
            let client = server.client().await.unwrap();
            for (time, keys, expected) in rows {
                let queue = Queue::builder(&client, STREAM).dedupe_window(time, keys);
                let opened: Result<Queue<Email>, _> = queue.open_lazy(Flat);
                let Err(QueueError::Settings(SettingsError::Value(rule))) = opened else {
                    panic!("{version}: {opened:?}");
                };
                assert!(rule.contains(expected), "{version}: {rule}");
            }
        });
    }
}

#[test]
fn dedupe_window_below_that_of_the_client_is_refused() {
    in_paused_time(async {
        let config = Config::tcp("in-memory", 6379).idmp_window(500, s(500));
        let client = Client::lazy(config).unwrap();
        for (time, keys, is_refused) in [(500, 500, false), (499, 500, true), (500, 499, true)] {
            let queue = Queue::builder(&client, STREAM).dedupe_window(s(time), keys);
            let opened: Result<Queue<Email>, _> = queue.open_lazy(Flat);
            assert_eq!(opened.is_err(), is_refused, "{time} s, {keys} keys: {opened:?}");
        }
    });
}

#[test]
fn small_window_of_a_stream_is_raised_and_no_job_is_added_twice() {
    for (seconds, ids) in [(1, 10_000), (86_400, 10)] {
        on_each_with_idmp(|server| async move {
            create(&server, seconds, ids);
            let queue = lazy(&server, |queue| queue).await;
            queue.producer().enqueue(&Email::new()).await.unwrap();
            // What was enough is not reduced.
            let expected = (i64::try_from(seconds).unwrap(), i64::try_from(ids).unwrap());
            assert_eq!(window(&server), (expected.0.max(100), expected.1.max(100)));
            let added = enqueue(&server, &queue).await;
            assert!(added.iter().all(Result::is_ok), "{added:?}");
            assert_eq!(len(&server, STREAM), 51);
        });
    }
}

#[test]
fn window_is_raised_to_that_of_the_client() {
    on_each_with_idmp(|server| async move {
        let dial = server.clone();
        let config = Config::tcp("in-memory", 6379).idmp_window(500, s(700));
        let client = Client::connect_with(config, move || std::future::ready(dial.dial()));
        let client = client.await.unwrap();
        let queue: Result<Queue<Email>, _> = Queue::builder(&client, STREAM).open(Flat).await;
        drop(queue.unwrap());
        assert_eq!(window(&server), (700, 500));
    });
}

#[test]
fn jobs_are_not_sent_again_where_a_small_window_cannot_be_raised() {
    for refused in ["XCFGSET", "XINFO STREAM"] {
        on_each_with_idmp(|server| async move {
            create(&server, 1, 100);
            let noperm = "NOPERM User default has no permissions to run this command";
            server.inject(Fault::error(noperm).on_command(refused).times(u64::MAX));
            let queue = lazy(&server, |queue| queue).await;
            let mut events = queue.events();
            queue.producer().enqueue(&Email::new()).await.unwrap();
            let QueueEvent::ShortDedupeWindow { window } = events.next().await.unwrap() else {
                panic!("{refused}: no event");
            };
            let known = (refused == "XCFGSET").then_some((s(1), 100));
            assert_eq!(window, known, "{refused}");
            let added = enqueue(&server, &queue).await;
            let is_unknown =
                |added: &Result<_, QueueError>| added.as_ref().is_err_and(QueueError::may_have_run);
            assert!(added.iter().all(is_unknown), "{refused}: {added:?}");
            assert_eq!(len(&server, STREAM), 51, "{refused}");
            until("it is connected again", || queue.client().is_connected()).await;
            if refused == "XCFGSET" {
                let health = queue.health().await.unwrap();
                let Health::Degraded(problems) = health else { panic!("{health:?}") };
                let text = problems.join("; ");
                assert!(text.contains("remembers them for 1s and 100 ids"), "{text}");
            }
            // The key is recognised while the stream remembers it, and is not sent again.
            let unique = || Enqueue::new().unique("a");
            let producer = queue.producer();
            let first = producer.enqueue_with(&Email::new(), unique()).await.unwrap();
            let second = producer.enqueue_with(&Email::new(), unique()).await.unwrap();
            assert_eq!((first, len(&server, STREAM)), (second, 52), "{refused}");
            lose_replies(&server, &queue);
            let other = Enqueue::new().unique("b");
            let added = producer.enqueue_with(&Email::new(), other).await;
            assert!(is_unknown(&added), "{refused}: {added:?}");
            sleep(s(100)).await;
            assert_eq!(len(&server, STREAM), 53, "{refused}");
        });
    }
}

#[test]
fn window_that_is_made_smaller_is_raised_on_the_next_connection_of_a_worker() {
    on_each_with_idmp(|server| async move {
        let queue = lazy(&server, |queue| queue).await;
        let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
        let steps = async {
            sleep(s(1)).await;
            run(&server, "XCFGSET email IDMP-DURATION 1 IDMP-MAXSIZE 1");
            server.disconnect_all();
            sleep(s(20)).await;
        };
        queue.worker().run(steps, done).await.unwrap();
        assert_eq!(window(&server), (100, 100));
    });
}

#[test]
fn stream_that_a_worker_creates_again_has_the_dedupe_window_of_the_queue() {
    on_each_with_idmp(|server| async move {
        let queue = lazy(&server, |queue| queue.dedupe_window(s(600), 1_000)).await;
        let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
        let steps = async {
            sleep(s(1)).await;
            assert_eq!(window(&server), (600, 1_000));
            run(&server, "DEL email");
            sleep(s(20)).await;
        };
        queue.worker().run(steps, done).await.unwrap();
        assert_eq!(window(&server), (600, 1_000));
    });
}
