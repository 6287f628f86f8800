//! Steps that many tests share: jobs, consumers, and what the server saw.

use crate::support::{Email, queue};
use bourn::queue::{Consumer, Delivery, Health, Queue};
use bourn::resp::Value;
use bourn::testing::{Request, Server};
use bourn::{Client, EntryId};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The key of the stream; the group is `workers`.
pub(crate) const STREAM: &str = "email";

/// The key of the dead-letter stream.
pub(crate) const DEAD: &str = "{email}:dlq";

/// The default lease.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// Returns a time in seconds.
pub(crate) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Adds a job.
pub(crate) async fn enqueue(queue: &Queue<Email>) -> EntryId {
    let job = vec![("user".to_owned(), "7".to_owned())];
    queue.producer().enqueue(&job).await.expect("it is added")
}

/// Opens a queue with one job, and starts a consumer.
pub(crate) async fn consumer_of_one_job(server: &Server) -> (Queue<Email>, Consumer<Email>) {
    let queue = queue(server, STREAM).await;
    enqueue(&queue).await;
    let consumer = queue.consumer().start().await.expect("it starts");
    (queue, consumer)
}

/// As [`consumer_of_one_job`], and returns the delivery of that job.
pub(crate) async fn delivered(server: &Server) -> (Queue<Email>, Consumer<Email>, Delivery<Email>) {
    let (queue, mut consumer) = consumer_of_one_job(server).await;
    let delivery = next(&mut consumer, s(1)).await.expect("the job");
    (queue, consumer, delivery)
}

/// Returns the next delivery; `None` if there is none within this time.
pub(crate) async fn next(
    consumer: &mut Consumer<Email>,
    within: Duration,
) -> Option<Delivery<Email>> {
    let next = timeout(within, consumer.next()).await.ok()?;
    Some(next.expect("it is open").expect("no permanent error"))
}

/// Returns the problems that the health of the queue names.
pub(crate) async fn problems(queue: &Queue<Email>) -> String {
    match queue.health().await.unwrap() {
        Health::Degraded(problems) => problems.join("; "),
        _ => String::new(),
    }
}

/// Runs a command as another client, which must not fail.
pub(crate) fn run(server: &Server, words: &str) -> Value {
    let reply = server.command(words);
    assert!(!matches!(reply, Value::Error(_)), "{words}: {reply:?}");
    reply
}

/// Returns the number that a command replies.
pub(crate) fn number(server: &Server, words: &str) -> i64 {
    run(server, words).as_integer().expect("a number")
}

/// Returns the number of entries of the stream.
pub(crate) fn len(server: &Server, stream: &str) -> i64 {
    number(server, &format!("XLEN {stream}"))
}

/// Returns the owner of the entry, and its number of deliveries; `None` if it is not pending.
pub(crate) fn owner(server: &Server, id: EntryId) -> Option<(String, i64)> {
    let pending = run(server, &format!("XPENDING {STREAM} workers {id} {id} 1"));
    let entry = pending.as_list()?.first()?.as_list()?;
    let name = String::from_utf8_lossy(entry.get(1)?.as_bytes()?).into_owned();
    Some((name, entry.get(3)?.as_integer()?))
}

/// Returns the name of a consumer as text.
pub(crate) fn name(consumer: &Consumer<Email>) -> String {
    String::from_utf8_lossy(&consumer.name()).into_owned()
}

/// Returns the requests whose text contains each of these words.
pub(crate) fn requests(server: &Server, words: &[&str]) -> Vec<Request> {
    let has = |request: &Request| {
        let text = format!(" {request} ");
        words.iter().all(|word| text.contains(&format!(" {word} ")))
    };
    server.requests().into_iter().filter(has).collect()
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(s(600), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Holds back for a time what the tasks of this client's consumer request, except their reads.
/// Their connection is the next one after the client's.
pub(crate) fn stall(server: &Server, client: &Client, time: Duration) {
    let id = client.connection_id().expect("it is connected") + 1;
    server.inject(bourn::testing::Fault::stall_requests(time).on_connection(id));
}
