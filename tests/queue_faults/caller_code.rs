//! The caller's code: panics and payloads that cannot be decoded count as failed attempts.

use crate::support::{Email, in_paused_time};
use bourn::BoxFuture;
use bourn::queue::{
    BoxError, Codec, CodecError, Fail, FieldList, Flat, Headers, Jitter, Job, JobInfo, Middleware,
    Payload, Propagate, Queue, QueueBuilder, RetryPolicy, Undecodable, WorkerBuilder,
};
use bourn::testing::Server;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::sleep;

const MINUTE: Duration = Duration::from_secs(60);

/// Two attempts, a minute apart.
fn retry() -> RetryPolicy {
    RetryPolicy::exponential(MINUTE, MINUTE).jitter(Jitter::None).max_attempts(2)
}

/// Runs a worker, whose code panics in each attempt, and returns the reason of the dead letter.
async fn dead(
    open: impl AsyncFnOnce(QueueBuilder) -> Queue<Email>,
    set: impl FnOnce(WorkerBuilder<Email>) -> WorkerBuilder<Email>,
    error: fn() -> BoxError,
) -> String {
    let client = Server::new().client().await.unwrap();
    let queue = open(Queue::builder(&client, "email").retry(retry())).await;
    queue.producer().enqueue(&Email::new()).await.unwrap();
    let fail = move |_: Job<Email>| async move { Err::<(), _>(Fail::retry(error())) };
    let worker = tokio::spawn(set(queue.worker()).run(sleep(3 * MINUTE), fail));
    // The second attempt comes after the delay of the policy.
    sleep(MINUTE - Duration::from_secs(2)).await;
    assert_eq!(queue.dead_letters().count().await.unwrap(), 0);
    let report = worker.await.unwrap().unwrap();
    assert_eq!((report.retried, report.dead, report.dropped), (1, 1, 0), "{report}");
    let letters = queue.dead_letters().list(None, 9).await.unwrap();
    assert_eq!(letters[0].attempts, 2);
    letters[0].reason.to_string()
}

async fn flat(builder: QueueBuilder) -> Queue<Email> {
    builder.open(Flat).await.unwrap()
}

fn same(worker: WorkerBuilder<Email>) -> WorkerBuilder<Email> {
    worker
}

fn no_such_user() -> BoxError {
    "no such user".into()
}

struct PanicAround;

impl Middleware for PanicAround {
    fn around<'a>(
        &'a self,
        _: &'a JobInfo,
        _: BoxFuture<'a, Result<(), Fail>>,
    ) -> BoxFuture<'a, Result<(), Fail>> {
        panic!("no middleware")
    }
}

/// Panics in the first two calls.
struct PanicDecode(AtomicU32);

impl Codec<Email> for PanicDecode {
    fn encode(&self, payload: &Email, fields: &mut FieldList) -> Result<(), CodecError> {
        Flat.encode(payload, fields)
    }

    fn decode(&self, payload: Payload<'_>) -> Result<Email, CodecError> {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) >= 2, "no codec");
        Flat.decode(payload)
    }
}

#[test]
fn panic_in_the_classifier_is_a_failed_attempt() {
    in_paused_time(async {
        let retry = retry().classify(|_| panic!("no classifier"));
        let open = async |builder: QueueBuilder| flat(builder.retry(retry)).await;
        let reason = dead(open, same, no_such_user).await;
        assert_eq!(reason, "no such user (the classifier panicked: no classifier)");
    });
}

#[test]
fn panic_in_a_middleware_is_a_failed_attempt() {
    in_paused_time(async {
        let reason = dead(flat, |worker| worker.with(PanicAround), no_such_user).await;
        assert_eq!(reason, "panicked: no middleware");
    });
}

/// An error without a text.
#[derive(Debug)]
struct PanicDisplay;

impl fmt::Display for PanicDisplay {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no text")
    }
}

impl std::error::Error for PanicDisplay {}

#[test]
fn panic_in_the_text_of_an_error_is_a_failed_attempt() {
    in_paused_time(async {
        let reason = dead(flat, same, || PanicDisplay.into()).await;
        assert_eq!(reason, "the error's text cannot be read: panicked: no text");
    });
}

struct PanicExtract;

impl Propagate for PanicExtract {
    fn inject(&self, _: &mut dyn FnMut(&str, &str)) {}

    fn extract(&self, _: Headers<'_>, _: &tracing::Span) {
        panic!("no context")
    }
}

#[test]
fn panic_in_the_propagator_is_a_failed_attempt() {
    in_paused_time(async {
        let open = async |builder: QueueBuilder| flat(builder.propagate(PanicExtract)).await;
        assert_eq!(dead(open, same, no_such_user).await, "panicked: no context");
    });
}

/// Decodes jobs once the program is updated.
struct Updated(Arc<AtomicBool>);

impl Codec<Email> for Updated {
    fn encode(&self, payload: &Email, fields: &mut FieldList) -> Result<(), CodecError> {
        Flat.encode(payload, fields)
    }

    fn decode(&self, payload: Payload<'_>) -> Result<Email, CodecError> {
        if self.0.load(Ordering::Relaxed) {
            Flat.decode(payload)
        } else {
            Err(CodecError::missing("template"))
        }
    }
}

#[test]
fn undecodable_payload_is_retried_as_a_failure_unless_it_is_to_be_dead_lettered() {
    for undecodable in [Undecodable::Retry, Undecodable::DeadLetter] {
        in_paused_time(async move {
            let client = Server::new().client().await.unwrap();
            let updated = Arc::new(AtomicBool::new(false));
            let builder = Queue::builder(&client, "email").retry(retry()).undecodable(undecodable);
            let queue: Queue<Email> = builder.open(Updated(Arc::clone(&updated))).await.unwrap();
            queue.producer().enqueue(&Email::new()).await.unwrap();
            let done = |_: Job<Email>| async { Ok::<_, Fail>(()) };
            let worker = tokio::spawn(queue.worker().run(sleep(2 * MINUTE), done));
            sleep(MINUTE / 2).await;
            updated.store(true, Ordering::Relaxed);
            let report = worker.await.unwrap().unwrap();
            let expected = if undecodable == Undecodable::Retry { (1, 1, 0) } else { (0, 0, 1) };
            assert_eq!((report.done, report.retried, report.dead), expected, "{undecodable:?}");
            for letter in queue.dead_letters().list(None, 9).await.unwrap() {
                assert!(letter.reason.starts_with("the payload cannot be read: "), "{letter:?}");
            }
        });
    }
}

#[test]
fn panic_in_the_codec_is_a_failed_attempt_also_if_undecodable_payloads_are_not() {
    for undecodable in [Undecodable::Retry, Undecodable::DeadLetter] {
        in_paused_time(async {
            let open = async |builder: QueueBuilder| {
                let builder = builder.undecodable(undecodable);
                builder.open(PanicDecode(AtomicU32::new(0))).await.unwrap()
            };
            let reason = dead(open, same, no_such_user).await;
            assert_eq!(reason, "the payload cannot be read: the codec panicked: no codec");
        });
    }
}
