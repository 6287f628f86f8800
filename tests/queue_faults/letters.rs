//! Dead letters: the cause that each has, and the limits of their number and age.

use crate::steps::{DEAD, LEASE, STREAM, len, run, s};
use crate::support::{Email, on_each_version};
use bourn::queue::{
    DeadLetterCause, Fail, Flat, Jitter, Job, Queue, QueueBuilder, QueueEvent, QueueEvents,
    RetryPolicy, Verdict,
};
use bourn::testing::Server;
use futures_util::FutureExt;
use std::time::Duration;
use tokio::time::sleep;

/// A policy with this many attempts, a second apart.
fn attempts(attempts: u32) -> RetryPolicy {
    RetryPolicy::exponential(s(1), s(1)).jitter(Jitter::None).max_attempts(attempts)
}

async fn open(server: &Server, build: impl FnOnce(QueueBuilder) -> QueueBuilder) -> Queue<Email> {
    let client = server.client().await.expect("a connection");
    build(Queue::builder(&client, STREAM)).open(Flat).await.expect("the queue opens")
}

/// The ways in which a job fails, and the cause that its letter has.
const FAILURES: [(&str, DeadLetterCause); 7] = [
    ("error", DeadLetterCause::Failed),
    ("dead", DeadLetterCause::Rejected),
    ("classified", DeadLetterCause::Rejected),
    ("panic", DeadLetterCause::Panicked),
    ("late", DeadLetterCause::TimedOut),
    ("crash", DeadLetterCause::WorkerLost),
    ("interrupted move", DeadLetterCause::Unknown),
];

async fn handle(job: Job<Email>) -> Result<(), Fail> {
    match &*job[0].1 {
        "dead" => Err(Fail::dead("no")),
        "panic" => std::panic::resume_unwind(Box::new("a panic")),
        "late" => {
            sleep(s(20)).await;
            Ok(())
        }
        text => Err(Fail::retry(text.to_owned())),
    }
}

#[test]
fn letter_and_event_name_the_cause() {
    on_each_version(|server| async move {
        for (failure, cause) in FAILURES {
            let classify = |error: &bourn::queue::BoxError| {
                if error.to_string() == "classified" { Verdict::Dead } else { Verdict::Retry }
            };
            // A crash of the only attempt.
            let retry = attempts(if failure == "crash" { 1 } else { 2 }).classify(classify);
            let queue = open(&server, |queue| queue.retry(retry)).await;
            let mut events = queue.events();
            let job = vec![("failure".to_owned(), failure.to_owned())];
            let id = queue.producer().enqueue(&job).await.unwrap();
            if matches!(failure, "crash" | "interrupted move") {
                run(&server, &format!("XREADGROUP GROUP workers other STREAMS {STREAM} >"));
            }
            if failure == "interrupted move" {
                let claim = format!("XCLAIM {STREAM} workers other 0 {id} RETRYCOUNT 1000000001");
                run(&server, &format!("{claim} JUSTID"));
            }
            let worker = queue.worker().job_timeout(s(10));
            let report = worker.run(sleep(2 * LEASE), handle).await.unwrap();
            assert_eq!(report.dead, 1, "{failure}: {report}");
            let letter = queue.dead_letters().list(None, 9).await.unwrap().remove(0);
            assert_eq!(letter.cause, cause, "{failure}: {letter:?}");
            assert_eq!(letter.payload.as_ref().unwrap(), &job);
            let text = letter.entry().get("_cause").map(<[u8]>::to_vec);
            assert_eq!(text.as_deref(), Some(cause.as_str().as_bytes()), "{failure}");
            let event = std::iter::from_fn(|| events.next().now_or_never().flatten());
            let mut causes = event.filter_map(|event| match event {
                QueueEvent::DeadLettered { cause, .. } => Some(cause),
                _ => None,
            });
            assert_eq!(causes.next(), Some(cause), "{failure}");
            queue.dead_letters().purge(Duration::ZERO).await.unwrap();
        }
    });
}

#[cfg(feature = "serde")]
#[test]
fn letter_of_a_payload_that_cannot_be_decoded_says_so() {
    use bourn::queue::{Json, Undecodable};
    on_each_version(|server| async move {
        for undecodable in [Undecodable::Retry, Undecodable::DeadLetter] {
            let client = server.client().await.unwrap();
            let queue = Queue::builder(&client, STREAM).retry(attempts(2));
            let queue: Queue<u64> = queue.undecodable(undecodable).open(Json).await.unwrap();
            run(&server, &format!("XADD {STREAM} * payload text"));
            let done = |_: Job<u64>| async { Ok::<_, Fail>(()) };
            queue.worker().run(sleep(s(9)), done).await.unwrap();
            let letter = queue.dead_letters().list(None, 9).await.unwrap().remove(0);
            assert_eq!(letter.cause, DeadLetterCause::Undecodable, "{undecodable:?}");
            queue.dead_letters().purge(Duration::ZERO).await.unwrap();
        }
    });
}

/// A worker of an earlier version, or another program, has written it.
#[test]
fn letter_without_a_cause_is_listed_and_redriven() {
    on_each_version(|server| async move {
        let queue = open(&server, |queue| queue).await;
        let own = "_id 1-0 _stream email _group workers _attempt 3 _reason no _at 5 _token 0a";
        run(&server, &format!("XADD {DEAD} * {own} _cause own"));
        let letter = queue.dead_letters().list(None, 9).await.unwrap().remove(0);
        assert_eq!((letter.cause, letter.attempts), (DeadLetterCause::Unknown, 3));
        assert_eq!(letter.payload.as_ref().unwrap(), &[]);
        assert_eq!(letter.entry().get("_cause"), Some(&b"own"[..]));
        let all = bourn::queue::Redrive::all();
        assert_eq!(queue.dead_letters().redrive(all).await.unwrap(), 1);
        assert_eq!((len(&server, STREAM), len(&server, DEAD)), (1, 0));
        let job = format!("{:?}", run(&server, &format!("XRANGE {STREAM} - +")));
        assert!(job.contains("_cause") && job.contains("own"), "{job}");
    });
}

/// Adds letters of two queues and of another producer, each three times.
fn add_letters(server: &Server) {
    for n in 0..3 {
        for stream in [STREAM, "other"] {
            let from = format!("_id 1-{n} _stream {stream} _group workers _attempt 3");
            run(server, &format!("XADD {DEAD} * {from} _reason no _at 5 _token 0a n {n}"));
        }
        run(server, &format!("XADD {DEAD} * order {n}"));
    }
}

fn dropped(events: &mut QueueEvents) -> Vec<u64> {
    let events = std::iter::from_fn(|| events.next().now_or_never().flatten());
    let dropped = events.filter_map(|event| match event {
        QueueEvent::DeadLettersDropped { letters } => Some(letters),
        _ => None,
    });
    dropped.collect()
}

#[test]
fn letters_beyond_the_limit_are_dropped_the_oldest_first_and_only_own_ones() {
    on_each_version(|server| async move {
        let queue = open(&server, |queue| queue.dead_letter_limit(2)).await;
        let mut events = queue.events();
        add_letters(&server);
        let _consumer = queue.consumer().start().await.unwrap();
        sleep(s(30)).await;
        let letters = queue.dead_letters().list(None, 9).await.unwrap();
        let ids: Vec<_> = letters.iter().map(|letter| letter.original.seq()).collect();
        assert_eq!((ids, len(&server, DEAD)), (vec![1, 2], 8));
        assert_eq!(dropped(&mut events), [1]);
        sleep(s(60)).await;
        assert_eq!((dropped(&mut events), len(&server, DEAD)), (vec![], 8));
        add_letters(&server);
        sleep(s(30)).await;
        assert_eq!((dropped(&mut events), len(&server, DEAD)), (vec![3], 14));
        assert_eq!(queue.dead_letters().count().await.unwrap(), 2);
    });
}

#[test]
fn letters_older_than_the_limit_are_dropped_by_the_clock_of_the_server() {
    on_each_version(|server| async move {
        let queue = open(&server, |queue| queue.dead_letter_age(s(600))).await;
        let mut events = queue.events();
        add_letters(&server);
        let _consumer = queue.consumer().start().await.unwrap();
        sleep(s(300)).await;
        add_letters(&server);
        assert_eq!((dropped(&mut events), len(&server, DEAD)), (vec![], 18));
        sleep(s(350)).await;
        assert_eq!((dropped(&mut events), len(&server, DEAD)), (vec![3], 15));
        sleep(s(300)).await;
        assert_eq!((dropped(&mut events), len(&server, DEAD)), (vec![3], 12));
    });
}

#[test]
fn letters_without_a_limit_are_kept() {
    on_each_version(|server| async move {
        let queue = open(&server, |queue| queue).await;
        add_letters(&server);
        let _consumer = queue.consumer().start().await.unwrap();
        sleep(s(600)).await;
        assert_eq!(len(&server, DEAD), 9);
    });
}
